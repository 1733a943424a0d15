//! Why an answer is as it is.

use serde::Serialize;

use crate::index::Found;

/// How an answer came about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Explain {
    /// The index that served the query.
    pub index: &'static str,
    /// `exact_scan`: every chunk was compared. `filtered_exact_scan`: every chunk that passes the filter was.
    pub strategy: &'static str,
    /// Chunks in the library.
    pub chunks: usize,
    /// Chunks that pass the filter; all of them without one.
    pub matching: usize,
    /// `matching / chunks`, 1 for an empty library.
    pub selectivity: f64,
    /// Vectors that were compared with the query.
    pub visited: usize,
    /// Why fewer hits came back than were wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fewer_because: Option<String>,
}

impl Explain {
    pub(crate) fn new(index: &'static str, filtered: bool, wanted: usize, chunks: usize, matching: usize, found: &Found) -> Self {
        let fewer_because = (found.nearest.len() < wanted).then(|| match (chunks, matching, filtered) {
            (0, ..) => "the library holds no chunks".to_owned(),
            (_, _, true) => format!("only {matching} of {chunks} chunks pass the filter"),
            (1, ..) => "the library holds only one chunk".to_owned(),
            (..) => format!("the library holds only {chunks} chunks"),
        });
        Self {
            index,
            strategy: if filtered { "filtered_exact_scan" } else { "exact_scan" },
            chunks,
            matching,
            selectivity: if chunks == 0 { 1.0 } else { matching as f64 / chunks as f64 },
            visited: found.visited,
            fewer_because,
        }
    }
}
