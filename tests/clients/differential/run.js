// tests/clients/differential/run.js - sends the requests, compares the answers.
'use strict';
const dynalite = require('dynalite');
const {assert, ask, endpoint, test} = require('../kit');
const {Requests} = require('./random');
const {agreed, known, wordings} = require('./known');

// The same requests each time, unless a long run or a seed is asked for.
const seed = Number(process.env.LARDER_SEED || (process.env.LARDER_TEST_LONG ? Date.now() % 0x7fffffff : 16));
const count = Number(process.env.DIFFERENTIAL_COUNT || (process.env.LARDER_TEST_LONG ? 120000 : 2000));
const looks = Number(process.env.DIFFERENTIAL_LOOKS || 10); // at the tables, after each such write
const tables = [
  {TableName: 'Alpha', BillingMode: 'PAY_PER_REQUEST',
   AttributeDefinitions: [['pk', 'S'], ['sk', 'N'], ['g', 'S'], ['h', 'N'], ['l', 'S']].map(([AttributeName, AttributeType]) => ({AttributeName, AttributeType})),
   KeySchema: [{AttributeName: 'pk', KeyType: 'HASH'}, {AttributeName: 'sk', KeyType: 'RANGE'}],
   GlobalSecondaryIndexes: [{IndexName: 'byG', KeySchema: [{AttributeName: 'g', KeyType: 'HASH'}, {AttributeName: 'h', KeyType: 'RANGE'}], Projection: {ProjectionType: 'ALL'}}],
   LocalSecondaryIndexes: [{IndexName: 'byL', KeySchema: [{AttributeName: 'pk', KeyType: 'HASH'}, {AttributeName: 'l', KeyType: 'RANGE'}],
                            Projection: {ProjectionType: 'INCLUDE', NonKeyAttributes: ['a']}}]},
  {TableName: 'Beta', BillingMode: 'PAY_PER_REQUEST', AttributeDefinitions: [{AttributeName: 'pk', AttributeType: 'B'}],
   KeySchema: [{AttributeName: 'pk', KeyType: 'HASH'}]}];
const own = new Set(['TableId', 'TableArn', 'IndexArn', 'CreationDateTime', 'TableSizeBytes', 'IndexSizeBytes', 'ItemCount', 'TableStatus', 'IndexStatus',
                     'BillingModeSummary', 'BillingMode', 'ProvisionedThroughput', 'LastUpdateToPayPerRequestDateTime', 'DeletionProtectionEnabled', 'WarmThroughput', 'TableThroughputModeSummary', 'SizeEstimateRangeGB']);

const text = value => JSON.stringify(value);

/** The same for answers that mean the same: sets and unordered lists sorted, what must differ left out. */
function plain(value, path, operation, request) {
  if (Array.isArray(value)) {
    const list = value.map(each => plain(each, path, operation, request));
    const last = path[path.length - 1];
    const isUnordered = ['SS', 'NS', 'BS', 'AttributeDefinitions'].includes(last) || last === 'Items' && (operation === 'Scan' || request.IndexName) ||
      operation === 'BatchGetItem' && path.length === 2 && path[0] === 'Responses' || last === 'ConsumedCapacity';
    return isUnordered ? list.map(text).sort() : list;
  }
  if (value === null || typeof value !== 'object')
    return value;
  return Object.fromEntries(Object.keys(value).filter(name => !own.has(name)).sort().map(name => [name, plain(value[name], [...path, name], operation, request)]));
}

const worded = message => wordings.reduce((words, [from, to]) => words.replace(from, to), message ?? '');

function meaning({status, answer}, operation, request) {
  return text(status === 200 ? plain(answer, [], operation, request) : {status, type: answer.__type, message: worded(answer.message ?? answer.Message), Item: answer.Item,
    reasons: answer.CancellationReasons});
}

/** Each side names a fault, in words that both have for it where it is the only one. */
function twoFaults(ours, theirs) {
  const isFault = side => side.error === 'ConditionalCheckFailedException' ||
    side.error === 'ValidationException' && agreed.some(start => start.test(worded(side.answer.message)));
  return isFault(ours) && isFault(theirs) && {what: 'a request with two faults: the other one is named'};
}

const keyOf = (table, {pk, sk}) => table === 'Beta' ? {pk} : {pk, sk};

/** All items of the tables by their keys. */
async function contents(where) {
  const all = {};
  for (const {TableName} of tables) {
    const {answer} = await ask('Scan', {TableName}, where);
    all[TableName] = new Map(answer.Items.map(item => [text(keyOf(TableName, item)), item]));
  }
  return all;
}

/** The first item that one side has otherwise, as [ours, theirs]; undefined: there is none. */
async function firstDifference(peer) {
  const ours = await contents(endpoint), theirs = await contents(peer);
  for (const {TableName} of tables)
    for (const key of new Set([...ours[TableName].keys(), ...theirs[TableName].keys()])) {
      const [a, b] = [ours, theirs].map(side => text(plain(side[TableName].get(key) ?? {}, [])));
      if (a !== b)
        return [a, b];
    }
}

