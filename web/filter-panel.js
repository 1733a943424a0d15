// The filter panel: chips and ranges for the fields that have few values, rows for any field, and the JSON itself.
// All three show one filter. A filter is applied only when the engine takes it; until then the one before stays.

import { byId, el, icon, show } from './dom.js';
import { count, label } from './format.js';
import { asksFor, bounded, fieldTypes, operatorsOf, parseValue, showValue, takesList, toFilter, toRows, toggled } from './filter-rows.js';

const CHIPS = 16;
const CHIP_GROUPS = 4;

export class FilterPanel {
  /** @type {object | null} */ #filter = null;
  /** @type {import('./filter-rows.js').Row[] | null} */ #rows = [];
  /** @type {Record<string, string>} */ #types = {};
  /** @type {import('./facets.js').Facet[]} */ #facets = [];
  #check;
  #onChange;
  #turn = 0;

  /**
   * @param {(filter: object | null) => Promise<{matching: number, chunks: number} | null>} check  asks the engine
   * @param {(filter: object | null) => void} onChange  called with every filter that the engine takes
   */
  constructor(check, onChange) {
    this.#check = check;
    this.#onChange = onChange;
    byId('filter-json').addEventListener('input', () => this.#readJson());
    byId('filter-clear').addEventListener('click', () => this.set(null));
    byId('filter-add').addEventListener('click', () => this.#addRow());
  }

  /** The filter that the engine took last. */
  get filter() {
    return this.#filter;
  }

  /** Shows the fields of another library. @param {{label: string, filter: object}[]} examples */
  describe(schema, facets, examples) {
    this.#types = fieldTypes(schema);
    this.#facets = facets;
    const example = ({ label: text, filter }) => el('button', { type: 'button', class: 'link', onclick: () => this.set(filter) }, text);
    byId('filter-examples').replaceChildren(...examples.map(example));
    show(byId('filter-examples-box'), examples.length > 0);
    this.#draw();
  }

  /** Replaces the filter, and shows it everywhere. @param {object | null} filter */
  set(filter) {
    this.#rows = toRows(filter);
    this.#writeJson(filter);
    this.#draw();
    return this.#apply(filter);
  }

  /** Adds or removes one value of a field. */
  toggle(field, value) {
    const rows = this.#rows ?? [];
    if (this.#rows || !this.#filter) return this.#setRows(toggled(rows, field, value));
    return this.set({ $and: [this.#filter, { [field]: value }] });
  }

  #setRows(rows, redraw = true) {
    this.#rows = rows;
    const filter = toFilter(rows);
    this.#writeJson(filter);
    if (redraw) this.#draw();
    else this.#drawFacets();
    return this.#apply(filter);
  }

  #addRow() {
    const [field, type] = Object.entries(this.#types)[0];
    this.#rows = [...(this.#rows ?? []), { field, operator: operatorsOf(type)[0][0], value: undefined }];
    this.#draw();
    byId('filter-rows').lastElementChild.querySelector('select').focus();
  }

  #writeJson(filter) {
    byId('filter-json').value = filter ? JSON.stringify(filter, null, 2) : '';
  }

  #readJson() {
    const text = byId('filter-json').value.trim();
    let filter = null;
    try {
      filter = text === '' ? null : JSON.parse(text);
    } catch (error) {
      return this.#complain(`This is not JSON yet: ${error.message}`);
    }
    this.#rows = filter === null || typeof filter === 'object' ? toRows(filter) : null;
    this.#draw();
    return this.#apply(filter);
  }

  /** Asks the engine, and hands on what it takes. The newest question wins. */
  async #apply(filter) {
    const turn = ++this.#turn;
    try {
      const found = filter === null ? null : await this.#check(filter);
      if (turn !== this.#turn) return;
      this.#accept(filter, found);
    } catch (error) {
      if (turn === this.#turn) this.#complain(error.message, error.field);
    }
  }

  #accept(filter, found) {
    this.#filter = filter;
    byId('filter-json').removeAttribute('aria-invalid');
    show(byId('filter-error'), false);
    byId('filter-count').textContent = found ? `${count(found.matching)} of ${count(found.chunks)} passages match` : '';
    byId('filter-badge').textContent = filter ? 'on' : '';
    show(byId('filter-badge'), filter !== null);
    show(byId('filter-clear'), filter !== null);
    this.#onChange(filter);
  }

  #complain(message, field) {
    byId('filter-json').setAttribute('aria-invalid', 'true');
    const place = field ? [el('code', {}, field), ' '] : [];
    byId('filter-error').replaceChildren(...place, message);
    show(byId('filter-error'), true);
    show(byId('filter-clear'), true);
    byId('filter-count').textContent = this.#filter ? 'The filter before is still in use.' : '';
  }

  #draw() {
    this.#drawFacets();
    this.#drawRows();
  }

  #drawFacets() {
    const few = (facet) => facet.distinct >= 2 && facet.distinct <= CHIPS && facet.type !== 'float' && facet.type !== 'text';
    const wide = (facet) => facet.min !== undefined && facet.distinct > CHIPS && facet.min < facet.max;
    const chips = this.#facets.filter(few).slice(0, CHIP_GROUPS).map((facet) => this.#chipGroup(facet));
    const ranges = this.#facets.filter(wide).slice(0, 2).map((facet) => this.#rangeGroup(facet));
    byId('filter-facets').replaceChildren(...chips, ...ranges);
    show(byId('filter-facets'), this.#rows !== null);
  }

  #chipGroup({ field, type, values }) {
    const order = type === 'integer' ? [...values].sort(([a], [b]) => a - b) : values;
    const chip = ([value, times]) =>
      el(
        'button',
        {
          type: 'button',
          class: 'chip',
          'aria-pressed': String(asksFor(this.#rows ?? [], field, value)),
          'data-field': field,
          'data-value': String(value),
          onclick: () => this.toggle(field, value).then(() => this.#refocus(field, value)),
        },
        String(value),
        el('span', { class: 'chip-count' }, count(times)),
      );
    return el('fieldset', { class: 'facet' }, el('legend', {}, label(field)), el('div', { class: 'chips' }, ...order.map(chip)));
  }

  /** Chips are drawn anew: the keyboard stays where it was. */
  #refocus(field, value) {
    const selector = `.chip[data-field="${CSS.escape(field)}"][data-value="${CSS.escape(String(value))}"]`;
    if (document.activeElement === document.body) byId('filter-facets').querySelector(selector)?.focus();
  }

  /** @param {import('./facets.js').Facet} facet */
  #rangeGroup({ field, min, max }) {
    const bound = (operator, name, placeholder) => {
      const row = (this.#rows ?? []).find((one) => one.field === field && one.operator === operator);
      const change = (event) => {
        const text = event.target.value.trim();
        this.#setRows(bounded(this.#rows ?? [], field, operator, text === '' ? undefined : Number(text)));
      };
      const input = el('input', { type: 'number', step: 'any', placeholder: String(placeholder), value: showValue(row?.value), onchange: change });
      return el('label', {}, el('span', {}, name), input);
    };
    const bounds = el('div', { class: 'range' }, bound('$gte', 'from', min), bound('$lte', 'to', max));
    return el('fieldset', { class: 'facet' }, el('legend', {}, label(field)), bounds);
  }

  #drawRows() {
    byId('filter-rows').replaceChildren(...(this.#rows ?? []).map((row, at) => this.#row(row, at)));
    show(byId('filter-rich'), this.#rows === null);
    show(byId('filter-add'), this.#rows !== null);
    if (this.#rows === null) byId('filter-more').open = true;
  }

  #row(row, at) {
    const type = this.#types[row.field] ?? 'keyword';
    const change = (changes, redraw) => this.#setRows((this.#rows ?? []).map((old, i) => (i === at ? { ...old, ...changes } : old)), redraw);
    const onField = (event) => {
      const field = event.target.value;
      change({ field, operator: operatorsOf(this.#types[field])[0][0], value: undefined });
    };
    const onOperator = (event) => {
      const operator = event.target.value;
      const text = operator === '$exists' ? 'true' : row.operator === '$exists' ? '' : showValue(row.value);
      change({ operator, value: parseValue(type, operator, text) });
    };
    const names = this.#types[row.field] ? Object.keys(this.#types) : [row.field, ...Object.keys(this.#types)];
    const remove = () => this.#setRows((this.#rows ?? []).filter((_, i) => i !== at));
    return el(
      'li',
      { class: 'row' },
      select('Field', names.map((name) => [name, name.replaceAll('_', ' ')]), row.field, onField),
      select('Operator', operatorsOf(type), row.operator, onOperator),
      this.#value(row, type, (value) => change({ value }, false)),
      el('button', { type: 'button', class: 'quiet', 'aria-label': `Remove the condition on ${row.field}`, onclick: remove }, icon('close')),
    );
  }

  #value(row, type, onValue) {
    const read = (event) => onValue(parseValue(type, row.operator, event.target.value));
    if (row.operator === '$exists') return select('Value', [['true', 'yes'], ['false', 'no']], String(row.value ?? true), read);
    if (type === 'boolean') return select('Value', [['', '…'], ['true', 'true'], ['false', 'false']], showValue(row.value), read);
    const number = (type === 'integer' || type === 'float') && !takesList(row.operator);
    const known = number ? [] : (this.#facets.find((facet) => facet.field === row.field)?.values ?? []);
    const list = `values-${row.field}`;
    const placeholder = takesList(row.operator) ? 'one, two' : type === 'timestamp' ? '2020-01-31' : 'value';
    const input = el('input', {
      type: number ? 'number' : 'text',
      step: number ? 'any' : undefined,
      'aria-label': 'Value',
      placeholder,
      list: known.length ? list : undefined,
      value: showValue(row.value),
      oninput: read,
    });
    const options = known.map(([value]) => el('option', { value: String(value) }));
    return el('span', { class: 'value' }, input, known.length > 0 && el('datalist', { id: list }, ...options));
  }
}

function select(name, options, chosen, onchange) {
  const known = options.some(([value]) => value === chosen) ? options : [...options, [chosen, chosen]];
  const list = known.map(([value, text]) => el('option', { value, selected: value === chosen }, text));
  return el('select', { 'aria-label': name, onchange }, ...list);
}
