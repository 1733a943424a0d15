use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    codes::Codes,
    distance::normalise,
    index::Strategy,
    pool::{Pool, Sequential},
    slots::SlotSet,
    vectors::Vectors,
};

/// Runs jobs in another order than their own, as threads would.
struct Shuffled(usize);

impl Pool for Shuffled {
    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        for first in (0..self.0).rev() {
            (first..jobs).step_by(self.0).for_each(job);
        }
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// About normal.
    fn float(&mut self) -> f32 {
        (0..6).map(|_| self.next() as f32 / (1_u64 << 31) as f32 - 0.5).sum()
    }

    fn vector(&mut self, dimension: usize) -> Vec<f32> {
        (0..dimension).map(|_| self.float()).collect()
    }
}

/// Rows in twenty clusters, of different sizes and lengths. Any seed gives rows of the same clusters.
fn clustered(count: usize, dimension: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = Random(99);
    let centres: Vec<Vec<f32>> = (0..20).map(|_| random.vector(dimension)).collect();
    random.0 ^= seed << 32;
    (0..count)
        .map(|_| {
            let centre = &centres[(random.next() % 20 * (random.next() % 20) / 20) as usize];
            let length = 1.0 + 0.2 * random.float();
            centre.iter().map(|x| (x + 0.5 * random.float()) * length).collect()
        })
        .collect()
}

struct Library {
    metric: Metric,
    vectors: Vectors,
    codes: Codes,
    live: SlotSet,
    graph: Hnsw,
}

impl Library {
    fn new(metric: Metric, dimension: usize, params: Params) -> Self {
        let graph = Hnsw::new(metric, params);
        Self { metric, vectors: Vectors::new(dimension), codes: Codes::new(dimension), live: SlotSet::default(), graph }
    }

    fn of(metric: Metric, rows: &[Vec<f32>]) -> Self {
        let mut library = Self::new(metric, rows[0].len(), Params { ef_construction: 100, ..Params::default() });
        let slots = library.store(rows);
        library.link(&slots, &Sequential);
        library
    }

    fn store(&mut self, rows: &[Vec<f32>]) -> Vec<u32> {
        let store = |row: &Vec<f32>| {
            let slot = self.live.insert_lowest();
            let mut row = row.clone();
            if self.metric == Metric::Cosine {
                normalise(&mut row).unwrap();
            }
            self.vectors.set(slot, &row);
            self.codes.set(slot, &row);
            slot
        };
        rows.iter().map(store).collect()
    }

    fn link(&mut self, slots: &[u32], pool: &dyn Pool) {
        self.graph.insert(Rows { vectors: &self.vectors, codes: Some(&self.codes) }, slots, pool);
    }

    fn remove(&mut self, slots: &[u32]) {
        self.graph.remove(Rows { vectors: &self.vectors, codes: Some(&self.codes) }, slots, &Sequential);
        for &slot in slots {
            self.live.remove(slot);
            self.vectors.clear(slot);
            self.codes.clear(slot);
        }
    }

    fn ask(&self, index: &dyn VectorIndex, query: &[f32], k: usize, effort: usize, allowed: &SlotSet) -> Vec<(f32, u32)> {
        self.found(index, query, k, effort, allowed).nearest
    }

    fn found(&self, index: &dyn VectorIndex, query: &[f32], k: usize, effort: usize, allowed: &SlotSet) -> Found {
        let mut query = query.to_vec();
        if self.metric == Metric::Cosine {
            normalise(&mut query).unwrap();
        }
        // The truth is what floats say.
        let codes = (index.name() != Flat.name()).then_some(&self.codes);
        let (vectors, metric) = (&self.vectors, self.metric);
        let search = Search { vectors, codes, metric, query: &query, k, effort, allowed, pool: &Sequential };
        index.search(&search)
    }

