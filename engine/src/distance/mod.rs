//! How near two vectors are.

use serde::{Deserialize, Serialize};

/// Placeholder until the kernels land.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Cosine.
    #[default]
    Cosine,
    /// Euclidean.
    Euclidean,
    /// Dot.
    Dot,
}
