// One engine, one file, one answer: a tab and the server give the same ids, in the same order, with the same score bits.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ask, corpusFolder, importPassages, readCorpus, samplePassages } from './corpora.mjs';
import { startBrowser, startServer } from './harness.mjs';

const QUERIES = 100;
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

/** Runs in the page: opens a library with the module that the page uses, and answers all texts. */
async function answerInTab({ library, texts, k, filter }) {
  const { default: init, Library, Model } = await import('/pkg/vecino_wasm.js');
  await init({ module_or_path: '/pkg/vecino_wasm_bg.wasm' });
  const read = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
  const [bytes, modelBytes] = await Promise.all([read(`/v1/libraries/${library}/snapshot`), read('/models/static-minilm-256-int4.bin')]);
  const model = Model.load(modelBytes);
  const start = performance.now();
  const opened = Library.open(bytes, library);
  const openMs = performance.now() - start;
  const answers = texts.map((text) => opened.query({ embedding: model.embed(text), k, filter }));
  const searchMs = performance.now() - start - openMs;
  return { openMs, searchMs, bytes: bytes.length, answers };
}

const view = new DataView(new ArrayBuffer(4));

/** The bits of a 32-bit float; a number that is none has lost some on the way. */
function bits(number) {
  assert.equal(Math.fround(number), number, `${number} is no 32-bit float`);
  view.setFloat32(0, number);
  return view.getUint32(0);
}

function ranking({ hits, seq, exhausted }) {
  return { seq, exhausted, hits: hits.map(({ id, document_id, score, distance }) => [id, document_id, bits(score), bits(distance)]) };
}

/** Asks both sides and compares every answer. */
async function compare(library, texts, { k = 10, filter } = {}) {
  const page = await browser.newPage();
  await page.goto(server.url);
  const tab = await page.evaluate(answerInTab, { library, texts, k, filter });
  await page.close();
  for (const [at, text] of texts.entries()) {
    const answer = await ask(server, library, text, { k, filter });
    assert.ok(answer.hits.length > 0, text);
    assert.deepEqual(ranking(tab.answers[at]), ranking(answer), `${library}: ${text}`);
  }
  return tab;
}

function report(t, name, { openMs, searchMs, bytes }, queries) {
  const each = (searchMs / queries).toFixed(2);
  t.diagnostic(`${name}: ${bytes} bytes opened in ${openMs.toFixed(0)} ms; ${each} ms for each of ${queries} queries in the tab`);
}

test('the sample: a hundred questions, with and without a filter', async (t) => {
  const passages = await samplePassages();
  await importPassages(server, 'sample', passages);
  const texts = passages.map((passage) => passage.title).slice(0, QUERIES);
  assert.equal(texts.length, QUERIES);
  report(t, 'sample', await compare('sample', texts, { k: 25 }), texts.length);
  await compare('sample', texts, { k: 400, filter: { difficulty: { $lte: 3 }, $not: { topic: 'music' } } });
});

/** Runs in the page: answers all texts with the file of a library that has no float vectors. */
async function answerWithCodes({ library, texts }) {
  const { default: init, Library, Model } = await import('/pkg/vecino_wasm.js');
  await init({ module_or_path: '/pkg/vecino_wasm_bg.wasm' });
  const read = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
  const [bytes, modelBytes] = await Promise.all([read(`/v1/libraries/${library}/snapshot?precision=int8`), read('/models/static-minilm-256-int4.bin')]);
  const model = Model.load(modelBytes);
  const opened = Library.open(bytes, library);
  return { bytes: bytes.length, precision: opened.precision, answers: texts.map((text) => opened.query({ embedding: model.embed(text) })) };
}

test('without float vectors: a tab answers as the program on this machine does', async (t) => {
  const texts = (await samplePassages()).map((passage) => passage.title).slice(0, 20);
  const page = await browser.newPage();
  await page.goto(server.url);
  const tab = await page.evaluate(answerWithCodes, { library: 'sample', texts });
  await page.close();
  assert.equal(tab.precision, 'int8');
  const vecino = (...args) => execFileSync(process.env.VECINO_BIN, args, { encoding: 'utf8' });
  const file = join(server.dataDir, '..', `codes-${server.port}.vecino`);
  try {
    vecino('export', 'sample', file, '--precision', 'int8', '--server', server.url);
    assert.equal((await stat(file)).size, tab.bytes);
    t.diagnostic(`${tab.bytes} bytes`);
    for (const [at, text] of texts.entries()) {
      assert.deepEqual(ranking(tab.answers[at]), ranking(JSON.parse(vecino('query', file, text, '--json'))), text);
    }
  } finally {
    await rm(file, { force: true });
  }
});

const folder = corpusFolder('scifact');

test('scifact: a hundred questions', { skip: folder ? false : 'the corpus is not here (see VECINO_DATA)' }, async (t) => {
  const { passages, queries } = await readCorpus(folder);
  await importPassages(server, 'scifact', passages);
  const texts = queries.slice(0, QUERIES);
  assert.equal(texts.length, QUERIES);
  report(t, `scifact, ${passages.length} passages`, await compare('scifact', texts), texts.length);
});
