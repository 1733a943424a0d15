/** One value of a filter. */
export type FilterValue = string | number | boolean;

/** The operators that stand beside a field's name; all of them must hold. */
export interface FilterOperators {
  $eq?: FilterValue;
  $ne?: FilterValue;
  $gt?: FilterValue;
  $gte?: FilterValue;
  $lt?: FilterValue;
  $lte?: FilterValue;
  $in?: FilterValue[];
  $nin?: FilterValue[];
  $exists?: boolean;
  $contains?: FilterValue;
  $prefix?: string;
  $not?: FilterOperators;
}

/** Which chunks may be in an answer: every entry must hold. */
export type Filter =
  | { $and: Filter[] }
  | { $or: Filter[] }
  | { $not: Filter }
  | { [field: string]: FilterValue | FilterOperators };

/** What is asked of a library. */
export interface Query {
  /** As long as the library's dimension. */
  embedding: Float32Array | number[];
  /** How many hits are wanted, 1 to 10,000; 10 if left out. */
  k?: number;
  filter?: Filter | null;
  /** What a hit tells beside its ids and its score; all but the embedding if left out. */
  include?: ("text" | "metadata" | "attributes" | "embedding")[];
  /** The share of the true nearest that the answer shall hold, above 0 and at most 1; the library's own if left out. */
  target_recall?: number;
  /** How hard to look, instead of what `target_recall` comes to: `ef`, `nprobe` or candidates. */
  effort?: number;
  /** Whether the answer explains itself. */
  explain?: boolean;
}

/** A value of an attribute. */
export type Attribute = string | number | boolean | (string | number | boolean)[];

/** The fixed metadata of a document. */
export interface DocumentMetadata {
  title: string;
  author?: string;
  created_at: string;
  document_type?: string;
  source_url?: string;
  tags: string[];
}

/** What a hit tells of its chunk and its document. */
export interface HitMetadata extends DocumentMetadata {
  page_number?: number;
  chunk_index: number;
}

/** A chunk that was found. */
export interface Hit {
  id: string;
  document_id: string;
  /** Higher is better. A 32-bit float: `Math.fround(score) === score`. */
  score: number;
  /** Lower is nearer; exact as the score is. */
  distance: number;
  text?: string;
  metadata?: HitMetadata;
  attributes?: Record<string, Attribute>;
  embedding?: number[];
}

/** How an answer came about. */
export interface Explain {
  index: string;
  strategy: "exact_scan" | "filtered_exact_scan" | "index" | "masked_index" | "two_hop_index";
  /** `int8` where the library is open without its float rows: scores are those of the codes. */
  precision: "float32" | "int8";
  /** The recall that was asked for. */
  target_recall: number;
  /** The recall that the library has measured for the effort that was chosen. */
  measured_recall?: number;
  /** How hard the index looked. */
  effort?: number;
  /** Chunks in the library. */
  chunks: number;
  /** Chunks that pass the filter. */
  matching: number;
  /** `matching / chunks`. */
  selectivity: number;
  /** The selectivity as it was estimated beforehand. */
  estimated_selectivity?: number;
  /** Vectors that were compared with the query. */
  visited: number;
  /** Chunks that the index had not taken in yet, compared one by one. */
  unlinked: number;
  /** Why fewer hits came back than were wanted. */
  fewer_because?: string;
}

/** The answer to a query: what the server answers, without its `took_ms`. */
export interface Answer {
  /** Best first. */
  hits: Hit[];
  returned: number;
  requested: number;
  /** Whether these are all chunks that match. */
  exhausted: boolean;
  metric: "cosine" | "euclidean" | "dot";
  /** The last write that the answer knows of. */
  seq: number;
  explain?: Explain;
}

/** What is known of a library as a whole. */
export interface LibraryInfo {
  id: string;
  name: string;
  metadata: {
    description?: string;
    created_at: string;
    index_type: string;
    embedding_dimension?: number;
    embedding_model?: string;
    embedding_model_sha256?: string;
  };
  metric: "cosine" | "euclidean" | "dot";
  schema: {
    strict: boolean;
    fields: Record<string, "keyword" | "integer" | "float" | "boolean" | "timestamp" | "text">;
  };
  documents: number;
  chunks: number;
  seq: number;
}

/** A document. */
export interface Document {
  id: string;
  metadata: DocumentMetadata;
  attributes: Record<string, Attribute>;
  /** Ids of its chunks, in order. */
  chunks: string[];
}

/** A chunk. */
export interface Chunk {
  id: string;
  document_id: string;
  text: string;
  metadata: { created_at: string; page_number?: number; chunk_index: number };
  attributes: Record<string, Attribute>;
  embedding?: number[];
}

/** What every function throws. */
export interface VecinoError extends Error {
  name: "VecinoError";
  /** Stable, such as `wrong_dimension`, `unknown_field` or `damaged`. */
  code: string;
  /** The field at fault, as a path. */
  field?: string;
  /** What would have been right. */
  expected?: unknown;
  /** What came instead. */
  received?: unknown;
}
