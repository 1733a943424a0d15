//! The KD-tree: exact search for few dimensions.
//!
//! The rows are halved again and again, each time across the widest side of the box around them, down to leaves of 16. A search
//! walks into the nearer half first and leaves out every box that is farther away than the k-th nearest row so far.
//!
//! | | cost |
//! |---|---|
//! | build | O(n log n), about 0.05 s for 200,000 rows of 3 dimensions |
//! | search | O(log n) in few dimensions, a microsecond or two at 3; towards O(n) from some 10 dimensions on |
//! | add | O(log n), and O(log² n) amortised for rebuilding parts that have become lopsided |
//! | remove | O(log n); boxes shrink and leaves merge, nothing is left behind |
//! | memory | some 40 bytes at 3 dimensions: see below |
//!
//! Memory: 4 bytes for each dimension and 4 for the slot, in leaves that are half to wholly full; 4 for the way back; boxes of
//! `16 * dimension + 20` bytes for every two leaves.
//!
//! **When.** Points of up to some 10 dimensions (places, colours, features that were reduced), where it is exact and far
//! ahead of everything approximate. With more dimensions the boxes of most leaves reach as near as the k-th nearest row,
//! and reading everything in order is faster: choose [`flat`](super::flat), or a graph. It is correct for any dimension.
//!
//! **Exact to the bit.** Leaves hold a copy of the coordinates, by dimension, and compute the canonical
//! [`Metric::key`] of several rows at once in the order of sums that [`distance`](crate::distance) fixes. The bound of a box
//! is the key of that point of the box which is nearest to the query, summed in the same order. Rounded subtraction,
//! multiplication and addition are monotonic, so that no row in the box has a key below the bound, not even in its last bit;
//! and as boxes are left out only when their bound is greater than the k-th key, never when it is equal, ties are settled by slot
//! exactly as in a scan.
//!
//! - *Euclidean*: the bound is the squared distance to the box.
//! - *Dot*: the bound is the product with the corner that lies farthest in the query's direction. Correct, but much looser.
//! - *Cosine*: on unit vectors the order of keys is that of distances: `-q·x = (|q - x|² - |q|² - |x|²) / 2`. With the
//!   longest `|x|²` there ever was and a margin for rounding that is a bound on the key.
//!
//! **Effort** is how many rows may be compared; then boxes are opened nearest first. 0 is exact. Beyond the effort a search goes
//! on until it has k rows, if there are k.
//!
//! Papers: J. L. Bentley, *Multidimensional binary search trees used for associative searching* (1975); J. H. Friedman,
//! J. L. Bentley, R. A. Finkel, *An algorithm for finding best matches in logarithmic expected time* (1977); for bounded visits S. Arya,
//! D. M. Mount et al., *An optimal algorithm for approximate nearest neighbor searching in fixed dimensions* (1998); for rebuilding
//! lopsided parts I. Galperin, R. L. Rivest, *Scapegoat trees* (1993).

mod build;
mod bytes;
mod change;
mod leaves;
mod search;
#[cfg(test)]
mod tests;

use crate::{distance::Metric, pool::Pool, slots::SlotSet};

use self::leaves::Leaves;
use super::{Found, Rows, Search, VectorIndex};

/// A leaf, or a pair of parts: twice its number, and one more for a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part(u32);

/// No part, no parent, no leaf.
const NONE: u32 = u32::MAX;

impl Part {
    fn leaf(number: u32) -> Self {
        Self(number * 2 + 1)
    }

    fn pair(number: u32) -> Self {
        Self(number * 2)
    }

    #[inline(always)]
    fn is_leaf(self) -> bool {
        self.0 & 1 == 1
    }

    #[inline(always)]
    fn number(self) -> usize {
        self.0 as usize / 2
    }
}

/// Two parts whose boxes are read together.
#[derive(Clone, Copy, Debug)]
struct Pair {
    parts: [Part; 2],
    /// Rows in each part.
    counts: [u32; 2],
    /// The place of this pair: twice the number of the pair above, plus the side; or [`NONE`].
    parent: u32,
}

/// The tree. See the [module](self).
#[derive(Clone, Debug)]
pub struct KdTree {
    dimension: usize,
    metric: Metric,
    root: Option<Part>,
    used: SlotSet,
    pairs: Vec<Pair>,
    free_pairs: Vec<u32>,
    /// For each pair and dimension: the lower ends of both boxes, then the upper ends.
    boxes: Vec<[f32; 4]>,
    leaves: Leaves,
    /// The leaf of each slot, or [`NONE`].
    leaf_of: Vec<u32>,
    /// The greatest squared length that a row ever had.
    longest: f64,
}

impl KdTree {
    /// A tree without rows.
    pub fn new(dimension: usize, metric: Metric) -> Self {
        Self {
            dimension,
            metric,
            root: None,
            used: SlotSet::default(),
            pairs: Vec::new(),
            free_pairs: Vec::new(),
            boxes: Vec::new(),
            leaves: Leaves::new(dimension),
            leaf_of: Vec::new(),
            longest: 0.0,
        }
    }

    /// How many rows are in the tree.
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// Whether no row is in the tree.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }
}

impl VectorIndex for KdTree {
    fn name(&self) -> &'static str {
        "kd_tree"
    }

    /// When there are as many slots as the tree has rows, all of it is built anew.
    fn insert(&mut self, rows: Rows<'_>, slots: &[u32], _: &dyn Pool) {
        self.add(rows.vectors, slots);
    }

    fn remove(&mut self, _: Rows<'_>, slots: &[u32], _: &dyn Pool) {
        slots.iter().for_each(|slot| self.take_out(*slot));
    }

    fn search(&self, search: &Search<'_>) -> Found {
        self.find(search)
    }

    fn memory(&self) -> usize {
        self.pairs.capacity() * size_of::<Pair>()
            + self.boxes.capacity() * size_of::<[f32; 4]>()
            + self.leaves.memory()
            + (self.leaf_of.capacity() + self.free_pairs.capacity()) * 4
    }
}
