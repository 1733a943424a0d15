//! Sets of slots.
//!
//! A *slot* is the 32-bit number of a chunk within its library: its row in [`Vectors`](crate::vectors::Vectors), and all that
//! an index holds of it. Freed slots are reused, lowest first, so that the slot of a chunk depends on the log alone.

use std::ops::Range;

/// A set of slots, one bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotSet {
    words: Vec<u64>,
    len: usize,
    /// No slot below this word is free.
    full_below: usize,
}

impl SlotSet {
    /// The set of all slots below `end`.
    pub fn all(end: usize) -> Self {
        let mut set = Self { words: vec![u64::MAX; end / 64], len: end, full_below: 0 };
        if !end.is_multiple_of(64) {
            set.words.push((1 << (end % 64)) - 1);
        }
        set
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
        self.words.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Adds `slot`; false if it was in already.
    pub fn insert(&mut self, slot: u32) -> bool {
        let at = slot as usize / 64;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        let bit = 1 << (slot % 64);
        let new = self.words[at] & bit == 0;
        self.words[at] |= bit;
        self.len += usize::from(new);
        new
    }

    /// Takes `slot` out; false if it was not in.
    pub fn remove(&mut self, slot: u32) -> bool {
        let at = slot as usize / 64;
        let present = self.contains(slot);
        if present {
            self.words[at] &= !(1 << (slot % 64));
            self.len -= 1;
            self.full_below = self.full_below.min(at);
        }
        present
    }

    /// The slots that are not in `other`, as a set.
    pub fn without(&self, other: &Self) -> Self {
        let others = other.words.iter().chain(std::iter::repeat(&0));
        let words: Vec<u64> = self.words.iter().zip(others).map(|(word, other)| word & !other).collect();
        Self { len: words.iter().map(|word| word.count_ones() as usize).sum(), words, full_below: 0 }
    }

    /// The slots that are in `other` too, in ascending order.
    pub fn intersection<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u32> + 'a {
        let words = self.words.iter().zip(&other.words).enumerate();
        words.filter(|(_, (word, other))| *word & *other != 0).flat_map(|(at, (word, other))| bits(at, word & other))
    }

    /// Takes out all slots that are not in `other`.
    pub fn intersect(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
        self.len = self.words.iter().map(|word| word.count_ones() as usize).sum();
        self.full_below = 0;
    }

    /// Adds all slots of `other`.
    pub fn union(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        self.len = 0;
        for (at, word) in self.words.iter_mut().enumerate() {
            *word |= other.words.get(at).copied().unwrap_or(0);
            self.len += word.count_ones() as usize;
        }
    }

    /// Adds the lowest slot that is not in the set, and returns it.
    pub fn insert_lowest(&mut self) -> u32 {
        while self.words.get(self.full_below) == Some(&u64::MAX) {
            self.full_below += 1;
        }
        let bit = self.words.get(self.full_below).map_or(0, |word| word.trailing_ones());
        // `plan` keeps libraries under 2^31 chunks.
        let slot = (self.full_below * 64) as u32 + bit;
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
        let before = std::iter::once(&0).chain(&self.words);
        self.words.iter().zip(before).map(|(word, before)| (word & !(word << 1 | before >> 63)).count_ones() as usize).sum()
    }

    /// The slots of a range, in ascending order.
    pub fn iter_within(&self, range: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        self.words_within(range).flat_map(|(at, word)| bits(at, word))
    }

    /// Whether every slot is in `other` too. At once where `other` has no gaps.
    pub fn is_within(&self, other: &Self) -> bool {
        let rest = |from: usize| self.words.get(from..).unwrap_or_default();
        let last = other.words.last().copied().unwrap_or(0);
        let whole = other.words.len().saturating_sub(1);
        if other.len == whole * 64 + last.trailing_ones() as usize && last & last.wrapping_add(1) == 0 {
            let mut words = rest(whole).iter();
            return words.next().is_none_or(|word| word & !last == 0) && words.all(|word| *word == 0);
        }
        // Without a way out of the loop, so that several words are compared at once.
        let missing = self.words.iter().zip(&other.words).fold(0, |missing, (word, other)| missing | (word & !other));
        missing == 0 && rest(other.words.len()).iter().all(|word| *word == 0)
    }

    /// The slots that are not in `other`, in ascending order.
    pub fn difference<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u32> + 'a {
        let others = other.words.iter().chain(std::iter::repeat(&0));
        let words = self.words.iter().zip(others).enumerate();
        words.filter(|(_, (word, other))| *word & !*other != 0).flat_map(|(at, (word, other))| bits(at, word & !other))
    }

    /// Every `step`th slot, from the first on.
    pub fn every(&self, step: usize) -> impl Iterator<Item = u32> + '_ {
        let step = step.max(1);
        let mut before = 0_usize;
        self.words.iter().enumerate().flat_map(move |(at, word)| {
            let skipped = before.next_multiple_of(step) - before;
            let here = word.count_ones() as usize;
            before += here;
            bits(at, if skipped < here { *word } else { 0 }).skip(skipped).step_by(step)
        })
    }

    fn words_within(&self, range: Range<u32>) -> impl Iterator<Item = (usize, u64)> + '_ {
        let (start, end) = (range.start as usize, range.end as usize);
        let first = start / 64;
        let words = self.words.get(first..end.div_ceil(64).min(self.words.len())).unwrap_or_default();
        (first..).zip(words).map(move |(at, &word)| {
            let (skipped, kept) = (start.saturating_sub(at * 64), end - at * 64);
            let word = word >> skipped << skipped;
            (at, if kept < 64 { word & ((1 << kept) - 1) } else { word })
        })
    }
}

/// The slots of the word at `at`, in ascending order.
fn bits(at: usize, word: u64) -> impl Iterator<Item = u32> {
    let mut rest = word;
    std::iter::from_fn(move || {
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

    proptest! {
        #[test]
        fn behaves_like_an_ordered_set(steps in prop::collection::vec((0u8..3, 0u32..300), 0..400)) {
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
            for range in [0..0, 0..1, 0..64, 64..65, 64..300, 128..190, 256..999, 16..32, 63..65, 100..290, 7..7] {
                let expected: Vec<u32> = model.iter().copied().filter(|slot| range.contains(slot)).collect();
                prop_assert_eq!(set.count_within(range.clone()), expected.len());
                prop_assert_eq!(set.iter_within(range).collect::<Vec<_>>(), expected);
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }
    }

    proptest! {
        #[test]
        fn differences_and_samples_are_those_of_a_list(
            a in prop::collection::btree_set(0u32..400, 0..200),
            b in prop::collection::btree_set(0u32..500, 0..200),
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
            let dense = SlotSet::all(step * 5);
            prop_assert_eq!(set.is_within(&dense), a.iter().all(|slot| dense.contains(*slot)));
            prop_assert!(other.is_within(&other));
            prop_assert_eq!(set.difference(&other).collect::<Vec<_>>(), a.difference(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(set.runs(), a.iter().filter(|slot| **slot == 0 || !a.contains(&(**slot - 1))).count());
            prop_assert_eq!(set.every(step).collect::<Vec<_>>(), a.iter().copied().step_by(step.max(1)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn all_holds_every_slot_below_the_end() {
        for end in [0, 1, 63, 64, 65, 200] {
            let set = SlotSet::all(end);
            assert_eq!(set.len(), end);
            assert_eq!(set.iter().collect::<Vec<_>>(), (0..end as u32).collect::<Vec<_>>());
        }
    }
}