    /// Recall at 10 over `queries`. Every key must be exact.
    fn recall(&self, queries: &[Vec<f32>], effort: usize, allowed: &SlotSet) -> f64 {
        let (mut found, mut wanted) = (0, 0);
        for query in queries {
            let truth = self.ask(&Flat, query, 10, 0, allowed);
            let answer = self.ask(&self.graph, query, 10, effort, allowed);
            assert_eq!(answer.len(), truth.len());
            assert!(answer.is_sorted_by(|a, b| a.0 < b.0 || a.0 == b.0 && a.1 < b.1));
            assert!(answer.iter().all(|(_, slot)| allowed.contains(*slot)));
            wanted += truth.len();
            found += answer.iter().filter(|pair| truth.contains(pair)).count();
        }
        found as f64 / wanted as f64
    }

    /// Rows of the base layer to which no way leads from where walks start; and every count is right.
    fn unreachable(&self) -> usize {
        for layer in &self.graph.layers {
            let mut incoming = vec![0; layer.rows()];
            for row in layer.used.iter() {
                let links = layer.links(row);
                assert_eq!(links.iter().collect::<BTreeSet<_>>().len(), links.len());
                for link in links {
                    assert!(layer.used.contains(*link) && *link != row);
                    incoming[*link as usize] += 1;
                }
            }
            assert_eq!(incoming, layer.incoming);
        }
        let base = &self.graph.layers[0];
        assert_eq!(base.used.iter().collect::<Vec<_>>(), self.live.iter().collect::<Vec<_>>());
        let mut seen = SlotSet::default();
        let mut open: Vec<u32> = match self.graph.entry {
            Some((level, row)) => vec![self.graph.layers[level].slot(row)],
            None => Vec::new(),
        };
        while let Some(row) = open.pop() {
            if seen.insert(row) {
                open.extend(base.links(row));
            }
        }
        base.used.len() - seen.len()
    }
}

#[test]
fn recall_is_high_for_every_metric() {
    let (rows, queries) = (clustered(4_000, 32, 1), clustered(200, 32, 2));
    for (metric, floor) in [(Metric::Cosine, 0.995), (Metric::Euclidean, 0.995), (Metric::Dot, 0.99)] {
        let library = Library::of(metric, &rows);
        assert_eq!(library.unreachable(), 0);
        let (low, high) = (library.recall(&queries, 10, &library.live), library.recall(&queries, 100, &library.live));
        assert!(high >= floor, "{metric:?}: {high}");
        assert!(low < high, "{metric:?}: effort must matter, {low} {high}");
    }
}

#[test]
fn the_order_of_jobs_does_not_matter_but_the_rows_do() {
    let rows = clustered(1_500, 24, 3);
    let bytes = |pool: &dyn Pool, rows: &[Vec<f32>], seed| {
        let mut library = Library::new(Metric::Cosine, 24, Params { ef_construction: 60, seed, ..Params::default() });
        let slots = library.store(rows);
        let (first, second) = slots.split_at(700);
        library.link(first, pool);
        let seventh: Vec<u32> = (0..700).step_by(7).collect();
        library.graph.remove(Rows { vectors: &library.vectors, codes: Some(&library.codes) }, &seventh, pool);
        library.remove(&seventh);
        let again = library.store(&rows[..50]);
        library.link(&[second, &again].concat(), pool);
        library.graph.to_bytes()
    };
    let expected = bytes(&Sequential, &rows, 0);
    for jobs in [2, 3, 7] {
        assert!(bytes(&Shuffled(jobs), &rows, 0) == expected, "{jobs}");
    }
    assert!(bytes(&Sequential, &rows, 1) != expected);
    let mut other = rows.clone();
    other[1_400][0] += 1.0;
    assert!(bytes(&Sequential, &other, 0) != expected);
}

