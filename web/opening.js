// Opening a library: from the server, from a file, from an address. Shows each step, how far it is, and what went wrong.

import { byId, el, icon, show } from './dom.js';
import { bytes, ms } from './format.js';

const STEPS = { engine: 'Starting the engine', model: 'Loading the language model', library: 'Fetching the library' };

/** What an error means to somebody who wanted to open a file. */
const PLAIN = {
  damaged: 'This file cannot be opened',
  unsupported_version: 'This file was written by another version of Vecino',
  limit_exceeded: 'This file is too large for this tab',
  download: 'The file could not be fetched',
  worker: 'The engine could not be started',
};

export class Steps {
  /** @type {Map<string, {item: HTMLElement, state: HTMLElement}>} */ #steps = new Map();

  /** Shows steps that are to be done. @param {string[]} names */
  begin(names) {
    const item = (name) => {
      const state = el('span', { class: 'step-state' }, '…');
      const line = el('li', { 'data-step': name }, STEPS[name], ' ', state, el('progress', { max: '1', 'aria-label': STEPS[name] }));
      this.#steps.set(name, { item: line, state });
      return line;
    };
    byId('steps').replaceChildren(...names.map(item));
    show(byId('opening'), true);
  }

  /** @param {{what: string, loaded: number, total: number | null}} progress */
  progress({ what, loaded, total }) {
    const step = this.#steps.get(what);
    if (!step) return;
    step.state.textContent = total ? `${bytes(loaded)} of ${bytes(total)}` : bytes(loaded);
    if (total) step.item.querySelector('progress').value = loaded / total;
  }

  /** @param {string} name @param {number} time milliseconds */
  done(name, time) {
    const step = this.#steps.get(name);
    step?.state.replaceChildren(icon('check'), ` ${ms(time)}`);
    step?.item.querySelector('progress').remove();
  }

  failed(name) {
    const step = this.#steps.get(name);
    step?.state.replaceChildren(icon('warn'));
    step?.item.querySelector('progress')?.remove();
  }

  end() {
    show(byId('opening'), false);
  }
}

/** @param {any} error @param {string} [name]  of the file */
export function tellProblem(error, name) {
  const lead = PLAIN[error.code] ?? 'That did not work';
  byId('problem-title').textContent = name ? `${lead}: ${name}` : lead;
  byId('problem-text').textContent = sentence(error.message);
  byId('problem-code').textContent = error.code ? `code: ${error.code}` : '';
  show(byId('problem'), true);
}

export function closeProblem() {
  show(byId('problem'), false);
}

function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

/** Lets files be dropped anywhere on the page. @param {(file: File) => void} onFile */
export function acceptDrops(onFile) {
  const hasFile = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
  const cover = byId('drop');
  addEventListener('dragenter', (event) => hasFile(event) && show(cover, true));
  addEventListener('dragover', (event) => hasFile(event) && event.preventDefault());
  addEventListener('dragleave', (event) => event.relatedTarget === null && show(cover, false));
  addEventListener('drop', (event) => {
    show(cover, false);
    if (!hasFile(event)) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) onFile(file);
  });
}
