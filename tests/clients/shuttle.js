// tests/clients/shuttle.js - the access patterns of examples/shuttle/README.md through the document
// client. `all` has every item; brute force filters and sorts it.
'use strict';
const {DynamoDBClient} = require('@aws-sdk/client-dynamodb');
const {DynamoDBDocument, paginateQuery} = require('@aws-sdk/lib-dynamodb');
const {assert, endpoint, refused, test} = require('./kit');

const document = DynamoDBDocument.from(new DynamoDBClient({endpoint}));
const TableName = 'InavorShuttleTable';
const shopCount = 40, statuses = ['QUEUED', 'RUNNING', 'COMPLETED', 'FAILED'], plans = ['FREE', 'BASIC', 'PRO'];
const all = new Map();
const text = (number, width = 4) => String(number).padStart(width, '0');
const domain = shop => `shop-${text(shop)}.myshopify.com`;
const ulid = (shop, job) => `01J${text(job * 977 % 1000)}${text(shop)}${text(job)}00000000000`; // in the order of time
const date = day => new Date(Date.UTC(2026, 8, 1 + day)).toISOString().slice(0, 10);
const moment = minutes => new Date(Date.UTC(2026, 8, 1, 0, minutes)).toISOString();
const later = Math.floor(Date.now() / 1000) + 90 * 86400;
const note = item => all.set(`${item.PK} ${item.SK}`, item);

function jobKeys(item, status) {
  return {...item, status, Status: status, GSI1SK: `STATUS#${status}#${item.createdAt}`, GSI2PK: `JOBS#${status}`};
}

function make() {
  note({PK: 'CONFIG', SK: 'APP#CURRENT', maxJobs: 4, version: '7'});
  for (let shop = 0; shop < shopCount; shop++) {
    const D = domain(shop), PK = `SHOP#${D}`;
    note({PK, SK: 'METADATA', GSI1PK: 'SHOPS', GSI1SK: moment(shop * 7919 % 50000), GSI3PK: `PLAN#${plans[shop % 3]}`, GSI3SK: D,
          plan: plans[shop % 3], features: {bulk: true}, settings: {locale: 'en', tags: ['a', shop]}, uninstalledAt: null});
    const jobs = shop < 20 ? 3 : shop < 35 ? 30 : 400;
    for (let job = 0; job < jobs; job++) {
      const J = ulid(shop, job), createdAt = moment((job * 977 % 1000) * 31 + shop);
      note(jobKeys({PK, SK: `JOB#${J}`, GSI1PK: PK, GSI2SK: `${createdAt}#${J}`, ShopDomain: D, mode: job % 2 ? 'IMPORT' : 'EXPORT', createdAt,
                    errors: {E1: job}, revision: 1, ExpiresAt: later}, statuses[(shop + job) % 4]));
    }
    for (let day = 0; day < 20; day++)
      note({PK, SK: `USAGE#DAILY#${date(day)}`, GSI2PK: 'USAGE_DAILY', GSI2SK: `${date(day)}#${D}`, imported: day * shop, failed: day});
    for (const month of ['2026-08', '2026-09'])
      note({PK, SK: `USAGE#MONTHLY#${month}`, GSI2PK: 'USAGE_MONTHLY', GSI2SK: `${month}#${D}`, imported: shop, exported: 1, failed: 0, deleted: 0, runs: 2});
    note({PK, SK: 'SCHEMA#CURRENT', fields: [{name: 'title'}]});
    for (let version = 1; version <= 3; version++)
      note({PK, SK: `SCHEMA#V#${text(version)}`, fields: [{name: 'title', version}]});
    for (let session = 0; session < 3; session++) {
      const expires = moment(session * 20000 + shop);
      note({PK: `SESSION#${D}_${session}`, SK: 'METADATA', GSI3PK: `SHOP#${D}#SESSIONS`, GSI3SK: expires, user: session, ExpiresAt: later});
    }
  }
}

const compare = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** By brute force: those whose `hash` is `value` and that `keep`s, by `sort`, then by their key. */
function judge(hash, value, sort, keep = () => true) {
  return [...all.values()].filter(item => item[hash] === value && item[sort] !== undefined && keep(item[sort]))
    .sort((a, b) => compare(a[sort], b[sort]) || compare(a.PK + a.SK, b.PK + b.SK));
}

/** By the endpoint: all pages. `index` has its keys in `names`. */
async function ask(index, names, value, rest = '', values = {}, more = {}) {
  const items = [];
  for await (const page of paginateQuery({client: document}, {
    TableName, IndexName: index, KeyConditionExpression: `#h = :h${rest}`,
    ExpressionAttributeNames: {'#h': names[0], ...(rest ? {'#s': names[1]} : {})}, ExpressionAttributeValues: {':h': value, ...values}, ...more}))
    items.push(...page.Items);
  return items;
}

