// tests/clients/sdk_js_document.js - @aws-sdk/lib-dynamodb: the document client.
'use strict';
const {DynamoDBClient, CreateTableCommand, DeleteTableCommand} = require('@aws-sdk/client-dynamodb');
const {DynamoDBDocument, NumberValue, paginateQuery, paginateScan} = require('@aws-sdk/lib-dynamodb');
const {assert, endpoint, refused, test} = require('./kit');

const client = new DynamoDBClient({endpoint});
const document = DynamoDBDocument.from(client, {marshallOptions: {removeUndefinedValues: true}});
const exact = DynamoDBDocument.from(new DynamoDBClient({endpoint}), {unmarshallOptions: {wrapNumbers: true}});
const TableName = 'Documents';

test('a table with a number as sort key', async () => {
  await client.send(new CreateTableCommand({
    TableName, BillingMode: 'PAY_PER_REQUEST', AttributeDefinitions: [{AttributeName: 'pk', AttributeType: 'S'}, {AttributeName: 'n', AttributeType: 'N'}],
    KeySchema: [{AttributeName: 'pk', KeyType: 'HASH'}, {AttributeName: 'n', KeyType: 'RANGE'}]}));
});

test('put and get: maps, lists, sets, bytes, null, undefined', async () => {
  const Item = {pk: 'a', n: -1.5, map: {list: [1, 'two', {three: true}, null]}, tags: new Set(['x', 'y']), sizes: new Set([1, 2.25]),
                bytes: Uint8Array.from([1, 2, 3]), nothing: undefined, empty: '', big: 10n};
  await document.put({TableName, Item});
  const got = (await document.get({TableName, Key: {pk: 'a', n: -1.5}})).Item;
  delete Item.nothing;
  assert.deepEqual(got, {...Item, big: 10});
});

test('numbers of 38 digits', async () => {
  const text = '12345678901234567890123456789012345678';
  await document.put({TableName, Item: {pk: 'digits', n: 1, v: NumberValue.from(text), small: NumberValue.from('1E-130')}});
  const got = (await exact.get({TableName, Key: {pk: 'digits', n: 1}})).Item;
  assert.equal(got.v.toString(), text);
  assert.equal(Number(got.small.toString()), 1e-130);
  await refused('ValidationException', '38 significant digits', () => document.put({
    TableName, Item: {pk: 'digits', n: 2, v: NumberValue.from('9'.repeat(39))}}));
});

test('update, and what it returns', async () => {
  const {Attributes} = await document.update({
    TableName, Key: {pk: 'a', n: -1.5}, UpdateExpression: 'SET #m.#l[1] = :v, more = list_append(#m.#l, :l) DELETE tags :t',
    ExpressionAttributeNames: {'#m': 'map', '#l': 'list'}, ExpressionAttributeValues: {':v': 2, ':l': [9], ':t': new Set(['x'])}, ReturnValues: 'ALL_NEW'});
  assert.deepEqual(Attributes.map.list, [1, 2, {three: true}, null]);
  assert.deepEqual(Attributes.more, [1, 'two', {three: true}, null, 9]);
  assert.deepEqual(Attributes.tags, new Set(['y']));
});

test('batchWrite and batchGet', async () => {
  const items = Array.from({length: 25}, (_, n) => ({pk: 'batch', n, square: n * n}));
  await document.batchWrite({RequestItems: {[TableName]: items.map(Item => ({PutRequest: {Item}}))}});
  const {Responses} = await document.batchGet({RequestItems: {[TableName]: {Keys: items.map(({pk, n}) => ({pk, n}))}}});
  assert.deepEqual(Responses[TableName].sort((a, b) => a.n - b.n), items);
});

test('paginateQuery and paginateScan', async () => {
  const numbers = [];
  for await (const page of paginateQuery({client: document, pageSize: 4}, {
    TableName, KeyConditionExpression: 'pk = :p AND n > :n', FilterExpression: 'square < :s', ExpressionAttributeValues: {':p': 'batch', ':n': 9, ':s': 400}}))
    numbers.push(...page.Items.map(item => item.n));
  assert.deepEqual(numbers, [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  let count = 0;
  for await (const page of paginateScan({client: document, pageSize: 5}, {TableName}))
    count += page.Count;
  assert.equal(count, 27);
});

test('delete', async () => {
  const {Attributes} = await document.delete({TableName, Key: {pk: 'batch', n: 3}, ReturnValues: 'ALL_OLD'});
  assert.equal(Attributes.square, 9);
});

test('the item of a condition that failed is a document', async () => {
  const error = await refused('ConditionalCheckFailedException', () => document.put({
    TableName, Item: {pk: 'batch', n: 4}, ConditionExpression: 'square > :s', ExpressionAttributeValues: {':s': 100},
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD'}));
  assert.ok(error.Item);
});

test('transactWrite and transactGet', async () => {
  await document.transactWrite({TransactItems: [
    {Put: {TableName, Item: {pk: 't', n: 1, tags: new Set(['a'])}}},
    {Update: {TableName, Key: {pk: 't', n: 2}, UpdateExpression: 'SET v = :v', ExpressionAttributeValues: {':v': {deep: [1]}}}}]});
  const {Responses} = await document.transactGet({TransactItems: [{Get: {TableName, Key: {pk: 't', n: 1}}}, {Get: {TableName, Key: {pk: 't', n: 2}}}]});
  assert.deepEqual(Responses.map(response => response.Item), [{pk: 't', n: 1, tags: new Set(['a'])}, {pk: 't', n: 2, v: {deep: [1]}}]);
});

test('the table goes', async () => {
  await client.send(new DeleteTableCommand({TableName}));
});
