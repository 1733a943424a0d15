//! Sets of slots.
//!
//! A *slot* is the 32-bit number of a chunk within its library: its row in [`Vectors`](crate::vectors::Vectors), and all that
//! an index holds of it. Freed slots are reused, lowest first, so that the slot of a chunk depends on the log alone.

use std::{borrow::Cow, iter, ops::Range, sync::Arc};

/// Words of a page. A write copies the page that it changes, and the list of pages: 8 KiB, and 16 bytes for every 65,536 slots.
const PAGE: usize = 1024;

/// A set of slots, one bit each. Copies share their pages until one of them changes.
#[derive(Clone, Debug, Default)]
pub struct SlotSet {
    /// Each for `PAGE` words; those that it does not reach are 0.
    pages: Vec<Arc<[u64]>>,
    len: usize,
    /// No slot below this word is free.
    full_below: usize,
}

impl SlotSet {
    /// The set of all slots below `end`.
    pub fn all(end: usize) -> Self {
        let word = |at: usize| if at == end / 64 { (1 << (end % 64)) - 1 } else { u64::MAX };
        let words = end.div_ceil(64);
        let page = |first: usize| (first..words.min(first + PAGE)).map(word).collect();
        Self { pages: (0..words).step_by(PAGE).map(page).collect(), len: end, full_below: 0 }
    }

    /// How many slots are in the set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `slot` is in the set.
    #[inline]
    pub fn contains(&self, slot: u32) -> bool {
        self.word(slot as usize / 64) >> (slot % 64) & 1 == 1
    }

    /// Adds `slot`; false if it was in already.
    pub fn insert(&mut self, slot: u32) -> bool {
        let new = !self.contains(slot);
        if new {
            *self.word_mut(slot as usize / 64) |= 1 << (slot % 64);
            self.len += 1;
        }
        new
    }

    /// Takes `slot` out; false if it was not in.
    pub fn remove(&mut self, slot: u32) -> bool {
        let at = slot as usize / 64;
        let present = self.contains(slot);
        if present {
            *self.word_mut(at) &= !(1 << (slot % 64));
            self.len -= 1;
            self.full_below = self.full_below.min(at);
        }
        present
    }

    /// The slots that are not in `other`, as a set.
    pub fn without(&self, other: &Self) -> Self {
        let pages = self.beside(other).map(|(page, other)| match other {
            [] => Arc::clone(page),
            _ => page.iter().zip(endless(other)).map(|(word, other)| word & !other).collect(),
        });
        Self::of(pages.collect())
    }

