//! No index depends on the number of threads that build it.

use std::sync::atomic::{AtomicUsize, Ordering};

use vecino_engine::{
    codes::Codes,
    distance::Metric,
    index::{
        Rows, VectorIndex,
        hnsw::{self, Hnsw},
        ivf::{self, Ivf},
        kd_tree::KdTree,
        lsh::{self, Lsh},
    },
    pool::{Pool, Sequential},
    vectors::Vectors,
};

/// The log and the number that the module for browsers is tried with, too.
#[path = "../../wasm/tests/cases/history.rs"]
mod history;

/// Threads that take jobs from a common counter, and slow ones among them.
pub(super) struct Threads(pub(super) usize);

impl Pool for Threads {
    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    return;
                }
                if number % 97 == 3 {
                    std::thread::yield_now();
                }
                job(number);
            }
        };
        std::thread::scope(|scope| {
            (0..self.0).for_each(|_| {
                scope.spawn(work);
            });
        });
    }
}

#[test]
fn any_number_of_threads_builds_the_same_index() {
    let (count, dimension) = (3_000, 20);
    let mut state = 1_u32;
    let mut floats = (0..count * dimension).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    });
    let bytes: Vec<u8> = floats.by_ref().flat_map(f32::to_le_bytes).collect();
    let blob = vecino_engine::blob::Blob::new(vecino_engine::blob::AlignedBytes::from(&bytes[..]));
    let vectors = Vectors::mapped(dimension, count, &blob, 0).unwrap();
    let codes = Codes::of(&vectors);
    let rows = Rows { vectors: &vectors, codes: Some(&codes) };
    let metric = Metric::Euclidean;
    for pool in [1, 2, 3].map(Threads) {
        let mut pairs: Vec<(Box<dyn Bytes>, Box<dyn Bytes>)> = vec![
            two(|| Hnsw::new(metric, hnsw::Params { ef_construction: 60, ..hnsw::Params::default() })),
            two(|| Ivf::new(dimension, metric, ivf::Params::default())),
            two(|| Lsh::new(dimension, metric, lsh::Params::default())),
            two(|| KdTree::new(dimension, metric)),
        ];
        for (one, other) in &mut pairs {
            for (index, pool) in [(&mut *one, &Sequential as &dyn Pool), (other, &pool)] {
                index.insert(rows, &(0..2_500).collect::<Vec<_>>(), pool);
                index.remove(rows, &(0..500).map(|slot| slot * 5).collect::<Vec<_>>(), pool);
                index.remove(rows, &[7, 8], pool);
                index.insert(rows, &(2_500..3_000).collect::<Vec<_>>(), pool);
            }
            assert!(one.bytes() == other.bytes(), "{} with {} threads", one.name(), pool.0);
        }
    }
}

/// An index that can be compared byte by byte.
trait Bytes: VectorIndex {
    fn bytes(&self) -> Vec<u8>;
}

macro_rules! bytes {
    ($($index:ty),*) => {
        $(impl Bytes for $index {
            fn bytes(&self) -> Vec<u8> {
                self.to_bytes()
            }
        })*
    };
}

bytes!(Hnsw, Ivf, Lsh, KdTree);

fn two<T: Bytes + 'static>(make: impl Fn() -> T) -> (Box<dyn Bytes>, Box<dyn Bytes>) {
    (Box::new(make()), Box::new(make()))
}

#[test]
fn the_same_log_gives_the_same_bytes_and_answers_as_in_a_browser() {
    assert_eq!([history::sum(&Sequential), history::sum(&Threads(2))], [history::SUM; 2]);
}
