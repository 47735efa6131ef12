// tests/clients/shopify_session.js - Shopify's own session storage for DynamoDB.
'use strict';
const {DynamoDB} = require('@aws-sdk/client-dynamodb');
const {Session} = require('@shopify/shopify-api');
const {DynamoDBSessionStorage} = require('@shopify/shopify-app-session-storage-dynamodb');
const {assert, endpoint, refused, test} = require('./kit');

const storage = new DynamoDBSessionStorage({config: {endpoint}});
const shop = 'a.myshopify.com';
const offline = new Session({id: `offline_${shop}`, shop, state: '1', isOnline: false, scope: 'write_products', accessToken: 'shpat_1'});
const online = new Session({
  id: `${shop}_7`, shop, state: '2', isOnline: true, scope: 'write_products', accessToken: 'shpua_2', expires: new Date('2027-01-01T00:00:00Z'),
  refreshToken: 'shprt_3', refreshTokenExpires: new Date('2027-02-01T00:00:00Z'),
  onlineAccessInfo: {expires_in: 86400, associated_user_scope: 'write_products', associated_user: {
    id: 7, first_name: 'Änne', last_name: 'Ö', email: 'a@x.example', email_verified: true, account_owner: false, locale: 'de', collaborator: false}}});
const other = new Session({id: 'offline_b.myshopify.com', shop: 'b.myshopify.com', state: '3', isOnline: false});

test('no table yet: the error is the service\'s', async () => {
  await refused('ResourceNotFoundException', 'Requested resource not found', () => storage.loadSession('x'));
});

test('the table as its page describes it', async () => { // README of the package, "Table Schema"
  const throughput = {ReadCapacityUnits: 1, WriteCapacityUnits: 1};
  await new DynamoDB({endpoint}).createTable({
    TableName: 'shopify_sessions',
    AttributeDefinitions: [{AttributeName: 'id', AttributeType: 'S'}, {AttributeName: 'shop', AttributeType: 'S'}],
    KeySchema: [{AttributeName: 'id', KeyType: 'HASH'}],
    GlobalSecondaryIndexes: [{IndexName: 'shop_index', KeySchema: [{AttributeName: 'shop', KeyType: 'HASH'}],
                              Projection: {ProjectionType: 'KEYS_ONLY'}, ProvisionedThroughput: throughput}],
    ProvisionedThroughput: throughput});
});

test('storing and loading', async () => {
  for (const session of [offline, online, other]) {
    assert.equal(await storage.storeSession(session), true);
    const loaded = await storage.loadSession(session.id);
    assert.ok(loaded instanceof Session);
    assert.deepEqual(loaded.toObject(), session.toObject());
    assert.ok(loaded.equals(session));
  }
  assert.equal(await storage.loadSession('nobody'), undefined);
});

test('storing again replaces', async () => {
  const renewed = new Session({...offline.toObject(), accessToken: 'shpat_9'});
  await storage.storeSession(renewed);
  assert.equal((await storage.loadSession(offline.id)).accessToken, 'shpat_9');
});

test('finding by shop', async () => {
  const found = await storage.findSessionsByShop(shop);
  assert.deepEqual(found.map(session => session.id).sort(), [online.id, offline.id].sort());
  assert.deepEqual(await storage.findSessionsByShop('none.myshopify.com'), []);
});

test('deleting one, and those of a shop', async () => {
  assert.equal(await storage.deleteSession(online.id), true);
  assert.equal(await storage.loadSession(online.id), undefined);
  assert.equal(await storage.deleteSession(online.id), true);
  await storage.storeSession(online);
  assert.equal(await storage.deleteSessions((await storage.findSessionsByShop(shop)).map(session => session.id)), true);
  assert.deepEqual(await storage.findSessionsByShop(shop), []);
  assert.equal((await storage.loadSession(other.id)).id, other.id);
});

test('a whole day of logins: many sessions of a shop', async () => {
  const many = Array.from({length: 120}, (_, i) => new Session({...online.toObject(), id: `many_${i}`, shop: 'm.myshopify.com'}));
  await Promise.all(many.map(session => storage.storeSession(session)));
  assert.equal((await storage.findSessionsByShop('m.myshopify.com')).length, 120);
});
