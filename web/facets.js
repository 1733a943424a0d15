// Which values the fields of a library have: what the page offers as chips, ranges and suggestions.

/**
 * @typedef {object} Facet
 * @property {string} field
 * @property {string} type                    keyword, integer, float, boolean, timestamp or text
 * @property {[string | number | boolean, number][]} values   the most frequent ones, with how often they were seen
 * @property {number} distinct                how many there are
 * @property {number} [min]                   of numbers
 * @property {number} [max]
 * @property {boolean} complete               whether every chunk was looked at
 */

const VALUES_KEPT = 60;

/** Fixed fields that are worth offering, and where a hit has them. */
const FIXED = { document_type: 'keyword', author: 'keyword', tags: 'keyword' };

/**
 * @param {Record<string, string>} schema  attribute fields and their types
 * @param {any[]} hits                  chunks with metadata and attributes
 * @param {number} chunks                  how many there are in all
 * @returns {Facet[]}
 */
export function summarise(schema, hits, chunks) {
  const attributes = Object.entries(schema).map(([field, type]) => facet(field, type, hits.map((hit) => hit.attributes[field])));
  const fixed = Object.entries(FIXED).map(([field, type]) => facet(field, type, hits.map((hit) => hit.metadata[field])));
  const complete = hits.length === chunks;
  const all = [...attributes, ...fixed].filter((found) => found.distinct > 0).map((found) => ({ ...found, complete }));
  return all.sort((a, b) => weight(a) - weight(b));
}

/** Names before numbers, few values before many: what people look for first. */
function weight({ type, distinct }) {
  return distinct + (type === 'keyword' || type === 'boolean' ? 0 : 100_000);
}

function facet(field, type, rows) {
  const counts = new Map();
  for (const value of rows.flat()) {
    if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  const values = [...counts].sort(byCount).slice(0, VALUES_KEPT);
  const numbers = type === 'integer' || type === 'float' ? [...counts.keys()] : [];
  const range = numbers.length ? { min: numbers.reduce((a, b) => Math.min(a, b)), max: numbers.reduce((a, b) => Math.max(a, b)) } : {};
  return { field, type, values, distinct: counts.size, ...range };
}

function byCount([a, countA], [b, countB]) {
  return countB - countA || (a < b ? -1 : 1);
}
