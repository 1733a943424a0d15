//! From a vector to its bucket in each table.

use crate::{codes::Codes, distance::Metric, index::words::SplitMix, top_k::pack};

use super::{Params, rotation::Rotation};

/// Rows that a bucket holds on average, about.
const ROWS_PER_BUCKET: usize = 4;

/// The most bits that one function gives: it compares `2^(bits - 1)` projections.
const MOST_BITS: u32 = 8;

/// Symbols of a function beside its own that are worth a step.
const STEPS: usize = 20;

/// Rows that the mean is taken of, at most.
const SAMPLE: usize = 16_384;

/// What the tables were made for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Frame {
    /// How many rows there were.
    pub(super) rows: u64,
    /// Bits of a bucket's number.
    pub(super) bits: u32,
    /// The length that rows are brought to under dot.
    pub(super) longest: f32,
    /// The width of a strip under euclidean.
    pub(super) strip: f32,
    /// The mean.
    pub(super) centre: Vec<f32>,
}

/// The hash functions of all tables.
#[derive(Clone, Debug)]
pub(super) struct Hasher {
    dimension: usize,
    metric: Metric,
    tables: usize,
    seed: u64,
    frame: Frame,
    rotations: Vec<Rotation>,
}

/// A step across a boundary: what it costs, and what it adds to the number that the functions of a table make.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    pub(super) cost: f32,
    pub(super) difference: u32,
    /// The functions that step, one bit each.
    pub(super) functions: u32,
}

impl Hasher {
    pub(super) fn new(dimension: usize, metric: Metric, params: Params, frame: Frame) -> Self {
        let mut hasher = Self { dimension, metric, tables: params.tables, seed: params.seed, frame, rotations: Vec::new() };
        hasher.draw();
        hasher
    }

    pub(super) fn frame(&self) -> &Frame {
        &self.frame
    }

    pub(super) fn metric(&self) -> Metric {
        self.metric
    }

