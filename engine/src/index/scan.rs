//! The exact nearest of some slots, by way of their codes.
//!
//! The codes say for each row between which bounds its key lies; float rows are read only where these leave a doubt. The
//! answer is the one that float rows alone would give, at a quarter of the memory read.

use crate::{
    codes::{Coded, Codes},
    distance::{codes::Estimator, dot_i8, prefetch},
    top_k::TopK,
};

use super::{Found, Search, Strategy};

/// How many rows ahead codes are fetched.
const AHEAD: usize = 8;

/// The `k` nearest of the allowed slots, exactly.
pub(super) fn all(search: &Search<'_>, codes: &Codes) -> Found {
    let slots: Vec<u32> = search.allowed.iter().collect();
    Found { nearest: nearest(search, codes, &slots).into_sorted_vec(), visited: slots.len(), strategy: Strategy::ExactScan }
}

/// The `k` nearest of `slots`, exactly.
pub(in crate::index) fn nearest(search: &Search<'_>, codes: &Codes, slots: &[u32]) -> TopK {
    let mut query = Coded::default();
    query.set(search.query);
    let estimator = Estimator::new(search.metric, search.query.len(), query.fit());
    let view = codes.view(search.metric);
    let mut least = Vec::with_capacity(slots.len());
    let mut greatest = TopK::new(search.k, slots.len());
    let mut ahead = slots.iter().skip(AHEAD);
    for &slot in slots {
        if let Some(later) = ahead.next() {
            view.prefetch(*later);
        }
        let (low, high) = estimator.interval(&codes.fit(slot), dot_i8(query.code(), view.code(slot)));
        least.push(low);
        greatest.push(high, slot);
    }
    // k rows are at most this far: what is surely farther is not among the k nearest.
    let limit = greatest.threshold();
    let doubtful: Vec<u32> = least.iter().zip(slots).filter(|(low, _)| **low <= limit).map(|(_, slot)| *slot).collect();
    measured(search, &doubtful)
}

/// The `k` nearest of `slots` by their float rows.
pub(super) fn measured(search: &Search<'_>, slots: &[u32]) -> TopK {
    let mut top = TopK::new(search.k, slots.len());
    let mut ahead = slots.iter().skip(AHEAD / 4);
    for slot in slots.iter().take(AHEAD / 4) {
        prefetch(search.vectors.row(*slot));
    }
    for &slot in slots {
        if let Some(later) = ahead.next() {
            prefetch(search.vectors.row(*later));
        }
        top.push(search.metric.key(search.query, search.vectors.row(slot)), slot);
    }
    top
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{
        codes::Codes,
        distance::{Metric, normalise},
        index::{Search, VectorIndex, flat::Flat},
        pool::Sequential,
        slots::SlotSet,
        vectors::Vectors,
    };

    proptest! {
        #[test]
        fn codes_give_the_answer_that_floats_give(
            rows in (1_usize..80).prop_flat_map(|dimension| prop::collection::vec(prop::collection::vec(-1.0_f32..1.0, dimension), 2..400)),
            scale in prop::sample::select(vec![1e-20_f32, 1e-3, 1.0, 1e19]),
            k in 0_usize..30,
            every in 1_usize..4,
        ) {
            for metric in Metric::ALL {
                let mut vectors = Vectors::new(rows[0].len());
                for (slot, row) in (0_u32..).zip(&rows) {
                    let mut row: Vec<f32> = row.iter().map(|x| x * scale).collect();
                    if metric == Metric::Cosine && normalise(&mut row).is_err() {
                        row[0] = 1.0;
                    }
                    vectors.set(slot, &row);
                }
                let codes = Codes::of(&vectors);
                let allowed: SlotSet = (1..rows.len() as u32).step_by(every).collect();
                let query = vectors.row(0);
                let search =
                    Search { vectors: &vectors, codes: None, metric, query, k, effort: 0, allowed: &allowed, pool: &Sequential };
                let expected = Flat.search(&search);
                let found = Flat.search(&Search { codes: Some(&codes), ..search });
                prop_assert_eq!(found, expected);
            }
        }
    }
}
