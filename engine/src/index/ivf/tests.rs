use super::*;
use crate::{index::words::SplitMix, pool::Sequential, vectors::Vectors};

const DIMENSION: usize = 16;

/// Rows around centres of which the first is number `first`.
fn rows(count: usize, first: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = SplitMix(seed);
    let centre = |number: usize, at: usize| ((number * 7 + at * 13) % 29) as f32;
    (0..count)
        .map(|_| {
            let number = first + random.below(10);
            (0..DIMENSION).map(|at| centre(number, at) + random.below(1_000) as f32 / 500.0).collect()
        })
        .collect()
}

fn library(rows: &[Vec<f32>]) -> (Vectors, Codes, Ivf) {
    let (mut vectors, mut codes) = (Vectors::new(DIMENSION), Codes::new(DIMENSION));
    for (slot, row) in (0..).zip(rows) {
        vectors.set(slot, row);
        codes.set(slot, row);
    }
    (vectors, codes, Ivf::new(DIMENSION, Metric::Euclidean, Params::default()))
}

fn insert(index: &mut Ivf, vectors: &Vectors, codes: &Codes, slots: std::ops::Range<u32>) {
    index.insert(Rows { vectors, codes: Some(codes) }, &slots.collect::<Vec<_>>(), &Sequential);
}

#[test]
fn rows_like_the_old_ones_are_no_drift_and_others_are() {
    let all = [rows(4_000, 0, 1), rows(1_000, 0, 2), rows(1_500, 300, 3)].concat();
    let (vectors, codes, mut index) = library(&all);
    insert(&mut index, &vectors, &codes, 0..4_000);
    assert!(!index.drift().needs_training(), "{:?}", index.drift());
    insert(&mut index, &vectors, &codes, 4_000..5_000);
    assert!(!index.drift().needs_training(), "{:?}", index.drift());
    insert(&mut index, &vectors, &codes, 5_000..6_500);
    let before = index.drift();
    assert!(before.error > 0.1 && before.needs_training(), "{before:?}");
    index.train(&codes, &Sequential);
    assert_eq!(index.drift(), Drift { growth: 1.0, error: 0.0, imbalance: 1.0 });
    assert_eq!(index.len(), 6_500);
}

#[test]
fn growth_is_drift() {
    let all = rows(3_000, 0, 4);
    let (vectors, codes, mut index) = library(&all);
    insert(&mut index, &vectors, &codes, 0..100);
    assert_eq!((index.lists(), index.drift().needs_training()), (1, false));
    insert(&mut index, &vectors, &codes, 100..600);
    assert!(index.lists() > 50 && !index.drift().needs_training());
    insert(&mut index, &vectors, &codes, 600..3_000);
    assert!(index.drift().growth > 4.0 && index.drift().needs_training());
}

#[test]
fn equal_rows_under_equal_centres_are_equal_lists() {
    let all = rows(2_000, 0, 5);
    let (vectors, codes, mut index) = library(&all);
    insert(&mut index, &vectors, &codes, 0..2_000);
    let lists = index.lists.clone();
    for slot in (0..2_000).step_by(3) {
        index.remove(Rows { vectors: &vectors, codes: Some(&codes) }, &[slot], &Sequential);
    }
    for slot in (0..2_000).step_by(3).collect::<Vec<_>>().into_iter().rev() {
        insert(&mut index, &vectors, &codes, slot..slot + 1);
    }
    assert_eq!(index.lists, lists);
}

#[test]
fn no_list_is_far_longer_than_the_others() {
    let (vectors, codes, mut index) = library(&rows(4_000, 0, 6));
    insert(&mut index, &vectors, &codes, 0..4_000);
    let longest = index.lists.iter().map(Vec::len).max().unwrap();
    assert!(longest < 10 * index.len() / index.lists(), "{longest}");
}
