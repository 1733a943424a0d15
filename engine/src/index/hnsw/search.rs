//! Walking through the graph.

use crate::{
    codes::{Codes, Probe},
    distance::{Metric, codes::Fit, prefetch},
    index::{Found, Search, scan},
    slots::SlotSet,
};

use super::{
    Hnsw,
    beam::Scratch,
    graph::{FREE, Layer},
};

/// How many standard deviations of its error an approximate key may be off.
const DEVIATIONS: f32 = 3.0;

/// How many neighbours ahead codes are fetched.
const AHEAD: usize = 12;

impl Hnsw {
    /// The row of a layer that is nearer than all its neighbours, starting from `row`.
    pub(super) fn descend(&self, level: usize, probe: &Probe<'_>, row: u32, scratch: &mut Scratch) -> u32 {
        let layer = &self.layers[level];
        let mut near = (probe.key(layer.slot(row)), row);
        loop {
            let from = near.1;
            let links = layer.links(from);
            for link in links {
                probe.prefetch(layer.slot(*link));
            }
            for &link in links {
                let key = probe.key(layer.slot(link));
                if key < near.0 {
                    near = (key, link);
                }
            }
            scratch.measured += links.len();
            if near.1 == from {
                return from;
            }
        }
    }

    /// Leaves in the beam the `effort` nearest rows of a layer that a walk from `row` meets.
    pub(super) fn walk(&self, level: usize, probe: &Probe<'_>, row: u32, effort: usize, scratch: &mut Scratch) {
        let layer = &self.layers[level];
        if layer.above.is_none() {
            walk(layer, |row| row, probe, row, effort, scratch);
        } else {
            walk(layer, |row| layer.slot(row), probe, row, effort, scratch);
        }
    }

    /// The nearest row of the base layer that greedy descent through the upper layers finds.
    fn base_entry(&self, probe: &Probe<'_>, scratch: &mut Scratch) -> Option<u32> {
        let (mut level, mut row) = self.entry?;
        while level > 0 {
            let near = self.descend(level, probe, row, scratch);
            row = self.layers[level].below(near);
            level -= 1;
        }
        Some(row)
    }

    pub(super) fn find(&self, search: &Search<'_>, codes: &Codes) -> Found {
        let Some(base) = self.layers.first() else { return Found::default() };
        let effort = if search.effort == 0 { self.params.effort } else { search.effort }.max(search.k);
        self.scratches.with(|scratch| {
            let mut query = std::mem::take(&mut scratch.query);
            query.set(search.query);
            let view = codes.view(self.metric);
            let probe = view.probe_for(&query);
            let Some(entry) = self.base_entry(&probe, scratch) else { return Found::default() };
            self.walk(0, &probe, entry, effort, scratch);
            let slots = likely(self.metric, codes, query.fit(), scratch.beam.iter(), search.k);
            scratch.query = query;
            let _ = base;
            Found { nearest: scan::measured(search, &slots).into_sorted_vec(), visited: scratch.measured }
        })
    }
}

#[inline(always)]
fn walk(layer: &Layer, slot: impl Fn(u32) -> u32, probe: &Probe<'_>, start: u32, effort: usize, scratch: &mut Scratch) {
    let Scratch { beam, visited, fresh, measured, .. } = scratch;
    beam.reset(effort);
    visited.reset(layer.rows());
    visited.insert(start);
    beam.push(probe.key(slot(start)), start);
    *measured += 1;
    while let Some(row) = beam.pop() {
        fresh.clear();
        for &link in layer.padded_links(row) {
            if link == FREE {
                break;
            }
            if visited.insert(link) {
                fresh.push(link);
            }
        }
        for &row in fresh.iter().take(AHEAD) {
            probe.prefetch(slot(row));
        }
        let mut ahead = fresh.iter().skip(AHEAD);
        for &row in fresh.iter() {
            if let Some(&later) = ahead.next() {
                probe.prefetch(slot(later));
            }
            if beam.push(probe.key(slot(row)), row) {
                prefetch(layer.padded_links(row));
            }
        }
        *measured += fresh.len();
    }
}

/// Of candidates sorted by approximate key, those that may be among the `k` nearest.
///
/// The proved bound on the error of a key is that of the worst directions of both residuals; for real rows they are as good as random to
/// each other, and the error is some `sqrt(dimension)` times less. The candidates themselves are a sample, so this is the
/// right measure here: `DEVIATIONS` of it.
fn likely(
    metric: Metric,
    codes: &Codes,
    query: &Fit,
    candidates: impl ExactSizeIterator<Item = (f32, u32)>,
    k: usize,
) -> Vec<u32> {
    let factor = DEVIATIONS * if metric == Metric::Euclidean { 2.0 } else { 1.0 } / (codes.dimension().max(1) as f32).sqrt();
    let mut slots = Vec::with_capacity(candidates.len().min(2 * k));
    let mut limit = f32::NEG_INFINITY;
    for (number, (key, slot)) in candidates.enumerate() {
        let fit = codes.fit(slot);
        let error = factor * (query.norm * fit.residual + query.residual * fit.norm);
        if number < k {
            limit = limit.max(key + error);
        } else if key - error > limit {
            // Errors differ little from row to row: what follows is hardly nearer.
            break;
        }
        slots.push(slot);
    }
    slots
}

/// Whether a slot may be in the answer.
pub(super) fn _allowed(set: &SlotSet, slot: u32) -> bool {
    set.contains(slot)
}
