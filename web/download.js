// Fetching large files with progress, and errors that people understand.

/** What a download ended with, if not with the file. */
export class DownloadError extends Error {
  /** @param {string} message @param {number} [status] */
  constructor(message, status) {
    super(message);
    this.name = 'DownloadError';
    this.code = 'download';
    this.status = status;
  }
}

/**
 * Fetches a file.
 * @param {string} url
 * @param {(loaded: number, total: number | null) => void} onProgress
 * @param {object} [headers]
 * @returns {Promise<Uint8Array>}
 */
export async function download(url, onProgress, headers = {}) {
  const response = await fetch(url, { cache: 'no-cache', headers }).catch(() => {
    const foreign = new URL(url, location.href).origin !== location.origin;
    const hint = foreign ? ' It may not exist, or its site does not let other pages read it (CORS).' : ' The server does not answer.';
    throw new DownloadError(`${url} could not be fetched.${hint}`);
  });
  if (!response.ok) throw new DownloadError(`${url}: the server answered ${response.status} ${response.statusText}`.trim(), response.status);
  return gather(response, onProgress);
}

/** The body of a response; a compressed one has no total that fits. */
async function gather(response, onProgress) {
  const length = Number(response.headers.get('content-length'));
  const total = length > 0 && !response.headers.get('content-encoding') ? length : null;
  const pieces = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read().catch(() => {
      throw new DownloadError(`${response.url} could not be fetched. The connection was lost after ${loaded} bytes.`);
    });
    if (done) break;
    pieces.push(value);
    loaded += value.length;
    onProgress(loaded, total);
  }
  const bytes = new Uint8Array(loaded);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
