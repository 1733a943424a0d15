//! Adding and removing rows.

use crate::vectors::Vectors;

use super::{KdTree, NONE, Part, build::Points, leaves::ROWS};

/// Two leaves that have together at most this many rows become one.
const MERGE: u32 = ROWS as u32 * 5 / 8;

impl KdTree {
    /// Adds `slots`. One that is in the tree is moved to where its row is now.
    pub(super) fn add(&mut self, vectors: &Vectors, slots: &[u32]) {
        let mut slots = slots.to_vec();
        slots.sort_unstable();
        slots.dedup();
        for &slot in &slots {
            self.take_out(slot);
            let square = vectors.row(slot).iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
            self.longest = self.longest.max(square);
        }
        let end = slots.last().map_or(0, |slot| *slot as usize + 1);
        self.leaf_of.resize(self.leaf_of.len().max(end), NONE);
        if slots.len() == 1 || slots.len() < self.used.len() {
            for slot in slots {
                self.insert_row(slot, vectors.row(slot));
                self.used.insert(slot);
            }
            return;
        }
        let (mut all, mut coordinates) = (Vec::new(), Vec::new());
        self.take_apart(&mut all, &mut coordinates);
        for slot in slots {
            all.push(slot);
            coordinates.extend(padded(vectors.row(slot), self.dimension));
            self.used.insert(slot);
        }
        self.build(&Points::new(&all, &coordinates, self.dimension), NONE);
    }

    /// Takes `slot` out; its row is not read.
    pub(super) fn take_out(&mut self, slot: u32) {
        if !self.used.remove(slot) {
            return;
        }
        let leaf = self.leaf_of[slot as usize];
        self.leaf_of[slot as usize] = NONE;
        self.leaves.remove(leaf as usize, slot);
        let parent = self.leaves.parent(leaf as usize);
        if parent == NONE {
            if self.used.is_empty() {
                self.leaves.free(leaf);
                self.root = None;
            }
            return;
        }
        self.count(parent, |count| count - 1);
        let pair = parent as usize / 2;
        let [left, right] = self.pairs[pair].parts;
        let [a, b] = self.pairs[pair].counts;
        if a + b <= MERGE && left.is_leaf() && right.is_leaf() || a == 0 || b == 0 {
            let above = self.collapse(pair);
            self.balance(above);
        } else {
            let bounds = self.leaves.bounds(leaf as usize);
            self.spread(parent, bounds);
            self.balance(parent);
        }
    }

    fn insert_row(&mut self, slot: u32, row: &[f32]) {
        let point: Vec<f32> = padded(row, self.dimension).collect();
        let Some(mut part) = self.root else {
            self.build(&Points::new(&[slot], &point, self.dimension), NONE);
            return;
        };
        while !part.is_leaf() {
            let side = self.nearer_side(part.number(), &point);
            let pair = &mut self.pairs[part.number()];
            pair.counts[side] += 1;
            for (ends, x) in self.boxes[part.number() * self.dimension..].iter_mut().zip(&point) {
                ends[side] = ends[side].min(*x);
                ends[side + 2] = ends[side + 2].max(*x);
            }
            part = pair.parts[side];
        }
        let leaf = part.number();
        let parent = self.leaves.parent(leaf);
        if self.leaves.slots(leaf).len() < ROWS {
            self.leaves.push(leaf, slot, &point);
            self.leaf_of[slot as usize] = leaf as u32;
        } else {
            let (mut slots, mut coordinates) = (vec![slot], point);
            self.leaves.copy(leaf, &mut slots, &mut coordinates);
            self.leaves.free(leaf as u32);
            self.build(&Points::new(&slots, &coordinates, self.dimension), parent);
        }
        self.balance(parent);
    }

    /// The side of a pair whose box is nearer to `point`, then the one with fewer rows, then the left one.
    fn nearer_side(&self, pair: usize, point: &[f32]) -> usize {
        let mut gaps = [0.0_f32; 2];
        for (ends, x) in self.boxes[pair * self.dimension..].iter().zip(point) {
            for (side, gap) in gaps.iter_mut().enumerate() {
                let outside = x - x.max(ends[side]).min(ends[side + 2]);
                *gap += outside * outside;
            }
        }
        let counts = self.pairs[pair].counts;
        usize::from(gaps[1] < gaps[0] || gaps[0] == gaps[1] && counts[1] < counts[0])
    }

