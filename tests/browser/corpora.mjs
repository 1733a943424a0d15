// Texts for end-to-end tests, and bringing them into a server.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const BATCH = 500;

async function lines(path) {
  const text = await readFile(path, 'utf8');
  return text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

/** The passages of the sample, as they stand in its file. */
export function samplePassages() {
  return lines(join(ROOT, 'web/sample/passages.jsonl'));
}

/** The folder of a corpus for retrieval tests: in VECINO_DATA, or beside the checkout; undefined when it is not there. */
export function corpusFolder(name) {
  const folders = [process.env.VECINO_DATA, join(ROOT, '../shared/data'), join(ROOT, '../../shared/data')].filter(Boolean);
  return folders.map((folder) => join(folder, name)).find((folder) => existsSync(join(folder, 'corpus.jsonl')));
}

/** Documents and queries of such a corpus. */
export async function readCorpus(folder) {
  const [passages, queries] = await Promise.all([lines(join(folder, 'corpus.jsonl')), lines(join(folder, 'queries.jsonl'))]);
  return { passages: passages.map(({ _id, title, text }) => ({ id: _id, title, text })), queries: queries.map((query) => query.text) };
}

/** Calls the server; anything but success is an error with what it said. */
export async function call(server, method, path, body) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${server.url}${path}`, { method, headers, body: body && JSON.stringify(body) });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** One document, whose text is one chunk: short passages are not to be split. */
function toDocument({ id, title, text, document_type, tags, ...attributes }) {
  return { id, metadata: { title: title || id, document_type, tags }, chunks: [{ id: `${id}-0`, text }], attributes };
}

/** Makes a library of passages. */
export async function importPassages(server, library, passages) {
  await call(server, 'POST', '/v1/libraries', { name: library, metadata: { description: `The library ${library}` } });
  for (let at = 0; at < passages.length; at += BATCH) {
    const documents = passages.slice(at, at + BATCH).map(toDocument);
    await call(server, 'POST', `/v1/libraries/${library}/documents:batch`, { documents });
  }
}

/** The server's answer to a text. */
export function ask(server, library, text, more = {}) {
  return call(server, 'POST', `/v1/libraries/${library}/query`, { text, k: 10, ...more });
}

/** The file of a library. */
export async function snapshot(server, library) {
  const response = await fetch(`${server.url}/v1/libraries/${library}/snapshot`);
  if (!response.ok) throw new Error(`snapshot: ${response.status} ${await response.text()}`);
  return Buffer.from(await response.arrayBuffer());
}
