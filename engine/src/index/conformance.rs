//! What every index promises, tried on each of them under each metric.
//!
//! The yardstick is the flat index. Data are seeded: clusters of rows that are about normal, uniform ones, and ones of which there are
//! many copies.

mod library;

use super::{Rows, Search, flat::Flat};
use crate::{
    distance::Metric,
    pool::{Pool, Sequential},
    slots::SlotSet,
    vectors::Vectors,
};
use library::{Kept, Library, Random, Shuffled, clustered, unit};

const DIMENSION: usize = 24;

/// Rows of most tests.
const ROWS: usize = 3_000;

/// Every index: its name, whether it is exact, and the recall at 10 that its default effort reaches.
const INDEXES: [(&str, bool, f64); 5] =
    [("flat", true, 1.0), ("kd_tree", true, 1.0), ("lsh", false, 0.95), ("ivf", false, 0.93), ("hnsw", false, 0.95)];

/// Runs a test for every index and metric.
fn each(test: impl Fn(&str, bool, f64, Metric)) {
    for (name, exact, floor) in INDEXES {
        for metric in Metric::ALL {
            // A long row is nearest to queries from many directions, and only some of these lead to it.
            let floor = if exact || metric != Metric::Dot { floor } else { floor - 0.03 };
            test(name, exact, floor, metric);
        }
    }
}

#[test]
fn recall_is_above_the_floor() {
    each(|name, exact, floor, metric| {
        for dimension in [1, 2, 3, 5, DIMENSION, 40] {
            let (rows, queries) = clustered(if dimension == DIMENSION { ROWS } else { 1_200 }, dimension, 1);
            let library = Library::of(name, metric, &rows);
            let recall = library.recall(&queries, &library.live);
            // In one dimension all keys under cosine are equal but for the sign, and ties are not all found.
            let floor = if exact {
                1.0
            } else if dimension == 1 {
                0.0
            } else {
                floor
            };
            assert!(recall >= floor, "{name} {metric:?} {dimension}: {recall}");
        }
        let mut random = Random::new(2);
        let library = Library::of(name, metric, &random.uniform_rows(ROWS, 8));
        let recall = library.recall(&random.uniform_rows(60, 8), &library.live);
        assert!(recall >= if exact { 1.0 } else { floor - 0.05 }, "{name} {metric:?} uniform: {recall}");
    });
}

#[test]
fn a_filter_is_heeded_within_the_search() {
    let (rows, queries) = clustered(ROWS, DIMENSION, 3);
    each(|name, exact, floor, metric| {
        let library = Library::of(name, metric, &rows);
        let mut random = Random::new(4);
        for share in [0.5, 0.1, 0.01] {
            let allowed: SlotSet = library.live.iter().filter(|_| (random.uniform() + 1.0) / 2.0 < share).collect();
            let recall = library.recall(&queries, &allowed);
            assert!(recall >= if exact { 1.0 } else { floor }, "{name} {metric:?} {share}: {recall}");
        }
        // Far from the query, and all in one place.
        let near = library.ask(&Flat, &queries[0], ROWS, &library.live);
        let far: SlotSet = near[ROWS - 400..].iter().map(|(_, slot)| *slot).collect();
        assert!(library.recall(&queries[..1], &far) >= if exact { 1.0 } else { 0.5 }, "{name} {metric:?}");
        for few in [vec![], vec![77], vec![5, 2_999]] {
            let few: SlotSet = few.into_iter().collect();
            assert_eq!(library.recall(&queries[..5], &few), if few.is_empty() { 0.0 } else { 1.0 });
        }
    });
}

#[test]
fn an_empty_library_one_row_and_more_than_there_are() {
    each(|name, _, _, metric| {
        let mut library = Library::empty(name, metric, 4);
        let query = [1.0, 2.0, 3.0, 4.0];
        assert!(library.ask(library.kept.index(), &query, 10, &library.live).is_empty());
        let slots = library.store(&[vec![0.5, -1.0, 2.0, 0.0]]);
        library.insert(&slots, &Sequential);
        assert_eq!(library.ask(library.kept.index(), &query, 10, &library.live)[0].1, 0);
        let rows = Random::new(5).clustered_rows(600, 4);
        let slots = library.store(&rows);
        library.insert(&slots, &Sequential);
        for k in [0, 1, 600, 601, 602, 100_000, usize::MAX] {
            let all = library.ask(library.kept.index(), &query, k, &library.live);
            if k > 600 {
                assert_eq!(all, library.ask(&Flat, &query, k, &library.live), "{name} {metric:?}");
            }
        }
        library.remove(&(0..601).collect::<Vec<_>>(), &Sequential);
        assert!(library.ask(library.kept.index(), &query, 10, &library.live).is_empty());
        assert_eq!(Kept::new(name, 4, metric).index().search(&nothing(metric)).nearest, []);
    });
}

