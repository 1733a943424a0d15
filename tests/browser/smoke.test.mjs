// The server starts, the page loads without an error, the server stops in order.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { call } from './corpora.mjs';
import { startBrowser, startServer, watchForErrors } from './harness.mjs';

let server;
let browser;

before(async () => {
  server = await startServer();
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test('the page loads without an error', async () => {
  const page = await browser.newPage();
  const errors = watchForErrors(page);
  const response = await page.goto(server.url);
  assert.equal(response.status(), 200);
  assert.match(await page.title(), /vecino/i);
  await page.waitForLoadState('networkidle');
  assert.deepEqual(errors, []);
  await page.close();
});

test('a query that is no JSON is refused, not shortened', async () => {
  const page = await browser.newPage();
  await page.goto(server.url);
  await call(server, 'POST', '/v1/libraries', { name: 'one' });
  const document = { metadata: { title: 'T' }, attributes: { year: 1999 }, chunks: [{ text: 'a', embedding: [1, 2] }] };
  await call(server, 'POST', '/v1/libraries/one/documents', document);
  const outcomes = await page.evaluate(async () => {
    const { default: init, Library } = await import('/pkg/vecino_wasm.js');
    await init();
    const bytes = await (await fetch('/v1/libraries/one/snapshot')).arrayBuffer();
    const library = Library.open(new Uint8Array(bytes));
    const ask = (filter) => {
      try {
        return library.query({ embedding: [1, 2], filter }).returned;
      } catch (error) {
        return `${error.code} ${error.field}`;
      }
    };
    const filters = [
      { year: 1999 },
      JSON.parse('{"$and": [{"year": {"$in": [1999]}}]}'),
      undefined,
      { year: undefined },
      { year: { $gt: undefined } },
      { $and: [{ year: 1999 }, { year: () => 5 }] },
      new Map([['year', 5]]),
      { year: new Map() },
    ];
    const thrower = new Proxy({}, { ownKeys: () => { throw new Error('no'); } });
    try {
      library.query(thrower);
    } catch {
      // As meant: what is tested is that the library is not borrowed for ever.
    }
    const results = filters.map(ask);
    library.free();
    return results;
  });
  assert.deepEqual(outcomes, [
    1,
    1,
    1,
    'wrong_type filter.year',
    'wrong_type filter.year.$gt',
    'wrong_type filter.$and[1].year',
    'wrong_type filter',
    'wrong_type filter.year',
  ]);
  await page.close();
});

test('a server that is asked to stop ends in order', async () => {
  const other = await startServer();
  assert.equal((await fetch(`${other.url}/healthz`)).status, 200);
  assert.deepEqual(await other.stop(), { code: 0, signal: null });
});
