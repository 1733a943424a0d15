//! nDCG and recall of a ranking.
//!
//! As in trec_eval and BEIR: the gain of a document is its judgement (linear, not `2^judgement - 1`), divided by the binary
//! logarithm of its rank plus one; documents without a judgement, or with one of 0 or less, gain nothing. The ideal ranking is
//! that of all judged documents. So collections whose codes run from best to worst, as Cranfield's 1 to 4 in some copies, must
//! be recoded before; with all judgements 1 the gain is binary.

use std::collections::BTreeMap;

/// The judgements of one query: documents and gains.
pub(crate) type Judged = BTreeMap<String, i64>;

/// nDCG of the first `k` of a ranking. 0 when nothing is relevant.
pub(crate) fn ndcg(ranking: &[String], judged: &Judged, k: usize) -> f64 {
    let mut ideal: Vec<i64> = judged.values().copied().filter(|gain| *gain > 0).collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = discounted(ideal.into_iter().take(k));
    let gains = ranking.iter().take(k).map(|document| judged.get(document).copied().unwrap_or(0).max(0));
    if best > 0.0 { discounted(gains) / best } else { 0.0 }
}

fn discounted(gains: impl Iterator<Item = i64>) -> f64 {
    gains.zip(2_u32..).map(|(gain, rank)| gain as f64 / f64::from(rank).log2()).sum()
}

/// The part of the relevant documents that is among the first `k` of a ranking. 0 when nothing is relevant.
pub(crate) fn recall(ranking: &[String], judged: &Judged, k: usize) -> f64 {
    let relevant = |document: &String| judged.get(document).is_some_and(|gain| *gain > 0);
    let all = judged.keys().filter(|document| relevant(document)).count();
    let found = ranking.iter().take(k).filter(|document| relevant(document)).count();
    if all > 0 { found as f64 / all as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pairs: &[(&str, i64)]) -> Judged {
        pairs.iter().map(|(document, gain)| ((*document).to_owned(), *gain)).collect()
    }

    fn ranking(documents: &[&str]) -> Vec<String> {
        documents.iter().map(|document| (*document).to_owned()).collect()
    }

    #[test]
    fn figures_are_those_computed_by_hand() {
        let judged = judged(&[("a", 3), ("b", 1), ("c", 0), ("d", -1)]);
        // Ideal: 3 / log2(2) + 1 / log2(3).
        let ideal = 3.0 + 1.0 / 3f64.log2();
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(ndcg(&ranking(&["a", "b"]), &judged, 10), 1.0);
        close(ndcg(&ranking(&["d", "b", "x", "a"]), &judged, 10), (1.0 / 3f64.log2() + 3.0 / 5f64.log2()) / ideal);
        close(ndcg(&ranking(&["d", "b", "x", "a"]), &judged, 3), 1.0 / 3f64.log2() / ideal);
        close(ndcg(&ranking(&["b", "a"]), &judged, 1), 1.0 / 3.0);
        close(recall(&ranking(&["d", "b", "x", "a"]), &judged, 3), 0.5);
        close(recall(&ranking(&["d", "b", "x", "a"]), &judged, 4), 1.0);
    }

    #[test]
    fn nothing_relevant_is_nothing_gained() {
        let judged = judged(&[("a", 0)]);
        assert_eq!((ndcg(&ranking(&["a"]), &judged, 10), recall(&ranking(&["a"]), &judged, 10)), (0.0, 0.0));
    }
}
