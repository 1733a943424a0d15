//! Taking rows out for good.

use crate::codes::{Codes, View};

use super::{
    Hnsw,
    insert::{adopt, best, replace},
};

/// How far around a removed row the rows that link to it are looked for, before all rows are gone through.
const REACH: usize = 64;

impl Hnsw {
    /// Takes `slot` out and closes the gap: every row that linked to it chooses anew among what it linked to and what the
    /// removed row linked to. Nothing is left behind. The code of `slot` must still be the one it was linked with, or the
    /// search for those rows takes longer.
    pub(super) fn unlink(&mut self, codes: &Codes, slot: u32) {
        if !self.layers.first().is_some_and(|base| base.used.contains(slot)) {
            return;
        }
        let view = self.link_view(codes);
        for level in (0..self.layers.len()).rev() {
            if let Some(row) = self.layers[level].row(slot) {
                self.remove_row(&view, level, row);
            }
        }
        while self.layers.len() > 1 && self.layers.last().is_some_and(|layer| layer.used.is_empty()) {
            self.layers.pop();
        }
        if self.is_empty() {
            self.longest = 0.0;
        }
        let top = self.layers.len() - 1;
        let stands = self.entry.is_some_and(|(level, row)| level == top && self.layers[top].used.contains(row));
        if !stands {
            self.entry = self.layers[top].used.iter().next().map(|row| (top, row));
        }
    }

    fn remove_row(&mut self, codes: &View<'_>, level: usize, row: u32) {
        let sources = self.sources(codes, level, row);
        let fill = self.fill(level);
        let layer = &mut self.layers[level];
        let freed = layer.links(row).to_vec();
        let mut lost = Vec::new();
        for source in sources {
            let mut list: Vec<u32> = layer.links(source).iter().copied().filter(|link| *link != row).collect();
            for other in &freed {
                if *other != source && !list.contains(other) {
                    list.push(*other);
                }
            }
            let list = best(layer, codes, source, &list, fill);
            replace(layer, source, &list, &mut lost);
        }
        layer.take_out(row);
        lost.extend(freed);
        adopt(layer, lost);
    }

    /// The rows that link to `row`, in ascending order.
    fn sources(&self, codes: &View<'_>, level: usize, row: u32) -> Vec<u32> {
        let layer = &self.layers[level];
        let wanted = layer.incoming.get(row as usize).map_or(0, |count| *count as usize);
        let links_back = |other: &u32| layer.links(*other).contains(&row);
        let mut found: Vec<u32> = layer.links(row).iter().copied().filter(links_back).collect();
        if found.len() < wanted {
            let probe = codes.probe(layer.slot(row));
            self.scratches.with(|scratch| {
                self.walk(level, &probe, &[row], REACH, row, scratch);
                found = scratch.beam.iter().map(|(_, other)| other).filter(links_back).collect();
            });
        }
        if found.len() < wanted {
            found = layer.used.iter().filter(links_back).collect();
        }
        found.sort_unstable();
        found
    }
}
