// tests/clients/kit.js - what a suite in JavaScript needs: tests that run one after the other, and
// a count in the last line.
//
//   test('a name', async () => { ... })              a name and what must not throw
//   test('a name', {unless: why}, ...)               skipped if there is a reason
'use strict';
const assert = require('node:assert/strict');
const {createHash, createHmac} = require('node:crypto');

const endpoint = process.env.ENDPOINT;
const tests = [];

const sha256 = text => createHash('sha256').update(text).digest('hex');
const hmac = (key, text) => createHmac('sha256', key).update(text).digest();

/** The headers of a request, signed as Signature Version 4 wants it. */
function signed(operation, text, where) {
  const {AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret} = process.env;
  const headers = {'content-type': 'application/x-amz-json-1.0', 'host': new URL(where).host,
                   'x-amz-date': new Date().toISOString().replace(/[:-]|\.\d{3}/g, ''),
                   'x-amz-target': `DynamoDB_20120810.${operation}`};
  const names = Object.keys(headers).join(';');
  const canonical = ['POST', '/', '', ...Object.entries(headers).map(pair => pair.join(':')), '', names, sha256(text)].join('\n');
  const scope = [headers['x-amz-date'].slice(0, 8), 'eu-west-2', 'dynamodb', 'aws4_request'];
  const key = scope.reduce(hmac, `AWS4${secret}`);
  const signature = hmac(key, ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope.join('/'), sha256(canonical)].join('\n')).toString('hex');
  headers.authorization = `AWS4-HMAC-SHA256 Credential=${id}/${scope.join('/')}, SignedHeaders=${names}, Signature=${signature}`;
  return headers;
}

/** A request without an SDK: status, the answer, and the error's name. */
async function ask(operation, body, where = endpoint) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(where, {method: 'POST', headers: signed(operation, text, where), body: text, signal: AbortSignal.timeout(20000)}).catch(error => {
    throw new Error(`${where}, ${operation}: ${error.name}: ${error.message} ${error.cause ?? ''}: ${text.slice(0, 2000)}`);
  });
  const answer = await response.json();
  return {status: response.status, answer, error: answer.__type && answer.__type.split('#')[1]};
}

function test(name, options, run) {
  tests.push({name, ...(run ? options : {}), run: run || options});
}

/** That a call is refused with this name and, if it is given, this in its message; the error. */
async function refused(name, message, call) {
  if (!call)
    [message, call] = ['', message];
  try {
    await call();
  } catch (error) {
    const is = error.name === name && String(error.message).includes(message);
    assert.ok(is, `${error.name}: ${error.message}`);
    return error;
  }
  assert.fail(`not refused: ${name}`);
}

async function all() {
  let passed = 0, failed = 0;
  for (const {name, unless, run} of tests) {
    if (unless) {
      console.log(`skipped: ${name}: ${unless}`);
      continue;
    }
    try {
      await run();
      passed++;
    } catch (error) {
      failed++;
      const text = `FAILED: ${name}: ${error.stack}`.split('\n');
      console.log(text.slice(0, 40).join('\n'));
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}
setImmediate(all);

module.exports = {assert, ask, endpoint, refused, test};
