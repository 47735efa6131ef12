// tests/clients/onetable.js - OneTable: it creates its table, then models, pages, transactions.
'use strict';
const {DynamoDBClient} = require('@aws-sdk/client-dynamodb');
const {Dynamo} = require('dynamodb-onetable/Dynamo');
const {Table} = require('dynamodb-onetable');
const {assert, endpoint, test} = require('./kit');

const client = new Dynamo({client: new DynamoDBClient({endpoint})});
const schema = {
  format: 'onetable:1.1.0', version: '0.0.1',
  indexes: {primary: {hash: 'pk', sort: 'sk'}, gs1: {hash: 'gs1pk', sort: 'gs1sk', project: 'all'}, ls1: {type: 'local', sort: 'rank', project: 'keys'}},
  models: {
    Account: {pk: {type: String, value: 'account#${name}'}, sk: {type: String, value: 'account#'}, name: {type: String, required: true},
              plan: {type: String, enum: ['free', 'pro'], default: 'free'}, rank: {type: String}, balance: {type: Number, default: 0}},
    User: {pk: {type: String, value: 'account#${accountName}'}, sk: {type: String, value: 'user#${id}'}, id: {type: String, generate: 'ulid'},
           accountName: {type: String, required: true}, email: {type: String, required: true, unique: true}, joined: {type: Date}, tags: {type: Set},
           address: {type: Object, schema: {city: {type: String}}, default: {}}, gs1pk: {type: String, value: 'user#'}, gs1sk: {type: String, value: 'user#${email}'}},
    Plain: {pk: {type: String, value: 'plain#${id}'}, sk: {type: String, value: 'n#${n}'}, id: {type: String}, n: {type: String}, score: {type: Number},
            gs1pk: {type: String, value: 'plain#'}, gs1sk: {type: String, value: 'plain#${n}'}},
  },
  params: {isoDates: true, timestamps: true, typeField: '_type'},
};
const table = new Table({name: 'OneTable', client, schema, partial: true});
const Account = table.getModel('Account'), User = table.getModel('User'), Plain = table.getModel('Plain');

test('createTable, exists, listTables', async () => {
  assert.equal(await table.exists(), false);
  await table.createTable();
  assert.equal(await table.exists(), true);
  assert.deepEqual(await table.listTables(), ['OneTable']);
  assert.equal((await table.describeTable()).Table.TableStatus, 'ACTIVE');
});

test('create, get; create again is refused', async () => {
  const account = await Account.create({name: 'acme', rank: 'b'});
  assert.equal(account.plan, 'free');
  assert.equal((await Account.get({name: 'acme'})).name, 'acme');
  await assert.rejects(Account.create({name: 'acme'}), /Conditional create failed/);
});

test('update: set, add, push, remove, condition', async () => {
  const account = await Account.update({name: 'acme', plan: 'pro'}, {add: {balance: 5}});
  assert.deepEqual([account.plan, account.balance], ['pro', 5]);
  await Account.update({name: 'acme'}, {set: {balance: '${balance} + {7}'}, where: '${plan} = {pro}'});
  assert.equal((await Account.get({name: 'acme'})).balance, 12);
  await assert.rejects(Account.update({name: 'acme'}, {add: {balance: 1}, where: '${plan} = {free}'}), /condition/i);
  await assert.rejects(Account.update({name: 'none'}, {add: {balance: 1}}), /condition|exist/i);
  await Account.upsert({name: 'upserted', balance: 1});
  assert.equal((await Account.get({name: 'upserted'})).balance, 1);
});

test('a batch of 60, and pages of it', async () => {
  for (let from = 0; from < 60; from += 20) {
    const batch = {};
    for (let i = from; i < from + 20; i++)
      await Plain.create({id: 'p', n: String(i).padStart(2, '0'), score: i}, {batch, exists: null});
    await table.batchWrite(batch);
  }
  let next, seen = [];
  do {
    const page = await Plain.find({id: 'p'}, {limit: 13, next});
    seen.push(...page.map(item => item.n));
    ({next} = page);
  } while (next);
  assert.deepEqual(seen, Array.from({length: 60}, (_, i) => String(i).padStart(2, '0')));
  const back = await Plain.find({id: 'p', sk: {begins: 'n#1'}}, {reverse: true, where: '${score} > {15}'});
  assert.deepEqual(back.map(item => item.score), [19, 18, 17, 16]);
  assert.equal(await Plain.find({id: 'p'}, {count: true}).then(result => result.count), 60);
});

test('a query over an index, a scan, a batch get', async () => {
  const items = await Plain.find({gs1pk: 'plain#', gs1sk: {between: ['plain#10', 'plain#14']}}, {index: 'gs1', follow: false});
  assert.equal(items.length, 5);
  assert.equal((await Plain.scan({})).length, 60);
  const batch = {};
  await Plain.get({id: 'p', n: '00'}, {batch});
  await Plain.get({id: 'p', n: '01'}, {batch});
  assert.equal((await table.batchGet(batch, {parse: true, hidden: false})).length, 2);
});

test('remove; remove again is refused if asked', async () => {
  await Plain.remove({id: 'p', n: '59'});
  assert.equal(await Plain.get({id: 'p', n: '59'}), undefined);
  await assert.rejects(Plain.remove({id: 'p', n: '59'}, {exists: true}), /condition|Cannot|exist/i);
});

test('a unique field: a transaction of three puts', async () => {
  const user = await User.create({accountName: 'acme', email: 'a@x.example', joined: new Date(0), tags: new Set(['x', 'y']), address: {city: 'Ulm'}});
  assert.equal(user.id.length, 26);
  await assert.rejects(User.create({accountName: 'acme', email: 'a@x.example'}), /unique|email/i);
  const got = await User.get({accountName: 'acme', id: user.id});
  assert.deepEqual([got.tags, got.joined, got.address], [new Set(['x', 'y']), new Date(0), {city: 'Ulm'}]);
  await User.update({accountName: 'acme', id: user.id, email: 'b@x.example'});
  await User.create({accountName: 'acme', email: 'a@x.example'});
  await User.remove({accountName: 'acme', id: user.id});
});

test('a transaction of two models, done and refused', async () => {
  const transaction = {};
  await Account.update({name: 'acme'}, {add: {balance: -2}, transaction});
  await Account.create({name: 'other', balance: 2}, {transaction});
  await table.transact('write', transaction);
  assert.equal((await Account.get({name: 'acme'})).balance, 10);
  const bad = {};
  await Account.update({name: 'acme'}, {add: {balance: -2}, transaction: bad});
  await Account.create({name: 'other'}, {transaction: bad});
  await assert.rejects(table.transact('write', bad), /cancel|condition/i);
  assert.equal((await Account.get({name: 'acme'})).balance, 10);
});

test('deleteTable', async () => {
  await table.deleteTable('DeleteTableForever');
  assert.equal(await table.exists(), false);
});
