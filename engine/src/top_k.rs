//! The k nearest of many.

use std::collections::BinaryHeap;

/// Keeps the `k` smallest of the (key, slot) pairs pushed into it.
///
/// The order is total: by key as [`f32::total_cmp`] has it, then by slot, ascending. Hence the result does not depend on
/// the order of the pushes, and the results of several parts [merge](Self::merge) into the result of the whole.
///
/// Cost: a push that is refused is one comparison, one that is kept O(log k). 8 bytes for each pair held.
#[derive(Clone, Debug)]
pub struct TopK {
    k: usize,
    /// The farthest on top. A pair is one integer, see [`pack`].
    heap: BinaryHeap<u64>,
}

impl TopK {
    /// Room for the `k` nearest; 0 keeps nothing. `expected` is how many pairs may come: no more than the smaller of the
    /// two is allocated ahead, so that a huge `k` from a request costs nothing.
    pub fn new(k: usize, expected: usize) -> Self {
        Self { k, heap: BinaryHeap::with_capacity(k.min(expected)) }
    }

    /// Offers a pair; returns whether it is now among the nearest.
    #[inline]
    pub fn push(&mut self, key: f32, slot: u32) -> bool {
        self.push_packed(pack(key, slot))
    }

    #[inline]
    fn push_packed(&mut self, pair: u64) -> bool {
        if self.heap.len() < self.k {
            self.heap.push(pair);
            return true;
        }
        match self.heap.peek_mut() {
            Some(mut farthest) if pair < *farthest => {
                *farthest = pair;
                true
            }
            _ => false,
        }
    }

    /// The largest key that may still enter: that of the farthest pair once `k` are held, `+inf` before, `-inf` for
    /// `k == 0`. A pair whose key equals it enters only with a smaller slot, so skip what is greater, never what is equal.
    #[inline]
    pub fn threshold(&self) -> f32 {
        if self.heap.len() < self.k {
            return f32::INFINITY;
        }
        self.heap.peek().map_or(f32::NEG_INFINITY, |&pair| unpack(pair).0)
    }

    /// Takes over the pairs of `other`.
    pub fn merge(&mut self, other: Self) {
        for pair in other.heap {
            self.push_packed(pair);
        }
    }

    /// How many pairs are held, at most `k`.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Whether `k` pairs are held, so that from now on only nearer ones enter.
    pub fn is_full(&self) -> bool {
        self.heap.len() >= self.k
    }

    /// The pairs, nearest first. Cost: O(k log k).
    pub fn into_sorted_vec(self) -> Vec<(f32, u32)> {
        self.heap.into_sorted_vec().into_iter().map(unpack).collect()
    }
}

/// A pair as an integer whose order is the order of pairs: the sign bit of a positive key is flipped, every bit of a negative
/// one, and the slot goes below. One comparison of integers then does for both.
#[inline]
pub(crate) fn pack(key: f32, slot: u32) -> u64 {
    let bits = key.to_bits();
    let negative = (bits >> 31).wrapping_neg();
    (u64::from(bits ^ (negative | 0x8000_0000)) << 32) | u64::from(slot)
}

#[inline]
fn unpack(pair: u64) -> (f32, u32) {
    let high = (pair >> 32) as u32;
    let positive = (high >> 31).wrapping_neg();
    let bits = high ^ (!positive | 0x8000_0000);
    (f32::from_bits(bits), pair as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
        a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
    }

    fn bits(pairs: &[(f32, u32)]) -> Vec<(u32, u32)> {
        pairs.iter().map(|p| (p.0.to_bits(), p.1)).collect()
    }

    fn pairs() -> impl Strategy<Value = Vec<(f32, u32)>> {
        let key = prop_oneof![
            (-3_i8..3).prop_map(f32::from),
            any::<u32>().prop_map(f32::from_bits),
            prop::sample::select(vec![0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN, 1e-45]),
        ];
        prop::collection::vec((key, prop_oneof![0_u32..8, any::<u32>()]), 0..200)
    }

    proptest! {
        #[test]
        fn it_is_the_head_of_the_sorted_whole(pairs in pairs(), k in 0_usize..220) {
            let mut top = TopK::new(k, pairs.len());
            for &(key, slot) in &pairs {
                let limit = top.threshold();
                let entered = top.push(key, slot);
                prop_assert!(!entered || limit == f32::INFINITY || key.total_cmp(&limit).is_le());
            }
            prop_assert_eq!(top.len(), k.min(pairs.len()));
            let mut sorted = pairs;
            sorted.sort_by(order);
            sorted.truncate(k);
            prop_assert_eq!(bits(&top.into_sorted_vec()), bits(&sorted));
        }

        #[test]
        fn parts_merge_into_the_whole(pairs in pairs(), k in 0_usize..40, cut in 0_usize..200) {
            let (left, right) = pairs.split_at(cut.min(pairs.len()));
            let [mut whole, mut a, mut b] = [(); 3].map(|()| TopK::new(k, 0));
            pairs.iter().for_each(|&(key, slot)| { whole.push(key, slot); });
            left.iter().for_each(|&(key, slot)| { a.push(key, slot); });
            right.iter().for_each(|&(key, slot)| { b.push(key, slot); });
            a.merge(b);
            prop_assert_eq!(bits(&a.into_sorted_vec()), bits(&whole.into_sorted_vec()));
        }
    }

    #[test]
    fn the_threshold_tells_what_may_enter() {
        let mut top = TopK::new(2, 10);
        assert_eq!(top.threshold(), f32::INFINITY);
        assert!(top.push(3.0, 7) && top.push(1.0, 9) && top.is_full());
        assert_eq!(top.threshold(), 3.0);
        assert!(!top.push(3.0, 8), "a tie is won by the smaller slot");
        assert!(top.push(3.0, 6));
        assert!(top.push(-2.0, 1));
        assert_eq!(top.threshold(), 1.0);
        assert_eq!(top.into_sorted_vec(), [(-2.0, 1), (1.0, 9)]);
    }

    #[test]
    fn nothing_is_kept_for_k_zero_and_nothing_is_allocated_for_a_huge_one() {
        let mut none = TopK::new(0, 100);
        assert!(!none.push(f32::NEG_INFINITY, 0) && none.is_empty());
        assert_eq!(none.threshold(), f32::NEG_INFINITY);

        let mut huge = TopK::new(usize::MAX, 3);
        assert!(huge.heap.capacity() < 64);
        assert!(huge.push(f32::INFINITY, 4));
        assert_eq!(huge.threshold(), f32::INFINITY);
        assert_eq!(huge.into_sorted_vec(), [(f32::INFINITY, 4)]);
    }
}
