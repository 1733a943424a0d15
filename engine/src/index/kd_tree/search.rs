//! Searching.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{
    distance::Metric,
    index::{Found, Search, Strategy},
    top_k::{TopK, pack},
};

use super::{
    KdTree, NONE, Part,
    leaves::{LANES, ROWS},
};

/// Lanes of the canonical order of sums.
const CANONICAL: usize = 16;

/// How parts of the tree are put off and taken up again.
trait Frontier {
    fn put(&mut self, bound: f32, part: Part);
    fn take(&mut self) -> Option<(f32, Part)>;
}

/// Takes what was put last: for exact search. No bookkeeping.
impl Frontier for Vec<(f32, Part)> {
    fn put(&mut self, bound: f32, part: Part) {
        self.push((bound, part));
    }

    fn take(&mut self) -> Option<(f32, Part)> {
        self.pop()
    }
}

/// Takes the nearest, the one that was put first among equals: for bounded search.
#[derive(Default)]
struct NearestFirst {
    order: BinaryHeap<Reverse<u64>>,
    parts: Vec<(f32, Part)>,
}

impl Frontier for NearestFirst {
    fn put(&mut self, bound: f32, part: Part) {
        self.order.push(Reverse(pack(bound, self.parts.len() as u32)));
        self.parts.push((bound, part));
    }

    fn take(&mut self) -> Option<(f32, Part)> {
        let Reverse(nearest) = self.order.pop()?;
        self.parts.get(nearest as u32 as usize).copied()
    }
}

/// What one search needs to know.
struct Walk<'a> {
    tree: &'a KdTree,
    search: &'a Search<'a>,
    /// Under cosine a squared distance `d` bounds the key by `(d, 1) · affine`.
    affine: [f64; 2],
    /// Rows after which the search ends when it has k.
    limit: usize,
}

impl KdTree {
    pub(super) fn find(&self, search: &Search<'_>) -> Found {
        let wanted = search.k.min(search.allowed.len());
        if wanted == 0 || search.query.len() != self.dimension {
            return Found::default();
        }
        let mut found = Found { strategy: Strategy::Index, ..Found::default() };
        let mut top = TopK::new(search.k, search.allowed.len());
        // With few slots allowed, what has to be opened before k of them are found is more than they are.
        let few = search.allowed.len() < self.len() && search.allowed.len().pow(2) <= wanted.saturating_mul(self.len());
        if few {
            found.visited = compare(search, search.allowed.iter(), &mut top);
        } else {
            if !search.allowed.is_within(&self.used) {
                found.visited = compare(search, search.allowed.difference(&self.used), &mut top);
            }
            found.visited += self.descend(search, &mut top);
        }
        found.nearest = top.into_sorted_vec();
        found
    }

    fn descend(&self, search: &Search<'_>, top: &mut TopK) -> usize {
        let limit = if search.effort == 0 { usize::MAX } else { search.effort };
        let walk = Walk { tree: self, search, affine: self.affine(search.query), limit };
        match (self.metric, self.dimension) {
            (Metric::Euclidean, 2) => walk.run::<2, false>(top),
            (Metric::Euclidean, 3) => walk.run::<3, false>(top),
            (Metric::Euclidean, 4) => walk.run::<4, false>(top),
            (Metric::Euclidean, 8) => walk.run::<8, false>(top),
            (Metric::Euclidean, _) => walk.run::<0, false>(top),
            (Metric::Cosine | Metric::Dot, 3) => walk.run::<3, true>(top),
            (Metric::Cosine | Metric::Dot, _) => walk.run::<0, true>(top),
        }
    }

    /// A factor and a sum that turn a rounded squared distance into a bound on the cosine key, for real numbers
    /// `-q·x = (|q - x|² - |q|² - |x|²) / 2`. With `u = 2^-24` the kernels are off by a relative `ceil(d/16) + 7` roundings at
    /// most, of `|q - x|²` and of `|q||x|`; the margin is twice that and more.
    fn affine(&self, query: &[f32]) -> [f64; 2] {
        let margin = (self.dimension.div_ceil(CANONICAL) + 12) as f64 * f64::from(f32::EPSILON);
        let square = query.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
        let squares = (square + self.longest) * (1.0 + margin);
        [0.5 * (1.0 - margin), -0.5 * squares - margin * squares - f64::from(f32::MIN_POSITIVE)]
    }
}

