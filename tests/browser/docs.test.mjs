// The page of the API: it reads the description, shows every route, and tries one, with a key and without.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBrowser, startServer, watchForErrors } from './harness.mjs';

const KEY = 'the key of the first administrator';
let browser;

before(async () => {
  browser = await startBrowser();
});

after(() => browser?.close());

test('every route is shown and can be tried, and nothing is fetched from elsewhere', async () => {
  const server = await startServer();
  const page = await browser.newPage();
  const errors = watchForErrors(page);
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).origin));
  await page.goto(`${server.url}/docs`);
  const description = await (await fetch(`${server.url}/openapi.json`)).json();
  const routes = Object.values(description.paths).flatMap((methods) => Object.keys(methods));
  await page.locator('.route').first().waitFor();
  assert.equal(await page.locator('.route').count(), routes.length);

  const create = page.locator('.route', { hasText: 'POST /v1/libraries —' });
  await create.locator('summary').click();
  await create.locator('textarea').fill('{"name": "from-the-docs"}');
  await create.getByRole('button', { name: 'Send' }).click();
  await create.locator('pre', { hasText: '201 Created' }).waitFor();
  const list = page.locator('.route', { hasText: 'GET /v1/libraries —' });
  await list.locator('summary').click();
  await list.getByRole('button', { name: 'Send' }).click();
  await list.locator('pre', { hasText: 'from-the-docs' }).waitFor();

  assert.deepEqual([...new Set(asked)], [server.url]);
  assert.deepEqual(errors, []);
  await page.close();
  await server.stop();
});

test('a server with keys shows its routes to a key', async () => {
  const server = await startServer({ env: { VECINO_API_KEY: KEY } });
  const page = await browser.newPage();
  await page.goto(`${server.url}/docs`);
  await page.locator('#state', { hasText: 'needs a key' }).waitFor();
  assert.equal(await page.locator('.route').count(), 0);
  await page.fill('#key', KEY);
  await page.getByRole('button', { name: 'Use it' }).click();
  await page.locator('.route').first().waitFor();
  await page.close();
  await server.stop();
});
