//! Libraries and the contract that makes their vectors comparable.

use serde::{Deserialize, Serialize};

use super::{Id, Timestamp};
use crate::distance::Metric;

/// Which index serves a library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexType {
    /// The engine chooses by size, dimension and metric.
    #[default]
    Auto,
    /// Exact scan of every vector.
    Flat,
}

impl IndexType {
    /// Every type, for messages.
    pub const ALL: [Self; 2] = [Self::Auto, Self::Flat];

    /// The name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Flat => "flat",
        }
    }
}

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    pub index_type: IndexType,
    /// What its vectors must fit.
    pub contract: Contract,
    /// Whether attributes outside the declared schema are refused.
    pub strict_schema: bool,
}
