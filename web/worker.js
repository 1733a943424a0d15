// The engine's thread: holds one open library and the embedding model, and answers the page's calls one after the other.

import init, { Library, Model, version } from './pkg/vecino_wasm.js';
import { summarise } from './facets.js';
import { download } from './download.js';

/** Chunks that are looked at for the values of fields. */
const FACET_SAMPLE = 3_000;
const MODEL_CACHE = 'vecino-models';

const ready = init({ module_or_path: new URL('pkg/vecino_wasm_bg.wasm', import.meta.url) });
let library = null;
let model = null;

/** @param {string} what @param {number} loaded @param {number | null} total */
function progress(what, loaded, total) {
  postMessage({ progress: { what, loaded, total } });
}

/** Runs `work` and says how many milliseconds it took. */
async function timed(work) {
  const start = performance.now();
  const result = await work();
  return [result, performance.now() - start];
}

/** The model's bytes, from the cache if they were fetched before. */
async function modelBytes(url, refresh) {
  const cache = await globalThis.caches?.open(MODEL_CACHE).catch(() => null);
  const kept = refresh ? undefined : await cache?.match(url);
  if (kept) return { bytes: new Uint8Array(await kept.arrayBuffer()), cached: true };
  const bytes = await download(url, (loaded, total) => progress('model', loaded, total));
  const response = new Response(/** @type {any} */ (bytes), { headers: { 'content-type': 'application/octet-stream' } });
  await cache?.put(url, response).catch(() => {}); // a full disk costs a download, nothing else
  return { bytes, cached: false };
}

async function readModel(url, refresh) {
  const [{ bytes, cached }, downloadMs] = await timed(() => modelBytes(url, refresh));
  const [loaded, loadMs] = await timed(() => Model.load(bytes));
  model?.free();
  model = loaded;
  const { name, dimension, fingerprint } = model;
  return { name, dimension, fingerprint, bytes: bytes.length, cached, downloadMs, loadMs };
}

/** A vector that every metric takes, for questions about filters alone. */
function anyVector() {
  const vector = new Float32Array(library.info().metadata.embedding_dimension ?? 0);
  vector[0] = 1;
  return vector;
}

function opened(bytes) {
  const start = performance.now();
  const next = Library.open(bytes, 'the file');
  const openMs = performance.now() - start;
  library?.free();
  library = next;
  return { info: library.info(), bytes: bytes.length, openMs };
}

const calls = {
  async start() {
    const [, startMs] = await timed(() => ready);
    return { version: version(), startMs };
  },

  /** Loads the model; a cached one that cannot be read is fetched again. */
  async loadModel({ url, refresh = false }) {
    await ready;
    try {
      return await readModel(url, refresh);
    } catch (error) {
      if (refresh || error.name !== 'VecinoError') throw error;
      return readModel(url, true);
    }
  },

  /** Opens a library from an address or from a file. The one before stays open if this fails. */
  async open({ url, file, headers }) {
    await ready;
    const get = () =>
      file ? file.arrayBuffer().then((buffer) => new Uint8Array(buffer)) : download(url, (a, b) => progress('library', a, b), headers);
    const [bytes, downloadMs] = await timed(get);
    return { ...opened(bytes), downloadMs };
  },

  /** The nearest chunks to a text; `noWords` when the model knows none of its words. */
  search({ text, k, filter, explain }) {
    const start = performance.now();
    const embedding = model.embed(text);
    const embedMs = performance.now() - start;
    if (!embedding) return { noWords: true, embedMs };
    const answer = library.query({ embedding, k, filter, explain });
    return { answer, embedMs, searchMs: performance.now() - start - embedMs };
  },

  /** How many chunks pass a filter; throws what is wrong with it. */
  check({ filter }) {
    if (!library.info().chunks) return { matching: 0, chunks: 0 };
    const { explain } = library.query({ embedding: anyVector(), k: 1, filter, include: [], explain: true });
    return { matching: explain.matching, chunks: explain.chunks };
  },

  /** Which values the fields have, so that the page can offer them. */
  facets() {
    const info = library.info();
    if (!info.chunks) return [];
    const k = Math.min(info.chunks, FACET_SAMPLE);
    const { hits } = library.query({ embedding: anyVector(), k, include: ['metadata', 'attributes'] });
    return summarise(info.schema.fields, hits, info.chunks);
  },
};

function described(error) {
  const { name, message, code, field, expected, received, status } = error;
  return { name, message, code, field, expected, received, status };
}

addEventListener('message', async ({ data: { id, call, args } }) => {
  try {
    postMessage({ id, result: await calls[call](args ?? {}) });
  } catch (error) {
    postMessage({ id, error: described(error) });
  }
});
