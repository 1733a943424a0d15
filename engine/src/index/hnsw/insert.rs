//! Adding rows, many at once.
//!
//! A batch is planned against the graph as it stood before the batch, each row for itself, on any number of threads; what the
//! rows of a batch could be to each other is found by comparing all with all. Then the batch is linked, in the order of slots.
//! Nothing depends on which thread was faster (the idea is ParlayANN's).

use crate::{
    codes::{Codes, View},
    distance::Metric,
    pool::{self, Pool},
};

use super::{
    Hnsw,
    beam::Scratch,
    graph::Layer,
    select::{select, sort},
};

/// Rows in a batch. Comparing all with all costs `BATCH` comparisons a row, from cache: some 5 % of a row's insertion.
const BATCH: usize = 512;

/// Rows whose lengths are looked at.
const SAMPLED: usize = 256;

/// How often, while a graph grows to twice its rows, all of it is checked for rows that no walk meets. There hardly ever are any.
const CHECKS: usize = 4;

/// Rows whose lists one job brings up to date.
const LISTS_PER_JOB: usize = 64;

/// The most layers above the base.
pub(super) const MAX_LEVEL: usize = 15;

/// The new rows of a batch.
struct Batch {
    slots: Vec<u32>,
    /// For each slot, its row on each layer from the base up.
    rows: Vec<Vec<u32>>,
    /// The new rows of each layer.
    members: Vec<Vec<u32>>,
}

impl Hnsw {
    /// Links `slots`; their codes have been set. A slot that is linked already is linked anew.
    ///
    /// The outcome depends on the slots and on how they are cut into calls, not on their order within a call nor on `pool`.
    pub(super) fn link_all(&mut self, codes: &Codes, slots: &[u32], pool: &dyn Pool) {
        let mut slots = slots.to_vec();
        slots.sort_unstable();
        slots.dedup();
        self.unlink_all(codes, &slots, pool);
        let before = self.len();
        if let Some(base) = self.layers.first_mut() {
            let last = slots.last().map_or(0, |slot| *slot as usize + 1);
            if slots.len() >= BATCH {
                base.reserve(last);
            }
        }
        let mut rest = &slots[..];
        while !rest.is_empty() && !pool.stopped() {
            // No more than there are already: the first rows find none that is near, and their links are those that lead far.
            let (batch, later) = rest.split_at(self.len().clamp(1, BATCH).min(rest.len()));
            self.insert_batch(codes, batch, pool);
            rest = later;
        }
        if step(before) != step(self.len()) {
            self.reconnect(codes);
        }
    }

    fn insert_batch(&mut self, codes: &Codes, slots: &[u32], pool: &dyn Pool) {
        let entry = self.entry;
        let batch = self.add_rows(slots);
        self.lift = self.lift(codes);
        let view = self.link_view(codes);
        let mut plans = pool::map(pool, slots.len(), |number| {
            self.scratches.with(|scratch| self.plan(&view, &batch, number, entry, scratch))
        });
        for level in 0..batch.members.len() {
            let lists: Vec<(u32, Vec<u32>)> = (batch.rows.iter().zip(&mut plans))
                .filter_map(|(rows, lists)| Some((*rows.get(level)?, std::mem::take(lists.get_mut(level)?))))
                .collect();
            let fill = self.fill(level);
            link(&mut self.layers[level], &view, &lists, fill, pool);
        }
        let top = self.layers.len() - 1;
        if self.entry.is_none_or(|(level, _)| level < top) {
            self.entry = self.layers[top].used.iter().next().map(|row| (top, row));
        }
    }

    /// A length that one in twenty of the linked rows exceeds, by a sample of them.
    fn lift(&self, codes: &Codes) -> f32 {
        let used = match self.layers.first() {
            Some(base) if self.metric == Metric::Dot => &base.used,
            _ => return 0.0,
        };
        let mut lengths: Vec<f32> = used.every(used.len() / SAMPLED).map(|slot| codes.fit(slot).norm).collect();
        lengths.sort_unstable_by(f32::total_cmp);
        lengths.iter().rev().nth(lengths.len() / 20).copied().unwrap_or(0.0)
    }

