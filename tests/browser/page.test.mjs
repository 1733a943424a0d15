// The page as people use it: type, read, filter, open files, lose the server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { call, importPassages, samplePassages, snapshot } from './corpora.mjs';
import { startBrowser, startServer, watchForErrors } from './harness.mjs';

const QUERY = 'how do birds find their way';
let server;
let browser;

before(async () => {
  server = await startServer();
  await importPassages(server, 'sample', await samplePassages());
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** The page with the sample open; fails at the end if anything went wrong in the browser. */
async function withPage(use, { hash = '', url = server.url } = {}) {
  const page = await browser.newPage();
  const errors = watchForErrors(page);
  await page.goto(`${url}/${hash}`);
  await page.locator('#opening').waitFor({ state: 'hidden' });
  await use(page, errors);
  // A question that nobody waits for any more is given up, which the browser reports as a failed request.
  const isGivenUp = (error) => error.endsWith('/query net::ERR_ABORTED');
  assert.deepEqual(errors.filter((error) => !isGivenUp(error)), []);
  await page.close();
}

async function ask(page, text) {
  await page.fill('#query', text);
  await page.locator('.hit').first().waitFor();
}

function agreement(page, state) {
  return page.locator(`#agreement[data-state="${state}"]`).waitFor();
}

/** A copy of a snapshot with one bit of a section flipped; engine/src/snapshot.rs has the layout. */
function flipped(snapshotBytes, tag) {
  const copy = Buffer.from(snapshotBytes);
  const table = Array.from({ length: copy.readUInt32LE(12) }, (_, section) => copy.subarray(64 + 24 * section, 88 + 24 * section));
  const entry = table.find((bytes) => bytes.toString('latin1', 0, 4) === tag);
  copy[Number(entry.readBigUInt64LE(8)) + 100] ^= 4;
  return copy;
}

const titles = (page) => page.locator('.hit-title').allTextContents();

/** Drops a file on the page, as a hand with a mouse would. */
async function drop(page, name, bytes) {
  const transfer = await page.evaluateHandle(
    ([fileName, base64]) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], fileName));
      return data;
    },
    [name, bytes.toString('base64')],
  );
  await page.dispatchEvent('body', 'dragenter', { dataTransfer: transfer });
  await page.locator('#drop').waitFor();
  await page.dispatchEvent('body', 'drop', { dataTransfer: transfer });
}

