// Filters as rows of field, operator and value, and back: the simple half of what filters can say.

/** @typedef {{field: string, operator: string, value: any}} Row */

/** The fixed fields that a row may name, with their types. */
const FIXED = {
  title: 'text',
  text: 'text',
  author: 'keyword',
  document_type: 'keyword',
  tags: 'keyword',
  created_at: 'timestamp',
  source_url: 'keyword',
  page_number: 'integer',
  chunk_index: 'integer',
  document_id: 'keyword',
  id: 'keyword',
};

const IS = ['$eq', 'is'];
const IS_NOT = ['$ne', 'is not'];
const ANY = ['$in', 'is any of'];
const NONE = ['$nin', 'is none of'];
const EXISTS = ['$exists', 'is given'];
const NUMBERS = [IS, IS_NOT, ['$gte', 'at least'], ['$lte', 'at most'], ['$gt', 'more than'], ['$lt', 'less than'], ANY, NONE, EXISTS];

/** Operators by type, in the words of the page. @type {Record<string, string[][]>} */
const OPERATORS = {
  keyword: [IS, IS_NOT, ANY, NONE, ['$prefix', 'starts with'], ['$contains', 'contains'], EXISTS],
  text: [['$contains', 'contains'], ['$prefix', 'starts with'], IS, IS_NOT, EXISTS],
  integer: NUMBERS,
  float: NUMBERS,
  boolean: [IS, IS_NOT, EXISTS],
  timestamp: [['$gte', 'from'], ['$lt', 'before'], ['$lte', 'until'], ['$gt', 'after'], IS, EXISTS],
};

/** All fields that rows may name, those of the library first. @param {Record<string, string>} schema */
export function fieldTypes(schema) {
  return { ...schema, ...FIXED };
}

/** @param {string} type */
export function operatorsOf(type) {
  return OPERATORS[type] ?? OPERATORS.keyword;
}

export function takesList(operator) {
  return operator === '$in' || operator === '$nin';
}

/** The value that a row's text stands for; undefined while it is incomplete. */
export function parseValue(type, operator, text) {
  if (operator === '$exists') return text !== 'false';
  if (takesList(operator)) {
    const items = text.split(',').map((item) => parseOne(type, item.trim()));
    return items.includes(undefined) ? undefined : items;
  }
  return parseOne(type, type === 'text' ? text : text.trim());
}

function parseOne(type, text) {
  if (text === '') return undefined;
  if (type === 'boolean') return text === 'true';
  if (type !== 'integer' && type !== 'float') return text;
  const number = Number(text);
  return Number.isFinite(number) ? number : undefined;
}

/** The text for a row's value. */
export function showValue(value) {
  if (value === undefined) return '';
  return Array.isArray(value) ? value.join(', ') : String(value);
}

/** One filter from all rows, which must all hold; rows without a value are left out. @param {Row[]} rows */
export function toFilter(rows) {
  const complete = rows.filter((row) => row.value !== undefined);
  const merged = {};
  const rest = [];
  for (const { field, operator, value } of complete) {
    const operators = (merged[field] ??= {});
    if (operator in operators) rest.push({ [field]: { [operator]: value } });
    else operators[operator] = value;
  }
  for (const [field, operators] of Object.entries(merged)) {
    if (Object.keys(operators).join() === '$eq') merged[field] = operators.$eq;
  }
  if (complete.length === 0) return null;
  return rest.length ? { $and: [merged, ...rest] } : merged;
}

/** The rows that say the same as a filter; null when rows cannot say it. @returns {Row[] | null} */
export function toRows(filter) {
  if (!filter) return [];
  const rows = [];
  for (const [field, condition] of Object.entries(filter)) {
    const more = field === '$and' ? andRows(condition) : fieldRows(field, condition);
    if (!more) return null;
    rows.push(...more);
  }
  return rows;
}

function andRows(filters) {
  if (!Array.isArray(filters)) return null;
  const all = filters.map((filter) => (isObject(filter) ? toRows(filter) : null));
  return all.includes(null) ? null : all.flat();
}

function fieldRows(field, condition) {
  if (field.startsWith('$')) return null;
  if (!isObject(condition)) return [{ field, operator: '$eq', value: condition }];
  const entries = Object.entries(condition);
  if (entries.some(([operator]) => operator === '$not')) return null;
  return entries.map(([operator, value]) => ({ field, operator, value }));
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether rows ask for this value of a field. @param {Row[]} rows */
export function asksFor(rows, field, value) {
  return rows.some((row) => row.field === field && (row.operator === '$eq' ? row.value === value : isIn(row, value)));
}

function isIn(row, value) {
  return row.operator === '$in' && Array.isArray(row.value) && row.value.includes(value);
}

/** Rows with a value of a field added as an alternative, or taken away. @param {Row[]} rows @returns {Row[]} */
export function toggled(rows, field, value) {
  const asked = rows.filter((row) => row.field === field && (row.operator === '$eq' || row.operator === '$in'));
  const others = rows.filter((row) => !asked.includes(row));
  const values = asked.flatMap((row) => row.value ?? []);
  const next = values.includes(value) ? values.filter((other) => other !== value) : [...values, value];
  if (next.length === 0) return others;
  return [...others, next.length === 1 ? { field, operator: '$eq', value: next[0] } : { field, operator: '$in', value: next }];
}

/** Rows with another bound of a field; undefined takes it away. @param {Row[]} rows @returns {Row[]} */
export function bounded(rows, field, operator, value) {
  const others = rows.filter((row) => row.field !== field || row.operator !== operator);
  return value === undefined ? others : [...others, { field, operator, value }];
}
