//! Libraries and the contract that makes their vectors comparable.

use serde::{Deserialize, Serialize};

use super::{Id, Timestamp};
use crate::distance::Metric;

/// Which index serves a library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexType {
    /// The engine chooses by size, dimension and metric, and changes its choice as the library grows.
    #[default]
    Auto,
    /// Exact scan of every vector.
    Flat,
    /// A tree of boxes: exact, for few dimensions.
    KdTree,
    /// Locality-sensitive hashing.
    Lsh,
    /// Lists by nearest centre.
    Ivf,
    /// A navigable graph.
    Hnsw,
}

impl IndexType {
    /// Every type, for messages.
    pub const ALL: [Self; 6] = [Self::Auto, Self::Flat, Self::KdTree, Self::Lsh, Self::Ivf, Self::Hnsw];

    /// The name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Flat => "flat",
            Self::KdTree => "kd_tree",
            Self::Lsh => "lsh",
            Self::Ivf => "ivf",
            Self::Hnsw => "hnsw",
        }
    }

    /// Whether answers may miss neighbours.
    pub const fn is_approximate(self) -> bool {
        matches!(self, Self::Lsh | Self::Ivf | Self::Hnsw)
    }
}

/// How an index is built, where the defaults are not wanted. A parameter of another type of index has no effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct IndexParams {
    /// HNSW: links of a row, 2 to 128; 16 by default.
    pub m: Option<u16>,
    /// HNSW: candidates among which a new row chooses its links, 1 to 4,096; 200 by default.
    pub ef_construction: Option<u16>,
    /// IVF: lists, 1 to 65,536; 4 times the square root of the number of rows by default.
    pub lists: Option<u32>,
    /// LSH: tables, 1 to 64; 40 by default.
    pub tables: Option<u16>,
}

/// Which index a library wants, and how good its answers shall be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexSettings {
    /// The type.
    pub index_type: IndexType,
    /// How it is built.
    pub params: IndexParams,
    /// The share of the true ten nearest that an answer shall hold on average, above 0 and at most 1; 1 is exact.
    pub target_recall: f32,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self { index_type: IndexType::Auto, params: IndexParams::default(), target_recall: DEFAULT_TARGET_RECALL }
    }
}

/// The target of libraries that name none.
pub const DEFAULT_TARGET_RECALL: f32 = 0.95;

/// The model that made the vectors of a library, so that vectors of different models are never mixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingModel {
    /// Its name, such as `static-minilm-256`.
    pub name: Box<str>,
    /// What tells two builds of the same name apart: the SHA-256 of the model's file, as hex. Empty when the model is not ours.
    pub fingerprint: Box<str>,
}

/// What every vector and query of a library must fit. Fixed at creation or by the first vector, whichever is first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// How distances are computed. Under cosine, vectors are stored with unit length.
    pub metric: Metric,
    /// Length of every vector; `None` until it is fixed.
    pub dimension: Option<u32>,
    /// The model that turns text into vectors of this library; `None` until it is fixed, and where users bring all vectors.
    pub embedding_model: Option<EmbeddingModel>,
}

/// A library without its contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LibraryInfo {
    /// Unique, and stable under renaming.
    pub id: Id,
    /// Unique too; may be changed.
    pub name: Box<str>,
    /// For people.
    pub description: Option<Box<str>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The index that was asked for.
    pub index: IndexSettings,
    /// What its vectors must fit.
    pub contract: Contract,
    /// Whether attributes outside the declared schema are refused.
    pub strict_schema: bool,
}
