//! Building a part of the tree from its rows.

use crate::top_k::pack;

use super::{KdTree, NONE, Pair, Part, leaves::ROWS};

/// The rows to build from, by ascending slot, so that the order of row numbers is that of slots.
pub(super) struct Points {
    slots: Vec<u32>,
    coordinates: Vec<f32>,
    dimension: usize,
}

impl Points {
    /// Puts rows into the order of their slots.
    pub(super) fn new(slots: &[u32], coordinates: &[f32], dimension: usize) -> Self {
        let mut order: Vec<u32> = (0..slots.len() as u32).collect();
        order.sort_unstable_by_key(|at| slots[*at as usize]);
        let row = |at: &u32| &coordinates[*at as usize * dimension..(*at as usize + 1) * dimension];
        Self {
            coordinates: order.iter().flat_map(row).copied().collect(),
            slots: order.iter().map(|at| slots[*at as usize]).collect(),
            dimension,
        }
    }

    fn row(&self, number: u32) -> &[f32] {
        let at = number as usize * self.dimension;
        &self.coordinates[at..at + self.dimension]
    }

    fn bounds(&self, numbers: &[u32]) -> Vec<[f32; 2]> {
        let mut bounds = vec![[f32::INFINITY, f32::NEG_INFINITY]; self.dimension];
        for number in numbers {
            for (ends, x) in bounds.iter_mut().zip(self.row(*number)) {
                *ends = [ends[0].min(*x), ends[1].max(*x)];
            }
        }
        bounds
    }
}

impl KdTree {
    /// Builds the part at `parent` (see `Pair`), which must be free, from all of `points`.
    pub(super) fn build(&mut self, points: &Points, parent: u32) {
        let mut numbers: Vec<u32> = (0..points.slots.len() as u32).collect();
        let part = (!numbers.is_empty()).then(|| self.build_part(points, &mut numbers, &mut Vec::new(), parent));
        match part {
            Some(part) if parent != NONE => self.pairs[parent as usize / 2].parts[parent as usize % 2] = part,
            part => self.root = part,
        }
    }

    /// Also sets the box at `parent`.
    fn build_part(&mut self, points: &Points, numbers: &mut [u32], keys: &mut Vec<u64>, parent: u32) -> Part {
        let bounds = points.bounds(numbers);
        self.set_box(parent, &bounds);
        if numbers.len() <= ROWS {
            // Which rows are on one side is a matter of their order; how they lie there is one of how the library selects.
            numbers.sort_unstable();
            let leaf = self.leaves.add(parent);
            for number in numbers {
                let slot = points.slots[*number as usize];
                self.leaves.push(leaf as usize, slot, points.row(*number));
                self.leaf_of[slot as usize] = leaf;
            }
            return Part::leaf(leaf);
        }
        let dimension = widest(&bounds);
        let half = numbers.len() / 2;
        keys.clear();
        keys.extend(numbers.iter().map(|number| pack(points.row(*number)[dimension], *number)));
        keys.select_nth_unstable(half);
        for (number, key) in numbers.iter_mut().zip(keys.iter()) {
            *number = *key as u32;
        }
        let (low, high) = numbers.split_at_mut(half);
        let pair = self.add_pair(parent);
        let parts = [self.build_part(points, low, keys, pair * 2), self.build_part(points, high, keys, pair * 2 + 1)];
        let counts = [low.len() as u32, high.len() as u32];
        self.pairs[pair as usize] = Pair { parts, counts, parent };
        Part::pair(pair)
    }

    pub(super) fn add_pair(&mut self, parent: u32) -> u32 {
        let pair = Pair { parts: [Part(NONE); 2], counts: [0; 2], parent };
        if let Some(number) = self.free_pairs.pop() {
            self.pairs[number as usize] = pair;
            return number;
        }
        self.pairs.push(pair);
        self.boxes.resize(self.boxes.len() + self.dimension, [0.0; 4]);
        self.pairs.len() as u32 - 1
    }

    /// Writes the box at `place`; returns whether it changes.
    pub(super) fn set_box(&mut self, place: u32, bounds: &[[f32; 2]]) -> bool {
        if place == NONE {
            return false;
        }
        let (pair, side) = (place as usize / 2, place as usize % 2);
        let mut changed = false;
        for (ends, [low, high]) in self.boxes[pair * self.dimension..].iter_mut().zip(bounds) {
            changed |= ends[side] != *low || ends[side + 2] != *high;
            ends[side] = *low;
            ends[side + 2] = *high;
        }
        changed
    }

    /// The box around both parts of a pair.
    pub(super) fn pair_bounds(&self, pair: usize) -> Vec<[f32; 2]> {
        let boxes = &self.boxes[pair * self.dimension..(pair + 1) * self.dimension];
        boxes.iter().map(|ends| [ends[0].min(ends[1]), ends[2].max(ends[3])]).collect()
    }
}

/// The dimension in which a box is widest, the first of several.
fn widest(bounds: &[[f32; 2]]) -> usize {
    let mut widest = (0, f32::NEG_INFINITY);
    for (dimension, [low, high]) in bounds.iter().enumerate() {
        if high - low > widest.1 {
            widest = (dimension, high - low);
        }
    }
    widest.0
}
