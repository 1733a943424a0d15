// The server starts, the page loads without an error, the server stops in order.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
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

test('a server that is asked to stop ends in order', async () => {
  const other = await startServer();
  assert.equal((await fetch(`${other.url}/healthz`)).status, 200);
  assert.deepEqual(await other.stop(), { code: 0, signal: null });
});
