use super::*;
use crate::{index::words::SplitMix, pool::Sequential, vectors::Vectors};

const DIMENSION: usize = 32;

fn library(metric: Metric, count: u32) -> (Vectors, Codes, Lsh) {
    let (mut vectors, mut codes) = (Vectors::new(DIMENSION), Codes::new(DIMENSION));
    let mut random = SplitMix(1);
    for slot in 0..count {
        let row: Vec<f32> = (0..DIMENSION).map(|_| random.below(2_001) as f32 / 1_000.0 - 0.7).collect();
        vectors.set(slot, &row);
        codes.set(slot, &row);
    }
    (vectors, codes, Lsh::new(DIMENSION, metric, Params { tables: 24, effort: 200, ..Params::default() }))
}

fn insert(index: &mut Lsh, vectors: &Vectors, codes: &Codes, slots: std::ops::Range<u32>) {
    index.insert(Rows { vectors, codes: Some(codes) }, &slots.collect::<Vec<_>>(), &Sequential);
}

#[test]
fn buckets_are_neither_empty_nor_full() {
    for metric in Metric::ALL {
        let (vectors, codes, mut index) = library(metric, 8_000);
        insert(&mut index, &vectors, &codes, 0..8_000);
        for table in &index.tables {
            let longest = (0..1 << index.hasher.frame().bits).map(|bucket| table.slots(bucket).len()).max().unwrap();
            let used = (0..1 << index.hasher.frame().bits).filter(|bucket| !table.slots(*bucket).is_empty()).count();
            assert!(longest < 400 && used > 300, "{metric:?}: {longest} {used}");
        }
    }
}

#[test]
fn tables_are_made_anew_when_they_are_too_small() {
    let (vectors, codes, mut index) = library(Metric::Cosine, 3_000);
    insert(&mut index, &vectors, &codes, 0..300);
    assert_eq!(index.hasher.frame().rows, 300);
    insert(&mut index, &vectors, &codes, 300..1_000);
    assert_eq!(index.hasher.frame().rows, 300);
    insert(&mut index, &vectors, &codes, 1_000..3_000);
    assert_eq!(index.hasher.frame().rows, 3_000);
}

#[test]
fn equal_rows_under_an_equal_measure_are_equal_tables() {
    let (vectors, codes, mut index) = library(Metric::Euclidean, 2_000);
    insert(&mut index, &vectors, &codes, 0..2_000);
    let bytes = index.to_bytes();
    for slot in (0..2_000).step_by(3) {
        index.remove(Rows { vectors: &vectors, codes: Some(&codes) }, &[slot], &Sequential);
    }
    for slot in (0..2_000).step_by(3).collect::<Vec<_>>().into_iter().rev() {
        insert(&mut index, &vectors, &codes, slot..slot + 1);
    }
    assert!(index.to_bytes() == bytes);
}

/// Whoever changes a hash function changes what stored tables mean: then the format must change too.
#[test]
fn hash_functions_do_not_change() {
    let sums = Metric::ALL.map(|metric| {
        let (vectors, codes, mut index) = library(metric, 1_000);
        insert(&mut index, &vectors, &codes, 0..1_000);
        index.buckets_of.iter().fold(0_u64, |sum, bucket| SplitMix(sum ^ u64::from(*bucket)).next())
    });
    assert_eq!(sums, [9_906_007_724_636_893_696, 3_448_965_700_621_327_489, 11_348_354_516_478_997_114]);
}