/** Both; items of equal sort keys may come in any order. */
async function same(index, names, value, rest, values, keep) {
  const got = await ask(index, names, value, rest, values), expected = judge(names[0], value, names[1], keep);
  assert.deepEqual(got.map(item => item[names[1]]), expected.map(item => item[names[1]]));
  got.sort((a, b) => compare(a[names[1]], b[names[1]]) || compare(a.PK + a.SK, b.PK + b.SK));
  assert.deepEqual(got, expected);
  assert.ok(expected.length > 0, 'an empty answer proves nothing');
}

async function get(PK, SK) {
  const {Item} = await document.get({TableName, Key: {PK, SK}});
  assert.deepEqual(Item, all.get(`${PK} ${SK}`));
  assert.ok(Item);
}

const main = ['PK', 'SK'], gsi1 = ['GSI1PK', 'GSI1SK'], gsi2 = ['GSI2PK', 'GSI2SK'], gsi3 = ['GSI3PK', 'GSI3SK'], byStatus = ['ShopDomain', 'Status'];
const shops = [0, 3, 21, 36, 39];
const begins = start => key => key.startsWith(start);

test('load', async () => {
  make();
  const items = [...all.values()];
  for (let from = 0; from < items.length; from += 25) {
    const {UnprocessedItems} = await document.batchWrite({RequestItems: {[TableName]: items.slice(from, from + 25).map(Item => ({PutRequest: {Item}}))}});
    assert.deepEqual(UnprocessedItems, {});
  }
  assert.ok(items.length > 3000);
});

test('1 a shop by its domain', () => Promise.all(shops.map(shop => get(`SHOP#${domain(shop)}`, 'METADATA'))));
test('2 all shops in order of installation', () => same('GSI1', gsi1, 'SHOPS'));
test('3 the shops on a plan', () => Promise.all(plans.map(plan => same('GSI3', gsi3, `PLAN#${plan}`))));
test('4 everything that belongs to a shop', () => Promise.all(shops.map(shop => same(undefined, main, `SHOP#${domain(shop)}`))));
test('5 one job', () => Promise.all(shops.map(shop => get(`SHOP#${domain(shop)}`, `JOB#${ulid(shop, 2)}`))));
test('6 all jobs of a shop', () => Promise.all(shops.map(shop =>
  same(undefined, main, `SHOP#${domain(shop)}`, ' AND begins_with(#s, :s)', {':s': 'JOB#'}, begins('JOB#')))));

test('7 its newest 20 jobs, and the 20 before them', async () => {
  for (const shop of shops) {
    const jobs = judge('PK', `SHOP#${domain(shop)}`, 'SK', begins('JOB#')).reverse();
    const query = {TableName, Limit: 20, ScanIndexForward: false, KeyConditionExpression: 'PK = :h AND begins_with(SK, :s)',
                   ExpressionAttributeValues: {':h': `SHOP#${domain(shop)}`, ':s': 'JOB#'}};
    const first = await document.query(query);
    assert.deepEqual(first.Items, jobs.slice(0, 20));
    if (first.LastEvaluatedKey)
      assert.deepEqual((await document.query({...query, ExclusiveStartKey: first.LastEvaluatedKey})).Items, jobs.slice(20, 40));
  }
});

test('8 its jobs in a time window', () => Promise.all([21, 36, 39].map(shop => {
  const [from, to] = ['JOB#01J0200', 'JOB#01J0700'];
  return same(undefined, main, `SHOP#${domain(shop)}`, ' AND #s BETWEEN :a AND :b', {':a': from, ':b': to}, key => key >= from && key <= to);
})));
test('9 its jobs in a status, by time', () => Promise.all([21, 36, 39].flatMap(shop => statuses.map(status =>
  same('GSI1', gsi1, `SHOP#${domain(shop)}`, ' AND begins_with(#s, :s)', {':s': `STATUS#${status}`}, begins(`STATUS#${status}`))))));
test('10 its jobs in a status', () => Promise.all([21, 36, 39].flatMap(shop => statuses.map(status =>
  same('StatusIndex', byStatus, domain(shop), ' AND #s = :s', {':s': status}, key => key === status)))));
