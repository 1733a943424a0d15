// What the address says of a search, so that it can be shared: library, query, k, filter, and where to search.

/** @typedef {{library?: string, query: string, k: number, filter: object | null, where: 'tab' | 'server' | 'both'}} Place */

const WHERE = ['tab', 'server', 'both'];

/** @returns {Place} */
export function readAddress() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const k = Number(parameters.get('k'));
  const where = parameters.get('where');
  return {
    library: parameters.get('library') ?? undefined,
    query: parameters.get('q') ?? '',
    k: Number.isInteger(k) && k >= 1 && k <= 10_000 ? k : 10,
    filter: readFilter(parameters.get('filter')),
    where: WHERE.includes(where) ? /** @type {any} */ (where) : 'both',
  };
}

function readFilter(text) {
  try {
    const filter = JSON.parse(text ?? 'null');
    return filter && typeof filter === 'object' ? filter : null;
  } catch {
    return null; // a link that was cut off still opens the page
  }
}

/** Puts the search into the address, without a step in the history for every letter. @param {Place} place */
export function writeAddress({ library, query, k, filter, where }) {
  const parameters = new URLSearchParams();
  if (library) parameters.set('library', library);
  if (query) parameters.set('q', query);
  if (k !== 10) parameters.set('k', String(k));
  if (filter) parameters.set('filter', JSON.stringify(filter));
  if (where !== 'both') parameters.set('where', where);
  const hash = parameters.size ? `#${parameters}` : location.pathname;
  if (hash !== location.hash) history.replaceState(null, '', hash);
}
