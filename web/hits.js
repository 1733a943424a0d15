// The list of hits: what was found, how near it is, and all that is known of it.

import { bits } from './compare.js';
import { byId, el, icon } from './dom.js';
import { label, year } from './format.js';
import { marked, stems } from './words.js';

/** Attributes that stand in the first line of a hit; the others are shown when it is opened. */
const CHIPS_SHOWN = 5;

export class Hits {
  /** Fields in the order in which they are worth showing. @type {string[]} */ order = [];
  #onChip;
  #open = new Set();
  /** @type {any} */ #answer = null;
  /** @type {any} */ #other = null;
  #list = byId('hits');

  /** @param {(field: string, value: any) => void} onChip  a value was clicked, to be filtered by */
  constructor(onChip) {
    this.#onChip = onChip;
    this.#list.addEventListener('keydown', (event) => this.#move(event));
  }

  /** @param {any} answer @param {string} query */
  draw(answer, query) {
    const active = this.#list.querySelector('.hit-title:focus')?.dataset.id;
    this.#answer = answer;
    this.#other = null;
    const wanted = stems(query);
    const full = scale(answer);
    this.#list.replaceChildren(...answer.hits.map((hit, at) => this.#hit(hit, at, wanted, full(hit))));
    if (active) this.#titles().find((title) => title.dataset.id === active)?.focus();
  }

  /** Tells of the other side's scores, in the details of each hit. */
  compareWith(answer) {
    this.#other = answer;
    for (const item of this.#list.querySelectorAll('.hit[data-open]')) this.#fill(item);
  }

  clear() {
    this.#answer = null;
    this.#list.replaceChildren();
  }

  /** Moves the keyboard to the first hit. */
  focusFirst() {
    this.#titles()[0]?.focus();
  }

  /** @returns {HTMLElement[]} */
  #titles() {
    return [...this.#list.querySelectorAll('.hit-title')];
  }

  #hit(hit, at, wanted, fraction) {
    const detail = `hit-detail-${at}`;
    const open = this.#open.has(hit.id);
    const bar = el('span', { class: 'bar' });
    bar.style.setProperty('--fraction', String(fraction));
    const title = el(
      'button',
      { type: 'button', class: 'hit-title', 'data-id': hit.id, 'aria-expanded': String(open), 'aria-controls': detail },
      ...marked(hit.metadata?.title || hit.document_id, wanted),
    );
    const item = el(
      'li',
      { class: 'hit', 'data-at': String(at), 'data-open': open },
      el('span', { class: 'rank', 'aria-hidden': 'true' }, String(at + 1)),
      el('div', { class: 'hit-head' }, el('h3', {}, title), el('span', { class: 'score', title: 'Score: higher is nearer' }, bar, hit.score.toFixed(3))),
      el('p', { class: 'hit-text' }, ...marked(hit.text ?? '', wanted)),
      el('div', { class: 'chips' }, ...this.#chips(hit)),
      el('div', { class: 'hit-detail', id: detail }),
    );
    title.addEventListener('click', () => this.#toggle(item, hit.id));
    if (open) this.#fill(item);
    return item;
  }

  #toggle(item, id) {
    const open = !this.#open.has(id);
    if (open) this.#open.add(id);
    else this.#open.delete(id);
    item.toggleAttribute('data-open', open);
    item.querySelector('.hit-title').setAttribute('aria-expanded', String(open));
    if (open) this.#fill(item);
  }

  #chips(hit) {
    const { document_type, tags = [] } = hit.metadata ?? {};
    const all = Object.entries({ ...hit.attributes, ...(document_type && { document_type }) });
    const plain = all.filter(([, value]) => !Array.isArray(value) && String(value).length <= 40);
    const fields = plain.sort(([a], [b]) => this.order.indexOf(a) - this.order.indexOf(b)).slice(0, CHIPS_SHOWN);
    return [...fields.map(([field, value]) => this.#chip(field, value, chipText(field, value))), ...tags.map((tag) => this.#chip('tags', tag, `#${tag}`))];
  }

  #chip(field, value, text) {
    const title = `Filter by ${field.replaceAll('_', ' ')}: ${value}`;
    const kind = field === 'tags' ? 'chip small tag' : 'chip small';
    return el('button', { type: 'button', class: kind, title, 'data-field': field, onclick: () => this.#onChip(field, value) }, text);
  }

  /** What is shown when a hit is opened. */
  #fill(item) {
    const hit = this.#answer.hits[Number(item.dataset.at)];
    const other = this.#other?.hits.find((candidate) => candidate.id === hit.id);
    const float = (value) => [String(value), el('span', { class: 'bits', title: 'The 32 bits of the number' }, bits(value))];
    const same = other && (other.score === hit.score ? 'the same bits on the other side' : `the other side says ${other.score}`);
    /** @type {[string, any[]][]} */
    const pairs = [
      ['Score', [...float(hit.score), same && el('span', { class: 'aside' }, same)]],
      [`Distance (${this.#answer.metric})`, float(hit.distance)],
      ['Passage', [el('code', {}, hit.id)]],
      ['Document', [el('code', {}, hit.document_id)]],
      ...Object.entries({ ...hit.metadata, title: '', tags: '', ...hit.attributes }).map(plainPair),
    ];
    const known = pairs.filter(([, values]) => values[0] !== '');
    const rows = known.map(([name, values]) => el('div', {}, el('dt', {}, name), el('dd', {}, ...values)));
    item.querySelector('.hit-detail').replaceChildren(el('dl', {}, ...rows));
  }

  /** Arrows walk through the hits; Escape goes back to the question. */
  #move(event) {
    const titles = this.#titles();
    const at = titles.findIndex((title) => title.closest('.hit')?.contains(event.target));
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: titles.length - 1 }[event.key];
    if (event.key !== 'Escape' && next === undefined) return;
    event.preventDefault();
    if (event.key === 'Escape' || next < 0) byId('query').focus();
    else titles[Math.min(next, titles.length - 1)].focus();
  }
}

