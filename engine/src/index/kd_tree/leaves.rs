//! Leaves: up to 16 rows, their coordinates by dimension.

use super::NONE;

/// Rows in a leaf.
pub(super) const ROWS: usize = 16;

/// Rows that are measured at once.
pub(super) const LANES: usize = 8;

/// All leaves.
#[derive(Clone, Debug)]
pub(super) struct Leaves {
    dimension: usize,
    /// For each leaf and dimension, the coordinates of its rows. What lies behind the last row is not used.
    coordinates: Vec<[f32; ROWS]>,
    slots: Vec<[u32; ROWS]>,
    lens: Vec<u32>,
    /// As in `Pair`.
    parents: Vec<u32>,
    free: Vec<u32>,
}

impl Leaves {
    pub(super) fn new(dimension: usize) -> Self {
        let (coordinates, slots, lens, parents, free) = Default::default();
        Self { dimension, coordinates, slots, lens, parents, free }
    }

    pub(super) fn add(&mut self, parent: u32) -> u32 {
        if let Some(leaf) = self.free.pop() {
            self.parents[leaf as usize] = parent;
            return leaf;
        }
        self.coordinates.resize(self.coordinates.len() + self.dimension, [0.0; ROWS]);
        self.slots.push([NONE; ROWS]);
        self.lens.push(0);
        self.parents.push(parent);
        self.lens.len() as u32 - 1
    }

    pub(super) fn free(&mut self, leaf: u32) {
        self.lens[leaf as usize] = 0;
        self.free.push(leaf);
    }

    pub(super) fn parent(&self, leaf: usize) -> u32 {
        self.parents[leaf]
    }

    pub(super) fn set_parent(&mut self, leaf: usize, parent: u32) {
        self.parents[leaf] = parent;
    }

    #[inline(always)]
    pub(super) fn slots(&self, leaf: usize) -> &[u32] {
        &self.slots[leaf][..self.lens[leaf] as usize]
    }

    #[inline(always)]
    pub(super) fn coordinates(&self, leaf: usize) -> &[[f32; ROWS]] {
        &self.coordinates[leaf * self.dimension..(leaf + 1) * self.dimension]
    }

    /// Appends a row; the leaf has room.
    pub(super) fn push(&mut self, leaf: usize, slot: u32, point: &[f32]) {
        let at = self.lens[leaf] as usize;
        self.slots[leaf][at] = slot;
        for (column, x) in self.coordinates[leaf * self.dimension..].iter_mut().zip(point) {
            column[at] = *x;
        }
        self.lens[leaf] += 1;
    }

    /// Takes a row out; the last one takes its place.
    pub(super) fn remove(&mut self, leaf: usize, slot: u32) {
        let last = self.lens[leaf] as usize - 1;
        let at = self.slots(leaf).iter().position(|other| *other == slot).unwrap_or(last);
        self.slots[leaf][at] = self.slots[leaf][last];
        for column in &mut self.coordinates[leaf * self.dimension..(leaf + 1) * self.dimension] {
            column[at] = column[last];
        }
        self.lens[leaf] -= 1;
    }

    /// Appends the rows of a leaf to `slots` and `points`.
    pub(super) fn copy(&self, leaf: usize, slots: &mut Vec<u32>, points: &mut Vec<f32>) {
        slots.extend(self.slots(leaf));
        for at in 0..self.lens[leaf] as usize {
            points.extend(self.coordinates(leaf).iter().map(|column| column[at]));
        }
    }

    /// The box around the rows of a leaf that is not empty: lower and upper ends by dimension.
    pub(super) fn bounds(&self, leaf: usize) -> Vec<[f32; 2]> {
        let len = self.lens[leaf] as usize;
        let ends = |column: &[f32; ROWS]| {
            column[..len].iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], x| [low.min(*x), high.max(*x)])
        };
        self.coordinates(leaf).iter().map(ends).collect()
    }

    pub(super) fn memory(&self) -> usize {
        self.coordinates.capacity() * size_of::<[f32; ROWS]>()
            + self.slots.capacity() * size_of::<[u32; ROWS]>()
            + (self.lens.capacity() + self.parents.capacity() + self.free.capacity()) * 4
    }
}