test('typing shows hits from both sides, and that they agree', () =>
  withPage(async (page) => {
    assert.match(await page.locator('#facts').textContent(), /360/);
    await page.locator('#query').pressSequentially(QUERY, { delay: 15 });
    await agreement(page, 'same');
    assert.equal(await page.locator('.hit').count(), 10);
    assert.match(await page.locator('#agreement').textContent(), /10 hits: same ids, same order, same score bits/);
    assert.match(await page.locator('#tab-time').textContent(), /\d ms/);
    assert.match(await page.locator('#server-time').textContent(), /\d ms/);
    const answer = await call(server, 'POST', '/v1/libraries/sample/query', { text: QUERY, k: 10 });
    assert.deepEqual(await titles(page), answer.hits.map((hit) => hit.metadata.title));
    assert.ok((await page.locator('.hit mark').count()) > 0, 'words of the query are marked');
    assert.match(decodeURIComponent(page.url()), /#library=sample&q=how\+do\+birds/);
  }));

test('a different answer is noticed, with its rank', () =>
  withPage(async (page) => {
    await page.route('**/query', async (route) => {
      const response = await route.fetch();
      const answer = await response.json();
      answer.hits[3].score = Math.fround(answer.hits[3].score) + 2 ** -26;
      await route.fulfill({ response, json: answer });
    });
    await ask(page, QUERY);
    await agreement(page, 'differs');
    assert.match(await page.locator('#agreement').textContent(), /Differs at rank 4.*another score/s);
    await page.unroute('**/query');
    await page.route('**/query', async (route) => {
      const response = await route.fetch();
      const answer = await response.json();
      [answer.hits[6], answer.hits[7]] = [answer.hits[7], answer.hits[6]];
      await route.fulfill({ response, json: answer });
    });
    await ask(page, `${QUERY} home`);
    await page.getByText('Differs at rank 7').waitFor();
  }));

test('only the newest question is answered', () =>
  withPage(async (page) => {
    await page.route('**/query', async (route) => {
      const slow = route.request().postDataJSON().text === 'bread';
      if (slow) await new Promise((resolve) => setTimeout(resolve, 600));
      await route.continue().catch(() => {});
    });
    await page.check('input[value="server"]');
    await page.fill('#query', 'bread');
    await page.waitForTimeout(100);
    await page.fill('#query', 'planets');
    await page.locator('.hit').first().waitFor();
    const early = await titles(page);
    await page.waitForTimeout(900);
    assert.deepEqual(await titles(page), early);
    const answer = await call(server, 'POST', '/v1/libraries/sample/query', { text: 'planets', k: 10 });
    assert.deepEqual(early, answer.hits.map((hit) => hit.metadata.title));
  }));

test('a chip of a hit filters, and the address keeps it', () =>
  withPage(async (page) => {
    await ask(page, QUERY);
    await page.locator('.hit .chip[data-field="topic"]', { hasText: 'birds' }).first().click();
    await page.getByText('30 of 360 passages match').waitFor();
    await agreement(page, 'same');
    const topics = await page.locator('.hit .chip[data-field="topic"]').allTextContents();
    assert.deepEqual([...new Set(topics)], ['birds']);

    const copy = await browser.newPage();
    await copy.goto(page.url());
    await copy.locator('.hit').first().waitFor();
    await copy.getByText('30 of 360 passages match').waitFor();
    assert.deepEqual(await titles(copy), await titles(page));
    await copy.close();

    await page.click('#filter-clear');
    await page.waitForFunction(() => !location.hash.includes('filter'));
  }));

test('conditions can be made of rows, and few matches are explained', () =>
  withPage(async (page) => {
    await ask(page, 'a machine');
    await page.click('#filter-add');
    const row = page.locator('.row').last();
    await row.getByLabel('Field').selectOption('year');
    await page.locator('.row').last().getByLabel('Operator').selectOption('$lt');
    await page.locator('.row').last().getByLabel('Value').fill('-3000');
    await page.locator('#fewer').waitFor();
    const matching = (await samplePassages()).filter((passage) => passage.year < -3000).length;
    assert.ok(matching > 0 && matching < 10);
    assert.match(await page.locator('#fewer').textContent(), new RegExp(`${matching} of 10: only ${matching} of 360 chunks pass the filter`));
    assert.equal(await page.locator('.hit').count(), matching);
    await page.locator('#explain summary').click();
    assert.match(await page.locator('#explain-body').textContent(), /filtered exact scan/);
  }));

test('a wrong filter is refused in words, and the one before stays', () =>
  withPage(async (page) => {
    await ask(page, QUERY);
    await page.click('.facet .chip[data-value="birds"]');
    await page.getByText('30 of 360 passages match').waitFor();
    const found = await titles(page);
    await page.click('#filter-more summary');
    await page.fill('#filter-json', '{"year": {"$gt": "long ago"}}');
    await page.getByText('filter.year.$gt').waitFor();
    assert.match(await page.locator('#filter-error').textContent(), /expected integer, received string/);
    assert.deepEqual(await titles(page), found);
    await page.fill('#filter-json', '{"year": ');
    await page.getByText('This is not JSON yet').waitFor();
    await page.fill('#filter-json', '{"year": {"$gt": 1900}}');
    await page.locator('#filter-error').waitFor({ state: 'hidden' });
    assert.doesNotMatch(await page.locator('#filter-count').textContent(), /^30 of/);
  }));

test('the keyboard is enough', () =>
  withPage(async (page) => {
    await page.keyboard.press('/');
    await page.keyboard.type(QUERY);
    await agreement(page, 'same');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    const second = page.locator('.hit').nth(1);
    assert.equal(await second.locator('.hit-title').getAttribute('aria-expanded'), 'true');
    assert.match(await second.locator('.hit-detail').textContent(), /the same bits on the other side/);
    await page.keyboard.press('Escape');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'query');
  }));

test('words that nobody knows get a friendly answer', () =>
  withPage(async (page, errors) => {
    await page.fill('#query', '☃☃☃');
    await page.getByText('None of these words is known').waitFor();
    await page.waitForTimeout(300);
    assert.equal(await page.locator('.hit').count(), 0);
    assert.equal(await page.locator('#problem').isVisible(), false);
    // The browser itself notes the server's refusal of the same question.
    for (const note of errors.splice(0)) assert.match(note, /status of 4\d\d|ERR_ABORTED/);
  }));

