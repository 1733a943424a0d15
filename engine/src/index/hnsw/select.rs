//! Which neighbours a row keeps.

use crate::codes::View;

use super::graph::Layer;

/// Chooses at most `limit` of `candidates`, which are sorted by key to the row in question, and leaves them in `chosen`.
///
/// A candidate is kept if it is nearer to the row than to every one kept before (Malkov & Yashunin, algorithm 4): links then
/// lead in different directions, and out of a cluster as well as into it. If fewer than `fill` are kept, the nearest of the
/// others follow.
///
/// A candidate as near to one kept as to the row is not kept: otherwise a row with many copies would link to nothing but copies.
pub(super) fn select(
    layer: &Layer,
    codes: &View<'_>,
    candidates: &[(f32, u32)],
    limit: usize,
    fill: usize,
    chosen: &mut Vec<u32>,
) {
    chosen.clear();
    for &(key, row) in candidates {
        if chosen.len() >= limit {
            break;
        }
        let probe = codes.probe(layer.slot(row));
        if chosen.iter().all(|other| probe.key(layer.slot(*other)) > key) {
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
}

/// The order of candidates: by key, equal ones by row.
pub(super) fn by_key(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}