    /// The slots that are in `other` too, in ascending order.
    pub fn intersection<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u32> + 'a {
        self.slots(other, |word, other| word & other)
    }

    /// Takes out all slots that are not in `other`.
    pub fn intersect(&mut self, other: &Self) {
        let common = |(page, other): (&Arc<[u64]>, &Arc<[u64]>)| {
            if Arc::ptr_eq(page, other) {
                Arc::clone(page)
            } else {
                page.iter().zip(&**other).map(|(word, other)| word & other).collect()
            }
        };
        *self = Self::of(self.pages.iter().zip(&other.pages).map(common).collect());
    }

    /// Adds all slots of `other`.
    pub fn union(&mut self, other: &Self) {
        let both = |number: usize| match (self.pages.get(number), other.pages.get(number)) {
            (Some(page), None) | (None, Some(page)) => Arc::clone(page),
            _ => {
                let (page, other) = (self.page(number), other.page(number));
                let words = endless(page).zip(endless(other)).map(|(word, other)| word | other);
                words.take(page.len().max(other.len())).collect()
            }
        };
        let pages = (0..self.pages.len().max(other.pages.len())).map(both).collect();
        *self = Self { full_below: self.full_below, ..Self::of(pages) };
    }

    /// Adds the lowest slot that is not in the set, and returns it.
    pub fn insert_lowest(&mut self) -> u32 {
        while self.word(self.full_below) == u64::MAX {
            self.full_below += 1;
        }
        // `plan` keeps libraries under 2^31 chunks.
        let slot = (self.full_below * 64) as u32 + self.word(self.full_below).trailing_ones();
        self.insert(slot);
        slot
    }

    /// The slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.iter_within(0..u32::MAX)
    }

    /// How many slots of a range are in the set.
    pub fn count_within(&self, range: Range<u32>) -> usize {
        self.words_within(range).map(|(_, word)| word.count_ones() as usize).sum()
    }

    /// How many slots are in the set without the one before them: the number of runs of slots in a row.
    pub fn runs(&self) -> usize {
        let (mut runs, mut before) = (0, 0);
        for page in &self.pages {
            for word in page.iter() {
                runs += (word & !(word << 1 | before >> 63)).count_ones() as usize;
                before = *word;
            }
            before = if page.len() < PAGE { 0 } else { before };
        }
        runs
    }

    /// The set as one piece of memory, copied unless it has one page only: for who asks for many slots or short ranges.
    pub fn in_a_row(&self) -> InARow<'_> {
        let Some((last, whole)) = self.pages.split_last() else { return InARow(Cow::default()) };
        if whole.is_empty() {
            return InARow(Cow::Borrowed(last));
        }
        let mut words = Vec::with_capacity(whole.len() * PAGE + last.len());
        for (number, page) in self.pages.iter().enumerate() {
            words.resize(number * PAGE, 0);
            words.extend_from_slice(page);
        }
        InARow(Cow::Owned(words))
    }

    /// The slots of a range, in ascending order.
    pub fn iter_within(&self, range: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        self.words_within(range).flat_map(|(at, word)| bits(at, word))
    }

    /// Whether every slot is in `other` too. At once where `other` has no gaps.
    pub fn is_within(&self, other: &Self) -> bool {
        if other.end() == other.len {
            return self.end() <= other.len;
        }
        self.beside(other).all(|(page, other)| {
            // Without a way out of the loop, so that several words are compared at once.
            let missing = page.iter().zip(other).fold(0, |missing, (word, other)| missing | (word & !other));
            missing == 0 && page.get(other.len()..).unwrap_or_default().iter().all(|word| *word == 0)
        })
    }

    /// The slots that are not in `other`, in ascending order.
    pub fn difference<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u32> + 'a {
        self.slots(other, |word, other| word & !other)
    }

    /// Every `step`th slot, from the first on.
    pub fn every(&self, step: usize) -> impl Iterator<Item = u32> + '_ {
        let step = step.max(1);
        let mut before = 0_usize;
        self.words_within(0..u32::MAX).flat_map(move |(at, word)| {
            let skipped = before.next_multiple_of(step) - before;
            let here = word.count_ones() as usize;
            before += here;
            bits(at, if skipped < here { word } else { 0 }).skip(skipped).step_by(step)
        })
    }

    fn of(pages: Vec<Arc<[u64]>>) -> Self {
        let len = pages.iter().flat_map(|page| page.iter()).map(|word| word.count_ones() as usize).sum();
        Self { pages, len, full_below: 0 }
    }

    fn page(&self, number: usize) -> &[u64] {
        self.pages.get(number).map_or(&[], |page| page)
    }

    #[inline]
    fn word(&self, at: usize) -> u64 {
        self.pages.get(at / PAGE).and_then(|page| page.get(at % PAGE)).copied().unwrap_or(0)
    }

    /// A word to be changed. A page that is too short for it doubles.
    fn word_mut(&mut self, at: usize) -> &mut u64 {
        let (number, at) = (at / PAGE, at % PAGE);
        if number >= self.pages.len() {
            self.pages.resize_with(number + 1, Arc::default);
        }
        let page = &mut self.pages[number];
        if at >= page.len() {
            *page = endless(page).take((at + 1).next_power_of_two()).collect();
        }
        &mut Arc::make_mut(page)[at]
    }

    /// One more than the last slot of the set.
    fn end(&self) -> usize {
        let last = self.pages.iter().enumerate().rev().find_map(|(number, page)| {
            let at = page.iter().rposition(|word| *word != 0)?;
            Some((number * PAGE + at + 1) * 64 - page[at].leading_zeros() as usize)
        });
        last.unwrap_or(0)
    }

    /// The pages with those of `other` beside them.
    fn beside<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a Arc<[u64]>, &'a [u64])> {
        self.pages.iter().enumerate().map(|(number, page)| (page, other.page(number)))
    }

    /// The slots of the words that are made of a word of each set, in ascending order.
    fn slots<'a>(&'a self, other: &'a Self, word: impl Fn(u64, u64) -> u64 + Copy + 'a) -> impl Iterator<Item = u32> + 'a {
        self.beside(other).enumerate().flat_map(move |(number, (page, other))| {
            let beside = |at: usize| other.get(at).copied().unwrap_or(0);
            let words = page.iter().enumerate().map(move |(at, one)| (at, word(*one, beside(at))));
            words.filter(|(_, word)| *word != 0).flat_map(move |(at, word)| bits(number * PAGE + at, word))
        })
    }

    /// The words of a range with their places; those that are 0 may be left out.
    fn words_within(&self, range: Range<u32>) -> impl Iterator<Item = (usize, u64)> + '_ {
        let numbers = range.start as usize / 64 / PAGE..(range.end as usize).div_ceil(64 * PAGE).min(self.pages.len());
        numbers.flat_map(move |number| words_within(self.page(number), number * PAGE, range.clone()))
    }
}

