//! Taking rows out for good.
//!
//! All removed rows of a call go at once: what each of the others should link to now is chosen against the graph as it was, on
//! any number of threads, and then written in the order of rows. So a thousand removals need one pass over the links, not a
//! thousand, and nothing depends on which thread was faster.

use crate::{
    codes::{Codes, View},
    pool::{self, Pool},
    slots::SlotSet,
};

use super::{
    Hnsw,
    beam::Scratch,
    graph::Layer,
    insert::{adopt, best, link, measured, replace},
    select::select,
};

/// How far around a removed row those that link to it are looked for: first so far, then so much farther.
const REACHES: [usize; 2] = [64, 512];

/// Up to so many removed rows, those that link to them are looked for around each. It costs as much as going through the links of
/// some 5,000 rows, and finds most of them, not all.
const FEW: usize = 8;

/// Removed rows that a row looks past, where there is nothing but removed rows around it.
const DEEPEST: usize = 1_000;

/// A row that loses at most one in so many of its links keeps the others as they are. One that loses more chooses all anew.
const FEW_LOST: usize = 4;

/// Rows whose links one job goes through.
const ROWS_PER_JOB: usize = 4_096;

/// Rows whose links one job chooses.
const LISTS_PER_JOB: usize = 64;

/// When one row in so many is removed, the whole graph is checked for rows that no walk meets.
const CHECKED: usize = 1_000;

/// How often it is checked again after something was mended.
const ROUNDS: usize = 8;

impl Hnsw {
    /// Takes `slots` out and closes the gaps: every row that linked to one of them chooses anew among what it linked to and what
    /// the removed rows linked to. Nothing is left behind. The codes of `slots` should be those they were linked with, or the
    /// search for those rows takes longer; the codes of all others must be.
    pub(super) fn unlink_all(&mut self, codes: &Codes, slots: &[u32], pool: &dyn Pool) {
        let Some(base) = self.layers.first() else { return };
        let gone: SlotSet = slots.iter().copied().filter(|slot| base.used.contains(*slot)).collect();
        if gone.is_empty() {
            return;
        }
        if gone.len() == self.len() {
            *self = Self::new(self.metric, self.params);
            return;
        }
        let mut check = gone.len() * CHECKED >= self.len();
        let view = self.link_view(codes);
        for level in (0..self.layers.len()).rev() {
            let layer = &self.layers[level];
            let rows: SlotSet = gone.iter().filter_map(|slot| layer.row(slot)).collect();
            check |= self.remove_rows(&view, level, &rows, pool);
        }
        while self.layers.len() > 1 && self.layers.last().is_some_and(|layer| layer.used.is_empty()) {
            self.layers.pop();
        }
        let top = self.layers.len() - 1;
        let stands = self.entry.is_some_and(|(level, row)| level == top && self.layers[top].used.contains(row));
        if !stands {
            self.entry = self.layers[top].used.iter().next().map(|row| (top, row));
        }
        if check {
            self.reconnect(codes);
        }
    }

    /// Takes rows out of a layer; whether it left a row without links.
    fn remove_rows(&mut self, codes: &View<'_>, level: usize, gone: &SlotSet, pool: &dyn Pool) -> bool {
        let sources = self.sources(codes, level, gone, pool);
        let jobs = sources.len().div_ceil(LISTS_PER_JOB);
        let lists = pool::map(pool, jobs, |job| {
            let sources = sources.iter().skip(job * LISTS_PER_JOB).take(LISTS_PER_JOB);
            self.scratches
                .with(|scratch| sources.map(|source| self.without(codes, level, *source, gone, scratch)).collect::<Vec<_>>())
        });
        let fill = self.fill(level);
        let layer = &mut self.layers[level];
        let mut lost = Vec::new();
        for row in gone.iter() {
            lost.extend_from_slice(layer.links(row));
            layer.take_out(row);
        }
        let lists: Vec<(u32, Vec<u32>)> = sources.into_iter().zip(lists.into_iter().flatten()).collect();
        link(layer, codes, &lists, fill, pool);
        adopt(layer, lost);
        lists.iter().any(|(_, list)| list.is_empty())
    }

    /// The rows that link to one of `gone`, and are not of them, in ascending order.
    fn sources(&self, codes: &View<'_>, level: usize, gone: &SlotSet, pool: &dyn Pool) -> Vec<u32> {
        let layer = &self.layers[level];
        let mut found = SlotSet::default();
        let nearby = gone.len() <= FEW && gone.iter().all(|row| self.near_sources(codes, level, row, &mut found));
        if nearby {
            return found.iter().filter(|row| !gone.contains(*row)).collect();
        }
        let parts = pool::map(pool, layer.rows().div_ceil(ROWS_PER_JOB), |job| {
            let rows = job * ROWS_PER_JOB..(job + 1) * ROWS_PER_JOB;
            let rows = layer.used.iter_within(rows.start as u32..rows.end as u32);
            let links_to = |row: &u32| !gone.contains(*row) && layer.links(*row).iter().any(|link| gone.contains(*link));
            rows.filter(links_to).collect::<Vec<_>>()
        });
        parts.concat()
    }

