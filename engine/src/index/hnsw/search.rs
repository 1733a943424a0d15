//! Walking through the graph.

use crate::{
    codes::{Codes, Probe},
    distance::{Metric, codes::Fit, prefetch},
    index::{Found, Search, Strategy, scan},
    slots::{InARow, SlotSet},
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

    /// Leaves in the beam the `effort` nearest rows of a layer that a walk from `rows` meets; for `origin` see [`Beam`].
    pub(super) fn walk(&self, level: usize, probe: &Probe<'_>, rows: &[u32], effort: usize, origin: u32, scratch: &mut Scratch) {
        let layer = &self.layers[level];
        scratch.beam.reset(effort, origin);
        if layer.above.is_none() {
            walk(layer, |row| row, probe, rows, scratch);
        } else {
            walk(layer, |row| layer.slot(row), probe, rows, scratch);
        }
    }

    /// Rows of the base layer near the query, found by descent through the upper layers: greedy from the top, but with a
    /// breadth that grows with the effort, for the way down by the nearest row alone may end in the wrong cluster.
    fn entries(&self, probe: &Probe<'_>, effort: usize, scratch: &mut Scratch) -> Vec<u32> {
        let Some((top, row)) = self.entry else { return Vec::new() };
        // Worth it where rows differ in length; elsewhere the base layer makes good for it at less cost.
        let breadth = (effort / if self.metric == Metric::Dot { 4 } else { 64 }).max(1);
        let mut rows = vec![row];
        for level in (1..=top).rev() {
            let layer = &self.layers[level];
            match rows[..] {
                [row] if breadth == 1 => rows = vec![layer.below(self.descend(level, probe, row, scratch))],
                _ => {
                    self.walk(level, probe, &rows, breadth, 0, scratch);
                    rows.clear();
                    rows.extend(scratch.beam.iter().map(|(_, row)| layer.below(row)));
                }
            }
        }
        rows
    }

    /// The nearest of the allowed slots. All of them are compared where they are few, and where the graph yields less than it
    /// could: k results whenever k match.
    ///
    /// Rows are looked for as if `hidden` were not there: for measurements with a row that is, and would find its neighbours by its
    /// own links.
    pub(super) fn find(&self, search: &Search<'_>, codes: &Codes, hidden: Option<u32>) -> Found {
        let Some(base) = self.layers.first() else { return Found::default() };
        // What has not been linked yet. To see that there is nothing costs less than to look for it.
        let all_linked = search.allowed.is_within(&base.used);
        let tail: Vec<u32> = if all_linked { Vec::new() } else { search.allowed.difference(&base.used).collect() };
        let linked = search.allowed.len() - tail.len();
        let effort = if search.effort == 0 { self.params.effort } else { search.effort }.max(search.k).min(base.used.len());
        let way = way(linked, base.used.len(), effort, || search.allowed.runs());
        if way == Way::Scan {
            return scan::all(search, codes);
        }
        let (near, measured) = self.scratches.with(|scratch| {
            let mut query = std::mem::take(&mut scratch.query);
            query.set(search.query);
            let probe = codes.view(self.metric).probe_for(&query);
            let mut starts = self.entries(&probe, effort, scratch);
            if let Some(hidden) = hidden.filter(|hidden| starts.contains(hidden)) {
                starts.retain(|start| *start != hidden);
                starts.extend(base.links(hidden));
            }
            scratch.visited.hide(hidden);
            let share = base.used.len() / linked.max(1) + 1;
            match way {
                Way::Masked => masked(base, &probe, &starts, search.allowed, effort, share, scratch),
                Way::TwoHops => two_hops(base, &probe, &starts, search.allowed, effort, scratch),
                Way::Plain | Way::Scan => self.walk(0, &probe, &starts, effort, 0, scratch),
            }
            let near = likely(self.metric, codes, query.fit(), scratch.beam.iter(), search.k);
            scratch.query = query;
            scratch.visited.hide(None);
            (near, scratch.measured)
        });
        if near.len() < search.k.min(linked) {
            return scan::all(search, codes);
        }
        let mut top = scan::measured(search, &near);
        if !tail.is_empty() {
            top.merge(scan::nearest(search, codes, &tail));
        }
        let strategy = match way {
            Way::Scan => Strategy::ExactScan,
            Way::Plain => Strategy::Index,
            Way::Masked => Strategy::MaskedIndex,
            Way::TwoHops => Strategy::TwoHopIndex,
        };
        Found { nearest: top.into_sorted_vec(), visited: measured + tail.len(), strategy }
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

/// Which way is the quickest for `allowed` of `all` rows, which lie in so many `runs` of rows in a row.
///
/// Measured on 116,659 rows of 384 dimensions: a row of a scan costs 13 ns where it follows another, and some 35 ns more where it has
/// to be fetched from elsewhere; two hops cost some 70 us and 3.2 us for each unit of effort; a walk under a mask costs 0.85 us times
/// effort and the share that is not allowed, which is more below a quarter.
fn way(allowed: usize, all: usize, effort: usize, runs: impl Fn() -> usize) -> Way {
    let walk = effort.saturating_mul(3_200).saturating_add(70_000);
    let in_a_row = allowed.saturating_mul(13);
    if allowed >= all {
        Way::Plain
    } else if in_a_row <= walk && in_a_row + runs() * 35 <= walk {
        Way::Scan
    } else if allowed.saturating_mul(4) < all {
        Way::TwoHops
    } else {
        Way::Masked
    }
}

#[inline(always)]
fn walk(layer: &Layer, slot: impl Fn(u32) -> u32, probe: &Probe<'_>, starts: &[u32], scratch: &mut Scratch) {
    let Scratch { beam, visited, fresh, measured, .. } = scratch;
    visited.reset(layer.rows());
    for &start in starts {
        if visited.insert(start) {
            beam.push(probe.key(slot(start)), start);
        }
    }
    *measured += starts.len();
    while let Some(row) = beam.pop() {
        if let Some(next) = beam.peek() {
            prefetch(layer.padded_links(next));
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
/// The proved bound on the error of a key is that of the worst directions of both residuals; for real rows they are as good as
/// random to each other, and the error is some `sqrt(dimension)` times less. The candidates themselves are a sample, so this is
/// the right measure here: `DEVIATIONS` of it.
pub(in crate::index) fn likely(
    metric: Metric,
    codes: &Codes,
    query: &Fit,
    candidates: impl ExactSizeIterator<Item = (f32, u32)>,
    k: usize,
) -> Vec<u32> {
    let factor = DEVIATIONS * if metric == Metric::Euclidean { 2.0 } else { 1.0 } / (codes.dimension().max(1) as f32).sqrt();
    let mut slots = Vec::with_capacity(candidates.len().min(k.saturating_mul(2)));
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
fn masked(
    layer: &Layer,
    probe: &Probe<'_>,
    starts: &[u32],
    allowed: &SlotSet,
    effort: usize,
    share: usize,
    scratch: &mut Scratch,
) {
    let Scratch { beam, front, visited, fresh, measured, .. } = scratch;
    let allowed = allowed.in_a_row();
    beam.reset(effort, 0);
    // The front is as wide as it must be to hold `effort` allowed rows, and half as much again.
    front.reset((effort.saturating_mul(share).saturating_mul(3) / 2).min(layer.rows()), 0);
    visited.reset(layer.rows());
    fresh.clear();
    fresh.extend(starts.iter().filter(|start| visited.insert(**start)));
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
        if let Some(next) = front.peek() {
            prefetch(layer.padded_links(next));
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
fn two_hops(layer: &Layer, probe: &Probe<'_>, starts: &[u32], allowed: &SlotSet, effort: usize, scratch: &mut Scratch) {
    // First to where the query is, filter or not.
    scratch.beam.reset(effort.min(16), 0);
    walk(layer, |row| row, probe, starts, scratch);
    let Scratch { beam, visited, fresh, measured, .. } = scratch;
    let near: Vec<u32> = beam.iter().map(|(_, row)| row).collect();
    beam.reset(effort, 0);
    visited.reset(layer.rows());
    fresh.clear();
    let seeds = allowed.every(allowed.len() / SEEDS);
    let allowed = &allowed.in_a_row();
    for row in near {
        gather(layer, row, allowed, usize::MAX, visited, fresh);
        if visited.insert(row) && allowed.contains(row) {
            fresh.push(row);
        }
    }
    for seed in seeds {
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
        if let Some(next) = beam.peek() {
            prefetch(layer.padded_links(next));
        }
        fresh.clear();
        gather(layer, row, allowed, layer.capacity, visited, fresh);
    }
}

/// Adds to `fresh` the allowed rows among the neighbours of `row`, and then those among the neighbours of the others, until there
/// are `enough`.
#[inline(always)]
fn gather(layer: &Layer, row: u32, allowed: &InARow<'_>, enough: usize, visited: &mut Visited, fresh: &mut Vec<u32>) {
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