test('an empty library, and one without a language model, are said to be so', async () => {
  await call(server, 'POST', '/v1/libraries', { name: 'empty' });
  await call(server, 'POST', '/v1/libraries', { name: 'vectors' });
  const document = { metadata: { title: 'T' }, chunks: [{ text: 'a', embedding: [1, 2] }] };
  await call(server, 'POST', '/v1/libraries/vectors/documents', document);
  const page = await browser.newPage();
  await page.goto(`${server.url}/#library=empty&q=birds`);
  await page.getByText('This library is empty').waitFor();
  await page.waitForTimeout(500);
  assert.match(await page.locator('#empty').textContent(), /This library is empty/);
  await page.goto('about:blank');
  await page.goto(`${server.url}/#library=vectors&q=birds`);
  await page.getByText('The server refused this search').waitFor();
  await page.close();
  await call(server, 'DELETE', '/v1/libraries/empty');
  await call(server, 'DELETE', '/v1/libraries/vectors');
});

test('a file is opened where it is dropped', () =>
  withPage(async (page) => {
    await drop(page, 'copy.vecino', await snapshot(server, 'sample'));
    await page.locator('#file-name', { hasText: 'copy.vecino' }).waitFor();
    assert.equal(await page.locator('input[value="server"]').isDisabled(), true);
    await ask(page, QUERY);
    const answer = await call(server, 'POST', '/v1/libraries/sample/query', { text: QUERY, k: 10 });
    assert.deepEqual(await titles(page), answer.hits.map((hit) => hit.metadata.title));
    assert.equal(await page.locator('#lane-server').isVisible(), false);
  }));

test('a file that is no library is refused in words, and the open one stays', () =>
  withPage(async (page) => {
    const good = await snapshot(server, 'sample');
    await drop(page, 'notes.txt', Buffer.from('Shopping: bread, birdseed. '.repeat(20)));
    await page.locator('#problem').waitFor();
    assert.match(await page.locator('#problem').textContent(), /cannot be opened: notes\.txt.*does not begin with the mark/s);
    await drop(page, 'short.vecino', good.subarray(0, good.length - 100));
    await page.getByText('the file was cut short').waitFor();
    await drop(page, 'flipped.vecino', flipped(good, 'VECS'));
    await page.getByText('the checksum of section VECS is wrong').waitFor();
    await ask(page, QUERY);
    await agreement(page, 'same');
  }));

test('a file whose codes are damaged opens, and answers as before', () =>
  withPage(async (page) => {
    await drop(page, 'codes.vecino', flipped(await snapshot(server, 'sample'), 'CODE'));
    await page.locator('#file-name', { hasText: 'codes.vecino' }).waitFor();
    await ask(page, QUERY);
    const answer = await call(server, 'POST', '/v1/libraries/sample/query', { text: QUERY, k: 10 });
    assert.deepEqual(await titles(page), answer.hits.map((hit) => hit.metadata.title));
  }));

test('a newer library on the server is noticed, and can be taken', async () => {
  await importPassages(server, 'growing', (await samplePassages()).slice(0, 20));
  await withPage(
    async (page) => {
      await ask(page, 'telescope');
      await agreement(page, 'same');
      const document = { id: 'new', metadata: { title: 'A telescope of ice' }, chunks: [{ text: 'A telescope in the Antarctic ice.' }] };
      await call(server, 'POST', '/v1/libraries/growing/documents', document);
      await ask(page, 'telescopes');
      await agreement(page, 'moved');
      await page.click('#refresh');
      await agreement(page, 'same');
      assert.equal((await titles(page))[0], 'A telescope of ice');
    },
    { hash: '#library=growing' },
  );
});

test('the search goes on when the server is gone', async () => {
  const other = await startServer();
  await importPassages(other, 'sample', (await samplePassages()).slice(0, 90));
  const page = await browser.newPage();
  await page.goto(other.url);
  await page.locator('#opening').waitFor({ state: 'hidden' });
  await ask(page, 'stars');
  await agreement(page, 'same');
  const before = await titles(page);
  await other.stop();

  await ask(page, 'stars and planets');
  await page.getByText('The search goes on in this tab').waitFor();
  assert.equal(await page.locator('.hit').count(), 10);
  assert.notDeepEqual(await titles(page), before);
  await page.check('input[value="server"]');
  await ask(page, 'stars');
  await page.waitForFunction((first) => document.querySelector('.hit-title').textContent === first, before[0]);
  assert.deepEqual(await titles(page), before);
  await page.close();
});