/// A set in one piece of memory.
#[derive(Clone, Debug)]
pub struct InARow<'a>(Cow<'a, [u64]>);

impl InARow<'_> {
    /// As [`SlotSet::contains`].
    #[inline]
    pub fn contains(&self, slot: u32) -> bool {
        self.0.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// As [`SlotSet::count_within`].
    #[inline]
    pub fn count_within(&self, range: Range<u32>) -> usize {
        words_within(&self.0, 0, range).map(|(_, word)| word.count_ones() as usize).sum()
    }

    /// As [`SlotSet::iter_within`].
    #[inline]
    pub fn iter_within(&self, range: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        words_within(&self.0, 0, range).flat_map(|(at, word)| bits(at, word))
    }
}

/// What a range of slots has of `words`, the first of which is at `first`.
#[inline]
fn words_within(words: &[u64], first: usize, range: Range<u32>) -> impl Iterator<Item = (usize, u64)> + '_ {
    let (start, end) = (range.start as usize, range.end as usize);
    let from = (start / 64).saturating_sub(first);
    let until = end.div_ceil(64).saturating_sub(first).min(words.len());
    (first + from..).zip(words.get(from..until).unwrap_or_default()).map(move |(at, &word)| {
        let (skipped, kept) = (start.saturating_sub(at * 64), end - at * 64);
        let word = word >> skipped << skipped;
        (at, if kept < 64 { word & ((1 << kept) - 1) } else { word })
    })
}

impl PartialEq for SlotSet {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.is_within(other)
    }
}

impl Eq for SlotSet {}

/// Words, and zeros after them.
fn endless(words: &[u64]) -> impl Iterator<Item = u64> {
    words.iter().copied().chain(iter::repeat(0))
}

/// The slots of the word at `at`, in ascending order.
fn bits(at: usize, word: u64) -> impl Iterator<Item = u32> {
    let mut rest = word;
    iter::from_fn(move || {
        let bit = (rest != 0).then(|| rest.trailing_zeros())?;
        rest &= rest - 1;
        Some((at * 64) as u32 + bit)
    })
}

