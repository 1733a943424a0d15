//! HNSW: a graph in which every row links to rows near it in different directions, walked greedily towards the query.
//!
//! The walk reads [codes](crate::codes) alone, whose products are exact integers; the last few candidates are measured by their
//! float rows, so that keys are exact and equal on every machine.
//!
//! | | cost, with n rows of d dimensions |
//! |---|---|
//! | build | O(n log n): some `12 * ef_construction` comparisons of codes a row, on all threads of the pool |
//! | search | some `100 + 16 * effort` comparisons of codes, and a few more than k of floats |
//! | add | as a row of the build; a batch shares nothing but its threads |
//! | remove | at once, a thousand: one or two adds each; alone: a walk for the rows that link to it, or a pass over all links |
//! | memory a row | `8 m` bytes of links, 4 for a count, some `0.4 m` for the upper layers; and the codes, `d + 12` |
//!
//! The choice from some thousands of rows on, for any dimension above ten or so, when answers may miss a little: recall is
//! bought with effort, and 0.99 costs three times what 0.9 does.
//!
//! # The graph
//! A row is in layer `l` with probability `m^-l`, by the hash of its slot; see Malkov and Yashunin, "Efficient and robust
//! approximate nearest neighbor search using hierarchical navigable small world graphs" (2018), whose heuristic chooses the links.
//!
//! Building in batches, each planned against the graph as it stood before, gives the same graph on any number of threads; see
//! Dobson et al., "Scaling graph-based ANNS algorithms to billion-size datasets" (ParlayANN, 2023). Here the rows of a batch also
//! see each other, for one product is nearly free when all codes of a batch are in cache.
//!
//! Removal leaves no mark behind: the rows that linked to a removed one take over its links, as in FreshDiskANN (Singh et al.,
//! 2021), at once. Each row counts how many links lead to it. So a removal knows when it has found them all; and the
//! last link to a row is never cut without another taking its place.
//!
//! # Filters
//! The filter is heeded during the walk. Few allowed rows, or more that lie together, are compared one by one, exactly; others are
//! walked among themselves, in two hops past rows that are not allowed (ACORN, Patel et al., 2024); many are picked from a walk over
//! all. A walk that finds fewer than `k` is followed by comparing all.

mod beam;
mod graph;
mod image;
mod insert;
mod remove;
pub(super) mod search;
mod select;
#[cfg(test)]
mod tests;

use crate::{
    codes::{Codes, View},
    distance::Metric,
    pool::Pool,
};

use self::{beam::Scratches, graph::Layer};
use super::{Found, Rows, Search, VectorIndex, flat::Flat};

/// How a graph is built. Part of what its bytes depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Links that a new row asks for, and the most it has on an upper layer; on the base layer it may have twice as many. 2 to 128.
    pub m: usize,
    /// Candidates among which a new row chooses. At least 1.
    pub ef_construction: usize,
    /// What the layers of slots are drawn from.
    pub seed: u64,
    /// The effort of a search that names none: how many candidates it keeps.
    pub effort: usize,
}

impl Default for Params {
    /// 16 links and 200 candidates, as is usual; effort 64 gives a recall of 0.98 and more on text embeddings.
    fn default() -> Self {
        Self { m: 16, ef_construction: 200, seed: 0, effort: 64 }
    }
}

/// The graph. See the [module](self).
#[derive(Clone, Debug)]
pub struct Hnsw {
    params: Params,
    metric: Metric,
    /// From the base up; there is always a base.
    layers: Vec<Layer>,
    /// Where walks start: the highest layer and a row of it.
    entry: Option<(usize, u32)>,
    /// Under [`Metric::Dot`], the length that shorter rows were lifted to when rows were last added.
    lift: f32,
    scratches: Scratches,
}

impl Hnsw {
    /// An empty graph. Parameters beyond their limits are brought to them.
    pub fn new(metric: Metric, params: Params) -> Self {
        let params = Params { m: params.m.clamp(2, 128), ef_construction: params.ef_construction.max(1), ..params };
        Self {
            params,
            metric,
            layers: vec![Layer::new(2 * params.m, true)],
            entry: None,
            lift: 0.0,
            scratches: Scratches::default(),
        }
    }

    /// How the graph is built.
    pub fn params(&self) -> Params {
        self.params
    }

    /// How many slots are linked.
    pub fn len(&self) -> usize {
        self.layers.first().map_or(0, |base| base.used.len())
    }

    /// Whether no slot is linked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy with room for the slots below `end`.
    pub(crate) fn with_room(&self, end: usize) -> Self {
        let layers = self.layers.iter().map(|layer| if layer.above.is_none() { layer.with_room(end) } else { layer.clone() });
        Self { layers: layers.collect(), scratches: Scratches::default(), ..*self }
    }

    /// As [`VectorIndex::search`], as if `hidden` were not in the graph.
    pub(crate) fn search_without(&self, search: &Search<'_>, hidden: u32) -> Found {
        match search.codes {
            Some(codes) => self.find(search, codes, Some(hidden)),
            None => Flat.search(search),
        }
    }

    /// The codes by which rows are near each other. By their products alone, all links would lead to the longest rows; lifted to one
    /// length, the longest rows, which are the answers to most queries, would be far from each other and hard to reach. So all but
    /// the longest are lifted: those keep to each other, and the others hold together.
    fn link_view<'a>(&self, codes: &'a Codes) -> View<'a> {
        match self.metric {
            Metric::Dot => codes.lifted(self.lift),
            Metric::Cosine | Metric::Euclidean => codes.view(self.metric),
        }
    }

    /// How many links a row of this layer keeps at least, where there are as many candidates.
    fn fill(&self, level: usize) -> usize {
        if level == 0 { self.params.m } else { self.params.m / 2 }
    }
}

impl VectorIndex for Hnsw {
    fn name(&self) -> &'static str {
        "hnsw"
    }

    /// Without codes nothing is linked, and searches compare one by one.
    fn insert(&mut self, rows: Rows<'_>, slots: &[u32], pool: &dyn Pool) {
        if let Some(codes) = rows.codes {
            self.link_all(codes, slots, pool);
        }
    }

    fn remove(&mut self, rows: Rows<'_>, slots: &[u32], pool: &dyn Pool) {
        if let Some(codes) = rows.codes {
            self.unlink_all(codes, slots, pool);
        }
    }

    fn search(&self, search: &Search<'_>) -> Found {
        match search.codes {
            Some(codes) => self.find(search, codes, None),
            None => Flat.search(search),
        }
    }

    fn memory(&self) -> usize {
        self.layers.iter().map(Layer::memory).sum()
    }
}
