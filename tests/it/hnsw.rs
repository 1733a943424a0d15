//! The graph does not depend on the number of threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use vecino_engine::{
    codes::Codes,
    distance::Metric,
    index::{
        Rows, VectorIndex,
        hnsw::{Hnsw, Params},
    },
    pool::{Pool, Sequential},
    vectors::Vectors,
};

/// Threads that take jobs from a common counter, and slow ones among them.
struct Threads(usize);

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
fn any_number_of_threads_builds_the_same_graph() {
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
    let build = |pool: &dyn Pool| {
        let mut graph = Hnsw::new(Metric::Euclidean, Params { ef_construction: 60, ..Params::default() });
        graph.insert(rows, &(0..2_500).collect::<Vec<_>>(), pool);
        (0..500).for_each(|slot| graph.remove(rows, slot * 5));
        graph.insert(rows, &(2_400..3_000).collect::<Vec<_>>(), pool);
        graph.to_bytes()
    };
    let expected = build(&Sequential);
    for threads in 1..=3 {
        assert!(build(&Threads(threads)) == expected, "{threads} threads");
    }
}