#[test]
fn rounds_of_removing_and_adding_half_leave_the_graph_as_good_as_new() {
    for (metric, effort) in [(Metric::Cosine, 20), (Metric::Euclidean, 20), (Metric::Dot, 64)] {
        let (rows, queries) = (clustered(2_000, 32, 4), clustered(300, 32, 5));
        let mut library = Library::of(metric, &rows);
        let fresh = library.recall(&queries, effort, &library.live);
        assert!(library.recall(&queries, 10, &library.live) < fresh, "{metric:?}: effort must matter");
        let memory = library.graph.memory();
        let mut random = Random(6);
        let mut held: Vec<usize> = (0..rows.len()).collect();
        for _ in 0..10 {
            let mut gone: Vec<u32> = (0..rows.len() as u32).collect();
            for at in 0..gone.len() {
                gone.swap(at, random.next() as usize % rows.len());
            }
            gone.truncate(rows.len() / 2);
            library.remove(&gone);
            assert_eq!(library.unreachable(), 0);
            let back: Vec<usize> = gone.iter().map(|slot| held[*slot as usize]).collect();
            let slots = library.store(&back.iter().map(|row| rows[*row].clone()).collect::<Vec<_>>());
            for (slot, row) in slots.iter().zip(back) {
                held[*slot as usize] = row;
            }
            library.link(&slots, &Sequential);
        }
        assert_eq!(library.unreachable(), 0);
        let aged = library.recall(&queries, effort, &library.live);
        assert!(aged >= fresh - 0.005, "{metric:?}: {fresh} became {aged}");
        assert!(library.graph.memory() <= memory + memory / 4);
    }
}

#[test]
fn one_by_one_is_nearly_as_good_as_at_once() {
    let (rows, queries) = (clustered(1_500, 24, 7), clustered(200, 24, 8));
    let at_once = Library::of(Metric::Euclidean, &rows);
    let mut one_by_one = Library::new(Metric::Euclidean, 24, at_once.graph.params());
    for row in &rows {
        let slots = one_by_one.store(std::slice::from_ref(row));
        one_by_one.link(&slots, &Sequential);
    }
    assert_eq!(one_by_one.unreachable(), 0);
    let recall = [&at_once, &one_by_one].map(|library| library.recall(&queries, 20, &library.live));
    assert!((recall[0] - recall[1]).abs() < 0.02, "{recall:?}");
}

#[test]
fn filters_give_k_whenever_k_match() {
    let (rows, queries) = (clustered(12_000, 16, 9), clustered(60, 16, 10));
    let library = Library::of(Metric::Cosine, &rows);
    let mut random = Random(11);
    for share in [1, 2, 3, 5, 11, 100, 1_500] {
        let allowed: SlotSet = (0..12_000).filter(|_| random.next().is_multiple_of(share)).collect();
        let recall = library.recall(&queries, 40, &allowed);
        assert!(recall >= 0.97, "one in {share}: {recall}");
    }
    // The rows farthest from the first query: a walk towards it meets few of them.
    let all = library.ask(&Flat, &queries[0], 12_000, 0, &library.live);
    for count in [5, 2_000, 4_000] {
        let far: SlotSet = all[all.len() - count..].iter().map(|(_, slot)| *slot).collect();
        let recall = library.recall(&queries, 10, &far);
        assert!(recall > 0.6, "{count}: {recall}");
    }
}

#[test]
fn the_way_follows_the_share_and_the_order_of_what_is_allowed() {
    let (rows, queries) = (clustered(12_000, 16, 9), clustered(60, 16, 10));
    let library = Library::of(Metric::Cosine, &rows);
    let mut random = Random(11);
    let mut scattered = |percent: u64| -> SlotSet { (0..12_000).filter(|_| random.next() % 100 < percent).collect() };
    for (allowed, strategy, floor) in [
        (scattered(8), Strategy::ExactScan, 1.0),
        ((3_000..5_900).collect(), Strategy::ExactScan, 1.0),
        (scattered(24), Strategy::TwoHopIndex, 0.9),
        (scattered(60), Strategy::MaskedIndex, 0.9),
        (scattered(100), Strategy::Index, 0.9),
    ] {
        let found = library.found(&library.graph, &queries[0], 10, 10, &allowed);
        assert_eq!(found.strategy, strategy, "{} of 12,000", allowed.len());
        let recall = library.recall(&queries, 10, &allowed);
        assert!(recall >= floor, "{strategy:?}: {recall}");
    }
}

