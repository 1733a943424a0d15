//! HNSW.

mod beam;
mod graph;
mod insert;
mod remove;
mod search;
mod select;

use crate::{codes::Codes, distance::Metric};

use self::{beam::Scratches, graph::Layer};
use super::{Found, Search, VectorIndex, flat::Flat};

/// How a graph is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Links of a row on the upper layers; twice as many on the base layer.
    pub m: usize,
    /// Candidates among which a new row chooses its links.
    pub ef_construction: usize,
    /// What the layers of rows are drawn from.
    pub seed: u64,
    /// Effort of a search that names none.
    pub effort: usize,
    /// experimental
    pub fill: usize,
    /// experimental
    pub forward: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { m: 16, ef_construction: 200, seed: 0, effort: 64, fill: 0, forward: 16 }
    }
}

/// The graph.
#[derive(Clone, Debug)]
pub struct Hnsw {
    params: Params,
    metric: Metric,
    /// From the base up.
    layers: Vec<Layer>,
    /// Where searches start: a layer and a row of it.
    entry: Option<(usize, u32)>,
    scratches: Scratches,
}

impl Hnsw {
    /// An empty graph.
    pub fn new(metric: Metric, params: Params) -> Self {
        Self { params, metric, layers: vec![Layer::new(2 * params.m, true)], entry: None, scratches: Scratches::default() }
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.layers.iter().map(Layer::memory).sum()
    }

    fn fill(&self, level: usize) -> usize {
        if level == 0 { self.params.fill } else { self.params.fill.min(self.params.m) }
    }

    fn forward(&self, level: usize) -> usize {
        if level == 0 { self.params.forward } else { self.params.m }
    }

    /// links
    pub fn mean_degree(&self) -> f64 {
        let base = &self.layers[0];
        base.used.iter().map(|r| base.links(r).len()).sum::<usize>() as f64 / base.used.len() as f64
    }

    /// Answers with codes.
    pub fn search_with(&self, search: &Search<'_>, codes: &Codes) -> Found {
        self.find(search, codes)
    }
}

impl VectorIndex for Hnsw {
    fn name(&self) -> &'static str {
        "hnsw"
    }

    fn search(&self, search: &Search<'_>) -> Found {
        match search.codes {
            Some(codes) => self.find(search, codes),
            None => Flat.search(search),
        }
    }
}
