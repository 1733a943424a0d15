// What to try first. The sample has examples of its own; any other library shows some of its own titles.

/** Whether a library looks like the sample: it has the fields that the examples use. */
export function isSample(info) {
  const { topic, year, difficulty } = info.schema.fields;
  return topic === 'keyword' && year === 'integer' && difficulty === 'integer';
}

export const QUERIES = [
  'how do birds find their way',
  'why is bread airy',
  'music that calms people down',
  'what happens while we sleep',
  'a bridge that fell down',
];

/** @type {{label: string, filter: object}[]} */
export const FILTERS = [
  { label: 'Easy reading', filter: { difficulty: { $lte: 2 } } },
  { label: 'The 19th century', filter: { year: { $gte: 1800, $lt: 1900 } } },
  { label: 'Birds or the sea', filter: { topic: { $in: ['birds', 'the sea'] } } },
  { label: 'Stories, not from London', filter: { document_type: 'story', $not: { place: { $prefix: 'London' } } } },
];
