//! Looking into buckets.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{
    codes::{Coded, Codes},
    index::{Found, Search, scan, shortlist::Shortlist},
    slots::SlotSet,
    top_k::pack,
};

use super::{Lsh, hash::Step};

/// Buckets that are looked into together.
const AT_ONCE: usize = 24;

/// A bucket to look into: some steps away from the query's own, of which the last can be exchanged for the next.
#[derive(Clone, Copy)]
struct Probe {
    table: usize,
    /// Which step is the last, among those of the table from the cheapest on.
    last: usize,
    /// What the steps before the last cost, and the number that they lead to.
    before: Step,
}

/// What is still to be looked into, the cheapest first.
#[derive(Default)]
struct Agenda {
    order: BinaryHeap<Reverse<u64>>,
    probes: Vec<Probe>,
}

impl Agenda {
    fn put(&mut self, cost: f32, probe: Probe) {
        self.order.push(Reverse(pack(cost, self.probes.len() as u32)));
        self.probes.push(probe);
    }

    fn take(&mut self) -> Option<Probe> {
        let Reverse(next) = self.order.pop()?;
        self.probes.get(next as u32 as usize).copied()
    }
}

impl Lsh {
    pub(super) fn find(&self, search: &Search<'_>, codes: &Codes) -> Found {
        if search.k == 0 {
            return Found::default();
        }
        let effort = if search.effort == 0 { self.params.effort } else { search.effort }.max(search.k);
        // A row of a scan costs half of what a candidate does.
        if search.allowed.len() / 2 <= effort {
            return scan::all(search, codes);
        }
        let mut query = Coded::default();
        query.set(search.query);
        let Some(candidates) = self.candidates(search, query.fit().norm, effort) else { return scan::all(search, codes) };
        let probe = codes.view(self.hasher.metric()).probe_for(&query);
        let mut shortlist = Shortlist::new(search);
        shortlist.compare(&probe, &candidates);
        shortlist.finish(search, codes, &query, &self.used)
    }

    /// Allowed slots in the buckets around the query, `effort` of them or a few more; `None` when it is cheaper to compare all.
    fn candidates(&self, search: &Search<'_>, norm: f32, effort: usize) -> Option<Vec<u32>> {
        let projections = self.hasher.project_query(search.query, norm);
        let mut steps = Vec::new();
        // Where the steps of each table begin, and the end.
        let mut starts = vec![0];
        let mut agenda = Agenda::default();
        let mut candidates = Vec::with_capacity(effort.min(search.allowed.len()) + 64);
        let mut seen = vec![0_u64; self.buckets_of.len() / self.tables.len().max(1) / 64 + 1];
        // Buckets and rows that were looked at.
        let mut looks = 0;
        // The next buckets: by and by their places and their slots come into the cache.
        let mut next: Vec<(usize, u32)> = Vec::with_capacity(AT_ONCE);
        for table in 0..self.tables.len() {
            let projections = self.hasher.of_table(&projections, table);
            let number = self.hasher.number(projections);
            self.hasher.steps_from(projections, &mut steps);
            next.push((table, self.hasher.bucket(number)));
            if let Some(first) = steps.get(starts[table]) {
                let before = Step { cost: 0.0, difference: number, functions: 0 };
                agenda.put(first.cost, Probe { table, last: starts[table], before });
            }
            starts.push(steps.len());
        }
        loop {
            self.look(&next, search.allowed, &mut seen, &mut candidates);
            looks += next.iter().map(|(table, bucket)| self.tables[*table].slots(*bucket).len() + 4).sum::<usize>();
            if looks > search.allowed.len().saturating_mul(4) {
                return None;
            }
            next.clear();
            while next.len() < AT_ONCE && candidates.len() < effort {
                let Some(probe) = agenda.take() else { break };
                next.extend(self.follow(probe, &steps, &starts, &mut agenda));
            }
            if next.is_empty() {
                return Some(candidates);
            }
        }
    }

    /// Puts what follows a probe on the agenda; returns its table and bucket, unless it is none.
    fn follow(&self, probe: Probe, steps: &[Step], starts: &[usize], agenda: &mut Agenda) -> Option<(usize, u32)> {
        let Probe { table, last, before } = probe;
        let (step, next) = (steps[last], steps.get(last + 1).filter(|_| last + 1 < starts[table + 1]));
        if let Some(next) = next {
            agenda.put(before.cost + next.cost, Probe { table, last: last + 1, before });
        }
        if before.functions & step.functions != 0 {
            // A function has one symbol only.
            return None;
        }
        let here = Step {
            cost: before.cost + step.cost,
            difference: before.difference.wrapping_add(step.difference),
            functions: before.functions | step.functions,
        };
        if let Some(next) = next.filter(|_| here.functions.count_ones() < self.hasher.functions()) {
            agenda.put(here.cost + next.cost, Probe { table, last: last + 1, before: here });
        }
        Some((table, self.hasher.bucket(here.difference)))
    }

    /// Appends the allowed slots of buckets that were not seen yet.
    fn look(&self, buckets: &[(usize, u32)], allowed: &SlotSet, seen: &mut [u64], candidates: &mut Vec<u32>) {
        buckets.iter().for_each(|(table, bucket)| self.tables[*table].prefetch_span(*bucket));
        buckets.iter().for_each(|(table, bucket)| self.tables[*table].prefetch_slots(*bucket));
        for (table, bucket) in buckets {
            for &slot in self.tables[*table].slots(*bucket) {
                let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
                if seen[word] & bit == 0 && allowed.contains(slot) {
                    candidates.push(slot);
                }
                seen[word] |= bit;
            }
        }
    }
}
