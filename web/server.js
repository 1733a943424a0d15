// The server's REST interface, as far as the page needs it.

import { askForKey, authorization } from './key.js';

/** The server refused or failed: a problem document, or no answer at all (`offline`). */
export class ServerError extends Error {
  /** @param {string} message @param {{code?: string, field?: string, status?: number, offline?: boolean}} [more] */
  constructor(message, { code, field, status, offline = false } = {}) {
    super(message);
    Object.assign(this, { name: 'ServerError', code, field, status, offline });
  }
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...authorization() } });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ServerError('The server does not answer.', { code: 'offline', offline: true });
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  if (response.status === 401 && askForKey()) return request(path, options);
  const { detail, title, code, field } = body ?? {};
  throw new ServerError(detail ?? title ?? `The server answered ${response.status}.`, { code, field, status: response.status });
}

/** The libraries that the server has: at most a page of them. */
export async function listLibraries() {
  const body = await request('v1/libraries?limit=100');
  return body.libraries ?? body.items ?? body.data ?? [];
}

/** @param {string} library id or name */
export function snapshotUrl(library) {
  return new URL(`v1/libraries/${encodeURIComponent(library)}/snapshot`, document.baseURI).href;
}

/**
 * Asks the server; `roundTripMs` is what the page had to wait.
 * @param {string} library
 * @param {{text: string, k: number, filter?: object | null, explain?: boolean}} query
 * @param {AbortSignal} signal
 */
export async function query(library, { text, k, filter, explain }, signal) {
  const url = new URL(`v1/libraries/${encodeURIComponent(library)}/query`, document.baseURI).href;
  const start = performance.now();
  const answer = await request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ text, k, explain, ...(filter && { filter }) }),
    signal,
  });
  return { answer, roundTripMs: networkTime(url, start) ?? performance.now() - start };
}

/** The time of a request as the browser took it: while the page draws, the answer waits, which is not the server's fault. */
function networkTime(url, start) {
  const entry = performance.getEntriesByName(url, 'resource').findLast((one) => one.startTime >= start);
  performance.clearResourceTimings(); // the buffer is small, and the others are of no use
  return entry && entry.duration > 0 ? entry.duration : undefined;
}
