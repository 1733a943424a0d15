// The engine in this tab, seen from the page: calls into the worker as promises.

/** An error that came out of the worker: the engine's own, with its code, or a failed download. */
export class TabError extends Error {
  constructor(described) {
    super(described.message);
    Object.assign(this, described);
  }
}

export class Tab {
  #worker;
  #waiting = new Map();
  #next = 1;

  /** @param {(progress: {what: string, loaded: number, total: number | null}) => void} onProgress */
  constructor(onProgress) {
    this.#worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module', name: 'vecino-engine' });
    this.#worker.addEventListener('message', ({ data }) => (data.progress ? onProgress(data.progress) : this.#settle(data)));
    this.#worker.addEventListener('error', (event) => this.#fail(event.message));
  }

  /**
   * Calls a function of the worker.
   * @param {'start' | 'loadModel' | 'open' | 'search' | 'check' | 'facets'} call
   * @param {object} [args]
   */
  call(call, args) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, call, args });
    });
  }

  #settle({ id, result, error }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) reject(new TabError(error));
    else resolve(result);
  }

  /** The worker itself is broken: its script did not load, or this browser lacks something. */
  #fail(message) {
    const error = { name: 'WorkerError', code: 'worker', message: message || 'the engine could not be started in this browser' };
    for (const { reject } of this.#waiting.values()) reject(new TabError(error));
    this.#waiting.clear();
  }
}
