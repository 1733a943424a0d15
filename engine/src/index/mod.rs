//! Indexes: how the nearest candidates are found.
//!
//! An index holds slots, never vectors; the rows are in [`Vectors`] and the filter is an argument of the search, so that an
//! index can heed it while it looks and still return k results whenever k match.
//!
//! | index | build | search | memory a vector | exact |
//! |---|---|---|---|---|
//! | [`flat`] | none | reads every allowed row | 0 bytes | yes |
//! | [`kd_tree`] | O(n log n) | O(log n) in few dimensions | some 4 bytes a dimension, and 25 | yes |
//! | [`lsh`] | O(n) | O(effort) | some 10 bytes a table, and the codes | no |
//! | [`ivf`] | O(n sqrt(n)) | O(sqrt(n)) | some 10 bytes, and the codes | no |
//! | [`hnsw`] | O(n log n) | O(log n) | some 8.6 `m` bytes, and the codes | no |

pub mod any;
#[cfg(test)]
mod conformance;
pub mod flat;
pub mod hnsw;
pub mod ivf;
pub mod kd_tree;
pub mod lsh;
mod scan;
mod shortlist;
mod words;

use crate::{codes::Codes, distance::Metric, pool::Pool, slots::SlotSet, vectors::Vectors};

/// What is looked for.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// The rows.
    pub vectors: &'a Vectors,
    /// Their codes, if the library keeps any. Graphs need them.
    pub codes: Option<&'a Codes>,
    /// How they are compared.
    pub metric: Metric,
    /// The query; of unit length under cosine.
    pub query: &'a [f32],
    /// How many are wanted.
    pub k: usize,
    /// How hard to look: the more, the nearer to exact and the slower. What it means is the index's own; 0 is its default.
    pub effort: usize,
    /// The slots that may be in the answer.
    pub allowed: &'a SlotSet,
    /// Where to run parts of the search at once.
    pub pool: &'a dyn Pool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Keys and slots, nearest first, equal keys by slot. See [`Metric::key`].
    pub nearest: Vec<(f32, u32)>,
    /// Rows that were compared with the query.
    pub visited: usize,
    /// How they were looked for.
    pub strategy: Strategy,
}

/// How an index looked for the nearest of the allowed rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// All allowed rows were compared.
    #[default]
    ExactScan,
    /// By the index, as if everything were allowed.
    Index,
    /// By the index; rows that are not allowed are passed on the way, and left out.
    MaskedIndex,
    /// By the index, over allowed rows alone and those behind a row that is not allowed.
    TwoHopIndex,
}

impl Strategy {
    /// The name in explanations.
    pub const fn as_str(self, filtered: bool) -> &'static str {
        match (self, filtered) {
            (Self::ExactScan, false) => "exact_scan",
            (Self::ExactScan, true) => "filtered_exact_scan",
            (Self::Index, _) => "index",
            (Self::MaskedIndex, _) => "masked_index",
            (Self::TwoHopIndex, _) => "two_hop_index",
        }
    }
}

/// The nearest of `slots` exactly, joined with what was found among others.
pub(crate) fn join_exact(found: Found, search: &Search<'_>, codes: &Codes, slots: &[u32]) -> Found {
    let mut top = scan::nearest(search, codes, slots);
    for (key, slot) in found.nearest {
        top.push(key, slot);
    }
    Found { nearest: top.into_sorted_vec(), visited: found.visited + slots.len(), strategy: found.strategy }
}

/// The rows that an index is built over.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// The floats.
    pub vectors: &'a Vectors,
    /// Their codes, if the library keeps any.
    pub codes: Option<&'a Codes>,
}

/// A way to find the nearest slots.
///
/// Slots that were never inserted are found all the same, by comparing them one by one: an index may lag behind.
pub trait VectorIndex {
    /// The index's name, as in [`IndexType`](crate::model::IndexType).
    fn name(&self) -> &'static str;

    /// Takes in `slots`, whose rows are there. A slot that the index has already is taken in anew. What comes of it depends on how
    /// slots are cut into calls, never on their order within a call nor on `pool`.
    ///
    /// Of `rows`, those of slots that the index neither has nor takes in may hold anything.
    fn insert(&mut self, rows: Rows<'_>, slots: &[u32], pool: &dyn Pool);

    /// Takes out `slots`; those that the index does not have are passed over. Many at once cost less than one by one.
    ///
    /// `rows` are as they were when the slots were taken in. Those of slots that the index does not have may hold anything.
    fn remove(&mut self, rows: Rows<'_>, slots: &[u32], pool: &dyn Pool);

    /// The `k` nearest of the allowed slots, or all of them when there are fewer.
    fn search(&self, search: &Search<'_>) -> Found;

    /// Bytes held, rows and codes not counted.
    fn memory(&self) -> usize;
}
