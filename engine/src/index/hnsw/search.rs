//! Walking through the graph.

use crate::{
    codes::{Codes, Probe},
    distance::{Metric, codes::Fit, prefetch},
    index::{Found, Search, scan},
    slots::SlotSet,
};

use super::{
    Hnsw,
    beam::{Scratch, Visited},
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

    /// The nearest of the allowed slots. All of them are compared where they are few, and where the graph yields less than it
    /// could: k results whenever k match.
    pub(super) fn find(&self, search: &Search<'_>, codes: &Codes) -> Found {
        let Some(base) = self.layers.first() else { return Found::default() };
        // What has not been linked yet.
        let tail: Vec<u32> = search.allowed.difference(&base.used).collect();
        let linked = search.allowed.len() - tail.len();
        let effort = if search.effort == 0 { self.params.effort } else { search.effort }.max(search.k);
        let way = way(linked, base.used.len(), effort);
        if way == Way::Scan {
            return scan::all(search, codes);
        }
        let (near, measured) = self.scratches.with(|scratch| {
            let mut query = std::mem::take(&mut scratch.query);
            query.set(search.query);
            let probe = codes.view(self.metric).probe_for(&query);
            if let Some(entry) = self.base_entry(&probe, scratch) {
                match way {
                    Way::Plain => self.walk(0, &probe, entry, effort, scratch),
                    Way::Masked => {
                        masked(base, &probe, entry, search.allowed, effort, base.used.len() / linked.max(1) + 1, scratch)
                    }
                    _ => two_hops(base, &probe, entry, search.allowed, effort, scratch),
                }
            }
            let near = likely(self.metric, codes, query.fit(), scratch.beam.iter(), search.k);
            scratch.query = query;
            (near, scratch.measured)
        });
        if near.len() < search.k.min(linked) {
            return scan::all(search, codes);
        }
        let mut top = scan::measured(search, &near);
        if !tail.is_empty() {
            top.merge(scan::nearest(search, codes, &tail));
        }
        Found { nearest: top.into_sorted_vec(), visited: measured + tail.len() }
    }
}

/// How the allowed slots are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// All are compared.
    Scan,
    /// A walk over allowed rows alone, from each to its neighbours and, past those that are not allowed, to their neighbours.
    TwoHops,
    /// A walk over all rows, of which the allowed are kept.
    Masked,
    /// A walk where everything is allowed.
    Plain,
}

/// Which way is the quickest for `allowed` of `all` rows.
///
/// Measured on 116,659 rows of 384 dimensions: a row of a scan costs 24 ns; two hops cost some 45 us and 2 us for each unit of effort;
/// a walk under a mask costs 0.85 us times effort and the share that is not allowed, which is more below a quarter.
fn way(allowed: usize, all: usize, effort: usize) -> Way {
    if allowed >= all {
        Way::Plain
    } else if allowed <= effort.saturating_mul(80).saturating_add(2_000) {
        Way::Scan
    } else if allowed.saturating_mul(4) < all {
        Way::TwoHops
    } else {
        Way::Masked
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

/// Leaves in the beam the `effort` nearest allowed rows that a walk over all rows meets. `share` is one in how many is allowed.
fn masked(layer: &Layer, probe: &Probe<'_>, start: u32, allowed: &SlotSet, effort: usize, share: usize, scratch: &mut Scratch) {
    let Scratch { beam, front, visited, fresh, measured, .. } = scratch;
    beam.reset(effort);
    // The front is as wide as it must be to hold `effort` allowed rows, and half as much again.
    front.reset(effort.saturating_mul(share).saturating_mul(3) / 2);
    visited.reset(layer.rows());
    visited.insert(start);
    fresh.clear();
    fresh.push(start);
    loop {
        for &row in fresh.iter().take(AHEAD) {
            probe.prefetch(row);
        }
        let mut ahead = fresh.iter().skip(AHEAD);
        for &row in fresh.iter() {
            if let Some(&later) = ahead.next() {
                probe.prefetch(later);
            }
            let key = probe.key(row);
            if allowed.contains(row) {
                beam.push(key, row);
            }
            if front.push(key, row) {
                prefetch(layer.padded_links(row));
            }
        }
        *measured += fresh.len();
        let Some((key, row)) = front.pop_with_key() else { return };
        if beam.is_full() && beam.worst().is_some_and(|worst| key > worst) {
            return;
        }
        fresh.clear();
        for &link in layer.padded_links(row) {
            if link == FREE {
                break;
            }
            if visited.insert(link) {
                fresh.push(link);
            }
        }
    }
}

/// Allowed rows from which a walk starts, beside those near the entry: a filter may leave nothing there.
const SEEDS: usize = 8;

/// Leaves in the beam the `effort` nearest allowed rows that a walk over allowed rows meets.
fn two_hops(layer: &Layer, probe: &Probe<'_>, start: u32, allowed: &SlotSet, effort: usize, scratch: &mut Scratch) {
    // First to where the query is, filter or not.
    walk(layer, |row| row, probe, start, effort.min(16), scratch);
    let Scratch { beam, visited, fresh, measured, .. } = scratch;
    let near: Vec<u32> = beam.iter().map(|(_, row)| row).collect();
    beam.reset(effort);
    visited.reset(layer.rows());
    fresh.clear();
    for row in near {
        gather(layer, row, allowed, usize::MAX, visited, fresh);
        if visited.insert(row) && allowed.contains(row) {
            fresh.push(row);
        }
    }
    for seed in allowed.every(allowed.len() / SEEDS) {
        if (seed as usize) < layer.rows() && visited.insert(seed) {
            fresh.push(seed);
        }
    }
    loop {
        for &row in fresh.iter().take(AHEAD) {
            probe.prefetch(row);
        }
        let mut ahead = fresh.iter().skip(AHEAD);
        for &row in fresh.iter() {
            if let Some(&later) = ahead.next() {
                probe.prefetch(later);
            }
            if beam.push(probe.key(row), row) {
                prefetch(layer.padded_links(row));
            }
        }
        *measured += fresh.len();
        let Some(row) = beam.pop() else { return };
        fresh.clear();
        gather(layer, row, allowed, layer.capacity, visited, fresh);
    }
}

/// Adds to `fresh` the allowed rows among the neighbours of `row`, and then those among the neighbours of the others, until there are
/// `enough`.
#[inline(always)]
fn gather(layer: &Layer, row: u32, allowed: &SlotSet, enough: usize, visited: &mut Visited, fresh: &mut Vec<u32>) {
    let links = layer.links(row);
    for &link in links {
        if allowed.contains(link) {
            if visited.insert(link) {
                fresh.push(link);
            }
        } else {
            prefetch(layer.padded_links(link));
        }
    }
    for &link in links {
        if fresh.len() >= enough {
            return;
        }
        if !allowed.contains(link) && visited.insert(link) {
            for &second in layer.padded_links(link) {
                if second == FREE {
                    break;
                }
                if allowed.contains(second) && visited.insert(second) {
                    fresh.push(second);
                }
            }
        }
    }
}
