// What is known of the open library: counts, contract, sizes, and how long everything took.

import { byId, el, show } from './dom.js';
import { bytes, count, ms } from './format.js';

/**
 * @param {any} opened   what the worker says of the library
 * @param {any} model    what it says of the model, or null
 */
export function drawFacts(opened, model) {
  const { info } = opened;
  byId('facts-description').textContent = info.metadata.description ?? '';
  const pairs = [
    ['Name', info.name],
    ['Passages', count(info.chunks)],
    ['Documents', count(info.documents)],
    ['Dimension', info.metadata.embedding_dimension ? count(info.metadata.embedding_dimension) : 'not fixed yet'],
    ['Metric', info.metric],
    ['Last write', count(info.seq), 'seq'],
    ['Made with', info.metadata.embedding_model ?? 'vectors brought by the user'],
    ['File', bytes(opened.bytes), 'bytes'],
    ['Fetched in', ms(opened.downloadMs)],
    ['Opened in', ms(opened.openMs), 'open'],
    ...(model ? [['Model', `${model.name}, ${bytes(model.bytes)}`], ['Model ready in', modelTime(model), 'model']] : []),
  ];
  const row = ([name, value, key]) => el('div', {}, el('dt', {}, name), el('dd', { 'data-fact': key ?? name.toLowerCase() }, value));
  byId('facts-list').replaceChildren(...pairs.map(row));
  show(byId('facts'), true);
}

function modelTime({ downloadMs, loadMs, cached }) {
  return `${ms(downloadMs + loadMs)}${cached ? ', from this browser’s cache' : ''}`;
}
