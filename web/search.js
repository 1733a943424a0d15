// Searching while somebody types: in the tab, on the server, or both. Only the newest question is answered.

import { TabError } from './tab.js';
import * as server from './server.js';

/**
 * @typedef {object} Question
 * @property {string} text
 * @property {number} k
 * @property {object | null} filter
 * @property {boolean} inTab
 * @property {string | null} onServer   the library's id there
 */

/**
 * @typedef {object} Listener
 * @property {(question: Question) => void} begin
 * @property {(result: any) => void} tab
 * @property {(result: any) => void} server
 * @property {(error: Error) => void} tabFailed
 * @property {(error: Error) => void} serverFailed
 */

export class Search {
  #tab;
  #listener;
  #frame = 0;
  #turn = 0;
  #tabBusy = false;
  /** @type {[Question, number] | null} */ #tabNext = null;
  /** @type {AbortController | null} */ #abort = null;

  /** @param {import('./tab.js').Tab} tab @param {Listener} listener */
  constructor(tab, listener) {
    this.#tab = tab;
    this.#listener = listener;
  }

  /** Asks at the next frame; many questions within one are one. @param {() => Question | null} question */
  ask(question) {
    if (this.#frame) cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#begin(question());
    });
  }

  #begin(question) {
    const turn = ++this.#turn;
    this.#abort?.abort();
    this.#tabNext = null;
    if (!question) return;
    this.#listener.begin(question);
    if (question.inTab) this.#askTab(question, turn);
    if (question.onServer) this.#askServer(question, turn);
  }

  /** One search at a time: what comes meanwhile waits, and only the newest of it is searched. */
  async #askTab(question, turn) {
    if (this.#tabBusy) {
      this.#tabNext = [question, turn];
      return;
    }
    this.#tabBusy = true;
    const { text, k, filter } = question;
    try {
      const result = await this.#tab.call('search', { text, k, filter, explain: true });
      if (turn === this.#turn) this.#listener.tab(result);
    } catch (error) {
      if (!(error instanceof TabError)) throw error;
      if (turn === this.#turn) this.#listener.tabFailed(error);
    } finally {
      this.#tabBusy = false;
      const next = this.#tabNext;
      this.#tabNext = null;
      if (next) this.#askTab(...next);
    }
  }

  async #askServer(question, turn) {
    this.#abort = new AbortController();
    try {
      const result = await server.query(question.onServer, { ...question, explain: true }, this.#abort.signal);
      if (turn === this.#turn) this.#listener.server(result);
    } catch (error) {
      if (turn === this.#turn && error.name !== 'AbortError') this.#listener.serverFailed(error);
    }
  }
}
