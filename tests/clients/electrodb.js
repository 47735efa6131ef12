// tests/clients/electrodb.js - ElectroDB: two entities and a service in one table.
'use strict';
const {DynamoDBClient, CreateTableCommand} = require('@aws-sdk/client-dynamodb');
const {Entity, Service} = require('electrodb');
const {assert, endpoint, test} = require('./kit');

const client = new DynamoDBClient({endpoint});
const table = 'Electro';
const attribute = (AttributeName, AttributeType = 'S') => ({AttributeName, AttributeType});

const Shop = new Entity({
  model: {entity: 'shop', version: '1', service: 'shuttle'},
  attributes: {
    domain: {type: 'string', required: true}, plan: {type: ['free', 'pro'], required: true, default: 'free'},
    visits: {type: 'number', default: 0}, features: {type: 'set', items: 'string'}, settings: {type: 'map', properties: {locale: {type: 'string'}}},
    installedAt: {type: 'string', default: () => '2026-01-01T00:00:00Z'}},
  indexes: {
    primary: {pk: {field: 'pk', composite: ['domain']}, sk: {field: 'sk', composite: []}, collection: 'everything'},
    byPlan: {index: 'gsi1', pk: {field: 'gsi1pk', composite: ['plan']}, sk: {field: 'gsi1sk', composite: ['installedAt']}}},
}, {client, table});

const Job = new Entity({
  model: {entity: 'job', version: '1', service: 'shuttle'},
  attributes: {domain: {type: 'string', required: true}, id: {type: 'string', required: true}, status: {type: 'string', default: 'QUEUED'},
               errors: {type: 'list', items: {type: 'string'}}, done: {type: 'number', default: 0}},
  indexes: {
    primary: {pk: {field: 'pk', composite: ['domain']}, sk: {field: 'sk', composite: ['id']}, collection: 'everything'},
    byStatus: {index: 'gsi1', pk: {field: 'gsi1pk', composite: ['status']}, sk: {field: 'gsi1sk', composite: ['id']}}},
}, {client, table});

const app = new Service({shop: Shop, job: Job});
const domain = 'a.myshopify.com';

test('a table', async () => {
  await client.send(new CreateTableCommand({
    TableName: table, BillingMode: 'PAY_PER_REQUEST', AttributeDefinitions: ['pk', 'sk', 'gsi1pk', 'gsi1sk'].map(name => attribute(name)),
    KeySchema: [{AttributeName: 'pk', KeyType: 'HASH'}, {AttributeName: 'sk', KeyType: 'RANGE'}],
    GlobalSecondaryIndexes: [{IndexName: 'gsi1', Projection: {ProjectionType: 'ALL'},
                              KeySchema: [{AttributeName: 'gsi1pk', KeyType: 'HASH'}, {AttributeName: 'gsi1sk', KeyType: 'RANGE'}]}]}));
});

test('create, get', async () => {
  await Shop.create({domain, plan: 'pro', features: ['a', 'b'], settings: {locale: 'en'}}).go();
  const {data} = await Shop.get({domain}).go();
  assert.deepEqual(data, {domain, plan: 'pro', visits: 0, features: ['a', 'b'], settings: {locale: 'en'}, installedAt: '2026-01-01T00:00:00Z'});
});

test('create again is refused', async () => {
  await assert.rejects(Shop.create({domain}).go(), error => error.code === 4001 && /The conditional request failed/.test(error.message));
});

test('put of many, in batches', async () => {
  const jobs = Array.from({length: 60}, (_, i) => ({domain, id: String(i).padStart(3, '0'), status: i % 3 ? 'DONE' : 'QUEUED'}));
  const {unprocessed} = await Job.put(jobs).go({concurrency: 3});
  assert.deepEqual(unprocessed, []);
});

test('query, pages, order, where', async () => {
  const ids = [];
  let cursor = null;
  do {
    const page = await Job.query.primary({domain}).go({cursor, limit: 17, order: 'desc'});
    ids.push(...page.data.map(job => job.id));
    ({cursor} = page);
  } while (cursor);
  assert.equal(ids.length, 60);
  assert.deepEqual(ids, [...ids].sort().reverse());
  const {data} = await Job.query.byStatus({status: 'QUEUED'}).gte({id: '030'}).where(({id}, {lt}) => lt(id, '040')).go({pages: 'all'});
  assert.deepEqual(data.map(job => job.id), ['030', '033', '036', '039']);
});

test('a collection: shop and jobs by one query', async () => {
  const {data} = await app.collections.everything({domain}).go({pages: 'all'});
  assert.deepEqual([data.shop.length, data.job.length], [1, 60]);
});

test('update: set, add, append, remove; response all_new', async () => {
  const {data} = await Shop.update({domain}).add({visits: 5}).set({settings: {locale: 'de'}}).delete({features: ['a']})
    .where(({plan}, {eq}) => eq(plan, 'pro')).go({response: 'all_new'});
  assert.deepEqual([data.visits, data.settings.locale, data.features], [5, 'de', ['b']]);
  const job = await Job.patch({domain, id: '001'}).append({errors: ['late']}).add({done: 1}).go({response: 'all_new'});
  assert.deepEqual([job.data.errors, job.data.done], [['late'], 1]);
});

test('patch of what is not there is refused', async () => {
  await assert.rejects(Job.patch({domain, id: 'none'}).set({status: 'X'}).go(), /The conditional request failed/);
});

test('a change of status moves the job in the index', async () => {
  await Job.update({domain, id: '000'}).set({status: 'RUNNING'}).go();
  assert.deepEqual((await Job.query.byStatus({status: 'RUNNING'}).go()).data.map(job => job.id), ['000']);
  assert.equal((await Job.query.byStatus({status: 'QUEUED'}).go({pages: 'all'})).data.length, 19);
});

test('batch get, scan, match', async () => {
  const {data} = await Job.get(['001', '002', 'none'].map(id => ({domain, id}))).go();
  assert.equal(data.length, 2);
  assert.equal((await Job.scan.go({pages: 'all'})).data.length, 60);
  assert.equal((await Job.match({status: 'DONE'}).go({pages: 'all'})).data.length, 40);
});

test('upsert, delete, remove', async () => {
  await Job.upsert({domain, id: 'u'}).set({status: 'DONE'}).go();
  await Job.remove({domain, id: 'u'}).go();
  assert.equal((await Job.get({domain, id: 'u'}).go()).data, null);
  await Job.delete({domain, id: 'u'}).go();
});

test('transactions', async () => {
  const {canceled} = await app.transaction.write(({shop, job}) => [
    shop.patch({domain}).add({visits: 1}).commit(), job.create({domain, id: 't'}).commit()]).go();
  assert.equal(canceled, false);
  const again = await app.transaction.write(({shop, job}) => [
    shop.patch({domain}).add({visits: 1}).commit(), job.create({domain, id: 't'}).commit({response: 'all_old'})]).go();
  assert.equal(again.canceled, true);
  assert.deepEqual(again.data.map(item => item.code), ['None', 'ConditionalCheckFailed']);
  assert.equal(again.data[1].item.id, 't');
  const {data} = await app.transaction.get(({shop, job}) => [shop.get({domain}).commit(), job.get({domain, id: 't'}).commit()]).go();
  assert.deepEqual([data[0].item.visits, data[1].item.id], [6, 't']);
});
