// tests/clients/sdk_js.js - @aws-sdk/client-dynamodb: every operation, paginators, waiters, typed
// errors, retries. The endpoint is the only setting that differs from an app's.
'use strict';
const {execFileSync} = require('node:child_process');
const {readFileSync} = require('node:fs');
const {Readable} = require('node:stream');
const sdk = require('@aws-sdk/client-dynamodb');
const {assert, endpoint, refused, test} = require('./kit');

const client = new sdk.DynamoDB({endpoint, maxAttempts: 5});
const TableName = 'Songs';
const song = (artist, title, more) => ({Artist: {S: artist}, Title: {S: title}, ...more});
const key = song;

test('CreateTable, with indexes of both kinds', async () => {
  const {TableDescription: table} = await client.createTable({
    TableName, BillingMode: 'PAY_PER_REQUEST',
    AttributeDefinitions: [{AttributeName: 'Artist', AttributeType: 'S'}, {AttributeName: 'Title', AttributeType: 'S'},
                           {AttributeName: 'Genre', AttributeType: 'S'}, {AttributeName: 'Year', AttributeType: 'N'}],
    KeySchema: [{AttributeName: 'Artist', KeyType: 'HASH'}, {AttributeName: 'Title', KeyType: 'RANGE'}],
    GlobalSecondaryIndexes: [{IndexName: 'ByGenre', Projection: {ProjectionType: 'ALL'},
                              KeySchema: [{AttributeName: 'Genre', KeyType: 'HASH'}, {AttributeName: 'Year', KeyType: 'RANGE'}]}],
    LocalSecondaryIndexes: [{IndexName: 'ByYear', Projection: {ProjectionType: 'KEYS_ONLY'},
                             KeySchema: [{AttributeName: 'Artist', KeyType: 'HASH'}, {AttributeName: 'Year', KeyType: 'RANGE'}]}],
  });
  assert.equal(table.TableName, TableName);
  assert.equal(table.GlobalSecondaryIndexes[0].IndexName, 'ByGenre');
});

test('waitUntilTableExists', async () => {
  const {state} = await sdk.waitUntilTableExists({client, maxWaitTime: 60}, {TableName});
  assert.equal(state, 'SUCCESS');
});

test('DescribeTable', async () => {
  const {Table: table} = await client.describeTable({TableName});
  assert.equal(table.TableStatus, 'ACTIVE');
  assert.deepEqual(table.KeySchema, [{AttributeName: 'Artist', KeyType: 'HASH'}, {AttributeName: 'Title', KeyType: 'RANGE'}]);
  assert.equal(table.LocalSecondaryIndexes[0].Projection.ProjectionType, 'KEYS_ONLY');
  assert.match(table.TableArn, /^arn:aws:dynamodb:[^:]*:[^:]*:table\/Songs$/);
});

test('CreateTable again: ResourceInUseException', async () => {
  const error = await refused('ResourceInUseException', () => client.createTable({
    TableName, BillingMode: 'PAY_PER_REQUEST', AttributeDefinitions: [{AttributeName: 'Artist', AttributeType: 'S'}],
    KeySchema: [{AttributeName: 'Artist', KeyType: 'HASH'}]}));
  assert.ok(error instanceof sdk.ResourceInUseException);
});

test('PutItem and GetItem, every type', async () => {
  const Item = song('Nina Simone', 'Sinnerman', {
    Year: {N: '1965'}, Genre: {S: 'jazz'}, Live: {BOOL: false}, Label: {NULL: true}, Cover: {B: Uint8Array.from([0, 1, 255])},
    Tags: {SS: ['a', 'b']}, Charts: {NS: ['1', '-2.5']}, Blobs: {BS: [Uint8Array.from([7])]},
    Takes: {L: [{N: '1'}, {M: {x: {S: 'ü€😀'}}}, {L: []}]}, Empty: {M: {}}, Text: {S: ''}});
  await client.putItem({TableName, Item});
  const got = await client.getItem({TableName, Key: key('Nina Simone', 'Sinnerman'), ConsistentRead: true});
  got.Item.Charts.NS.sort().reverse(); // a set has no order
  assert.deepEqual(got.Item, Item);
  assert.equal(got.$metadata.httpStatusCode, 200);
  assert.match(got.$metadata.requestId, /^[A-Z0-9]{52}$/);
});

