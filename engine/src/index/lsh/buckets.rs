//! One table: the slots of each bucket, ascending.
//!
//! Buckets lie in one array. A bucket that is full moves to the end with room to grow; when half of the array is left behind, all
//! buckets are put together anew.

use crate::distance::prefetch;

/// Where a bucket lies.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
    room: u32,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub(super) struct Buckets {
    spans: Vec<Span>,
    rows: Vec<u32>,
    /// Places that belong to no bucket.
    lost: usize,
}

impl Buckets {
    /// A table of `2^bits` buckets. The pairs (bucket, slot) come in the order of slots.
    pub(super) fn of(bits: u32, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut table = Self { spans: vec![Span::default(); 1 << bits], ..Self::default() };
        for (bucket, _) in pairs.clone() {
            table.spans[bucket as usize].room += 1;
        }
        let mut start = 0;
        for span in &mut table.spans {
            span.start = start;
            start += span.room;
        }
        table.rows.resize(start as usize, 0);
        for (bucket, slot) in pairs {
            let span = &mut table.spans[bucket as usize];
            table.rows[(span.start + span.len) as usize] = slot;
            span.len += 1;
        }
        table
    }

    #[inline]
    pub(super) fn slots(&self, bucket: u32) -> &[u32] {
        let Some(Span { start, len, .. }) = self.spans.get(bucket as usize) else { return &[] };
        &self.rows[*start as usize..(*start + *len) as usize]
    }

    /// Asks the cache for where a bucket lies.
    #[inline]
    pub(super) fn prefetch_span(&self, bucket: u32) {
        prefetch(self.spans.get(bucket as usize).map_or(&[][..], std::slice::from_ref));
    }

    /// Asks the cache for the slots of a bucket.
    #[inline]
    pub(super) fn prefetch_slots(&self, bucket: u32) {
        prefetch(self.slots(bucket));
    }

    pub(super) fn insert(&mut self, bucket: u32, slot: u32) {
        let Span { start, len, room } = self.spans[bucket as usize];
        let Err(at) = self.slots(bucket).binary_search(&slot) else { return };
        if len == room {
            let moved = start as usize..(start + len) as usize;
            let (start, room) = (self.rows.len(), (len + len / 2).max(len + 2));
            self.rows.extend_from_within(moved);
            self.rows.resize(start + room as usize, 0);
            self.lost += len as usize;
            self.spans[bucket as usize] = Span { start: start as u32, len, room };
        }
        let span = &mut self.spans[bucket as usize];
        let first = span.start as usize;
        self.rows.copy_within(first + at..first + len as usize, first + at + 1);
        self.rows[first + at] = slot;
        span.len += 1;
        if self.lost > self.rows.len() / 2 {
            self.tidy();
        }
    }

    pub(super) fn remove(&mut self, bucket: u32, slot: u32) {
        let Ok(at) = self.slots(bucket).binary_search(&slot) else { return };
        let span = &mut self.spans[bucket as usize];
        let (first, end) = (span.start as usize, (span.start + span.len) as usize);
        self.rows.copy_within(first + at + 1..end, first + at);
        span.len -= 1;
    }

    fn tidy(&mut self) {
        let mut rows = Vec::with_capacity(self.rows.len() - self.lost);
        for span in &mut self.spans {
            let start = rows.len() as u32;
            rows.extend_from_slice(&self.rows[span.start as usize..(span.start + span.len) as usize]);
            *span = Span { start, len: span.len, room: span.len };
        }
        self.rows = rows;
        self.lost = 0;
    }

    pub(super) fn memory(&self) -> usize {
        self.spans.capacity() * size_of::<Span>() + self.rows.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_table_is_a_map_of_sets(
            first in prop::collection::btree_map(0_u32..50, 0_u32..8, 0..40),
            steps in prop::collection::vec((any::<bool>(), 0_u32..8, 0_u32..50), 0..300),
        ) {
            let mut table = Buckets::of(3, first.iter().map(|(slot, bucket)| (*bucket, *slot)));
            let mut model: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
            for (slot, bucket) in first {
                model.entry(bucket).or_default().insert(slot);
            }
            for (add, bucket, slot) in steps {
                if add {
                    table.insert(bucket, slot);
                    model.entry(bucket).or_default().insert(slot);
                } else {
                    table.remove(bucket, slot);
                    model.entry(bucket).or_default().remove(&slot);
                }
            }
            for bucket in 0..8 {
                let expected: Vec<u32> = model.entry(bucket).or_default().iter().copied().collect();
                prop_assert_eq!(table.slots(bucket), expected);
            }
        }
    }
}