#[test]
fn rows_of_many_lengths_are_found_under_dot() {
    let mut random = Random(15);
    let mut row = |spread: f32| -> Vec<f32> {
        let length = (spread * random.float()).exp();
        random.vector(32).into_iter().map(|x| x * length).collect()
    };
    let rows: Vec<Vec<f32>> = (0..4_000).map(|_| row(0.8)).collect();
    let queries: Vec<Vec<f32>> = (0..100).map(|_| row(0.0)).collect();
    let library = Library::of(Metric::Dot, &rows);
    let recall = library.recall(&queries, 24, &library.live);
    assert!(recall > 0.9, "{recall}");
}

#[test]
fn what_is_not_linked_is_found_too() {
    let (rows, queries) = (clustered(3_000, 16, 12), clustered(50, 16, 13));
    let mut library = Library::of(Metric::Dot, &rows[..2_800]);
    library.store(&rows[2_800..]);
    assert_eq!(library.graph.len(), 2_800);
    assert!(library.recall(&queries, 80, &library.live) > 0.97);
    let tail: SlotSet = (2_800..3_000).collect();
    assert_eq!(library.recall(&queries, 10, &tail), 1.0);
    let mut none = Library::new(Metric::Dot, 16, Params::default());
    none.store(&rows[..300]);
    assert_eq!(none.recall(&queries, 10, &none.live), 1.0);
}

#[test]
fn small_graphs() {
    let mut library = Library::new(Metric::Euclidean, 3, Params::default());
    let ask = |library: &Library, k| library.ask(&library.graph, &[1.0, 0.0, 0.0], k, 10, &library.live);
    assert_eq!(ask(&library, 5), []);
    library.remove(&[3]);
    let slots = library.store(&[vec![1.0, 2.0, 0.0]]);
    library.link(&slots, &Sequential);
    assert_eq!(ask(&library, 5), [(4.0, 0)]);
    library.link(&[0, 0], &Sequential);
    assert_eq!(ask(&library, 0), []);
    let slots = library.store(&[vec![1.0, 0.0, 0.0], vec![0.0; 3]]);
    library.link(&slots, &Sequential);
    assert_eq!(ask(&library, usize::MAX), [(0.0, 1), (1.0, 2), (4.0, 0)]);
    for slot in [1, 0, 2] {
        library.remove(&[slot]);
        assert_eq!(library.unreachable(), 0);
    }
    assert_eq!((ask(&library, 5), library.graph.is_empty(), library.graph.entry), (vec![], true, None));
    let slots = library.store(&[vec![3.0, 0.0, 0.0]]);
    library.link(&slots, &Sequential);
    assert_eq!(ask(&library, 5), [(4.0, 0)]);
}

/// Ten thousand copies of one row among others: none may hide the others, and of the copies the lowest slots win.
#[test]
fn copies_do_no_harm() {
    let mut rows = clustered(2_000, 16, 14);
    let copy = rows[77].clone();
    rows.extend(vec![copy.clone(); 3_000]);
    let queries = clustered(50, 16, 15);
    for metric in Metric::ALL {
        let mut library = Library::of(metric, &rows);
        assert_eq!(library.unreachable(), 0, "{metric:?}");
        assert!(library.recall(&queries, 100, &library.live) > 0.97);
        let answer = library.ask(&library.graph, &copy, 10, 50, &library.live);
        if metric != Metric::Dot {
            assert!(answer.iter().all(|(key, _)| *key == answer[0].0));
        }
        library.remove(&(2_000..4_500).collect::<Vec<_>>());
        assert_eq!(library.unreachable(), 0, "{metric:?}");
        assert!(library.recall(&queries, 100, &library.live) > 0.97);
    }
}

#[test]
fn equal_keys_come_in_the_order_of_slots() {
    let rows: Vec<Vec<f32>> = (0..600).map(|number| vec![(number / 6) as f32, 1.0, 0.0]).collect();
    let library = Library::of(Metric::Euclidean, &rows);
    for query in 0..100 {
        let answer = library.ask(&library.graph, &[query as f32, 1.0, 0.0], 6, 40, &library.live);
        let expected: Vec<(f32, u32)> = (0..6).map(|slot| (0.0, query * 6 + slot)).collect();
        assert_eq!(answer, expected);
    }
}

