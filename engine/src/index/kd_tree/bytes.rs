//! The tree as bytes: its shape and slots. Coordinates and boxes are made again from the rows.
//!
//! Numbers of 32 bits, little endian: version, dimension, rows, the two halves of the greatest squared length; then the
//! parts in depth-first order, [`PAIR`] for a pair, and for a leaf how many rows it has and their slots.

use crate::{distance::Metric, vectors::Vectors};

use super::{KdTree, NONE, Pair, Part, change::is_lopsided, leaves::ROWS};

const VERSION: u32 = 1;

/// Stands for a pair where a leaf has its length.
const PAIR: u32 = u32::MAX;

/// Deeper than any tree that is not lopsided.
const DEEPEST: usize = 80;

impl KdTree {
    /// The tree as a section of a snapshot.
    pub fn to_bytes(&self) -> Vec<u8> {
        let longest = self.longest.to_bits();
        let mut numbers = vec![VERSION, self.dimension as u32, self.len() as u32, (longest >> 32) as u32, longest as u32];
        let mut parts: Vec<Part> = self.root.into_iter().collect();
        while let Some(part) = parts.pop() {
            if part.is_leaf() {
                let slots = self.leaves.slots(part.number());
                numbers.push(slots.len() as u32);
                numbers.extend(slots);
            } else {
                numbers.push(PAIR);
                parts.extend(self.pairs[part.number()].parts.iter().rev());
            }
        }
        numbers.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    /// The tree from what [`to_bytes`](Self::to_bytes) gave, over rows of `vectors`.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8], metric: Metric, vectors: &Vectors) -> Result<Self, &'static str> {
        Self::parse(bytes, metric, vectors).ok_or("these are not the bytes of a KD-tree over these rows")
    }

    fn parse(bytes: &[u8], metric: Metric, vectors: &Vectors) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<4>();
        let mut numbers = numbers.iter().map(|b| u32::from_le_bytes(*b));
        if !rest.is_empty() || numbers.next()? != VERSION || numbers.next()? as usize != vectors.dimension() {
            return None;
        }
        let mut tree = Self::new(vectors.dimension(), metric);
        let rows = numbers.next()? as usize;
        tree.longest = f64::from_bits(u64::from(numbers.next()?) << 32 | u64::from(numbers.next()?));
        if tree.longest.is_nan() || tree.longest < 0.0 || rows > vectors.rows() {
            return None;
        }
        tree.leaf_of.resize(vectors.rows(), NONE);
        if rows > 0 {
            tree.root = Some(tree.read(vectors, &mut numbers, NONE, DEEPEST)?.0);
        }
        let last = tree.leaf_of.iter().rposition(|leaf| *leaf != NONE).map_or(0, |last| last + 1);
        tree.leaf_of.truncate(last);
        (numbers.next().is_none() && tree.len() == rows).then_some(tree)
    }

    /// Reads a part; returns it and how many rows it has.
    fn read(
        &mut self,
        vectors: &Vectors,
        numbers: &mut impl Iterator<Item = u32>,
        parent: u32,
        deeper: usize,
    ) -> Option<(Part, u32)> {
        let number = numbers.next()?;
        if number == PAIR {
            let pair = self.add_pair(parent);
            let (left, a) = self.read(vectors, numbers, pair * 2, deeper.checked_sub(1)?)?;
            let (right, b) = self.read(vectors, numbers, pair * 2 + 1, deeper - 1)?;
            if is_lopsided(a, b) {
                return None;
            }
            self.pairs[pair as usize] = Pair { parts: [left, right], counts: [a, b], parent };
            let bounds = self.pair_bounds(pair as usize);
            self.set_box(parent, &bounds);
            return Some((Part::pair(pair), a + b));
        }
        if number == 0 || number as usize > ROWS {
            return None;
        }
        let leaf = self.leaves.add(parent);
        for slot in numbers.take(number as usize) {
            *self.leaf_of.get_mut(slot as usize)? = leaf;
            if !self.used.insert(slot) {
                return None;
            }
            self.leaves.push(leaf as usize, slot, vectors.row(slot));
        }
        let bounds = self.leaves.bounds(leaf as usize);
        (self.leaves.slots(leaf as usize).len() == number as usize).then_some(())?;
        self.set_box(parent, &bounds);
        Some((Part::leaf(leaf), number))
    }
}