fn nothing(metric: Metric) -> Search<'static> {
    static NOTHING: std::sync::OnceLock<(Vectors, SlotSet)> = std::sync::OnceLock::new();
    let (vectors, allowed) = NOTHING.get_or_init(|| (Vectors::new(4), SlotSet::default()));
    Search { vectors, codes: None, metric, query: &[0.0; 4], k: 3, effort: 0, allowed, pool: &Sequential }
}

#[test]
fn among_equal_rows_the_lowest_slots_come_first() {
    each(|name, exact, _, metric| {
        let mut random = Random::new(6);
        let kinds = random.clustered_rows(120, DIMENSION);
        let rows: Vec<Vec<f32>> = (0..ROWS).map(|_| kinds[random.0.below(kinds.len())].clone()).collect();
        let library = Library::of(name, metric, &rows);
        let mut equal = 0;
        for query in kinds.iter().take(30) {
            let truth = library.ask(&Flat, query, 10, &library.live);
            let answer = library.ask(library.kept.index(), query, 10, &library.live);
            equal += usize::from(truth == answer);
            assert!(!exact || truth == answer, "{name} {metric:?}");
        }
        // A graph may not reach every copy; what lies together in a list or bucket is found together.
        assert!(name == "hnsw" || equal >= 28, "{name} {metric:?}: {equal}");

        let same = vec![vec![0.5; DIMENSION]; 1_500];
        let library = Library::of(name, metric, &same);
        let answer = library.ask(library.kept.index(), &same[0], 10, &library.live);
        assert!(name == "hnsw" || answer.iter().map(|pair| pair.1).eq(0..10), "{name} {metric:?}: {answer:?}");
    });
}

#[test]
fn rows_that_were_not_inserted_yet_are_found_too() {
    let (rows, queries) = clustered(ROWS, DIMENSION, 7);
    each(|name, exact, floor, metric| {
        let mut library = Library::of(name, metric, &rows[..2_000]);
        library.store(&rows[2_000..]);
        let recall = library.recall(&queries, &library.live);
        assert!(recall >= if exact { 1.0 } else { floor }, "{name} {metric:?}: {recall}");
        for slot in 2_000..3_000_u32 {
            let answer = library.ask(library.kept.index(), &rows[slot as usize], 1, &[slot, slot - 1_990].into_iter().collect());
            assert!(answer[0].1 == slot || metric == Metric::Dot);
        }
    });
}

#[test]
fn a_removed_row_is_gone_and_its_slot_can_be_used_again() {
    let (rows, queries) = clustered(ROWS, DIMENSION, 8);
    each(|name, exact, floor, metric| {
        let mut library = Library::of(name, metric, &rows);
        let third: Vec<u32> = (0..ROWS as u32).step_by(3).collect();
        // One, some, most of them, and some that are gone already.
        for slots in [&third[..1], &third[1..20], &third[15..]] {
            library.remove(slots, &Sequential);
        }
        assert_eq!(library.live.len(), 2 * ROWS / 3);
        let recall = library.recall(&queries, &library.live);
        assert!(recall >= if exact { 1.0 } else { floor }, "{name} {metric:?}: {recall}");
        // Other rows in the same slots: nothing is left of the old ones.
        let other = Random::new(9).clustered_rows(ROWS / 3, DIMENSION);
        let slots = library.store(&other);
        assert_eq!(slots[1], 3);
        library.insert(&slots, &Sequential);
        let recall = library.recall(&[&queries[..30], &other[..30]].concat(), &library.live);
        assert!(recall >= if exact { 1.0 } else { floor }, "{name} {metric:?} again: {recall}");
        // A row that changes in its place.
        library.vectors.set(4, &unit(metric, &rows[0]));
        library.codes.set(4, &unit(metric, &rows[0]));
        library.insert(&[4, 4], &Sequential);
        let answer = library.ask(library.kept.index(), &rows[0], 1, &library.live);
        assert!(answer[0].1 == 4 || metric == Metric::Dot, "{name} {metric:?}: {answer:?}");
    });
}

#[test]
fn ten_rounds_of_change_cost_no_recall() {
    [1, 100, 10_000].into_iter().for_each(ten_rounds_of_change_in_batches_of);
}