    /// Gives every slot its rows, without links yet.
    fn add_rows(&mut self, slots: &[u32]) -> Batch {
        let mut batch = Batch { slots: slots.to_vec(), rows: Vec::with_capacity(slots.len()), members: Vec::new() };
        for &slot in slots {
            let level = self.level(slot);
            while self.layers.len() <= level {
                self.layers.push(Layer::new(self.params.m, false));
            }
            batch.members.resize(batch.members.len().max(level + 1), Vec::new());
            let mut rows = Vec::with_capacity(level + 1);
            let mut below = slot;
            for (layer, members) in self.layers.iter_mut().zip(&mut batch.members).take(level + 1) {
                below = layer.add(slot, below);
                members.push(below);
                rows.push(below);
            }
            batch.rows.push(rows);
        }
        batch
    }

    /// The highest layer of a slot: one in `m` slots of a layer is in the next as well, by the hash of its number.
    fn level(&self, slot: u32) -> usize {
        let limit = u64::MAX / self.params.m.max(2) as u64;
        let mut state = self.params.seed ^ u64::from(slot).wrapping_mul(0xd134_2543_de82_ef95);
        let mut level = 0;
        while level < MAX_LEVEL {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            if split_mix(state) >= limit {
                break;
            }
            level += 1;
        }
        level
    }

    /// Where the row `number` of the batch should link to, for each of its layers.
    fn plan(
        &self,
        codes: &View<'_>,
        batch: &Batch,
        number: usize,
        entry: Option<(usize, u32)>,
        scratch: &mut Scratch,
    ) -> Vec<Vec<u32>> {
        let rows = &batch.rows[number];
        let probe = codes.probe(batch.slots[number]);
        let mut lists = vec![Vec::new(); rows.len()];
        // Where the walk is: the layer, and the nearest row of it so far.
        let mut place = entry;
        while let Some((level, row)) = place.filter(|(level, _)| *level >= rows.len()) {
            let near = self.descend(level, &probe, row, scratch);
            place = (level > 0).then(|| (level - 1, self.layers[level].below(near)));
        }
        let mut candidates = Vec::with_capacity(self.params.ef_construction + BATCH);
        for level in (0..rows.len()).rev() {
            let (layer, own) = (&self.layers[level], rows[level]);
            candidates.clear();
            if let Some((_, row)) = place.filter(|(at, _)| *at == level) {
                self.walk(level, &probe, &[row], self.params.ef_construction, own, scratch);
                candidates.extend(scratch.beam.iter());
                place = (level > 0).then(|| (level - 1, layer.below(candidates.first().map_or(row, |nearest| nearest.1))));
            }
            let full = candidates.len() >= self.params.ef_construction;
            let limit = candidates.last().filter(|_| full).map_or(f32::INFINITY, |farthest| farthest.0);
            let others = batch.members[level].iter().filter(|row| **row != own);
            let others = others.map(|row| (probe.key(layer.slot(*row)), *row));
            candidates.extend(others.filter(|(key, _)| *key <= limit));
            sort(&mut candidates, own);
            lists[level] = select(layer, codes, &candidates, own, Vec::new(), self.params.m, self.fill(level));
        }
        lists
    }
}

