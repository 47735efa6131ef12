// tests/clients/toolbox.js - DynamoDB Toolbox 2: a table, an entity, all commands.
'use strict';
const {DynamoDBClient, CreateTableCommand} = require('@aws-sdk/client-dynamodb');
const {DynamoDBDocumentClient} = require('@aws-sdk/lib-dynamodb');
const box = require('dynamodb-toolbox');
const {assert, endpoint, test} = require('./kit');

const client = new DynamoDBClient({endpoint});
const table = new box.Table({
  name: 'Toolbox', documentClient: DynamoDBDocumentClient.from(client),
  partitionKey: {name: 'pk', type: 'string'}, sortKey: {name: 'sk', type: 'string'},
  indexes: {byScore: {type: 'global', partitionKey: {name: 'kind', type: 'string'}, sortKey: {name: 'score', type: 'number'}}}});
const schema = box.item({
  owner: box.string().key().savedAs('pk'), id: box.string().key().savedAs('sk'), kind: box.string().default('pet'), score: box.number().default(0),
  tags: box.set(box.string()).optional(), parts: box.list(box.string()).optional(), more: box.map({deep: box.number().optional()}).optional(), bytes: box.binary().optional()});
const Pet = new box.Entity({name: 'Pet', table, schema});
const put = item => Pet.build(box.PutItemCommand).item(item);
const get = key => Pet.build(box.GetItemCommand).key(key);

test('a table', async () => {
  await client.send(new CreateTableCommand({
    TableName: 'Toolbox', BillingMode: 'PAY_PER_REQUEST',
    AttributeDefinitions: [['pk', 'S'], ['sk', 'S'], ['kind', 'S'], ['score', 'N']].map(([AttributeName, AttributeType]) => ({AttributeName, AttributeType})),
    KeySchema: [{AttributeName: 'pk', KeyType: 'HASH'}, {AttributeName: 'sk', KeyType: 'RANGE'}],
    GlobalSecondaryIndexes: [{IndexName: 'byScore', Projection: {ProjectionType: 'ALL'},
                              KeySchema: [{AttributeName: 'kind', KeyType: 'HASH'}, {AttributeName: 'score', KeyType: 'RANGE'}]}]}));
});

test('put, get', async () => {
  await put({owner: 'ann', id: 'rex', score: 4, tags: new Set(['a']), parts: ['tail'], more: {deep: 1}, bytes: Uint8Array.from([9])}).send();
  const {Item} = await get({owner: 'ann', id: 'rex'}).send();
  assert.deepEqual([Item.score, Item.tags, Item.parts, Item.more, Item.bytes], [4, new Set(['a']), ['tail'], {deep: 1}, Uint8Array.from([9])]);
  const some = await get({owner: 'ann', id: 'rex'}).options({attributes: ['score'], consistent: true}).send();
  assert.equal(some.Item.score, 4);
});

test('a condition that fails gives the item', async () => {
  const command = put({owner: 'ann', id: 'rex'}).options({condition: {attr: 'owner', exists: false}, returnValuesOnConditionFalse: 'ALL_OLD'});
  await assert.rejects(command.send(), error => error.name === 'ConditionalCheckFailedException' && error.Item !== undefined);
});

test('update with $add, $append, $remove, $get', async () => {
  const {Attributes} = await Pet.build(box.UpdateItemCommand).item({
    owner: 'ann', id: 'rex', score: box.$add(3), parts: box.$append(['ear']), more: {deep: box.$sum(1, 1)}, bytes: box.$remove(), tags: box.$add(new Set(['b']))})
    .options({returnValues: 'ALL_NEW'}).send();
  assert.deepEqual([Attributes.score, Attributes.parts, Attributes.more, Attributes.bytes, Attributes.tags], [7, ['tail', 'ear'], {deep: 2}, undefined, new Set(['a', 'b'])]);
});

test('batch write, batch get', async () => {
  const pets = Array.from({length: 25}, (_, i) => ({owner: 'bob', id: `p${String(i).padStart(2, '0')}`, score: i}));
  await box.executeBatchWrite(table.build(box.BatchWriteCommand).requests(...pets.map(pet => Pet.build(box.BatchPutRequest).item(pet))));
  const keys = pets.slice(0, 10).map(({owner, id}) => Pet.build(box.BatchGetRequest).key({owner, id}));
  const {Responses} = await box.executeBatchGet(table.build(box.BatchGetCommand).requests(...keys));
  assert.deepEqual(Responses[0].map(pet => pet.score), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('query of the table and of an index, pages, filter; scan', async () => {
  const query = table.build(box.QueryCommand).entities(Pet);
  const all = await query.query({partition: 'bob', range: {between: ['p05', 'p20']}}).options({limit: 5, maxPages: Infinity}).send();
  assert.equal(all.Items.length, 16);
  const top = await query.query({index: 'byScore', partition: 'pet', range: {gte: 20}}).options({
    reverse: true, filters: {Pet: {attr: 'id', lt: 'p24'}}}).send();
  assert.deepEqual(top.Items.map(pet => pet.score), [23, 22, 21, 20]);
  const {Items, Count} = await table.build(box.ScanCommand).entities(Pet).options({maxPages: Infinity, limit: 10}).send();
  assert.deepEqual([Items.length, Count], [26, 26]);
});

test('delete, of a partition too', async () => {
  const {Attributes} = await Pet.build(box.DeleteItemCommand).key({owner: 'ann', id: 'rex'}).options({returnValues: 'ALL_OLD'}).send();
  assert.equal(Attributes.score, 7);
  await table.build(box.DeletePartitionCommand).entities(Pet).query({partition: 'bob'}).send();
  assert.equal((await table.build(box.ScanCommand).send()).Count, 0);
});

test('transactions', async () => {
  await box.executeTransactWrite(
    Pet.build(box.PutTransaction).item({owner: 'cat', id: '1'}), Pet.build(box.UpdateTransaction).item({owner: 'cat', id: '2', kind: 'pet', score: box.$add(2)}));
  await assert.rejects(box.executeTransactWrite(
    Pet.build(box.PutTransaction).item({owner: 'cat', id: '3'}),
    Pet.build(box.ConditionCheck).key({owner: 'cat', id: '1'}).condition({attr: 'score', gt: 5})), {name: 'TransactionCanceledException'});
  const {Responses} = await box.executeTransactGet(...['2', '3'].map(id => Pet.build(box.GetTransaction).key({owner: 'cat', id})));
  assert.equal(Responses[0].Item.score, 2);
  assert.equal(Responses[1].Item, undefined);
});