test('11 queued jobs of all shops, oldest first', () => same('GSI2', gsi2, 'JOBS#QUEUED'));
test('12 a shop\'s usage on a day', () => Promise.all(shops.map(shop => get(`SHOP#${domain(shop)}`, `USAGE#DAILY#${date(7)}`))));
test('13 its usage over some days', () => Promise.all(shops.map(shop => {
  const [from, to] = [`USAGE#DAILY#${date(3)}`, `USAGE#DAILY#${date(12)}`];
  return same(undefined, main, `SHOP#${domain(shop)}`, ' AND #s BETWEEN :a AND :b', {':a': from, ':b': to}, key => key >= from && key <= to);
})));
test('14 all shops\' usage on a day', () => same('GSI2', gsi2, 'USAGE_DAILY', ' AND begins_with(#s, :s)', {':s': date(5)}, begins(date(5))));

test('15 a month\'s usage of a shop; of all shops', async () => {
  await get(`SHOP#${domain(5)}`, 'USAGE#MONTHLY#2026-09');
  await same('GSI2', gsi2, 'USAGE_MONTHLY', ' AND begins_with(#s, :s)', {':s': '2026-09'}, begins('2026-09'));
});

test('16 the current schema; all its versions', async () => {
  await get(`SHOP#${domain(5)}`, 'SCHEMA#CURRENT');
  await same(undefined, main, `SHOP#${domain(5)}`, ' AND begins_with(#s, :s)', {':s': 'SCHEMA#V#'}, begins('SCHEMA#V#'));
});

test('17 a session by its id', () => get(`SESSION#${domain(9)}_1`, 'METADATA'));
test('18 a shop\'s sessions that are live at a moment', () => Promise.all(shops.map(shop =>
  same('GSI3', gsi3, `SHOP#${domain(shop)}#SESSIONS`, ' AND #s > :s', {':s': moment(20000)}, key => key > moment(20000)))));
test('19 the app\'s configuration', () => get('CONFIG', 'APP#CURRENT'));

test('20 a job changes status, if it is as it was: in three indexes at once', async () => {
  const shop = 36, D = domain(shop), key = {PK: `SHOP#${D}`, SK: `JOB#${ulid(shop, 4)}`};
  const before = all.get(`${key.PK} ${key.SK}`), after = {...jobKeys(before, 'RUNNING'), revision: 2};
  const change = {TableName, Key: key, UpdateExpression: 'SET #t = :s, #i = :s, GSI1SK = :k, GSI2PK = :g ADD revision :one', ConditionExpression: 'revision = :r',
                  ExpressionAttributeNames: {'#t': 'status', '#i': 'Status'},
                  ExpressionAttributeValues: {':s': 'RUNNING', ':k': after.GSI1SK, ':g': after.GSI2PK, ':one': 1, ':r': 1}};
  assert.equal(before.status, 'QUEUED');
  await document.update(change);
  note(after);
  await refused('ConditionalCheckFailedException', () => document.update(change));
  await same('GSI2', gsi2, 'JOBS#QUEUED');
  await same('GSI2', gsi2, 'JOBS#RUNNING');
  await same('StatusIndex', byStatus, D, ' AND #s = :s', {':s': 'RUNNING'}, found => found === 'RUNNING');
  await same('GSI1', gsi1, key.PK, ' AND begins_with(#s, :s)', {':s': 'STATUS#QUEUED'}, begins('STATUS#QUEUED'));
});

test('21 five counters of a month grow in one step, from many clients at once', async () => {
  const key = {PK: `SHOP#${domain(5)}`, SK: 'USAGE#MONTHLY#2026-09'};
  const grow = () => document.update({TableName, Key: key, UpdateExpression: 'ADD imported :a, exported :a, failed :a, deleted :a, runs :a', ExpressionAttributeValues: {':a': 1}});
  await Promise.all(Array.from({length: 50}, grow));
  const month = all.get(`${key.PK} ${key.SK}`);
  for (const counter of ['imported', 'exported', 'failed', 'deleted', 'runs'])
    month[counter] += 50;
  await get(key.PK, key.SK);
});

test('22 a job starts only if its shop has none running: of many, one', async () => {
  const PK = `SHOP#${domain(7)}`;
  const start = async n => {
    const job = {PK, SK: `JOB#start-${n}`, mode: 'IMPORT'};
    try {
      await document.transactWrite({TransactItems: [
        {Update: {TableName, Key: {PK, SK: 'METADATA'}, UpdateExpression: 'SET running = :j', ConditionExpression: 'attribute_not_exists(running)', ExpressionAttributeValues: {':j': job.SK}}},
        {Put: {TableName, Item: job, ConditionExpression: 'attribute_not_exists(PK)'}}]});
      return job;
    } catch (error) {
      assert.equal(error.name, 'TransactionCanceledException');
      return undefined;
    }
  };
  const started = (await Promise.all(Array.from({length: 12}, (_, n) => start(n)))).filter(Boolean);
  assert.equal(started.length, 1);
  note(started[0]);
  note({...all.get(`${PK} METADATA`), running: started[0].SK});
  await same(undefined, main, PK);
});
