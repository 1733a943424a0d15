// Which words of a text to mark: those of the query, and their near forms.

const STOP = new Set(
  'a an and are as at be been but by can could did do does for from had has have how i if in into is it its me my no not of on or our so that the their them then there these they this to was we were what when where which who whom why will with would you your'.split(' '),
);

const ENDINGS = /(?:ing|edly|ed|es|s|ly|y|e)$/;

/** What is left of a word without a common ending. Rough, and only for marking. */
function stem(word) {
  const short = word.length > 4 ? word.replace(ENDINGS, '') : word;
  return short.length >= 3 ? short : word;
}

/** @param {string} text @returns {Set<string>} */
export function stems(text) {
  const words = (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).slice(0, 64);
  const telling = words.filter((word) => !STOP.has(word));
  return new Set(telling.map(stem));
}

/**
 * A text as nodes, with the query's words in `<mark>`.
 * @param {string} text @param {Set<string>} wanted @returns {(Node | string)[]}
 */
export function marked(text, wanted) {
  if (wanted.size === 0) return [text];
  return text.split(/([\p{L}\p{N}]+)/u).map((piece, at) => {
    // Every second piece is a word.
    if (at % 2 === 0 || !wanted.has(stem(piece.toLowerCase()))) return piece;
    const mark = document.createElement('mark');
    mark.textContent = piece;
    return mark;
  });
}