    /// Changes the counts from `place` up.
    fn count(&mut self, mut place: u32, change: impl Fn(u32) -> u32) {
        while place != NONE {
            let pair = &mut self.pairs[place as usize / 2];
            pair.counts[place as usize % 2] = change(pair.counts[place as usize % 2]);
            place = pair.parent;
        }
    }

    /// Sets the box at `place`, and those above as far as they change.
    fn spread(&mut self, mut place: u32, mut bounds: Vec<[f32; 2]>) {
        while self.set_box(place, &bounds) {
            let pair = place as usize / 2;
            bounds = self.pair_bounds(pair);
            place = self.pairs[pair].parent;
        }
    }

    /// Makes one leaf of a pair of leaves, or one part of a pair of which one is empty. Returns the place of what is left.
    fn collapse(&mut self, pair: usize) -> u32 {
        let super::Pair { parts, counts, parent } = self.pairs[pair];
        let empty = counts.iter().position(|count| *count == 0);
        let kept = empty.map_or(parts[0], |empty| parts[1 - empty]);
        if let (None, [left, right]) = (empty, parts.map(Part::number)) {
            let (mut slots, mut coordinates) = (Vec::new(), Vec::new());
            self.leaves.copy(right, &mut slots, &mut coordinates);
            for (slot, point) in slots.iter().zip(coordinates.chunks(self.dimension.max(1))) {
                self.leaves.push(left, *slot, point);
                self.leaf_of[*slot as usize] = left as u32;
            }
        }
        // What goes is a leaf: a pair has no empty part for longer than this function.
        let gone = parts[usize::from(kept == parts[0])];
        self.leaves.free(gone.number() as u32);
        self.free_pairs.push(pair as u32);
        self.set_parent(kept, parent);
        if parent == NONE {
            self.root = Some(kept);
            return NONE;
        }
        self.pairs[parent as usize / 2].parts[parent as usize % 2] = kept;
        let bounds = if kept.is_leaf() { self.leaves.bounds(kept.number()) } else { self.pair_bounds(kept.number()) };
        self.spread(parent, bounds);
        parent
    }

    fn set_parent(&mut self, part: Part, parent: u32) {
        if part.is_leaf() {
            self.leaves.set_parent(part.number(), parent);
        } else {
            self.pairs[part.number()].parent = parent;
        }
    }

    /// Builds anew the highest part above `place` that has become lopsided.
    fn balance(&mut self, mut place: u32) {
        let mut lopsided = None;
        while place != NONE {
            let pair = place / 2;
            let [a, b] = self.pairs[pair as usize].counts;
            if is_lopsided(a, b) {
                lopsided = Some(pair);
            }
            place = self.pairs[pair as usize].parent;
        }
        if let Some(pair) = lopsided {
            let parent = self.pairs[pair as usize].parent;
            let (mut slots, mut coordinates) = (Vec::new(), Vec::new());
            self.take_part(Part::pair(pair), &mut slots, &mut coordinates);
            self.build(&Points::new(&slots, &coordinates, self.dimension), parent);
        }
    }

    /// Moves the rows of a part out of the tree and frees what held them.
    fn take_part(&mut self, part: Part, slots: &mut Vec<u32>, coordinates: &mut Vec<f32>) {
        let mut parts = vec![part];
        while let Some(part) = parts.pop() {
            let number = part.number();
            if part.is_leaf() {
                self.leaves.copy(number, slots, coordinates);
                self.leaves.free(number as u32);
            } else {
                parts.extend(self.pairs[number].parts.iter().rev());
                self.free_pairs.push(number as u32);
            }
        }
    }

    /// Moves all rows out of the tree and gives back its memory.
    fn take_apart(&mut self, slots: &mut Vec<u32>, coordinates: &mut Vec<f32>) {
        if let Some(root) = self.root.take() {
            self.take_part(root, slots, coordinates);
        }
        let (leaf_of, used) = (std::mem::take(&mut self.leaf_of), std::mem::take(&mut self.used));
        *self = Self { leaf_of, used, longest: self.longest, ..Self::new(self.dimension, self.metric) };
    }
}

/// Whether one side has more than 0.6 of the rows, half a leaf's worth aside.
pub(super) fn is_lopsided(a: u32, b: u32) -> bool {
    u64::from(a.max(b)) * 10 > (u64::from(a) + u64::from(b)) * 6 + 5 * ROWS as u64
}

/// A row of exactly `dimension` numbers.
fn padded(row: &[f32], dimension: usize) -> impl Iterator<Item = f32> {
    row.iter().copied().chain(std::iter::repeat(0.0)).take(dimension)
}
