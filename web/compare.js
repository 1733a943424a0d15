// Do two answers agree: the same ids, in the same order, with the same bits of every score?

const view = new DataView(new ArrayBuffer(4));

/** The bits of a 32-bit float, as eight hexadecimal digits. */
export function bits(number) {
  view.setFloat32(0, number);
  return view.getUint32(0).toString(16).padStart(8, '0');
}

/** Whether both are the same 32-bit float, and nothing was lost on the way. */
function sameFloat(a, b) {
  return Math.fround(a) === a && Math.fround(b) === b && bits(a) === bits(b);
}

/**
 * @typedef {{kind: 'same', count: number}
 *   | {kind: 'moved', tab: number, server: number}
 *   | {kind: 'differs', rank: number, why: 'id' | 'score' | 'length'}} Agreement
 */

/**
 * Compares the tab's answer with the server's. `moved`: the library has changed on the server since the tab took its copy.
 * @returns {Agreement}
 */
export function compare(tab, server) {
  if (tab.seq !== server.seq) return { kind: 'moved', tab: tab.seq, server: server.seq };
  const shorter = Math.min(tab.hits.length, server.hits.length);
  for (let at = 0; at < shorter; at += 1) {
    const [a, b] = [tab.hits[at], server.hits[at]];
    if (a.id !== b.id) return { kind: 'differs', rank: at + 1, why: 'id' };
    if (!sameFloat(a.score, b.score)) return { kind: 'differs', rank: at + 1, why: 'score' };
  }
  if (tab.hits.length !== server.hits.length) return { kind: 'differs', rank: shorter + 1, why: 'length' };
  return { kind: 'same', count: shorter };
}
