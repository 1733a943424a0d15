//! An index of any type.

use crate::{
    codes::Codes,
    distance::Metric,
    model::{IndexParams, IndexType},
    pool::Pool,
    vectors::Vectors,
};

use super::{
    Found, Rows, Search, VectorIndex,
    flat::Flat,
    hnsw::{self, Hnsw},
    ivf::{self, Ivf},
    kd_tree::KdTree,
    lsh::{self, Lsh},
};

/// An index of any type, chosen by name. A clone copies links and lists, not rows.
#[derive(Clone, Debug)]
pub enum AnyIndex {
    /// See [`flat`](super::flat).
    Flat(Flat),
    /// See [`kd_tree`](super::kd_tree).
    KdTree(KdTree),
    /// See [`lsh`].
    Lsh(Lsh),
    /// See [`ivf`].
    Ivf(Ivf),
    /// See [`hnsw`].
    Hnsw(Hnsw),
}

impl Default for AnyIndex {
    fn default() -> Self {
        Self::Flat(Flat)
    }
}

impl AnyIndex {
    /// An index without rows. [`IndexType::Auto`] is no type of its own and gives the flat one.
    pub fn new(index_type: IndexType, dimension: usize, metric: Metric, params: &IndexParams) -> Self {
        match index_type {
            IndexType::Auto | IndexType::Flat => Self::Flat(Flat),
            IndexType::KdTree => Self::KdTree(KdTree::new(dimension, metric)),
            IndexType::Lsh => {
                let default = lsh::Params::default();
                let tables = params.tables.map_or(default.tables, usize::from);
                Self::Lsh(Lsh::new(dimension, metric, lsh::Params { tables, ..default }))
            }
            IndexType::Ivf => {
                let default = ivf::Params::default();
                let lists = params.lists.map_or(default.lists, |lists| lists as usize);
                Self::Ivf(Ivf::new(dimension, metric, ivf::Params { lists, ..default }))
            }
            IndexType::Hnsw => {
                let default = hnsw::Params::default();
                let m = params.m.map_or(default.m, usize::from);
                let ef_construction = params.ef_construction.map_or(default.ef_construction, usize::from);
                Self::Hnsw(Hnsw::new(metric, hnsw::Params { m, ef_construction, ..default }))
            }
        }
    }

    /// The type; never [`IndexType::Auto`].
    pub fn index_type(&self) -> IndexType {
        match self {
            Self::Flat(_) => IndexType::Flat,
            Self::KdTree(_) => IndexType::KdTree,
            Self::Lsh(_) => IndexType::Lsh,
            Self::Ivf(_) => IndexType::Ivf,
            Self::Hnsw(_) => IndexType::Hnsw,
        }
    }

    /// As [`VectorIndex::name`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Flat(index) => index.name(),
            Self::KdTree(index) => index.name(),
            Self::Lsh(index) => index.name(),
            Self::Ivf(index) => index.name(),
            Self::Hnsw(index) => index.name(),
        }
    }

    /// As [`VectorIndex::search`]. Not by way of a `dyn` index: that would carry all that builds into modules that only search.
    pub fn search(&self, search: &Search<'_>) -> Found {
        match self {
            Self::Flat(index) => index.search(search),
            Self::KdTree(index) => index.search(search),
            Self::Lsh(index) => index.search(search),
            Self::Ivf(index) => index.search(search),
            Self::Hnsw(index) => index.search(search),
        }
    }

    /// As [`VectorIndex::memory`].
    pub fn memory(&self) -> usize {
        match self {
            Self::Flat(index) => index.memory(),
            Self::KdTree(index) => index.memory(),
            Self::Lsh(index) => index.memory(),
            Self::Ivf(index) => index.memory(),
            Self::Hnsw(index) => index.memory(),
        }
    }

    /// The index, to change.
    fn get_mut(&mut self) -> &mut dyn VectorIndex {
        match self {
            Self::Flat(index) => index,
            Self::KdTree(index) => index,
            Self::Lsh(index) => index,
            Self::Ivf(index) => index,
            Self::Hnsw(index) => index,
        }
    }

    /// As [`VectorIndex::search`], as if `slot` had never been taken in. `None` where no row helps to find another: there it is the same.
    pub(crate) fn search_without(&self, search: &Search<'_>, slot: u32) -> Option<Found> {
        match self {
            Self::Hnsw(index) => Some(index.search_without(search, slot)),
            Self::Flat(_) | Self::KdTree(_) | Self::Lsh(_) | Self::Ivf(_) => None,
        }
    }

    /// A copy with room for the slots below `end`, so that what is copied once need not be moved when they come.
    pub(crate) fn with_room(&self, end: usize) -> Self {
        match self {
            Self::Hnsw(index) => Self::Hnsw(index.with_room(end)),
            Self::Flat(_) | Self::KdTree(_) | Self::Lsh(_) | Self::Ivf(_) => self.clone(),
        }
    }

    /// Makes new what has drifted too far from the rows, after changes. Depends on the rows alone.
    pub fn renew(&mut self, codes: &Codes, pool: &dyn Pool) {
        if let Self::Ivf(ivf) = self
            && ivf.drift().needs_training()
        {
            ivf.train(codes, pool);
        }
    }

    /// The index as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Flat(_) => Vec::new(),
            Self::KdTree(index) => index.to_bytes(),
            Self::Lsh(index) => index.to_bytes(),
            Self::Ivf(index) => index.to_bytes(),
            Self::Hnsw(index) => index.to_bytes(),
        }
    }

    /// The index from what [`to_bytes`](Self::to_bytes) gave, over the rows that it was built over.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn from_bytes(index_type: IndexType, metric: Metric, vectors: &Vectors, bytes: &[u8]) -> Result<Self, &'static str> {
        let (dimension, rows) = (vectors.dimension(), vectors.rows());
        match index_type {
            IndexType::Auto | IndexType::Flat => {
                if bytes.is_empty() {
                    Ok(Self::Flat(Flat))
                } else {
                    Err("a flat index holds nothing")
                }
            }
            IndexType::KdTree => KdTree::from_bytes(bytes, metric, vectors).map(Self::KdTree),
            IndexType::Lsh => Lsh::from_bytes(bytes, dimension, rows).map(Self::Lsh),
            IndexType::Ivf => Ivf::from_bytes(bytes, dimension, rows).map(Self::Ivf),
            IndexType::Hnsw => Hnsw::from_bytes(bytes, rows).map(Self::Hnsw),
        }
    }

    /// Takes `gone` out and `new` in: `before` are the rows that the index was built over, `after` those it is to be built over.
    pub fn update(&mut self, before: Rows<'_>, gone: &[u32], after: Rows<'_>, new: &[u32], pool: &dyn Pool) {
        let index = self.get_mut();
        index.remove(before, gone, pool);
        index.insert(after, new, pool);
        if let Some(codes) = after.codes {
            self.renew(codes, pool);
        }
    }
}
