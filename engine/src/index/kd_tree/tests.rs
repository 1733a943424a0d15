use proptest::prelude::*;

use super::*;
use crate::{
    distance::normalise,
    index::{flat::Flat, words::SplitMix},
    pool::Sequential,
    vectors::Vectors,
};

struct Library {
    vectors: Vectors,
    live: SlotSet,
    tree: KdTree,
    metric: Metric,
}

impl Library {
    fn new(metric: Metric, dimension: usize) -> Self {
        let (vectors, tree) = (Vectors::new(dimension), KdTree::new(dimension, metric));
        Self { vectors, live: SlotSet::default(), tree, metric }
    }

    fn insert(&mut self, rows: &[Vec<f32>]) {
        let mut slots = Vec::new();
        for row in rows {
            let slot = self.live.insert_lowest();
            self.vectors.set(slot, row);
            slots.push(slot);
        }
        self.tree.insert(Rows { vectors: &self.vectors, codes: None }, &slots, &Sequential);
        self.check();
    }

    fn remove(&mut self, slot: u32) {
        if self.live.remove(slot) {
            self.vectors.clear(slot);
            self.tree.remove(Rows { vectors: &self.vectors, codes: None }, &[slot], &Sequential);
            self.check();
        }
    }

    fn ask(&self, index: &dyn VectorIndex, query: &[f32], k: usize, effort: usize, allowed: &SlotSet) -> Found {
        let (vectors, metric) = (&self.vectors, self.metric);
        index.search(&Search { vectors, codes: None, metric, query, k, effort, allowed, pool: &Sequential })
    }

    /// Everything that the tree relies on.
    fn check(&self) {
        let tree = &self.tree;
        assert!(tree.used.iter().eq(self.live.iter()));
        let (mut rows, mut parts) = (0, tree.root.map(|root| (root, NONE)).into_iter().collect::<Vec<_>>());
        while let Some((part, parent)) = parts.pop() {
            let number = part.number();
            let bounds = if part.is_leaf() {
                assert_eq!(tree.leaves.parent(number), parent);
                let slots = tree.leaves.slots(number);
                assert!(!slots.is_empty());
                rows += slots.len();
                for slot in slots {
                    assert_eq!(tree.leaf_of[*slot as usize] as usize, number);
                }
                tree.leaves.bounds(number)
            } else {
                let pair = tree.pairs[number];
                assert_eq!(pair.parent, parent);
                assert!(!change::is_lopsided(pair.counts[0], pair.counts[1]));
                parts.extend([0, 1].map(|side| (pair.parts[side as usize], number as u32 * 2 + side)));
                tree.pair_bounds(number)
            };
            if parent != NONE {
                let (pair, side) = (parent as usize / 2, parent as usize % 2);
                let ends = &tree.boxes[pair * tree.dimension..(pair + 1) * tree.dimension];
                assert!(ends.iter().zip(&bounds).all(|(ends, tight)| ends[side] == tight[0] && ends[side + 2] == tight[1]));
            }
        }
        assert_eq!(rows, tree.len());
    }
}

/// A coordinate: often one of few, so that there are ties; sometimes extreme.
fn coordinate() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => (-4_i8..4).prop_map(f32::from),
        3 => -1.0_f32..1.0,
        1 => prop::sample::select(vec![0.0, -0.0, 1e-45, -1e-40, 3e38, -3e38, 1e19, 1e-20]),
    ]
}