/** @returns {[string, any[]]} */
function plainPair([name, value]) {
  return [label(name), [[value].flat().join(', ')]];
}

/** What a chip says: words stand for themselves, numbers need their field. */
function chipText(field, value) {
  if (typeof value === 'string') return value;
  if (field === 'year' && Number.isInteger(value)) return year(value);
  return `${field.replaceAll('_', ' ')} ${value}`;
}

/** How long the bars are: cosine has a scale of its own, other metrics are shown between the worst and the best hit. */
function scale({ hits, metric }) {
  if (metric === 'cosine') return (hit) => Math.max(0, Math.min(1, hit.score));
  const scores = hits.map((hit) => hit.score);
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  return (hit) => (high > low ? 0.1 + (0.9 * (hit.score - low)) / (high - low) : 1);
}

/** The panel that tells how an answer came about. */
export function drawExplain(answer) {
  const { explain } = answer ?? {};
  byId('explain').hidden = !explain;
  if (!explain) return;
  const percent = (fraction) => `${(100 * fraction).toFixed(fraction < 0.1 && fraction > 0 ? 1 : 0)} %`;
  const ways = {
    exact_scan: 'Every passage was compared with the question: exact, nothing is guessed.',
    filtered_exact_scan: 'The filter was evaluated for every passage, and every one that passes was compared: exact, nothing is guessed.',
  };
  const pairs = [
    ['Index', explain.index],
    ['Strategy', explain.strategy.replaceAll('_', ' ')],
    ['Passes the filter', `${explain.matching} of ${explain.chunks} (${percent(explain.selectivity)})`],
    ['Vectors compared', String(explain.visited)],
    ['Hits', `${answer.returned} of ${answer.requested} asked for`],
  ];
  byId('explain-body').replaceChildren(
    el('p', {}, ways[explain.strategy] ?? ''),
    el('dl', {}, ...pairs.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)))),
  );
  byId('fewer').hidden = !explain.fewer_because;
  byId('fewer').replaceChildren(icon('info'), ` ${answer.returned} of ${answer.requested}: ${explain.fewer_because ?? ''}.`);
}