test('GetItem of nothing has no Item', async () => {
  assert.equal((await client.getItem({TableName, Key: key('Nobody', 'x')})).Item, undefined);
});

test('GetItem with ProjectionExpression and ReturnConsumedCapacity', async () => {
  const got = await client.getItem({
    TableName, Key: key('Nina Simone', 'Sinnerman'), ProjectionExpression: '#y, Takes[1].x',
    ExpressionAttributeNames: {'#y': 'Year'}, ReturnConsumedCapacity: 'TOTAL'});
  assert.deepEqual(got.Item, {Year: {N: '1965'}, Takes: {L: [{M: {x: {S: 'ü€😀'}}}]}});
  assert.deepEqual(got.ConsumedCapacity, {TableName, CapacityUnits: 0.5});
});

test('UpdateItem with ReturnValues', async () => {
  const got = await client.updateItem({
    TableName, Key: key('Nina Simone', 'Sinnerman'), UpdateExpression: 'SET Plays = if_not_exists(Plays, :0) + :1 ADD #y :1 REMOVE Cover DELETE Tags :a',
    ExpressionAttributeNames: {'#y': 'Year'}, ExpressionAttributeValues: {':0': {N: '0'}, ':1': {N: '1'}, ':a': {SS: ['a']}},
    ReturnValues: 'UPDATED_NEW'});
  assert.deepEqual(got.Attributes, {Plays: {N: '1'}, Year: {N: '1966'}, Tags: {SS: ['b']}});
});