fn bits(found: &Found) -> Vec<(u32, u32)> {
    found.nearest.iter().map(|(key, slot)| (key.to_bits(), *slot)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn it_answers_like_a_scan_to_the_bit(
        (dimension, rows, queries) in prop::sample::select(vec![1_usize, 2, 3, 4, 5, 8, 17, 33]).prop_flat_map(|dimension| {
            let row = move || prop::collection::vec(coordinate(), dimension);
            (Just(dimension), prop::collection::vec(row(), 1..250), prop::collection::vec(row(), 1..6))
        }),
        batch in 1_usize..120,
        gone in prop::collection::vec(0_u32..250, 0..200),
        step in 1_usize..5,
        k in 0_usize..30,
    ) {
        for metric in Metric::ALL {
            let (mut rows, mut queries) = (rows.clone(), queries.clone());
            if metric == Metric::Cosine {
                rows.retain_mut(|row| normalise(row).is_ok());
                queries.retain_mut(|row| normalise(row).is_ok());
            }
            let mut library = Library::new(metric, dimension);
            rows.chunks(batch).for_each(|rows| library.insert(rows));
            gone.iter().for_each(|slot| library.remove(*slot));
            rows.iter().step_by(2).for_each(|row| library.insert(std::slice::from_ref(row)));
            let bytes = library.tree.to_bytes();
            library.tree = KdTree::from_bytes(&bytes, metric, &library.vectors).unwrap();
            library.check();
            prop_assert!(library.tree.to_bytes() == bytes);
            let some: SlotSet = library.live.iter().step_by(step).collect();
            for query in &queries {
                let truth = library.ask(&Flat, query, k, 0, &some);
                let found = library.ask(&library.tree, query, k, 0, &some);
                prop_assert_eq!(bits(&found), bits(&truth), "{:?}", metric);
                let bounded = library.ask(&library.tree, query, k, 40, &some);
                prop_assert_eq!(bounded.nearest.len(), truth.nearest.len());
            }
        }
    }
}

#[test]
fn effort_bounds_the_rows_that_are_compared_and_buys_recall() {
    let mut random = SplitMix(3);
    let mut row = || (0..6).map(|_| random.below(1 << 20) as f32).collect::<Vec<f32>>();
    let (rows, queries): (Vec<_>, Vec<_>) = ((0..8_000).map(|_| row()).collect(), (0..40).map(|_| row()).collect());
    for metric in [Metric::Euclidean, Metric::Dot] {
        let mut library = Library::new(metric, 6);
        library.insert(&rows);
        let recall = |effort: usize| {
            let mut found = 0;
            for query in &queries {
                let truth = library.ask(&Flat, query, 10, 0, &library.live).nearest;
                let answer = library.ask(&library.tree, query, 10, effort, &library.live);
                assert!(effort == 0 || answer.visited < effort + leaves::ROWS);
                found += answer.nearest.iter().filter(|pair| truth.contains(pair)).count();
            }
            found as f64 / 400.0
        };
        let recalls = [100, 400, 1_600, 0].map(recall);
        assert!(recalls.is_sorted() && recalls[1] > 0.7 && recalls[3] == 1.0, "{metric:?}: {recalls:?}");
    }
}

#[test]
fn most_rows_are_never_compared() {
    let mut random = SplitMix(4);
    let mut row = || unit((0..3).map(|_| random.below(1 << 20) as f32 - 524_288.0).collect());
    let rows: Vec<_> = (0..20_000).map(|_| row()).collect();
    for (metric, most) in [(Metric::Euclidean, 300), (Metric::Cosine, 300), (Metric::Dot, 4_000)] {
        let mut library = Library::new(metric, 3);
        library.insert(&rows);
        let visited: usize = (0..50).map(|at| library.ask(&library.tree, &rows[at * 7], 10, 0, &library.live).visited).sum();
        assert!(visited / 50 < most, "{metric:?}: {}", visited / 50);
    }
}

fn unit(mut row: Vec<f32>) -> Vec<f32> {
    normalise(&mut row).unwrap();
    row
}

#[test]
fn a_tree_that_grew_is_no_worse_than_one_that_was_built() {
    let mut random = SplitMix(5);
    let rows: Vec<Vec<f32>> = (0..4_000).map(|_| (0..2).map(|_| random.below(1 << 20) as f32).collect()).collect();
    let (mut built, mut grown) = (Library::new(Metric::Euclidean, 2), Library::new(Metric::Euclidean, 2));
    built.insert(&rows);
    let mut sorted = rows.clone();
    sorted.sort_by(|a, b| a[0].total_cmp(&b[0]));
    for row in &sorted {
        let slot = grown.live.insert_lowest();
        grown.vectors.set(slot, row);
        grown.tree.insert(Rows { vectors: &grown.vectors, codes: None }, &[slot], &Sequential);
    }
    grown.check();
    let visited = |library: &Library| -> usize {
        rows.iter().step_by(40).map(|query| library.ask(&library.tree, query, 10, 0, &library.live).visited).sum()
    };
    assert!(visited(&grown) < 2 * visited(&built));
}
