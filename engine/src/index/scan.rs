//! The exact nearest of some slots, by way of their codes.
//!
//! The codes say for each row between which bounds its key lies; float rows are read only where these leave a doubt. The
//! answer is the one that float rows alone would give, at a quarter of the memory read.

use std::ops::Range;

use crate::{
    codes::{Coded, Codes, PAGE_ROWS},
    distance::{
        codes::{Estimator, Fit},
        dot_i8, dot_i8_many, prefetch,
    },
    pool,
    slots::InARow,
    top_k::TopK,
};

use super::{Found, Search, Strategy};

/// How many rows ahead codes are fetched.
const AHEAD: usize = 8;

/// How many bytes of the next page are fetched ahead.
const PAGE_AHEAD: usize = 4 << 10;

/// Pages that one job scans: 16,384 rows.
const PAGES_PER_JOB: usize = 128;

/// The `k` nearest of the allowed slots, exactly, on the threads of the pool.
pub(super) fn all(search: &Search<'_>, codes: &Codes) -> Found {
    let (query, allowed) = (Query::new(search), search.allowed.in_a_row());
    let pages = codes.rows().div_ceil(PAGE_ROWS);
    let parts = pool::map(search.pool, pages.div_ceil(PAGES_PER_JOB), |job| {
        let first = job * PAGES_PER_JOB;
        let mut bounds = Bounds::new(search.k);
        (first..(first + PAGES_PER_JOB).min(pages)).for_each(|page| bounds.page(&query, &allowed, codes, page));
        bounds
    });
    let mut bounds = Bounds::new(search.k);
    parts.into_iter().for_each(|part| bounds.merge(part));
    // Rows that have no code.
    let rows = (pages * PAGE_ROWS) as u32;
    for slot in search.allowed.iter_within(rows..u32::MAX) {
        bounds.push(f32::NEG_INFINITY, f32::INFINITY, slot);
    }
    Found { nearest: bounds.nearest(search).into_sorted_vec(), visited: search.allowed.len(), strategy: Strategy::ExactScan }
}

/// The `k` nearest of `slots`, exactly.
pub(in crate::index) fn nearest(search: &Search<'_>, codes: &Codes, slots: &[u32]) -> TopK {
    let query = Query::new(search);
    let view = codes.view(search.metric);
    let mut bounds = Bounds::new(search.k);
    let mut ahead = slots.iter().skip(AHEAD);
    for &slot in slots {
        if let Some(later) = ahead.next() {
            view.prefetch(*later);
        }
        let (low, high) = query.estimator.interval(&view.fit(slot), dot_i8(query.coded.code(), view.code(slot)));
        bounds.push(low, high, slot);
    }
    bounds.nearest(search)
}

struct Query {
    coded: Coded,
    estimator: Estimator,
}

impl Query {
    fn new(search: &Search<'_>) -> Self {
        let mut coded = Coded::default();
        coded.set(search.query);
        let estimator = Estimator::new(search.metric, search.query.len(), coded.fit());
        Self { coded, estimator }
    }
}

/// What the codes of some rows say.
struct Bounds {
    /// `k` rows are at most so far.
    greatest: TopK,
    /// Rows that may be among the nearest, with the least that their key can be.
    least: Vec<(f32, u32)>,
    products: Vec<i32>,
}

impl Bounds {
    fn new(k: usize) -> Self {
        Self { greatest: TopK::new(k, 1_024), least: Vec::new(), products: Vec::new() }
    }

    #[inline]
    fn push(&mut self, low: f32, high: f32, slot: u32) {
        if low <= self.greatest.threshold() {
            self.least.push((low, slot));
            self.greatest.push(high, slot);
        }
    }

    /// The allowed rows of a page: all codes in one go where most are allowed.
    fn page(&mut self, query: &Query, allowed: &InARow<'_>, codes: &Codes, page: usize) {
        let first = (page * PAGE_ROWS) as u32;
        let slots: Range<u32> = first..first + PAGE_ROWS as u32;
        let count = allowed.count_within(slots.clone());
        if count == 0 {
            return;
        }
        let view = codes.page(page);
        let rows = view.scales.len();
        let fit = |row: usize| Fit { scale: view.scales[row], norm: view.norms[row], residual: view.residuals[row] };
        let code = query.coded.code();
        if count * 4 < rows * 3 || rows < PAGE_ROWS {
            for slot in allowed.iter_within(slots) {
                let row = (slot - first) as usize;
                let (low, high) = match view.codes.get(row * code.len()..(row + 1) * code.len()) {
                    Some(other) if row < rows => query.estimator.interval(&fit(row), dot_i8(code, other)),
                    // A row that has no code.
                    _ => (f32::NEG_INFINITY, f32::INFINITY),
                };
                self.push(low, high, slot);
            }
            return;
        }
        dot_i8_many(code, view.codes, code.len(), &mut self.products);
        let next = codes.page(page + 1).codes;
        prefetch(&next[..next.len().min(PAGE_AHEAD)]);
        let largest = |column: &[f32]| column.iter().fold(0.0_f32, |most, x| if *x > most { *x } else { most });
        let most = Fit { scale: 0.0, norm: largest(view.norms), residual: largest(view.residuals) };
        let screen = query.estimator.screen(&most, self.greatest.threshold());
        let products = std::mem::take(&mut self.products);
        for (row, (slot, product)) in slots.zip(&products).enumerate() {
            if screen.passes(view.scales[row], view.norms[row], *product) && allowed.contains(slot) {
                let (low, high) = query.estimator.interval(&fit(row), *product);
                self.push(low, high, slot);
            }
        }
        self.products = products;
    }

    fn merge(&mut self, other: Self) {
        self.greatest.merge(other.greatest);
        self.least.extend(other.least);
    }

    /// The nearest by their float rows. What is surely farther than `k` others is not read.
    fn nearest(self, search: &Search<'_>) -> TopK {
        let limit = self.greatest.threshold();
        let doubtful: Vec<u32> = self.least.iter().filter(|(low, _)| *low <= limit).map(|(_, slot)| *slot).collect();
        measured(search, &doubtful)
    }
}

/// The `k` nearest of `slots` by their float rows; where these are absent, by what their codes stand for.
pub(super) fn measured(search: &Search<'_>, slots: &[u32]) -> TopK {
    if search.vectors.are_absent() {
        return decoded(search, slots);
    }
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

fn decoded(search: &Search<'_>, slots: &[u32]) -> TopK {
    let (mut top, mut row) = (TopK::new(search.k, slots.len()), Vec::new());
    for &slot in slots {
        if let Some(codes) = search.codes {
            codes.decode(slot, &mut row);
        }
        top.push(search.metric.key(search.query, &row), slot);
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