fn sample() -> Library {
    let mut library = Library::of(Metric::Euclidean, &clustered(300, 8, 16));
    library.remove(&(0..300).step_by(3).collect::<Vec<_>>());
    library
}

#[test]
fn bytes_open_to_the_same_graph() {
    let mut library = sample();
    let bytes = library.graph.to_bytes();
    let opened = Hnsw::from_bytes(&bytes, library.vectors.rows()).unwrap();
    assert_eq!((opened.entry, opened.params), (library.graph.entry, library.graph.params));
    assert!(opened.to_bytes() == bytes);
    assert!(opened.layers.len() > 1);
    let slots = library.store(&clustered(150, 8, 17));
    library.link(&slots, &Sequential);
    let expected = library.graph.to_bytes();
    library.graph = opened;
    library.link(&slots, &Shuffled(3));
    assert!(library.graph.to_bytes() == expected);
    assert!(Hnsw::from_bytes(&expected, 200).is_err());

    let empty = Hnsw::new(Metric::Dot, Params::default()).to_bytes();
    assert!(Hnsw::from_bytes(&empty, 0).unwrap().is_empty());
}

#[test]
fn damaged_bytes_are_refused_or_do_no_harm() {
    let mut library = sample();
    let bytes = library.graph.to_bytes();
    for cut in (0..bytes.len()).step_by(5).chain([bytes.len() - 1]) {
        assert!(Hnsw::from_bytes(&bytes[..cut], 300).is_err());
    }
    assert!(Hnsw::from_bytes(&[&bytes[..], &[0]].concat(), 300).is_err());
    let (mut refused, mut random) = (0, Random(18));
    for round in 0..4_000 {
        let mut damaged = bytes.clone();
        let at = if round < 2_000 { round % 1_000 } else { random.next() as usize % bytes.len() };
        damaged[at] ^= 1 << (random.next() % 8);
        match Hnsw::from_bytes(&damaged, 300) {
            Err(_) => refused += 1,
            Ok(graph) => {
                library.graph = graph;
                library.recall(&[vec![0.5; 8]], 10, &library.live);
                let (live, codes) = (library.live.clone(), library.codes.clone());
                for slots in [&[0][..], &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]] {
                    library.graph.remove(Rows { vectors: &library.vectors, codes: Some(&codes) }, slots, &Sequential);
                }
                library.link(&[1, 2, 4, 5], &Sequential);
                library.live = live;
            }
        }
    }
    assert!(refused > 1_000, "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Any history leaves the slots in use linked, all of them within reach, and every answer complete.
    #[test]
    fn any_history_leaves_a_sound_graph(
        steps in prop::collection::vec((any::<bool>(), 1_usize..60, any::<u64>()), 1..12),
        m in 2_usize..6,
        dimension in 1_usize..5,
    ) {
        let mut library = Library::new(Metric::Euclidean, dimension, Params { m, ef_construction: 8, ..Params::default() });
        for (add, count, seed) in steps {
            let mut random = Random(seed);
            if add {
                // On a coarse grid, so that there are many copies.
                let rows: Vec<Vec<f32>> =
                    (0..count).map(|_| random.vector(dimension).iter().map(|x| x.round()).collect()).collect();
                let slots = library.store(&rows);
                library.link(&slots, &Sequential);
            } else {
                library.remove(&(0..count).map(|_| random.next() as u32 % 128).collect::<Vec<_>>());
                prop_assert_eq!(library.unreachable(), 0);
            }
            let answer = library.ask(&library.graph, &vec![0.0; dimension], 20, 1, &library.live);
            prop_assert_eq!(answer.len(), library.live.len().min(20));
            let opened = Hnsw::from_bytes(&library.graph.to_bytes(), library.vectors.rows()).unwrap();
            prop_assert!(opened.to_bytes() == library.graph.to_bytes());
        }
    }
}
