// tests/clients/dynamoose.js - Dynamoose: it makes and describes its table, models, updates, pages.
'use strict';
const dynamoose = require('dynamoose');
const {assert, endpoint, test} = require('./kit');

dynamoose.aws.ddb.set(new dynamoose.aws.ddb.DynamoDB({endpoint}));
const Cat = dynamoose.model('Cat', new dynamoose.Schema({
  owner: {type: String, hashKey: true}, name: {type: String, rangeKey: true},
  breed: {type: String, index: {name: 'byBreed', rangeKey: 'age', type: 'global'}}, age: Number, born: Date, toys: {type: Set, schema: [String]},
  home: {type: Object, schema: {city: String}}, seen: {type: Array, schema: [Number]}, photo: Buffer}, {saveUnknown: true, timestamps: true}));
const table = new dynamoose.Table('Cats', [Cat], {
  create: true, throughput: 'ON_DEMAND', waitForActive: {enabled: true, check: {timeout: 30000, frequency: 50}}, expires: {ttl: 86400000, attribute: 'ttl'}, initialize: false});

test('the table is created, waited for, and expires items', async () => {
  await table.initialize();
  const {TimeToLiveDescription: ttl} = await dynamoose.aws.ddb().describeTimeToLive({TableName: 'Cats'});
  assert.deepEqual(ttl, {TimeToLiveStatus: 'ENABLED', AttributeName: 'ttl'});
});

test('create, get, save; create again is refused', async () => {
  await Cat.create({owner: 'ann', name: 'tom', breed: 'manx', age: 3, born: new Date(0), toys: new Set(['ball']), home: {city: 'Ulm'}, seen: [1, 2],
                    photo: Buffer.from([1, 2]), odd: 'unknown'});
  const cat = await Cat.get({owner: 'ann', name: 'tom'});
  assert.deepEqual([cat.age, cat.born, cat.toys, cat.home.city, cat.seen[1], cat.odd], [3, new Date(0), new Set(['ball']), 'Ulm', 2, 'unknown']);
  assert.deepEqual([...cat.photo], [1, 2]);
  cat.age = 4;
  await cat.save();
  assert.equal((await Cat.get({owner: 'ann', name: 'tom'}, {attributes: ['age'], consistent: true})).age, 4);
  await assert.rejects(Cat.create({owner: 'ann', name: 'tom'}), {name: 'ConditionalCheckFailedException'});
});

test('update: $SET, $ADD, $REMOVE, $DELETE, a condition', async () => {
  const key = {owner: 'ann', name: 'tom'};
  const cat = await Cat.update(key, {$SET: {breed: 'mau'}, $ADD: {age: 2, toys: ['mouse']}, $REMOVE: ['odd']});
  assert.deepEqual([cat.breed, cat.age, cat.odd, [...cat.toys].sort()], ['mau', 6, undefined, ['ball', 'mouse']]);
  await Cat.update(key, {$DELETE: {toys: ['ball']}});
  const condition = new dynamoose.Condition().where('age').gt(9);
  await assert.rejects(Cat.update(key, {age: 1}, {condition}), {name: 'ConditionalCheckFailedException'});
});

test('batchPut, batchGet, batchDelete', async () => {
  const cats = Array.from({length: 25}, (_, i) => ({owner: 'bob', name: `cat${String(i).padStart(2, '0')}`, breed: i % 2 ? 'manx' : 'mau', age: i}));
  const {unprocessedItems} = await Cat.batchPut(cats);
  assert.equal(unprocessedItems.length, 0);
  assert.equal((await Cat.batchGet(cats.map(({owner, name}) => ({owner, name})))).length, 25);
  await Cat.batchDelete(cats.slice(20).map(({owner, name}) => ({owner, name})));
});

test('query of table and index, pages, filter, count; scan, also in segments', async () => {
  const names = [];
  let lastKey;
  do {
    const query = Cat.query('owner').eq('bob').sort('descending').limit(6);
    const page = await (lastKey ? query.startAt(lastKey) : query).exec();
    names.push(...page.map(cat => cat.name));
    ({lastKey} = page);
  } while (lastKey);
  assert.deepEqual(names, Array.from({length: 20}, (_, i) => `cat${String(19 - i).padStart(2, '0')}`));
  const manx = await Cat.query('breed').eq('manx').where('age').between(5, 11).using('byBreed').exec();
  assert.deepEqual(manx.map(cat => cat.age), [5, 7, 9, 11]);
  assert.equal((await Cat.query('owner').eq('bob').filter('age').lt(4).count().exec()).count, 4);
  assert.equal((await Cat.query('owner').eq('bob').all().exec()).length, 20);
  assert.equal((await Cat.scan('name').beginsWith('cat1').exec()).length, 10);
  assert.equal((await Cat.scan().parallel(3).exec()).length, 21);
});

test('delete', async () => {
  await Cat.delete({owner: 'ann', name: 'tom'});
  assert.equal(await Cat.get({owner: 'ann', name: 'tom'}), undefined);
});

test('a transaction', async () => {
  await dynamoose.transaction([Cat.transaction.create({owner: 't', name: 'a'}), Cat.transaction.update({owner: 'bob', name: 'cat00'}, {age: 99}),
                               Cat.transaction.delete({owner: 'bob', name: 'cat01'})]);
  await assert.rejects(dynamoose.transaction([Cat.transaction.create({owner: 't', name: 'b'}), Cat.transaction.create({owner: 't', name: 'a'})]),
                       {name: 'TransactionCanceledException'});
  assert.equal(await Cat.get({owner: 't', name: 'b'}), undefined);
  assert.equal((await Cat.get({owner: 'bob', name: 'cat00'})).age, 99);
});

test('a second index by Dynamoose\'s own update of the table', async () => {
  const More = dynamoose.model('Cat2', new dynamoose.Schema({
    owner: {type: String, hashKey: true}, name: {type: String, rangeKey: true}, age: {type: Number, index: {name: 'byAge', type: 'global'}}}));
  const changed = new dynamoose.Table('Cats', [More], {create: false, throughput: 'ON_DEMAND', update: ['indexes'], waitForActive: {enabled: true, check: {timeout: 30000, frequency: 50}}, initialize: false});
  await changed.initialize();
  assert.equal((await More.query('age').eq(7).using('byAge').exec()).length, 1);
});