    /// Adds to `found` the rows that link to `row`, as far as they are near it; whether that is all of them.
    fn near_sources(&self, codes: &View<'_>, level: usize, row: u32, found: &mut SlotSet) -> bool {
        let layer = &self.layers[level];
        let wanted = layer.incoming.get(row as usize).map_or(0, |count| *count as usize);
        let probe = codes.probe(layer.slot(row));
        REACHES.iter().any(|reach| {
            self.scratches.with(|scratch| {
                self.walk(level, &probe, &[row], *reach, row, scratch);
                let near = scratch.beam.iter().map(|(_, other)| other).filter(|other| layer.links(*other).contains(&row));
                let mut count = 0;
                near.for_each(|other| {
                    found.insert(other);
                    count += 1;
                });
                count == wanted
            })
        })
    }

    /// What `source` should link to without `gone`.
    fn without(&self, codes: &View<'_>, level: usize, source: u32, gone: &SlotSet, scratch: &mut Scratch) -> Vec<u32> {
        let (layer, fill) = (&self.layers[level], self.fill(level));
        let Scratch { visited, fresh: open, .. } = scratch;
        visited.reset(layer.rows());
        visited.insert(source);
        open.clear();
        let links = layer.links(source);
        let mut kept = Vec::with_capacity(layer.capacity);
        for &link in links {
            visited.insert(link);
            if gone.contains(link) { open.push(link) } else { kept.push(link) }
        }
        let lost = open.len();
        // The links of the removed rows; and of those behind them only where there is too little else.
        let (mut heirs, mut next) = (Vec::new(), 0);
        while next < open.len() && (next < lost || kept.len() + heirs.len() < fill && next < DEEPEST) {
            for &link in layer.links(open[next]) {
                if visited.insert(link) {
                    if gone.contains(link) { open.push(link) } else { heirs.push(link) }
                }
            }
            next += 1;
        }

        if lost * FEW_LOST <= links.len() {
            let heirs = measured(layer, codes, source, &heirs);
            let as_many = fill.max(links.len());
            return select(layer, codes, &heirs, source, kept, as_many, as_many);
        }
        for link in &kept {
            heirs.extend(layer.links(*link).iter().filter(|second| !gone.contains(**second) && visited.insert(**second)));
        }
        heirs.extend(kept);
        best(layer, codes, source, &heirs, fill)
    }

    /// Leads a link to every row that no walk from the entry meets. Goes through all links.
    pub(super) fn reconnect(&mut self, codes: &Codes) {
        let view = self.link_view(codes);
        let Some((top, mut root)) = self.entry else { return };
        for level in (0..=top).rev() {
            // A link that makes way for another may have been the only way to somewhere.
            for _ in 0..ROUNDS {
                let layer = &self.layers[level];
                let mut reached = SlotSet::default();
                spread(layer, root, &mut reached);
                let missing: Vec<u32> = layer.used.difference(&reached).collect();
                if missing.is_empty() {
                    break;
                }
                for row in missing {
                    if !reached.contains(row) {
                        self.attach(&view, level, root, row);
                        spread(&self.layers[level], row, &mut reached);
                    }
                }
            }
            root = self.layers[level].below(root);
        }
    }

    /// Links `row` with rows near it that walks from `root` meet, both ways.
    fn attach(&mut self, codes: &View<'_>, level: usize, root: u32, row: u32) {
        let probe = codes.probe(self.layers[level].slot(row));
        let near: Vec<(f32, u32)> = self.scratches.with(|scratch| {
            self.walk(level, &probe, &[root], self.params.ef_construction, row, scratch);
            scratch.beam.iter().collect()
        });
        let (m, fill) = (self.params.m, self.fill(level));
        let layer = &mut self.layers[level];
        if layer.links(row).is_empty() {
            let list = select(layer, codes, &near, row, Vec::new(), m, fill);
            layer.set_links(row, &list);
        }
        let room = near.iter().find(|(_, other)| layer.links(*other).len() < layer.capacity);
        if let Some((_, other)) = room.or(near.first()) {
            let mut list = layer.links(*other).to_vec();
            if list.len() == layer.capacity {
                list.pop();
            }
            list.push(row);
            let mut lost = Vec::new();
            replace(layer, *other, &list, &mut lost);
            adopt(layer, lost);
        }
    }
}

/// Adds to `reached` what can be reached from `row` over the links.
fn spread(layer: &Layer, row: u32, reached: &mut SlotSet) {
    let mut open = vec![row];
    reached.insert(row);
    while let Some(row) = open.pop() {
        open.extend(layer.links(row).iter().filter(|link| reached.insert(**link)));
    }
}
