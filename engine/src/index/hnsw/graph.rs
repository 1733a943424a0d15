//! The links of one layer.

use std::collections::BTreeMap;

use crate::slots::SlotSet;

/// No row: what follows the last link of a list.
pub(super) const FREE: u32 = u32::MAX;

/// Links in a cache line.
const BLOCK: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Block([u32; BLOCK]);

/// A graph over the rows of one layer. On the base layer a row is a slot; above, rows are few and numbered by themselves, and
/// freed ones are taken again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    /// The most links a row has.
    pub(super) capacity: usize,
    blocks: Vec<Block>,
    /// How many links lead to each row. Two uses: the last link to a row is not cut, and a removal knows how many it has to
    /// find.
    pub(super) incoming: Vec<u32>,
    /// The rows in use.
    pub(super) used: SlotSet,
    /// `None` on the base layer.
    pub(super) above: Option<Above>,
}

/// What the rows above the base layer stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Above {
    /// Slot of each row.
    pub(super) slots: Vec<u32>,
    /// Its row in the layer below.
    pub(super) down: Vec<u32>,
    /// The row of each slot.
    pub(super) rows: BTreeMap<u32, u32>,
}

impl Layer {
    pub(super) fn new(capacity: usize, base: bool) -> Self {
        let above = (!base).then(Above::default);
        Self { capacity, blocks: Vec::new(), incoming: Vec::new(), used: SlotSet::default(), above }
    }

    fn stride(&self) -> usize {
        self.capacity.div_ceil(BLOCK)
    }

    /// One past the last row.
    pub(super) fn rows(&self) -> usize {
        self.incoming.len()
    }

    /// The slot of a row.
    #[inline(always)]
    pub(super) fn slot(&self, row: u32) -> u32 {
        match &self.above {
            None => row,
            Some(above) => above.slots.get(row as usize).copied().unwrap_or(FREE),
        }
    }

    /// The row of a slot, if it is in this layer.
    pub(super) fn row(&self, slot: u32) -> Option<u32> {
        match &self.above {
            None => self.used.contains(slot).then_some(slot),
            Some(above) => above.rows.get(&slot).copied(),
        }
    }

    /// The row in the layer below.
    pub(super) fn below(&self, row: u32) -> u32 {
        self.above.as_ref().and_then(|above| above.down.get(row as usize)).copied().unwrap_or(FREE)
    }

    /// The links of a row and what follows them up to the end of its cache lines: stop at the first [`FREE`].
    #[inline(always)]
    pub(super) fn padded_links(&self, row: u32) -> &[u32] {
        let stride = self.stride();
        let at = row as usize * stride;
        bytemuck::cast_slice(self.blocks.get(at..at + stride).unwrap_or(&[]))
    }

    /// The links of a row.
    pub(super) fn links(&self, row: u32) -> &[u32] {
        let links = self.padded_links(row);
        let len = links.iter().position(|link| *link == FREE).unwrap_or(links.len());
        &links[..len]
    }

    /// A copy with room for `rows` rows in all.
    pub(super) fn with_room(&self, rows: usize) -> Self {
        let mut copy = Self { used: self.used.clone(), above: self.above.clone(), ..Self::new(self.capacity, false) };
        copy.reserve(rows.max(self.rows()));
        copy.blocks.extend_from_slice(&self.blocks);
        copy.incoming.extend_from_slice(&self.incoming);
        copy
    }

    /// Makes room for `rows` rows in all, without spare.
    pub(super) fn reserve(&mut self, rows: usize) {
        let more = rows.saturating_sub(self.rows());
        self.blocks.reserve_exact(more * self.stride());
        self.incoming.reserve_exact(more);
    }

    /// Adds a row without links: on the base layer the row `slot`, above the lowest that is free.
    pub(super) fn add(&mut self, slot: u32, below: u32) -> u32 {
        let row = match &mut self.above {
            None => {
                self.used.insert(slot);
                slot
            }
            Some(above) => {
                let row = self.used.insert_lowest();
                let at = row as usize;
                if above.slots.len() <= at {
                    above.slots.resize(at + 1, FREE);
                    above.down.resize(at + 1, FREE);
                }
                above.slots[at] = slot;
                above.down[at] = below;
                above.rows.insert(slot, row);
                row
            }
        };
        let at = row as usize;
        if at >= self.rows() {
            if at >= self.incoming.capacity() {
                self.reserve(at + 1 + at / 8);
            }
            self.incoming.resize(at + 1, 0);
            let stride = self.stride();
            self.blocks.resize((at + 1) * stride, Block([FREE; BLOCK]));
        }
        row
    }

    /// Fills an empty layer: the slot of each row, and the row in the layer below.
    pub(super) fn restore(&mut self, slots: &[u32], down: &[u32]) {
        self.blocks = vec![Block([FREE; BLOCK]); slots.len() * self.stride()];
        self.incoming = vec![0; slots.len()];
        let used = || (0_u32..).zip(slots).filter(|(_, slot)| **slot != FREE);
        self.used = used().map(|(row, _)| row).collect();
        if let Some(above) = &mut self.above {
            above.rows = used().map(|(row, slot)| (*slot, row)).collect();
            above.slots = slots.to_vec();
            above.down = down.to_vec();
        }
    }

    /// Takes out a row that no link leads to any more.
    pub(super) fn take_out(&mut self, row: u32) {
        self.set_links(row, &[]);
        self.used.remove(row);
        let slot = self.slot(row);
        if let Some(above) = &mut self.above {
            above.rows.remove(&slot);
            above.slots[row as usize] = FREE;
            above.down[row as usize] = FREE;
        }
    }

    /// Replaces the links of a row and keeps count of what leads where. Only the first `capacity` are taken.
    pub(super) fn set_links(&mut self, row: u32, links: &[u32]) {
        let links = &links[..links.len().min(self.capacity)];
        let stride = self.stride();
        let at = row as usize * stride;
        let Some(blocks) = self.blocks.get_mut(at..at + stride) else { return };
        let old: &mut [u32] = bytemuck::cast_slice_mut(blocks);
        for link in old.iter().take_while(|link| **link != FREE) {
            if let Some(count) = self.incoming.get_mut(*link as usize) {
                *count = count.saturating_sub(1);
            }
        }
        old.fill(FREE);
        for (place, link) in old.iter_mut().zip(links) {
            *place = *link;
            if let Some(count) = self.incoming.get_mut(*link as usize) {
                *count += 1;
            }
        }
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        // A node of a B-tree has at least half of its 11 places full: 8 bytes an entry become some 16.
        let above =
            self.above.as_ref().map_or(0, |above| 4 * (above.slots.capacity() + above.down.capacity()) + 16 * above.rows.len());
        self.blocks.capacity() * size_of::<Block>() + 4 * self.incoming.capacity() + self.rows().div_ceil(8) + above
    }
}
