//! The indexes by name: made, saved and opened.

use anyhow::{Result, anyhow, bail, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use vecino_engine::{
    distance::Metric,
    index::{
        VectorIndex,
        flat::Flat,
        hnsw::{self, Hnsw},
        ivf::{self, Ivf},
        kd_tree::KdTree,
        lsh::{self, Lsh},
    },
    vectors::Vectors,
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IndexName {
    /// Exact: the codes first, then the floats of those that may be near enough.
    Flat,
    /// Exact: the floats alone.
    Floats,
    #[serde(alias = "kd-tree")]
    #[value(alias = "kd_tree")]
    KdTree,
    Lsh,
    Ivf,
    #[default]
    Hnsw,
}

impl IndexName {
    /// Whether searches use the codes.
    pub(crate) fn with_codes(self) -> bool {
        self != Self::Floats
    }

    /// Whether an open index needs the codes in memory.
    pub(crate) fn holds_codes(self) -> bool {
        !matches!(self, Self::Floats | Self::KdTree)
    }
}

/// An index of any kind.
pub(crate) enum Index {
    Flat(Flat),
    KdTree(KdTree),
    Lsh(Lsh),
    Ivf(Ivf),
    Hnsw(Hnsw),
}

impl Index {
    /// An index without rows.
    pub(crate) fn new(name: IndexName, dimension: usize, metric: Metric, given: &[(String, usize)]) -> Result<Self> {
        let mut hnsw = hnsw::Params::default();
        let mut lsh = lsh::Params::default();
        let mut ivf = ivf::Params::default();
        for (param, value) in given {
            // As for libraries. More would only ask for memory that nobody has.
            let most = match param.as_str() {
                "m" | "M" => 128,
                "ef_construction" | "efConstruction" => 4_096,
                "lists" => 65_536,
                "tables" => 64,
                _ => usize::MAX,
            };
            ensure!(*value <= most, "{param} is at most {most}, received {value}");
            match (name, param.as_str()) {
                (IndexName::Hnsw, "m" | "M") => hnsw.m = *value,
                (IndexName::Hnsw, "ef_construction" | "efConstruction") => hnsw.ef_construction = *value,
                (IndexName::Hnsw, "seed") => hnsw.seed = *value as u64,
                (IndexName::Lsh, "tables") => lsh.tables = *value,
                (IndexName::Lsh, "seed") => lsh.seed = *value as u64,
                (IndexName::Ivf, "lists") => ivf.lists = *value,
                (IndexName::Ivf, "seed") => ivf.seed = *value as u64,
                _ => bail!("this index has no parameter {param}"),
            }
        }
        Ok(match name {
            IndexName::Flat | IndexName::Floats => Self::Flat(Flat),
            IndexName::KdTree => Self::KdTree(KdTree::new(dimension, metric)),
            IndexName::Lsh => Self::Lsh(Lsh::new(dimension, metric, lsh)),
            IndexName::Ivf => Self::Ivf(Ivf::new(dimension, metric, ivf)),
            IndexName::Hnsw => Self::Hnsw(Hnsw::new(metric, hnsw)),
        })
    }

    pub(crate) fn get(&self) -> &(dyn VectorIndex + Sync) {
        match self {
            Self::Flat(index) => index,
            Self::KdTree(index) => index,
            Self::Lsh(index) => index,
            Self::Ivf(index) => index,
            Self::Hnsw(index) => index,
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut dyn VectorIndex {
        match self {
            Self::Flat(index) => index,
            Self::KdTree(index) => index,
            Self::Lsh(index) => index,
            Self::Ivf(index) => index,
            Self::Hnsw(index) => index,
        }
    }

    /// The index as bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Flat(_) => Vec::new(),
            Self::KdTree(index) => index.to_bytes(),
            Self::Lsh(index) => index.to_bytes(),
            Self::Ivf(index) => index.to_bytes(),
            Self::Hnsw(index) => index.to_bytes(),
        }
    }

    /// The index from what [`to_bytes`](Self::to_bytes) gave.
    pub(crate) fn from_bytes(name: IndexName, metric: Metric, vectors: &Vectors, bytes: &[u8]) -> Result<Self> {
        let (dimension, rows) = (vectors.dimension(), vectors.rows());
        let index = match name {
            IndexName::Flat | IndexName::Floats => Ok(Self::Flat(Flat)),
            IndexName::KdTree => KdTree::from_bytes(bytes, metric, vectors).map(Self::KdTree),
            IndexName::Lsh => Lsh::from_bytes(bytes, dimension, rows).map(Self::Lsh),
            IndexName::Ivf => Ivf::from_bytes(bytes, dimension, rows).map(Self::Ivf),
            IndexName::Hnsw => Hnsw::from_bytes(bytes, rows).map(Self::Hnsw),
        };
        index.map_err(|error| anyhow!("{error}"))
    }
}