    /// Takes the measure of the rows of `slots`. Nothing depends on anything but them.
    pub(super) fn fit(&mut self, codes: &Codes, slots: &[u32]) {
        let longest = slots.iter().map(|slot| codes.fit(*slot).norm).fold(0.0, f32::max);
        self.frame = Frame { rows: slots.len() as u64, longest, ..Frame::default() };
        self.frame.bits = (slots.len() / ROWS_PER_BUCKET).max(16).ilog2().min(24);
        self.draw();
        let sample = SplitMix(self.seed).sample(slots, SAMPLE);
        let mut sums = vec![0.0_f64; self.lifted()];
        let mut row = Vec::new();
        for slot in &sample {
            self.lift_row(codes, *slot, &mut row);
            sums.iter_mut().zip(&row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        let count = sample.len().max(1) as f64;
        let centre: Vec<f32> = sums.iter().map(|sum| (sum / count) as f32).collect();
        let mut squares = 0.0_f64;
        for slot in &sample {
            self.lift_row(codes, *slot, &mut row);
            squares += row.iter().zip(&centre).map(|(x, y)| f64::from(x - y) * f64::from(x - y)).sum::<f64>();
        }
        self.frame.centre = centre;
        // Of a projection, the standard deviation: rotating multiplies lengths by width^1.5 and spreads them over the width.
        let width = Rotation::width(self.lifted()) as f64;
        self.frame.strip = (squares / count).sqrt() as f32 * width as f32;
    }

    /// Draws the rotations.
    fn draw(&mut self) {
        let width = Rotation::width(self.lifted());
        let count = (self.tables * self.width()).div_ceil(width);
        let mut random = SplitMix(self.seed);
        self.rotations = (0..count).map(|_| Rotation::new(self.lifted(), &mut random)).collect();
    }

    /// Functions of a table.
    pub(super) fn functions(&self) -> u32 {
        match self.metric {
            Metric::Cosine | Metric::Dot => self.frame.bits.div_ceil(MOST_BITS),
            Metric::Euclidean => self.frame.bits.div_ceil(2),
        }
    }

    /// For each function of a table under cosine and dot, how many projections it compares, and the place of its bits in the number.
    fn blocks(&self) -> impl Iterator<Item = (usize, u32)> {
        let (functions, bits) = (self.functions(), self.frame.bits);
        let shift = move |function: u32| bits * function / functions;
        (0..functions).map(move |function| (1 << (shift(function + 1) - shift(function) - 1), shift(function)))
    }

    /// Projections of a table.
    fn width(&self) -> usize {
        match self.metric {
            Metric::Cosine | Metric::Dot => self.blocks().map(|(len, _)| len).sum(),
            Metric::Euclidean => self.functions() as usize,
        }
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(super) fn lifted(&self) -> usize {
        self.dimension + usize::from(self.metric == Metric::Dot)
    }

    fn lift_row(&self, codes: &Codes, slot: u32, row: &mut Vec<f32>) {
        codes.decode(slot, row);
        row.resize(self.dimension, 0.0);
        if self.metric == Metric::Dot {
            let norm = codes.fit(slot).norm;
            row.push((self.frame.longest * self.frame.longest - norm * norm).max(0.0).sqrt());
        }
    }

    /// The bucket of a row in each table.
    pub(super) fn buckets(&self, codes: &Codes, slot: u32) -> Vec<u32> {
        let mut row = Vec::with_capacity(Rotation::width(self.lifted()));
        self.lift_row(codes, slot, &mut row);
        let projections = self.project(&row);
        (0..self.tables).map(|table| self.bucket(self.number(self.of_table(&projections, table)))).collect()
    }

    /// The projections that tables use of a query.
    pub(super) fn project_query(&self, query: &[f32], norm: f32) -> Vec<f32> {
        let mut row = query.to_vec();
        row.resize(self.dimension, 0.0);
        if self.metric == Metric::Dot {
            let factor = if norm > 0.0 { self.frame.longest / norm } else { 0.0 };
            row.iter_mut().for_each(|x| *x *= factor);
            row.push(0.0);
        }
        self.project(&row)
    }

    fn project(&self, row: &[f32]) -> Vec<f32> {
        let width = Rotation::width(self.lifted());
        let mut projections = Vec::with_capacity(width * self.rotations.len());
        for rotation in &self.rotations {
            let start = projections.len();
            projections.extend(row.iter().zip(&self.frame.centre).map(|(x, y)| x - y));
            projections.resize(start + width, 0.0);
            rotation.apply(&mut projections[start..]);
        }
        projections
    }

    /// The number that the functions of a table make of their projections.
    pub(super) fn number(&self, projections: &[f32]) -> u32 {
        if self.metric == Metric::Euclidean {
            let symbols = projections.iter().enumerate();
            return symbols.fold(0, |number: u32, (at, x)| number.wrapping_add(weight(at).wrapping_mul(self.strip(*x).0)));
        }
        let mut rest = projections;
        let mut number = 0;
        for (len, shift) in self.blocks() {
            let (block, behind) = rest.split_at(len.min(rest.len()));
            number |= symbol(block) << shift;
            rest = behind;
        }
        number
    }

    /// The steps to other numbers, the cheapest first.
    pub(super) fn steps_from(&self, projections: &[f32], steps: &mut Vec<Step>) {
        let start = steps.len();
        if self.metric == Metric::Euclidean {
            for (at, x) in projections.iter().enumerate() {
                let above = self.strip(*x).1;
                let below = self.frame.strip - above;
                steps.push(Step { cost: above * above, difference: weight(at).wrapping_neg(), functions: 1 << at });
                steps.push(Step { cost: below * below, difference: weight(at), functions: 1 << at });
            }
        } else {
            let mut rest = projections;
            let mut order: Vec<u64> = Vec::new();
            for (function, (len, shift)) in self.blocks().enumerate() {
                let (block, behind) = rest.split_at(len.min(rest.len()));
                rest = behind;
                let own = symbol(block);
                let longest = block.get(own as usize / 2).map_or(0.0, |x| x.abs());
                order.clear();
                order.extend((0..).zip(block).map(|(at, x)| pack(longest - x.abs(), at * 2 + u32::from(*x < 0.0))));
                if order.len() > STEPS {
                    order.select_nth_unstable(STEPS);
                    order.truncate(STEPS + 1);
                }
                for other in order.iter().map(|packed| *packed as u32).filter(|other| *other != own) {
                    let less = longest - block[other as usize / 2].abs();
                    let difference = other.wrapping_sub(own) << shift;
                    steps.push(Step { cost: less * less, difference, functions: 1 << function });
                }
            }
        }
        steps[start..].sort_unstable_by_key(|step| pack(step.cost, step.difference));
    }

    /// The strip of a projection, and how far it is above the strip's lower end.
    fn strip(&self, projection: f32) -> (u32, f32) {
        let strip = (projection / self.frame.strip).floor();
        (strip as i32 as u32, projection - strip * self.frame.strip)
    }

    /// The bucket of a number.
    #[inline]
    pub(super) fn bucket(&self, number: u32) -> u32 {
        match self.metric {
            Metric::Cosine | Metric::Dot => number,
            Metric::Euclidean => {
                let mixed = (number ^ (number >> 15)).wrapping_mul(0x2c1b_3c6d);
                (mixed ^ (mixed >> 12)).wrapping_mul(0x297a_2d39) >> (32 - self.frame.bits)
            }
        }
    }

    /// The projections that belong to a table.
    pub(super) fn of_table<'a>(&self, projections: &'a [f32], table: usize) -> &'a [f32] {
        projections.get(table * self.width()..(table + 1) * self.width()).unwrap_or_default()
    }
}

/// The corner of the cross-polytope that is nearest: the longest projection, the first of several, and its sign.
fn symbol(block: &[f32]) -> u32 {
    let mut longest = (0, f32::NEG_INFINITY);
    for (at, x) in (0..).zip(block) {
        if x.abs() > longest.1 {
            longest = (at * 2 + u32::from(*x < 0.0), x.abs());
        }
    }
    longest.0
}

/// What the strip of a function counts for. Odd, and so different that sums of a few are all different.
fn weight(function: usize) -> u32 {
    0x9e37_79b1_u32.wrapping_pow(function as u32 + 1)
}