fn ten_rounds_of_change_in_batches_of(size: usize) {
    let (rows, queries) = clustered(1_600, DIMENSION, 10);
    let queries = [queries, clustered(1_600, DIMENSION, 10).0.split_off(1_400)].concat();
    each(|name, exact, _, metric| {
        let mut library = Library::of(name, metric, &rows);
        let mut random = Random::new(11);
        for _ in 0..10 {
            let gone: Vec<u32> = library.live.iter().filter(|_| random.0.below(2) == 0).collect();
            let back: Vec<Vec<f32>> = gone.iter().map(|slot| library.vectors.row(*slot).to_vec()).collect();
            gone.chunks(size).for_each(|slots| library.remove(slots, &Sequential));
            let slots = library.store(&back);
            slots.chunks(size).for_each(|slots| library.insert(slots, &Sequential));
        }
        assert_eq!(library.live.len(), rows.len());
        let fresh: Vec<Vec<f32>> = library.live.iter().map(|slot| library.vectors.row(slot).to_vec()).collect();
        let fresh = Library::of(name, metric, &fresh);
        // Low efforts show more than high ones; what one of them means is the index's own.
        let low = match (name, metric) {
            ("lsh", _) => 200,
            ("hnsw", Metric::Dot) => 32,
            _ => 16,
        };
        for effort in [0, low].into_iter().take(if exact { 1 } else { 2 }) {
            let [now, anew] = [&library, &fresh].map(|library| library.recall_with(&queries, &library.live, effort));
            assert!(now >= anew - 0.005 && (!exact || now == 1.0), "{name} {metric:?} {size} {effort}: {now} after, {anew} anew");
        }
    });
}

#[test]
fn the_order_of_jobs_changes_no_byte() {
    let (rows, _) = clustered(ROWS, DIMENSION, 12);
    each(|name, _, _, metric| {
        let bytes = [&Sequential as &dyn Pool, &Shuffled(2), &Shuffled(5)].map(|pool| {
            let mut library = Library::empty(name, metric, DIMENSION);
            let slots = library.store(&rows);
            for slots in [&slots[..1], &slots[1..300], &slots[300..2_900], &slots[2_900..]] {
                library.insert(slots, pool);
            }
            library.remove(&(0..500).step_by(7).collect::<Vec<_>>(), pool);
            library.remove(&[1, 2], pool);
            library.kept.to_bytes()
        });
        assert!(bytes[0] == bytes[1] && bytes[0] == bytes[2], "{name} {metric:?}");
    });
}

#[test]
fn bytes_lead_back_to_the_same_index() {
    let (rows, queries) = clustered(1_500, DIMENSION, 13);
    each(|name, _, _, metric| {
        let mut library = Library::empty(name, metric, DIMENSION);
        for count in [0, 1, 20, 1_200] {
            let slots = library.store(&rows[..count]);
            library.insert(&slots, &Sequential);
            library.remove(&(0..count as u32 / 3).map(|slot| slot * 2).collect::<Vec<_>>(), &Sequential);
            let bytes = library.kept.to_bytes();
            let again = library.kept.read(&bytes, metric, &library.vectors).unwrap();
            assert!(again.to_bytes() == bytes, "{name} {metric:?}");
            for query in &queries {
                let [a, b] = [&library.kept, &again].map(|kept| library.ask(kept.index(), query, 10, &library.live));
                assert_eq!(a, b);
            }
            // It goes on like the one it was made from.
            library.kept = again;
            library.remove(&[library.live.iter().last().unwrap_or(0)], &Sequential);
        }
        let (mut a, b) = (Library::of(name, metric, &rows), Library::of(name, metric, &rows));
        a.kept = a.kept.read(&b.kept.to_bytes(), metric, &a.vectors).unwrap();
        let [a, b] = [a, b].map(|mut library| {
            library.remove(&(0..700).collect::<Vec<_>>(), &Sequential);
            let slots = library.store(&rows[..650]);
            library.insert(&slots[..400], &Sequential);
            slots[400..].iter().for_each(|slot| library.insert(&[*slot], &Sequential));
            library.kept.to_bytes()
        });
        assert!(a == b, "{name} {metric:?}");
    });
}

#[test]
fn damaged_bytes_do_no_harm() {
    let (rows, queries) = clustered(300, 5, 14);
    each(|name, _, _, metric| {
        let library = Library::of(name, metric, &rows);
        let bytes = library.kept.to_bytes();
        for len in (0..bytes.len()).step_by(1 + bytes.len() / 200) {
            assert!(library.kept.read(&bytes[..len], metric, &library.vectors).is_err(), "{name} {len}");
        }
        let mut random = Random::new(15);
        for round in 0..600 {
            let mut damaged = bytes.clone();
            if damaged.is_empty() {
                break;
            }
            let at = if round < 200 { round % damaged.len() } else { random.0.below(damaged.len()) };
            damaged[at] ^= 1 << random.0.below(8);
            let Ok(mut kept) = library.kept.read(&damaged, metric, &library.vectors) else { continue };
            let query = unit(metric, &queries[0]);
            let (vectors, codes, allowed) = (&library.vectors, Some(&library.codes), &library.live);
            let search = Search { vectors, codes, metric, query: &query, k: 5, effort: 20, allowed, pool: &Sequential };
            kept.index().search(&search);
            let rows = Rows { vectors, codes };
            let some: Vec<u32> = (0..100).collect();
            kept.index_mut().remove(rows, &some[..1], &Sequential);
            kept.index_mut().remove(rows, &some, &Sequential);
            kept.index_mut().insert(rows, &some, &Sequential);
            kept.index().search(&search);
        }
    });
}
