//! Why an answer is as it is.

use serde::Serialize;

/// How an answer came about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Explain {
    /// The index that served the query.
    pub index: &'static str,
    /// `exact_scan`: every chunk was compared. `filtered_exact_scan`: every chunk that passes the filter was. `index`: by the index.
    /// `masked_index`: by the index, leaving out what does not pass. `two_hop_index`: by the links between chunks that pass.
    pub strategy: &'static str,
    /// `float32`: scores are exact. `int8`: the library is open without its float rows, and scores are those of the codes.
    pub precision: &'static str,
    /// The recall that was asked for.
    pub target_recall: f64,
    /// The recall that the library has measured for the effort that was chosen; absent for exact answers, for
    /// chosen efforts, and without float rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_recall: Option<f64>,
    /// How hard the index looked: `ef`, `nprobe` or candidates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<u32>,
    /// Chunks in the library.
    pub chunks: usize,
    /// Chunks that pass the filter; all of them without one.
    pub matching: usize,
    /// `matching / chunks`, 1 for an empty library.
    pub selectivity: f64,
    /// The selectivity as the postings tell it without looking at chunks; absent without a filter, and in small libraries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_selectivity: Option<f64>,
    /// Vectors that were compared with the query.
    pub visited: usize,
    /// Chunks that the index had not taken in yet, compared one by one.
    pub unlinked: usize,
    /// Why fewer hits came back than were wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fewer_because: Option<String>,
}
