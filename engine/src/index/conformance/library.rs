//! A library under an index, and data for it.

use crate::{
    codes::Codes,
    distance::{Metric, normalise},
    index::{
        Found, Rows, Search, VectorIndex,
        flat::Flat,
        hnsw::{self, Hnsw},
        ivf::{self, Ivf},
        kd_tree::KdTree,
        lsh::{self, Lsh},
        words::SplitMix,
    },
    pool::{Pool, Sequential},
    slots::SlotSet,
    vectors::Vectors,
};

/// Jobs out of order: every so-many-th one, from the end. Real threads run in the tests of the whole.
pub(super) struct Shuffled(pub(super) usize);

impl Pool for Shuffled {
    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        for first in 0..self.0 {
            (0..jobs).rev().filter(|number| number % self.0 == first).for_each(job);
        }
    }
}

/// An index as a library keeps it.
pub(super) enum Kept {
    Flat(Flat),
    KdTree(KdTree),
    Lsh(Lsh),
    Ivf(Ivf),
    Hnsw(Hnsw),
}

impl Kept {
    pub(super) fn new(name: &str, dimension: usize, metric: Metric) -> Self {
        match name {
            "kd_tree" => Self::KdTree(KdTree::new(dimension, metric)),
            // An effort far below the number of rows: otherwise all are compared.
            "lsh" => Self::Lsh(Lsh::new(dimension, metric, lsh::Params { effort: 900, ..lsh::Params::default() })),
            "ivf" => Self::Ivf(Ivf::new(dimension, metric, ivf::Params { effort: 40, ..ivf::Params::default() })),
            "hnsw" => Self::Hnsw(Hnsw::new(metric, hnsw::Params { ef_construction: 100, ..hnsw::Params::default() })),
            _ => Self::Flat(Flat),
        }
    }

    pub(super) fn index(&self) -> &dyn VectorIndex {
        match self {
            Self::Flat(index) => index,
            Self::KdTree(index) => index,
            Self::Lsh(index) => index,
            Self::Ivf(index) => index,
            Self::Hnsw(index) => index,
        }
    }

    pub(super) fn index_mut(&mut self) -> &mut dyn VectorIndex {
        match self {
            Self::Flat(index) => index,
            Self::KdTree(index) => index,
            Self::Lsh(index) => index,
            Self::Ivf(index) => index,
            Self::Hnsw(index) => index,
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Flat(_) => Vec::new(),
            Self::KdTree(index) => index.to_bytes(),
            Self::Lsh(index) => index.to_bytes(),
            Self::Ivf(index) => index.to_bytes(),
            Self::Hnsw(index) => index.to_bytes(),
        }
    }

    pub(super) fn read(&self, bytes: &[u8], metric: Metric, vectors: &Vectors) -> Result<Self, &'static str> {
        Ok(match self {
            Self::Flat(_) => Self::Flat(Flat),
            Self::KdTree(_) => Self::KdTree(KdTree::from_bytes(bytes, metric, vectors)?),
            Self::Lsh(_) => Self::Lsh(Lsh::from_bytes(bytes, vectors.dimension(), vectors.rows())?),
            Self::Ivf(_) => Self::Ivf(Ivf::from_bytes(bytes, vectors.dimension(), vectors.rows())?),
            Self::Hnsw(_) => Self::Hnsw(Hnsw::from_bytes(bytes, vectors.rows())?),
        })
    }
}

/// Rows under an index.
pub(super) struct Library {
    pub(super) metric: Metric,
    pub(super) vectors: Vectors,
    pub(super) codes: Codes,
    pub(super) live: SlotSet,
    pub(super) kept: Kept,
}

impl Library {
    pub(super) fn empty(name: &str, metric: Metric, dimension: usize) -> Self {
        let (vectors, codes) = (Vectors::new(dimension), Codes::new(dimension));
        Self { metric, vectors, codes, live: SlotSet::default(), kept: Kept::new(name, dimension, metric) }
    }

    pub(super) fn of(name: &str, metric: Metric, rows: &[Vec<f32>]) -> Self {
        let mut library = Self::empty(name, metric, rows[0].len());
        let slots = library.store(rows);
        library.insert(&slots, &Sequential);
        library
    }

