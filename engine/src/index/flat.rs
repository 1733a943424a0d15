//! The flat index: compare the query with every allowed row.
//!
//! Exact by construction, for every metric and any filter. Build, add, remove and memory cost nothing; a search reads
//! `4 * dimension` bytes a row and runs at the speed of memory. Where there are codes it reads these, a quarter as much, and float
//! rows only where the bounds of a code leave a doubt; the answer is the same. The choice for libraries that are small (up to
//! some ten thousand chunks a query takes about a millisecond) and for filters that leave few slots; and the yardstick of every
//! other index.

use super::{Found, Rows, Search, Strategy, VectorIndex, scan};
use crate::{
    distance::{keys, prefetch},
    pool::{self, Pool},
    slots::InARow,
    top_k::TopK,
    vectors::PAGE_ROWS,
};

/// Pages that one job scans: 16,384 rows.
const PAGES_PER_JOB: usize = 512;

/// How many floats of the next page are fetched ahead.
const PAGE_AHEAD: usize = 2 << 10;

/// The flat index. It holds nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flat;

impl VectorIndex for Flat {
    fn name(&self) -> &'static str {
        "flat"
    }

    fn insert(&mut self, _: Rows<'_>, _: &[u32], _: &dyn Pool) {}

    fn remove(&mut self, _: Rows<'_>, _: &[u32], _: &dyn Pool) {}

    fn memory(&self) -> usize {
        0
    }

    fn search(&self, search: &Search<'_>) -> Found {
        if let Some(codes) = search.codes {
            return scan::all(search, codes);
        }
        let (pages, allowed) = (search.vectors.pages(), search.allowed.in_a_row());
        let jobs = pages.div_ceil(PAGES_PER_JOB);
        let parts = pool::map(search.pool, jobs, |job| {
            let first = job * PAGES_PER_JOB;
            let pages = first..(first + PAGES_PER_JOB).min(pages);
            by_floats(search, &allowed, pages)
        });
        let mut top = TopK::new(search.k, search.allowed.len());
        let mut visited = 0;
        for (part, seen) in parts {
            top.merge(part);
            visited += seen;
        }
        Found { nearest: top.into_sorted_vec(), visited, strategy: Strategy::ExactScan }
    }
}

fn by_floats(search: &Search<'_>, allowed: &InARow<'_>, pages: std::ops::Range<usize>) -> (TopK, usize) {
    let dimension = search.vectors.dimension();
    let mut top = TopK::new(search.k, search.allowed.len());
    let mut found = Vec::with_capacity(PAGE_ROWS);
    let mut visited = 0;
    for page in pages {
        let first = (page * PAGE_ROWS) as u32;
        let rows = search.vectors.page(page);
        let slots = first..first + (rows.len() / dimension.max(1)) as u32;
        let count = allowed.count_within(slots.clone());
        if count * 4 >= slots.len() * 3 {
            // Comparing a few rows in vain costs less than picking the others one by one.
            keys(search.metric, search.query, rows, dimension, &mut found);
            let next = search.vectors.page(page + 1);
            prefetch(&next[..next.len().min(PAGE_AHEAD)]);
            for (slot, key) in slots.zip(&found) {
                if allowed.contains(slot) {
                    top.push(*key, slot);
                }
            }
        } else {
            for slot in allowed.iter_within(slots) {
                top.push(search.metric.key(search.query, search.vectors.row(slot)), slot);
            }
        }
        visited += count;
    }
    (top, visited)
}
