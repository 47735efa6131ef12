// tests/clients/dynamodb_admin.js - dynamodb-admin: the requests of its pages, then the pages in a
// browser.
'use strict';
const {DynamoDBDocument} = require('@aws-sdk/lib-dynamodb');
const {DynamoDB} = require('@aws-sdk/client-dynamodb');
const {createServer} = require('dynamodb-admin');
const {assert, endpoint, test} = require('./kit');

const document = DynamoDBDocument.from(new DynamoDB({endpoint}));
let admin;

/** One request of a page: status and body. */
async function page(path, method = 'get', body) {
  const response = await fetch(admin + path, {
    method, headers: {'content-type': 'application/json'}, body: body && JSON.stringify(body), signal: AbortSignal.timeout(60000)});
  return {status: response.status, text: await response.text()};
}

test('it starts', async () => {
  const server = createServer({dynamoEndpoint: endpoint}).listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  admin = `http://127.0.0.1:${server.address().port}`;
  assert.equal((await page('/')).status, 200);
});

test('a table is made', async () => {
  const {status, text} = await page('/create-table', 'post', {
    TableDefinition: {TableName: 'Pets', HashAttributeName: 'owner', HashAttributeType: 'S', RangeAttributeName: 'n', RangeAttributeType: 'N',
                      ReadCapacityUnits: 3, WriteCapacityUnits: 3},
    SecondaryIndexes: [{IndexName: 'byKind', IndexType: 'global', HashAttributeName: 'kind', HashAttributeType: 'S', ReadCapacityUnits: 3, WriteCapacityUnits: 3}]});
  assert.ok(status < 400, text);
  assert.match((await page('/')).text, /Pets/);
});

test('items are added, searched, shown, changed, deleted', async () => {
  for (let n = 1; n <= 30; n++)
    assert.ok((await page('/tables/Pets/add-item', 'put', {owner: 'ann', n, kind: n % 2 ? 'cat' : 'dog'})).status < 400);
  assert.equal((await page('/tables/Pets')).status, 200);
  const scan = JSON.parse((await page('/tables/Pets/items?operationType=scan&pageSize=100')).text);
  assert.equal(scan.Items.length, 30);
  const filters = encodeURIComponent(JSON.stringify({kind: {type: 'S', operator: '=', value: 'dog'}}));
  const query = JSON.parse((await page(`/tables/Pets/items?operationType=query&queryableSelection=byKind&pageSize=4&filters=${filters}`)).text);
  assert.equal(query.Items.length, 4);
  assert.ok(query.nextKey);
  assert.match((await page('/tables/Pets/items/ann%2C7')).text, /cat/);
  assert.ok((await page('/tables/Pets/items/ann%2C7', 'put', {owner: 'ann', n: 7, kind: 'owl'})).status < 400);
  assert.equal((await document.get({TableName: 'Pets', Key: {owner: 'ann', n: 7}})).Item.kind, 'owl');
  assert.ok((await page('/tables/Pets/items/ann%2C8', 'delete')).status < 400);
  assert.equal((await document.get({TableName: 'Pets', Key: {owner: 'ann', n: 8}})).Item, undefined);
});

test('the pages about a table', async () => {
  for (const path of ['/tables/Pets/meta', '/tables/Pets/ttl', '/tables/Pets/get', '/tables/Pets/add-item', '/api/tables'])
    assert.equal((await page(path)).status, 200, path);
  assert.match((await page('/tables/Pets/meta')).text, /byKind/);
});

test('in a browser: a table is opened, an item edited and saved', {unless: !process.env.CHROMIUM && 'no chromium: script/bootstrap --chromium'}, async () => {
  const {chromium} = require('playwright-core');
  const browser = await chromium.launch({executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'], timeout: 120000});
  try {
    const tab = await browser.newPage();
    tab.setDefaultTimeout(60000);
    await tab.goto(admin);
    await tab.getByRole('link', {name: 'Pets', exact: true}).first().click();
    await tab.locator('a[href*="/items/ann"]').first().waitFor();
    await tab.getByText('owl').first().waitFor();
    await tab.locator('a[href*="/items/ann%2C1"], a[href*="/items/ann,1"]').first().click();
    await tab.waitForFunction(() => typeof editor !== 'undefined' && editor.getValue().includes('"owner"'));
    const item = await tab.evaluate(() => {
      const shown = JSON.parse(editor.getValue());
      editor.setValue(JSON.stringify({...shown, kind: 'edited in a browser'}));
      return shown;
    });
    await Promise.all([tab.waitForResponse(response => response.request().method() === 'PUT' && response.ok()), tab.click('#saveButton')]);
    const {Item} = await document.get({TableName: 'Pets', Key: {owner: item.owner, n: item.n}, ConsistentRead: true});
    assert.equal(Item.kind, 'edited in a browser');
  } finally {
    await browser.close();
  }
});

test('the table is purged and deleted', async () => {
  assert.ok((await page('/tables/Pets/all', 'delete')).status < 400);
  assert.equal((await document.scan({TableName: 'Pets'})).Count, 0);
  assert.ok((await page('/tables/Pets', 'delete')).status < 400);
  assert.doesNotMatch((await page('/')).text, /Pets/);
});