impl FromIterator<u32> for SlotSet {
    fn from_iter<I: IntoIterator<Item = u32>>(slots: I) -> Self {
        let mut set = Self::default();
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The first slot of the second page.
    const SECOND: u32 = PAGE as u32 * 64;

    /// Slots near the ends of pages.
    fn slots() -> impl Strategy<Value = u32> {
        prop_oneof![0u32..400, SECOND - 70..SECOND + 70, 2 * SECOND..2 * SECOND + 9]
    }

    proptest! {
        #[test]
        fn behaves_like_an_ordered_set(
            steps in prop::collection::vec((0u8..3, slots()), 0..400),
            later in prop::collection::vec(slots(), 1..9),
        ) {
            let (mut set, mut model) = (SlotSet::default(), BTreeSet::new());
            for (kind, slot) in steps {
                match kind {
                    0 => prop_assert_eq!(set.insert(slot), model.insert(slot)),
                    1 => prop_assert_eq!(set.remove(slot), model.remove(&slot)),
                    _ => {
                        let lowest = (0..).find(|slot| !model.contains(slot)).unwrap();
                        model.insert(lowest);
                        prop_assert_eq!(set.insert_lowest(), lowest);
                    }
                }
                prop_assert_eq!(set.len(), model.len());
            }
            let near = [0..0, 0..1, 0..64, 64..65, 64..300, 128..190, 256..999, 16..32, 63..65, 100..290, 7..7];
            let far = [0..SECOND, 0..SECOND + 1, SECOND - 1..SECOND + 1, SECOND..SECOND + 64, 200..3 * SECOND, SECOND + 9..u32::MAX];
            for range in near.into_iter().chain(far) {
                let expected: Vec<u32> = model.iter().copied().filter(|slot| range.contains(slot)).collect();
                prop_assert_eq!(set.count_within(range.clone()), expected.len());
                prop_assert_eq!(set.in_a_row().count_within(range.clone()), expected.len());
                prop_assert_eq!(&set.iter_within(range.clone()).collect::<Vec<_>>(), &expected);
                prop_assert_eq!(set.in_a_row().iter_within(range).collect::<Vec<_>>(), expected);
            }
            let in_a_row = set.in_a_row();
            let all = (0..3 * SECOND).filter(|slot| in_a_row.contains(*slot));
            prop_assert!(all.eq(model.iter().copied()));
            let listed: Vec<u32> = model.iter().copied().collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), listed.clone());
            prop_assert!(set == listed.iter().copied().collect());
            let mut copy = set.clone();
            for slot in later {
                if !copy.remove(slot) {
                    copy.insert(slot);
                }
            }
            prop_assert_eq!(set == copy, copy.iter().eq(listed.iter().copied()));
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), listed, "a copy shares pages, and no changes");
        }
    }

    proptest! {
        #[test]
        fn differences_and_samples_are_those_of_a_list(
            a in prop::collection::btree_set(slots(), 0..200),
            b in prop::collection::btree_set(slots(), 0..200),
            step in 0usize..90,
        ) {
            let (set, other) = (a.iter().copied().collect::<SlotSet>(), b.iter().copied().collect::<SlotSet>());
            prop_assert_eq!(set.is_within(&other), a.is_subset(&b));
            let mut common = set.clone();
            common.intersect(&other);
            prop_assert_eq!(common.len(), a.intersection(&b).count());
            prop_assert_eq!(common.iter().collect::<Vec<_>>(), a.intersection(&b).copied().collect::<Vec<_>>());
            let mut both = set.clone();
            both.union(&other);
            prop_assert_eq!(both.len(), a.union(&b).count());
            prop_assert_eq!(both.iter().collect::<Vec<_>>(), a.union(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(set.without(&other).iter().collect::<Vec<_>>(), a.difference(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(set.without(&other).len(), a.difference(&b).count());
            prop_assert_eq!(set.intersection(&other).collect::<Vec<_>>(), a.intersection(&b).copied().collect::<Vec<_>>());
            for dense in [SlotSet::all(step * 5), SlotSet::all(SECOND as usize + step)] {
                prop_assert_eq!(set.is_within(&dense), a.iter().all(|slot| dense.contains(*slot)));
                let mut less = dense.clone();
                less.intersect(&set);
                prop_assert_eq!(less.len(), a.iter().filter(|slot| dense.contains(**slot)).count());
                prop_assert!(less.is_within(&dense) && less.is_within(&set));
            }
            prop_assert!(other.is_within(&other));
            prop_assert_eq!(set.difference(&other).collect::<Vec<_>>(), a.difference(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(set.runs(), a.iter().filter(|slot| **slot == 0 || !a.contains(&(**slot - 1))).count());
            prop_assert_eq!(set.every(step).collect::<Vec<_>>(), a.iter().copied().step_by(step.max(1)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn all_holds_every_slot_below_the_end() {
        for end in [0, 1, 63, 64, 65, 200, SECOND as usize - 1, SECOND as usize, SECOND as usize + 65] {
            let mut set = SlotSet::all(end);
            assert_eq!(set.len(), end);
            assert_eq!(set.iter().collect::<Vec<_>>(), (0..end as u32).collect::<Vec<_>>());
            assert_eq!([set.insert_lowest(), set.insert_lowest()], [end as u32, end as u32 + 1]);
        }
    }
}