impl Walk<'_> {
    /// `D` is the dimension, or 0 when it is not known at compile time; `PRODUCT` tells keys that are products from distances.
    fn run<const D: usize, const PRODUCT: bool>(&self, top: &mut TopK) -> usize {
        if self.limit == usize::MAX {
            self.walk::<D, PRODUCT>(&mut Vec::with_capacity(48), top)
        } else {
            self.walk::<D, PRODUCT>(&mut NearestFirst::default(), top)
        }
    }

    /// Returns how many rows were compared.
    fn walk<const D: usize, const PRODUCT: bool>(&self, frontier: &mut impl Frontier, top: &mut TopK) -> usize {
        let mut farthest = top.threshold();
        let mut visited = 0;
        if let Some(root) = self.tree.root {
            frontier.put(f32::NEG_INFINITY, root);
        }
        while let Some((bound, mut part)) = frontier.take() {
            if bound > farthest {
                continue;
            }
            if visited >= self.limit && top.is_full() {
                break;
            }
            while !part.is_leaf() {
                let pair = &self.tree.pairs[part.number()];
                let bounds = self.bounds::<D, PRODUCT>(part.number());
                let near = usize::from(bounds[1] < bounds[0]);
                if bounds[1 - near] <= farthest {
                    frontier.put(bounds[1 - near], pair.parts[1 - near]);
                }
                part = if bounds[near] <= farthest { pair.parts[near] } else { Part(NONE) };
            }
            if part != Part(NONE) {
                visited += self.scan::<D, PRODUCT>(part.number(), top, &mut farthest);
            }
        }
        visited
    }

    /// Offers the rows of a leaf; returns how many there are.
    #[inline(always)]
    fn scan<const D: usize, const PRODUCT: bool>(&self, leaf: usize, top: &mut TopK, farthest: &mut f32) -> usize {
        let coordinates = self.tree.leaves.coordinates(leaf);
        let slots = self.tree.leaves.slots(leaf);
        for (block, slots) in slots.chunks(LANES).enumerate() {
            let keys = keys::<D, PRODUCT>(self.search.query, coordinates, block * LANES);
            // As a mask first: most rows are refused, and this decides on all of them without a branch each.
            let mut near = 0_u32;
            for (at, key) in keys.iter().enumerate() {
                near |= u32::from(*key <= *farthest) << at;
            }
            near &= u32::MAX >> (32 - slots.len());
            while near != 0 {
                let at = near.trailing_zeros() as usize;
                near &= near - 1;
                let slot = slots[at];
                if self.search.allowed.contains(slot) && top.push(keys[at], slot) {
                    *farthest = top.threshold();
                }
            }
        }
        slots.len()
    }

    /// For both parts of a pair, a key that no row of theirs is below.
    #[inline(always)]
    fn bounds<const D: usize, const PRODUCT: bool>(&self, pair: usize) -> [f32; 2] {
        let dimension = if D == 0 { self.tree.dimension } else { D };
        let boxes = &self.tree.boxes[pair * dimension..(pair + 1) * dimension];
        let query = &self.search.query[..dimension];
        if PRODUCT && self.tree.metric == Metric::Dot {
            let products = |at: usize| {
                let (q, [low, low2, high, high2]) = (query[at], boxes[at]);
                if q >= 0.0 { [q * high, q * high2] } else { [q * low, q * low2] }
            };
            // What overflows into NaN is no bound.
            let mut sums = sum::<D, 2>(dimension, products);
            for sum in &mut sums {
                *sum = if sum.is_nan() { f32::NEG_INFINITY } else { 0.0 - *sum };
            }
            return sums;
        }
        let squares = |at: usize| {
            let (q, [low, low2, high, high2]) = (query[at], boxes[at]);
            let outside = [q - within(q, low, high), q - within(q, low2, high2)];
            [outside[0] * outside[0], outside[1] * outside[1]]
        };
        let mut bounds = sum::<D, 2>(dimension, squares);
        if PRODUCT {
            for bound in &mut bounds {
                *bound = ((f64::from(*bound) * self.affine[0] + self.affine[1]) as f32).next_down();
            }
        }
        bounds
    }
}

/// Compares `slots` with the query, one by one; returns how many there are.
fn compare(search: &Search<'_>, slots: impl Iterator<Item = u32>, top: &mut TopK) -> usize {
    slots.map(|slot| top.push(search.metric.key(search.query, search.vectors.row(slot)), slot)).count()
}

#[inline(always)]
fn within(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// The canonical keys of the rows `first..first + LANES` of a leaf. Under cosine and dot a sum that overflows into NaN is the
/// farthest key, as in [`Metric::key`].
#[inline(always)]
fn keys<const D: usize, const PRODUCT: bool>(query: &[f32], coordinates: &[[f32; ROWS]], first: usize) -> [f32; LANES] {
    let dimension = if D == 0 { coordinates.len() } else { D };
    let (query, coordinates) = (&query[..dimension], &coordinates[..dimension]);
    let terms = |at: usize| {
        let mut terms = [0.0; LANES];
        for (term, x) in terms.iter_mut().zip(&coordinates[at][first..first + LANES]) {
            *term = if PRODUCT {
                query[at] * x
            } else {
                let difference = query[at] - x;
                difference * difference
            };
        }
        terms
    };
    let mut sums = sum::<D, LANES>(dimension, terms);
    if PRODUCT {
        for sum in &mut sums {
            *sum = if sum.is_nan() { f32::INFINITY } else { 0.0 - *sum };
        }
    }
    sums
}

/// Sums of `dimension` terms, `W` of them side by side, each in the canonical order of [`distance`](crate::distance).
///
/// Lanes without a term are zero, and adding zero to a lane changes no bit: they are left out.
#[inline(always)]
fn sum<const D: usize, const W: usize>(dimension: usize, terms: impl Fn(usize) -> [f32; W]) -> [f32; W] {
    let mut lanes = [[0.0_f32; W]; CANONICAL];
    for at in 0..dimension {
        let lane = &mut lanes[at % CANONICAL];
        for (lane, term) in lane.iter_mut().zip(terms(at)) {
            *lane += term;
        }
    }
    let mut width = CANONICAL;
    while width > 1 {
        width /= 2;
        for at in 0..width.min(dimension.saturating_sub(width)) {
            let other = lanes[at + width];
            for (lane, other) in lanes[at].iter_mut().zip(other) {
                *lane += other;
            }
        }
    }
    lanes[0]
}
