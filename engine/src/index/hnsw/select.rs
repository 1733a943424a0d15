//! Which neighbours a row keeps.
//!
//! Candidates are in the order of their keys; equal keys, of copies of one row mostly, in the order of `row ^ origin`, where
//! `origin` is the row that chooses. By that measure every row sees the same copies in another order, so that copies spread
//! their links over each other, near and far, as the nodes of Kademlia do (Maymounkov and Mazieres, 2002). In the order of rows
//! all of them would link to the same few, and nothing to most of them.

use std::cmp::Ordering;

use crate::codes::View;

use super::graph::Layer;

/// Sorts candidates as seen from `origin`.
pub(super) fn sort(candidates: &mut [(f32, u32)], origin: u32) {
    candidates.sort_unstable_by(|a, b| compare(*a, *b, origin));
}

fn compare(a: (f32, u32), b: (f32, u32), origin: u32) -> Ordering {
    a.0.total_cmp(&b.0).then((a.1 ^ origin).cmp(&(b.1 ^ origin)))
}

/// Chooses among `candidates`, sorted as seen from `origin`, and adds them to `chosen`, which is to have at most `limit`.
///
/// A candidate is kept if it is nearer to the row than to every one kept before (Malkov and Yashunin, algorithm 4): links then
/// lead in different directions, and out of a cluster as well as into it. If fewer than `fill` are kept, the nearest of the
/// others follow.
pub(super) fn select(
    layer: &Layer,
    codes: &View<'_>,
    candidates: &[(f32, u32)],
    origin: u32,
    mut chosen: Vec<u32>,
    limit: usize,
    fill: usize,
) -> Vec<u32> {
    for &(key, row) in candidates {
        if chosen.len() >= limit {
            break;
        }
        let probe = codes.probe(layer.slot(row));
        let nearer = |other: u32| {
            // Both as seen from the candidate.
            compare((key, origin), (probe.key(layer.slot(other)), other), row).is_lt()
        };
        if chosen.iter().all(|other| nearer(*other)) {
            chosen.push(row);
        }
    }
    let kept = chosen.len();
    for &(_, row) in candidates {
        if chosen.len() >= fill.min(limit) {
            break;
        }
        if !chosen[..kept].contains(&row) {
            chosen.push(row);
        }
    }
    chosen
}
