//! What a walk through the graph remembers.

use std::sync::{Mutex, PoisonError};

use crate::codes::Coded;

/// The nearest rows met so far, at most `limit`, and which of them have been expanded.
///
/// One sorted array instead of two heaps: a walk ends when every row in it has been expanded. An entry is one integer whose order
/// is that of (key, row): the key above, then the row and whether it has been expanded. A row is less than 2^31.
///
/// Equal keys are in the order of `row ^ origin`: for a query the origin is 0, and that is the order of rows; for a row that
/// looks for neighbours it is the row itself, see [`select`](super::select).
#[derive(Clone, Debug, Default)]
pub(super) struct Beam {
    items: Vec<u64>,
    limit: usize,
    origin: u32,
    /// No entry before this one waits for expansion.
    next: usize,
}

impl Beam {
    pub(super) fn reset(&mut self, limit: usize, origin: u32) {
        self.origin = origin;
        self.items.clear();
        self.items.reserve(limit.max(1));
        self.limit = limit.max(1);
        self.next = 0;
    }

    /// Offers a row; true if it is now the one to expand next.
    #[inline(always)]
    pub(super) fn push(&mut self, key: f32, row: u32) -> bool {
        let item = pack(key, row ^ self.origin);
        if self.items.len() >= self.limit {
            if self.items.last().is_some_and(|last| item >= *last) {
                return false;
            }
            self.items.pop();
        }
        let at = self.items.partition_point(|other| *other < item);
        self.items.insert(at, item);
        let first = at <= self.next;
        if first {
            self.next = at;
        }
        first
    }

    /// The nearest row that waits for expansion; from now on it does not.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<u32> {
        self.pop_with_key().map(|(_, row)| row)
    }

    #[inline(always)]
    pub(super) fn pop_with_key(&mut self) -> Option<(f32, u32)> {
        let item = self.items.get_mut(self.next)?;
        *item |= 1;
        let (key, row) = unpack(*item);
        self.next += 1;
        while self.items.get(self.next).is_some_and(|item| item & 1 == 1) {
            self.next += 1;
        }
        Some((key, row ^ self.origin))
    }

    /// The row that [`pop`](Self::pop) would give now.
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u32> {
        self.items.get(self.next).map(|item| unpack(*item).1 ^ self.origin)
    }

    /// Whether what is pushed from now on takes the place of something.
    pub(super) fn is_full(&self) -> bool {
        self.items.len() >= self.limit
    }

    /// The key of the farthest row.
    pub(super) fn worst(&self) -> Option<f32> {
        self.items.last().map(|item| unpack(*item).0)
    }

    /// Keys and rows, nearest first.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (f32, u32)> + '_ {
        self.items.iter().map(|item| unpack(*item)).map(|(key, row)| (key, row ^ self.origin))
    }
}

#[inline(always)]
fn pack(key: f32, row: u32) -> u64 {
    let bits = key.to_bits();
    let negative = (bits >> 31).wrapping_neg();
    (u64::from(bits ^ (negative | 0x8000_0000)) << 32) | u64::from(row << 1)
}

#[inline(always)]
fn unpack(item: u64) -> (f32, u32) {
    let high = (item >> 32) as u32;
    let positive = (high >> 31).wrapping_neg();
    (f32::from_bits(high ^ (!positive | 0x8000_0000)), item as u32 >> 1)
}

/// The rows that a walk has met: one bit each, and a list of the words to clear afterwards. A stamp a row would save the list, but
/// takes eight times the cache.
#[derive(Clone, Debug, Default)]
pub(super) struct Visited {
    words: Vec<u64>,
    touched: Vec<u32>,
    /// A row that no walk is to meet.
    hidden: Option<u32>,
}

impl Visited {
    /// Forgets everything; room for `rows` rows.
    pub(super) fn reset(&mut self, rows: usize) {
        for word in self.touched.drain(..) {
            self.words[word as usize] = 0;
        }
        if self.words.len() < rows.div_ceil(64) {
            self.words.resize(rows.div_ceil(64), 0);
        }
        if let Some(hidden) = self.hidden {
            self.insert(hidden);
        }
    }

    /// Hides a row from the walks to come, or none.
    pub(super) fn hide(&mut self, row: Option<u32>) {
        self.hidden = row;
    }

    /// Whether `row` is met for the first time.
    #[inline(always)]
    pub(super) fn insert(&mut self, row: u32) -> bool {
        let at = row as usize / 64;
        let Some(word) = self.words.get_mut(at) else { return false };
        let bit = 1 << (row % 64);
        if *word & bit != 0 {
            return false;
        }
        if *word == 0 {
            self.touched.push(at as u32);
        }
        *word |= bit;
        true
    }
}

/// The working memory of one walk.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    pub(super) beam: Beam,
    /// Where the walk may go on, where that is more than what it keeps.
    pub(super) front: Beam,
    pub(super) visited: Visited,
    /// Neighbours that are about to be measured.
    pub(super) fresh: Vec<u32>,
    pub(super) query: Coded,
    /// Keys computed, for explanations.
    pub(super) measured: usize,
}

/// Working memories that wait for the next walk, so that a query allocates nothing in proportion to the index.
#[derive(Debug, Default)]
pub(super) struct Scratches(Mutex<Vec<Scratch>>);

impl Scratches {
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = kept.unwrap_or_default();
        scratch.measured = 0;
        let done = work(&mut scratch);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        done
    }
}

impl Clone for Scratches {
    fn clone(&self) -> Self {
        Self::default()
    }
}