test('a condition that is not true: the item comes with the error', async () => {
  const error = await refused('ConditionalCheckFailedException', 'The conditional request failed', () => client.putItem({
    TableName, Item: song('Nina Simone', 'Sinnerman'), ConditionExpression: 'attribute_not_exists(Artist)',
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD'}));
  assert.ok(error instanceof sdk.ConditionalCheckFailedException);
  assert.deepEqual(error.Item.Plays, {N: '1'});
});

test('DeleteItem with ALL_OLD', async () => {
  const got = await client.deleteItem({TableName, Key: key('Nina Simone', 'Sinnerman'), ReturnValues: 'ALL_OLD'});
  assert.deepEqual(got.Attributes.Year, {N: '1966'});
  assert.equal((await client.deleteItem({TableName, Key: key('Nina Simone', 'Sinnerman'), ReturnValues: 'ALL_OLD'})).Attributes, undefined);
});

test('BatchWriteItem of 25, until nothing is left', async () => {
  for (let from = 0; from < 200; from += 25) {
    const requests = Array.from({length: 25}, (_, i) => ({PutRequest: {Item: song('Bach', `BWV ${String(from + i).padStart(4, '0')}`, {
      Genre: {S: i % 2 ? 'cantata' : 'fugue'}, Year: {N: String(1700 + (from + i) % 50)}, Score: {S: 'x'.repeat(9000)}})}}));
    const {UnprocessedItems} = await client.batchWriteItem({RequestItems: {[TableName]: requests}});
    assert.deepEqual(UnprocessedItems, {});
  }
});

test('BatchGetItem of 100', async () => {
  const Keys = Array.from({length: 100}, (_, i) => key('Bach', `BWV ${String(i).padStart(4, '0')}`));
  const {Responses, UnprocessedKeys} = await client.batchGetItem({RequestItems: {[TableName]: {Keys, ProjectionExpression: 'Title'}}});
  assert.equal(Responses[TableName].length, 100);
  assert.deepEqual(UnprocessedKeys, {});
});

test('Query stops at 1 MB; paginateQuery reads it all, in order', async () => {
  const query = {TableName, KeyConditionExpression: 'Artist = :a', ExpressionAttributeValues: {':a': {S: 'Bach'}}};
  const first = await client.query(query);
  assert.ok(first.Count < 200 && first.Count > 100 && first.LastEvaluatedKey);
  const titles = [];
  for await (const page of sdk.paginateQuery({client}, query))
    titles.push(...page.Items.map(item => item.Title.S));
  assert.equal(titles.length, 200);
  assert.deepEqual(titles, [...titles].sort());
});

test('paginateQuery of an index, pages of 7, descending', async () => {
  const years = [];
  for await (const page of sdk.paginateQuery({client, pageSize: 7}, {
    TableName, IndexName: 'ByGenre', ScanIndexForward: false, KeyConditionExpression: 'Genre = :g AND #y BETWEEN :a AND :b',
    ExpressionAttributeNames: {'#y': 'Year'}, ExpressionAttributeValues: {':g': {S: 'fugue'}, ':a': {N: '1710'}, ':b': {N: '1719'}}})) {
    assert.ok(page.Count <= 7);
    years.push(...page.Items.map(item => Number(item.Year.N)));
  }
  assert.equal(years.length, 20);
  assert.deepEqual(years, [...years].sort((a, b) => b - a));
});

test('Query of a local index, and Select COUNT', async () => {
  const query = {TableName, IndexName: 'ByYear', KeyConditionExpression: 'Artist = :a AND #y = :y',
                 ExpressionAttributeNames: {'#y': 'Year'}, ExpressionAttributeValues: {':a': {S: 'Bach'}, ':y': {N: '1705'}}};
  const {Items} = await client.query(query);
  assert.equal(Items.length, 4);
  assert.deepEqual(Object.keys(Items[0]).sort(), ['Artist', 'Title', 'Year']);
  assert.equal((await client.query({...query, Select: 'COUNT'})).Count, 4);
});

test('paginateScan with a filter', async () => {
  let count = 0, scanned = 0;
  for await (const page of sdk.paginateScan({client, pageSize: 30}, {
    TableName, FilterExpression: 'begins_with(Genre, :g)', ExpressionAttributeValues: {':g': {S: 'cant'}}})) {
    count += page.Count;
    scanned += page.ScannedCount;
  }
  assert.deepEqual([count, scanned], [96, 200]);
});

test('Scan in four segments, and of an index', async () => {
  const titles = new Set();
  await Promise.all([0, 1, 2, 3].map(async Segment => {
    for await (const page of sdk.paginateScan({client}, {TableName, TotalSegments: 4, Segment}))
      page.Items.forEach(item => titles.add(item.Title.S));
  }));
  assert.equal(titles.size, 200);
  assert.equal((await client.scan({TableName, IndexName: 'ByYear'})).Count, 200);
});

test('parameters from before expressions', async () => {
  const got = await client.query({
    TableName, KeyConditions: {Artist: {ComparisonOperator: 'EQ', AttributeValueList: [{S: 'Bach'}]},
                               Title: {ComparisonOperator: 'BEGINS_WITH', AttributeValueList: [{S: 'BWV 001'}]}},
    AttributesToGet: ['Title']});
  assert.equal(got.Count, 10);
  await refused('ConditionalCheckFailedException', () => client.putItem({
    TableName, Item: song('Bach', 'BWV 0001'), Expected: {Artist: {Exists: false}}}));
});

test('UpdateTimeToLive, DescribeTimeToLive; an expired item is not there', async () => {
  await client.updateTimeToLive({TableName, TimeToLiveSpecification: {AttributeName: 'Until', Enabled: true}});
  const {TimeToLiveDescription: ttl} = await client.describeTimeToLive({TableName});
  assert.deepEqual(ttl, {TimeToLiveStatus: 'ENABLED', AttributeName: 'Until'});
  await client.putItem({TableName, Item: song('Gone', 'x', {Until: {N: '1700000000'}})});
  assert.equal((await client.getItem({TableName, Key: key('Gone', 'x')})).Item, undefined);
});

test('TagResource, ListTagsOfResource, UntagResource', async () => {
  const {Table: {TableArn: ResourceArn}} = await client.describeTable({TableName});
  await client.tagResource({ResourceArn, Tags: [{Key: 'team', Value: 'a'}, {Key: 'cost', Value: 'b'}]});
  await client.untagResource({ResourceArn, TagKeys: ['cost']});
  assert.deepEqual((await client.listTagsOfResource({ResourceArn})).Tags, [{Key: 'team', Value: 'a'}]);
});

test('DescribeLimits, DescribeEndpoints', async () => {
  assert.ok((await client.describeLimits({})).AccountMaxReadCapacityUnits > 0);
  assert.ok((await client.describeEndpoints({})).Endpoints[0].Address);
});

test('UpdateTable adds an index and deletes it', async () => {
  await client.updateTable({
    TableName, AttributeDefinitions: [{AttributeName: 'Artist', AttributeType: 'S'}, {AttributeName: 'Title', AttributeType: 'S'},
                                      {AttributeName: 'Genre', AttributeType: 'S'}, {AttributeName: 'Year', AttributeType: 'N'}],
    GlobalSecondaryIndexUpdates: [{Create: {IndexName: 'Years', Projection: {ProjectionType: 'KEYS_ONLY'},
                                            KeySchema: [{AttributeName: 'Year', KeyType: 'HASH'}]}}]});
  await sdk.waitUntilTableExists({client, maxWaitTime: 60}, {TableName});
  const query = {TableName, IndexName: 'Years', KeyConditionExpression: '#y = :y', ExpressionAttributeNames: {'#y': 'Year'},
                 ExpressionAttributeValues: {':y': {N: '1705'}}};
  assert.equal((await client.query(query)).Count, 4);
  await client.updateTable({TableName, GlobalSecondaryIndexUpdates: [{Delete: {IndexName: 'Years'}}]});
  await refused('ValidationException', () => client.query(query));
});

test('TransactWriteItems and TransactGetItems', async () => {
  const Counter = song('Counter', 'c', {Value: {N: '1'}});
  await client.transactWriteItems({TransactItems: [
    {Put: {TableName, Item: Counter}},
    {Update: {TableName, Key: key('Counter', 'd'), UpdateExpression: 'ADD #v :1', ExpressionAttributeNames: {'#v': 'Value'},
              ExpressionAttributeValues: {':1': {N: '1'}}}},
    {Delete: {TableName, Key: key('Bach', 'BWV 0199')}},
    {ConditionCheck: {TableName, Key: key('Bach', 'BWV 0000'), ConditionExpression: 'attribute_exists(Artist)'}}]});
  const {Responses} = await client.transactGetItems({TransactItems: [
    {Get: {TableName, Key: key('Counter', 'c')}}, {Get: {TableName, Key: key('Bach', 'BWV 0199')}}]});
  assert.deepEqual(Responses[0].Item, Counter);
  assert.equal(Responses[1].Item, undefined);
});

test('a transaction that is cancelled says why', async () => {
  const error = await refused('TransactionCanceledException', () => client.transactWriteItems({TransactItems: [
    {Put: {TableName, Item: song('Counter', 'e')}},
    {Put: {TableName, Item: song('Counter', 'c'), ConditionExpression: 'attribute_not_exists(Artist)',
           ReturnValuesOnConditionCheckFailure: 'ALL_OLD'}}]}));
  assert.ok(error instanceof sdk.TransactionCanceledException);
  assert.deepEqual(error.CancellationReasons.map(reason => reason.Code), ['None', 'ConditionalCheckFailed']);
  assert.deepEqual(error.CancellationReasons[1].Item.Value, {N: '1'});
  assert.equal((await client.getItem({TableName, Key: key('Counter', 'e')})).Item, undefined);
});

test('a transaction with a token is done once', async () => {
  const request = {ClientRequestToken: 'once-and-only-once', TransactItems: [{Update: {
    TableName, Key: key('Counter', 'c'), UpdateExpression: 'ADD #v :1', ExpressionAttributeNames: {'#v': 'Value'},
    ExpressionAttributeValues: {':1': {N: '1'}}}}]};
  await client.transactWriteItems(request);
  await client.transactWriteItems(request);
  assert.deepEqual((await client.getItem({TableName, Key: key('Counter', 'c')})).Item.Value, {N: '2'});
});

test('errors are typed', async () => {
  const error = await refused('ResourceNotFoundException', 'Requested resource not found', () => client.getItem({TableName: 'None', Key: {a: {S: 'x'}}}));
  assert.ok(error instanceof sdk.ResourceNotFoundException);
  await refused('ValidationException', 'The provided key element does not match the schema', () => client.getItem({TableName, Key: {Artist: {S: 'x'}}}));
});

test('an operation that is not there', async () => {
  await refused('UnknownOperationException', () => client.listBackups({}));
});

test('a wrong secret is refused', async () => {
  const stranger = new sdk.DynamoDB({endpoint, credentials: {accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: 'wrong'}});
  await refused('InvalidSignatureException', () => stranger.listTables({}));
});

test('ThrottlingException is tried again', async () => {
  let asked = 0;
  const requestHandler = { // the first two answers are those of a server that waited for a lock in vain
    handle: (request, options) => asked++ < 2 ?
      {response: {statusCode: 400, headers: {'content-type': 'application/x-amz-json-1.0'}, body: Readable.from([Buffer.from(
        '{"__type":"com.amazon.coral.availability#ThrottlingException","message":"a lock is held"}')])}} :
      client.config.requestHandler.handle(request, options),
    updateHttpClientConfig() {}, httpHandlerConfigs: () => ({}), metadata: {}, destroy() {}};
  const throttled = new sdk.DynamoDB({endpoint, requestHandler});
  const {$metadata: {attempts}} = await throttled.listTables({});
  assert.deepEqual([asked, attempts], [3, 3]);
});

test('workers that are killed: every acknowledged write is there', async () => {
  const supervisor = process.env.SERVER;
  const workers = () => readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, 'ascii').trim().split(' ');
  const killed = new Set();
  const patient = new sdk.DynamoDB({endpoint, maxAttempts: 10});
  const write = async from => {
    for (let i = from; i < 400; i += 8)
      await patient.putItem({TableName, Item: song('Kill', String(i))});
  };
  const writers = Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(write));
  for (let i = 0; i < 4; i++) {
    await new Promise(resolve => setTimeout(resolve, 60));
    const [worker] = workers().filter(Boolean);
    if (worker) {
      killed.add(worker);
      execFileSync('/bin/kill', ['-KILL', worker]);
    }
  }
  await writers;
  assert.ok(killed.size >= 2);
  const {Count} = await patient.query({TableName, KeyConditionExpression: 'Artist = :a', ExpressionAttributeValues: {':a': {S: 'Kill'}}});
  assert.equal(Count, 400);
});

test('many requests at once', async () => {
  const wanted = Array.from({length: 300}, (_, i) => i);
  await Promise.all(wanted.map(i => client.updateItem({
    TableName, Key: key('Sum', 's'), UpdateExpression: 'ADD N :i', ExpressionAttributeValues: {':i': {N: String(i)}}})));
  assert.equal((await client.getItem({TableName, Key: key('Sum', 's')})).Item.N.N, String(300 * 299 / 2));
});

test('ListTables, paginateListTables', async () => {
  for (const name of ['A.one', 'B-two', 'C_three'])
    await client.createTable({TableName: name, BillingMode: 'PAY_PER_REQUEST', AttributeDefinitions: [{AttributeName: 'k', AttributeType: 'B'}],
                              KeySchema: [{AttributeName: 'k', KeyType: 'HASH'}]});
  assert.deepEqual((await client.listTables({})).TableNames, ['A.one', 'B-two', 'C_three', TableName]);
  const pages = [];
  for await (const page of sdk.paginateListTables({client, pageSize: 3}, {}))
    pages.push(page.TableNames);
  assert.deepEqual(pages, [['A.one', 'B-two', 'C_three'], [TableName]]);
});

test('DeleteTable, waitUntilTableNotExists', async () => {
  await client.deleteTable({TableName});
  assert.equal((await sdk.waitUntilTableNotExists({client, maxWaitTime: 60}, {TableName})).state, 'SUCCESS');
});