/// Links rows as planned, and back. `fill` is as in [`select`].
pub(super) fn link(layer: &mut Layer, codes: &View<'_>, lists: &[(u32, Vec<u32>)], fill: usize, pool: &dyn Pool) {
    let mut lost: Vec<u32> = Vec::new();
    for (row, list) in lists {
        replace(layer, *row, list, &mut lost);
    }
    let mut back: Vec<(u32, u32)> = Vec::new();
    for (row, list) in lists {
        back.extend(list.iter().filter(|target| !layer.links(**target).contains(row)).map(|target| (*target, *row)));
    }
    back.sort_unstable();
    let groups: Vec<&[(u32, u32)]> = back.chunk_by(|a, b| a.0 == b.0).collect();
    let jobs = groups.len().div_ceil(LISTS_PER_JOB);
    let updated = pool::map(pool, jobs, |job| {
        let groups = groups.iter().skip(job * LISTS_PER_JOB).take(LISTS_PER_JOB);
        groups.map(|group| joined(layer, codes, group, fill)).collect::<Vec<_>>()
    });
    for (group, list) in groups.iter().zip(updated.into_iter().flatten()) {
        replace(layer, group[0].0, &list, &mut lost);
    }
    lost.extend(lists.iter().map(|(row, _)| *row));
    adopt(layer, lost);
}

/// The links of a row together with those that new rows ask for, cut to what the row may have.
fn joined(layer: &Layer, codes: &View<'_>, group: &[(u32, u32)], fill: usize) -> Vec<u32> {
    let row = group[0].0;
    let mut list = layer.links(row).to_vec();
    list.extend(group.iter().map(|(_, source)| source));
    if list.len() <= layer.capacity {
        return list;
    }
    // Not cut to the quick: the next row that asks would be too much again.
    best(layer, codes, row, &list, fill.max(layer.capacity * 3 / 4))
}

/// Cuts a list to the links that the row should keep.
pub(super) fn best(layer: &Layer, codes: &View<'_>, row: u32, list: &[u32], fill: usize) -> Vec<u32> {
    select(layer, codes, &measured(layer, codes, row, list), row, Vec::new(), layer.capacity, fill)
}

/// Rows with their keys for `row`, sorted as seen from it.
pub(super) fn measured(layer: &Layer, codes: &View<'_>, row: u32, others: &[u32]) -> Vec<(f32, u32)> {
    let probe = codes.probe(layer.slot(row));
    others.iter().for_each(|other| probe.prefetch(layer.slot(*other)));
    let mut candidates: Vec<(f32, u32)> = others.iter().map(|other| (probe.key(layer.slot(*other)), *other)).collect();
    sort(&mut candidates, row);
    candidates
}

/// Gives a row its new links and notes the rows to which no link leads any more.
pub(super) fn replace(layer: &mut Layer, row: u32, list: &[u32], lost: &mut Vec<u32>) {
    let old = layer.links(row).to_vec();
    layer.set_links(row, list);
    lost.extend(old.into_iter().filter(|old| layer.incoming[*old as usize] == 0));
}

/// Sees to it that a link leads to each of `rows`: from a neighbour of its own with room for one more, or instead of the
/// farthest link that is not the last one to where it leads.
pub(super) fn adopt(layer: &mut Layer, mut rows: Vec<u32>) {
    rows.sort_unstable();
    rows.dedup();
    for row in rows {
        if !layer.used.contains(row) || layer.incoming[row as usize] > 0 {
            continue;
        }
        for neighbour in layer.links(row).to_vec() {
            let mut list = layer.links(neighbour).to_vec();
            if list.len() < layer.capacity {
                list.push(row);
            } else if let Some(spare) = list.iter().rposition(|link| layer.incoming[*link as usize] > 1) {
                list.remove(spare);
                list.push(row);
            } else {
                continue;
            }
            layer.set_links(neighbour, &list);
            break;
        }
    }
}

/// Where a growing graph stands among its checks: one is due when this number changes. In however many calls the rows come, all
/// checks together cost as much as `2 * CHECKS` at the end.
fn step(rows: usize) -> usize {
    let width = rows.checked_ilog2().unwrap_or(0).saturating_sub(CHECKS.ilog2());
    (rows >> width) + width as usize * CHECKS
}

fn split_mix(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