    /// Writes rows without telling the index.
    pub(super) fn store(&mut self, rows: &[Vec<f32>]) -> Vec<u32> {
        let mut slots = Vec::new();
        for row in rows {
            let slot = self.live.insert_lowest();
            let row = unit(self.metric, row);
            self.vectors.set(slot, &row);
            self.codes.set(slot, &row);
            slots.push(slot);
        }
        slots
    }

    pub(super) fn insert(&mut self, slots: &[u32], pool: &dyn Pool) {
        self.kept.index_mut().insert(Rows { vectors: &self.vectors, codes: Some(&self.codes) }, slots, pool);
    }

    pub(super) fn remove(&mut self, slots: &[u32], pool: &dyn Pool) {
        self.kept.index_mut().remove(Rows { vectors: &self.vectors, codes: Some(&self.codes) }, slots, pool);
        for &slot in slots {
            self.live.remove(slot);
            self.vectors.clear(slot);
            self.codes.clear(slot);
        }
    }

    pub(super) fn ask(&self, index: &dyn VectorIndex, query: &[f32], k: usize, allowed: &SlotSet) -> Vec<(f32, u32)> {
        self.ask_with(index, query, k, allowed, 0)
    }

    fn ask_with(&self, index: &dyn VectorIndex, query: &[f32], k: usize, allowed: &SlotSet, effort: usize) -> Vec<(f32, u32)> {
        let query = unit(self.metric, query);
        let (vectors, codes, metric) = (&self.vectors, Some(&self.codes), self.metric);
        let search = Search { vectors, codes, metric, query: &query, k, effort, allowed, pool: &Sequential };
        let Found { nearest, visited, .. } = index.search(&search);
        assert!(nearest.is_sorted_by(|a, b| a.0 < b.0 || a.0 == b.0 && a.1 < b.1), "order, or a slot twice");
        for (key, slot) in &nearest {
            assert!(allowed.contains(*slot));
            assert_eq!(key.to_bits(), metric.key(&query, vectors.row(*slot)).to_bits(), "keys are exact");
        }
        assert_eq!(nearest.len(), k.min(allowed.len()), "k results whenever k match");
        assert!(k == 0 || visited >= nearest.len().min(1));
        nearest
    }

    /// Recall at 10 over queries among `allowed`.
    pub(super) fn recall(&self, queries: &[Vec<f32>], allowed: &SlotSet) -> f64 {
        self.recall_with(queries, allowed, 0)
    }

    /// As [`recall`](Self::recall), with an effort.
    pub(super) fn recall_with(&self, queries: &[Vec<f32>], allowed: &SlotSet, effort: usize) -> f64 {
        let (mut found, mut wanted) = (0, 0);
        for query in queries {
            let truth = self.ask(&Flat, query, 10, allowed);
            let answer = self.ask_with(self.kept.index(), query, 10, allowed, effort);
            found += answer.iter().filter(|pair| truth.contains(pair)).count();
            wanted += truth.len();
        }
        found as f64 / f64::max(wanted as f64, 1.0)
    }
}

pub(super) fn unit(metric: Metric, row: &[f32]) -> Vec<f32> {
    let mut row = row.to_vec();
    if metric == Metric::Cosine {
        normalise(&mut row).unwrap();
    }
    row
}

pub(super) struct Random(pub(super) SplitMix);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(SplitMix(seed))
    }

    pub(super) fn uniform(&mut self) -> f32 {
        self.0.below(1 << 24) as f32 / (1 << 23) as f32 - 1.0
    }

    /// About normal.
    pub(super) fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.uniform()).sum::<f32>() * 0.5
    }

    pub(super) fn uniform_rows(&mut self, count: usize, dimension: usize) -> Vec<Vec<f32>> {
        (0..count).map(|_| (0..dimension).map(|_| self.uniform()).collect()).collect()
    }

    /// Rows around a few centres.
    pub(super) fn clustered_rows(&mut self, count: usize, dimension: usize) -> Vec<Vec<f32>> {
        let centres: Vec<Vec<f32>> = (0..15).map(|_| (0..dimension).map(|_| self.normal()).collect()).collect();
        let mut rows = Vec::new();
        for _ in 0..count {
            let centre = &centres[self.0.below(15) * self.0.below(15) / 15];
            rows.push(centre.iter().map(|x| x + 0.4 * self.normal()).collect());
        }
        rows
    }
}

/// Rows and queries like them.
pub(super) fn clustered(count: usize, dimension: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let mut rows = Random::new(seed).clustered_rows(count + 60, dimension);
    let queries = rows.split_off(count);
    (rows, queries)
}