/** After a difference: the peer gets what Larder has. */
async function repair(peer) {
  const wanted = await contents(endpoint), there = await contents(peer);
  for (const {TableName} of tables) {
    for (const [key, item] of there[TableName])
      if (!wanted[TableName].has(key))
        await ask('DeleteItem', {TableName, Key: keyOf(TableName, item)}, peer);
    for (const [key, Item] of wanted[TableName])
      if (text(plain(Item, [])) !== text(plain(there[TableName].get(key) ?? {}, [])))
        await ask('PutItem', {TableName, Item}, peer);
  }
  const names = async where => (await ask('ListTables', {}, where)).answer.TableNames;
  const [ours, theirs] = [await names(endpoint), await names(peer)];
  for (const TableName of ['New', 'a', 'x'])
    if (ours.includes(TableName) !== theirs.includes(TableName))
      for (const where of [endpoint, peer])
        await ask('DeleteTable', {TableName}, where);
}

/** A dynalite with the tables. Some requests make it throw where nobody catches: then another starts. */
let crash;
process.on('uncaughtException', error => crash ? crash(error) : (console.log(error), process.exit(1)));

async function startPeer() {
  const server = dynalite({createTableMs: 0, deleteTableMs: 0, updateTableMs: 0});
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const where = `http://127.0.0.1:${server.address().port}`;
  for (const table of tables)
    assert.equal((await ask('CreateTable', table, where)).status, 200);
  return where;
}

async function askPeer(operation, request, where) {
  const crashed = new Promise(resolve => {
    crash = error => resolve({status: 0, error: 'crash', answer: {__type: 'crash', message: error.message}});
  });
  const answer = await Promise.race([ask(operation, request, where).catch(crash), crashed]) ?? await crashed;
  crash = undefined;
  return answer;
}

test(`random requests, LARDER_SEED=${seed}`, async () => {
  for (const table of tables)
    assert.equal((await ask('CreateTable', table)).status, 200);
  let peer = await startPeer();
  const requests = new Requests(seed), seen = new Map(), unknown = new Map();
  const tally = {same: 0, refused: 0, known: 0, unknown: 0};
  const note = (title, request, a, b) => {
    tally.unknown++;
    if (!unknown.has(title))
      unknown.set(title, {times: 0, request: text(request), a, b});
    unknown.get(title).times++;
  };
  for (let i = 0; i < count; i++) {
    const {operation, request} = requests.next();
    const [ours, theirs] = [await ask(operation, request), await askPeer(operation, request, peer)];
    const [a, b] = [meaning(ours, operation, request), meaning(theirs, operation, request)];
    if (a === b) {
      tally.same++;
      tally.refused += ours.status !== 200;
      // Whether REMOVE alone makes an item is not decided, and the answer need not tell.
      if (operation === 'UpdateItem' && ours.status === 200 && !/SET|ADD/.test(request.UpdateExpression)) {
        await repair(peer);
      } else if (ours.status === 200 && /Put|Update|Delete|Write/.test(operation) && i % looks === 0) {
        // The same answer, and another item: seen only if somebody looks.
        const difference = await firstDifference(peer);
        if (difference) {
          note(`${operation}: the answers are the same, the tables are not`, request, ...difference);
          await repair(peer);
        }
      }
      continue;
    }
    const alike = (x, y) => text(plain(x, [], operation, request)) === text(plain(y, [], operation, request));
    const row = known.find(each => each.is({operation, request, ours, theirs, alike})) ?? twoFaults(ours, theirs);
    if (row) {
      tally.known++;
      seen.set(row.what, (seen.get(row.what) ?? 0) + 1);
    } else {
      note(`${operation} ${ours.status} ${theirs.status} ${ours.error} ${theirs.error} ${(ours.answer.message ?? '').slice(0, 60)} | ${(theirs.answer.message ?? '').slice(0, 60)}`,
           request, a, b);
    }
    if (theirs.error === 'crash')
      peer = await startPeer();
    await repair(peer);
  }
  console.log(`${tally.same} answers are the same (${tally.refused} of them errors), ${tally.known} differ as known.js says`);
  for (const [what, times] of seen)
    console.log(`  ${times} x ${what}`);
  for (const [title, {times, request, a, b}] of [...unknown].sort((x, y) => y[1].times - x[1].times).slice(0, Number(process.env.DIFFERENTIAL_SHOWN || 10)))
    console.log(`${times} x ${title}\n  request ${request.slice(0, 1500)}\n  Larder   ${a.slice(0, 2500)}\n  dynalite ${b.slice(0, 2500)}`);
  assert.equal(tally.unknown, 0, `${tally.unknown} differences that known.js does not have`);
});
