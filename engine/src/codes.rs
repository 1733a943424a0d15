//! The int8 codes of the rows, by slot: what graphs and coarse scans read instead of the floats.
//!
//! A code lies in whole cache lines, zeros behind its end, so that a row begins on a boundary and no kernel has a tail. What
//! belongs to it (scale, norm, residual; see [`Fit`]) lies in columns of its own: small enough to stay in cache while codes come
//! from memory. A code depends on its row alone; nothing is trained, and an insert never changes an old code.
//!
//! Cost: `dimension`, rounded up to 64, plus 12 bytes a row; [`set`](Codes::set) half a microsecond at 384 dimensions.

use crate::{
    distance::{Metric, codes::Fit, dot_i8, dot_i8_many, prefetch},
    vectors::Vectors,
};

/// Elements in a cache line.
const LINE: usize = 64;

#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([i8; LINE]);

const ZERO: Line = Line([0; LINE]);

/// Codes by slot. See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Codes {
    dimension: usize,
    lines: Vec<Line>,
    scales: Vec<f32>,
    norms: Vec<f32>,
    residuals: Vec<f32>,
}

impl Codes {
    /// No rows yet.
    pub fn new(dimension: usize) -> Self {
        Self { dimension, ..Self::default() }
    }

    /// The codes of every row of `vectors`.
    pub fn of(vectors: &Vectors) -> Self {
        let mut codes = Self::new(vectors.dimension());
        codes.reserve(vectors.rows());
        for slot in 0..vectors.rows() as u32 {
            codes.set(slot, vectors.row(slot));
        }
        codes
    }

    /// Elements in a row.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// One past the highest slot that was ever set.
    pub fn rows(&self) -> usize {
        self.scales.len()
    }

    /// Makes room for `rows` rows in all, without spare.
    pub fn reserve(&mut self, rows: usize) {
        let more = rows.saturating_sub(self.rows());
        self.lines.reserve_exact(more * self.stride());
        for column in [&mut self.scales, &mut self.norms, &mut self.residuals] {
            column.reserve_exact(more);
        }
    }

    /// Writes the code of `slot`; slots in between that were never set are zero.
    pub fn set(&mut self, slot: u32, row: &[f32]) {
        let (slot, stride) = (slot as usize, self.stride());
        if slot >= self.rows() {
            if slot >= self.scales.capacity() {
                // An eighth more, not twice as much: codes are most of the memory there is.
                self.reserve(slot + 1 + slot / 8);
            }
            self.lines.resize((slot + 1) * stride, ZERO);
            for column in [&mut self.scales, &mut self.norms, &mut self.residuals] {
                column.resize(slot + 1, 0.0);
            }
        }
        let fit = fill(row, &mut self.lines[slot * stride..(slot + 1) * stride]);
        self.scales[slot] = fit.scale;
        self.norms[slot] = fit.norm;
        self.residuals[slot] = fit.residual;
    }

    /// Zeroes the code of a freed slot, so that equal contents have equal bytes.
    pub fn clear(&mut self, slot: u32) {
        if (slot as usize) < self.rows() {
            self.set(slot, &[]);
        }
    }

    /// What belongs to the code of `slot`; zero for a slot that was never set.
    #[inline]
    pub fn fit(&self, slot: u32) -> Fit {
        let at = slot as usize;
        match (self.scales.get(at), self.norms.get(at), self.residuals.get(at)) {
            (Some(&scale), Some(&norm), Some(&residual)) => Fit { scale, residual, norm },
            _ => Fit::default(),
        }
    }

    /// What the code of `slot` stands for, in the place of what is in `row`.
    pub fn decode(&self, slot: u32, row: &mut Vec<f32>) {
        let (start, scale) = (slot as usize * self.stride() * LINE, self.fit(slot).scale);
        let code = bytemuck::cast_slice::<Line, i8>(&self.lines).get(start..start + self.dimension).unwrap_or(&[]);
        row.clear();
        row.extend(code.iter().map(|step| scale * f32::from(*step)));
    }

    /// The codes as they are read many times in a row.
    pub fn view(&self, metric: Metric) -> View<'_> {
        View {
            bytes: bytemuck::cast_slice(&self.lines),
            stride: self.stride() * LINE,
            scales: &self.scales,
            norms: if metric == Metric::Euclidean { &self.norms } else { &[] },
            lift: None,
        }
    }

    /// As [`view`](Self::view) for [`Metric::Dot`], with rows of different lengths brought to one: each gets another
    /// coordinate, at a right angle to all, such that its length is `longest`. Rows then have neighbours in the sense of the
    /// angle, every row is nearest to itself, and a query, whose own such coordinate is 0, still has the same products with
    /// them (Bachrach et al., 2014).
    pub fn lifted(&self, longest: f32) -> View<'_> {
        View { norms: &self.norms, lift: Some(longest * longest), ..self.view(Metric::Dot) }
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.lines.capacity() * LINE + 4 * (self.scales.capacity() + self.norms.capacity() + self.residuals.capacity())
    }

    /// The codes as a section of a snapshot: the codes of all slots, then scales, norms and residuals, little endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = bytemuck::cast_slice::<Line, u8>(&self.lines).to_vec();
        for column in [&self.scales, &self.norms, &self.residuals] {
            bytes.extend(column.iter().flat_map(|number| number.to_le_bytes()));
        }
        bytes
    }

    /// The codes of `rows` rows from what [`to_bytes`](Self::to_bytes) gave; `None` when the length does not fit, or a number is
    /// none that a code can have.
    pub fn from_bytes(dimension: usize, rows: usize, bytes: &[u8]) -> Option<Self> {
        let mut codes = Self::new(dimension);
        let line_bytes = rows.checked_mul(codes.stride().checked_mul(LINE)?)?;
        let (lines, columns) = bytes.split_at_checked(line_bytes)?;
        if columns.len() != rows.checked_mul(12)? {
            return None;
        }
        codes.lines = vec![ZERO; line_bytes / LINE];
        bytemuck::cast_slice_mut(&mut codes.lines).copy_from_slice(lines);
        let floats: Vec<f32> = columns.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        if floats.iter().any(|number| number.is_nan() || number.is_sign_negative()) {
            return None;
        }
        codes.scales = floats[..rows].to_vec();
        codes.norms = floats[rows..rows * 2].to_vec();
        codes.residuals = floats[rows * 2..].to_vec();
        Some(codes)
    }

    /// Lines in a row.
    fn stride(&self) -> usize {
        self.dimension.div_ceil(LINE)
    }
}

fn fill(row: &[f32], lines: &mut [Line]) -> Fit {
    let code = bytemuck::cast_slice_mut(lines);
    let used = row.len().min(code.len());
    code[used..].fill(0);
    Fit::encode(&row[..used], &mut code[..used])
}

/// A query as a code. Keeps its memory from one query to the next.
#[derive(Clone, Debug, Default)]
pub struct Coded {
    lines: Vec<Line>,
    fit: Fit,
}

impl Coded {
    /// Encodes `query`.
    pub fn set(&mut self, query: &[f32]) {
        self.lines.resize(query.len().div_ceil(LINE), ZERO);
        self.fit = fill(query, &mut self.lines);
    }

    /// What belongs to the code.
    pub fn fit(&self) -> &Fit {
        &self.fit
    }

    /// The code, padded with zeros to whole lines.
    pub fn code(&self) -> &[i8] {
        bytemuck::cast_slice(&self.lines)
    }
}

/// All codes, for reading.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    bytes: &'a [i8],
    stride: usize,
    scales: &'a [f32],
    /// Empty unless the metric is Euclidean, or rows are lifted.
    norms: &'a [f32],
    /// The square of the length that all rows are lifted to.
    lift: Option<f32>,
}

impl<'a> View<'a> {
    /// The code of `slot`; empty for a slot that was never set.
    #[inline(always)]
    pub fn code(&self, slot: u32) -> &'a [i8] {
        let at = slot as usize * self.stride;
        self.bytes.get(at..at + self.stride).unwrap_or(&[])
    }

    /// Asks the cache for the code of `slot`.
    #[inline(always)]
    pub fn prefetch(&self, slot: u32) {
        prefetch(self.code(slot));
    }

    /// A row of its own as the query.
    #[inline]
    pub fn probe(&self, slot: u32) -> Probe<'a> {
        let scale = self.scales.get(slot as usize).copied().unwrap_or(0.0);
        let norm = self.norms.get(slot as usize).copied().unwrap_or(0.0);
        Probe { view: *self, code: self.code(slot), scale, square: norm * norm }
    }

    /// A row of other codes as the query.
    #[inline]
    pub fn probe_of(&self, other: &View<'a>, slot: u32) -> Probe<'a> {
        Probe { view: *self, ..other.probe(slot) }
    }

    /// `query` as the query. Under the euclidean metric its own norm counts too, so that keys are squared distances.
    #[inline]
    pub fn probe_for(&self, query: &'a Coded) -> Probe<'a> {
        let Fit { scale, norm, .. } = query.fit;
        Probe { view: *self, code: query.code(), scale, square: norm * norm }
    }
}

/// A query against codes.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    view: View<'a>,
    code: &'a [i8],
    scale: f32,
    square: f32,
}

impl Probe<'_> {
    /// Asks the cache for the code of `slot`.
    #[inline(always)]
    pub fn prefetch(&self, slot: u32) {
        self.view.prefetch(slot);
    }

    /// The approximate key of the row of `slot`, lower is nearer: the same bits on every machine, and the same if the two change
    /// places. Never NaN. It takes an integer and a few rounded operations in a fixed order, and reads no residual: for the
    /// walk through a graph. [`Estimator`](crate::distance::codes::Estimator) is for answers.
    #[inline(always)]
    pub fn key(&self, slot: u32) -> f32 {
        let product = dot_i8(self.code, self.view.code(slot));
        let scale = self.view.scales.get(slot as usize).copied().unwrap_or(0.0);
        let product = self.scale * scale * product as f32;
        let key = if self.view.norms.is_empty() {
            0.0 - product
        } else {
            let norm = self.view.norms.get(slot as usize).copied().unwrap_or(0.0);
            match self.view.lift {
                None => self.square + norm * norm - 2.0 * product,
                Some(lift) => 0.0 - (product + height(lift, self.square) * height(lift, norm * norm)),
            }
        };
        if key.is_nan() { f32::INFINITY } else { key }
    }

    /// The approximate keys of all rows, by slot, in the place of what is in `keys`; the same bits as [`key`](Self::key) gives.
    /// `products` is memory to work in.
    pub fn keys(&self, products: &mut Vec<i32>, keys: &mut Vec<f32>) {
        keys.clear();
        if self.view.lift.is_some() {
            keys.extend((0..self.view.scales.len() as u32).map(|slot| self.key(slot)));
            return;
        }
        dot_i8_many(self.code, self.view.bytes, self.view.stride, products);
        let rows = products.iter().zip(self.view.scales);
        let products = rows.map(|(product, scale)| self.scale * scale * *product as f32);
        if self.view.norms.is_empty() {
            keys.extend(products.map(|product| 0.0 - product));
        } else {
            let rows = products.zip(self.view.norms);
            keys.extend(rows.map(|(product, norm)| self.square + norm * norm - 2.0 * product));
        }
        for key in keys {
            *key = if key.is_nan() { f32::INFINITY } else { *key };
        }
    }
}

/// The coordinate that brings a row to its lifted length.
#[inline(always)]
fn height(lift: f32, square: f32) -> f32 {
    (lift - square).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::distance::codes::Estimator;

    fn rows(dimension: usize) -> impl Strategy<Value = Vec<Vec<f32>>> {
        prop::collection::vec(prop::collection::vec(-2.0_f32..2.0, dimension), 1..20)
    }

    fn codes_of(rows: &[Vec<f32>]) -> Codes {
        let mut codes = Codes::new(rows[0].len());
        for (slot, row) in (0_u32..).zip(rows) {
            codes.set(slot, row);
        }
        codes
    }

    proptest! {
        #[test]
        fn keys_are_near_the_exact_ones_and_the_same_both_ways(rows in (1_usize..200).prop_flat_map(rows)) {
            let codes = codes_of(&rows);
            let mut query = Coded::default();
            query.set(&rows[0]);
            for metric in Metric::ALL {
                let view = codes.view(metric);
                let estimator = Estimator::new(metric, codes.dimension(), query.fit());
                for slot in 0..rows.len() as u32 {
                    let key = view.probe_for(&query).key(slot);
                    prop_assert_eq!(key.to_bits(), view.probe(0).key(slot).to_bits());
                    prop_assert_eq!(key.to_bits(), view.probe(slot).key(0).to_bits());
                    let (low, high) = estimator.interval(&codes.fit(slot), dot_i8(query.code(), view.code(slot)));
                    prop_assert!(low - 1e-3 <= key && key <= high + 1e-3, "{low} {key} {high}");
                }
            }
        }

        #[test]
        fn a_lifted_row_is_nearest_to_itself(rows in (1_usize..100).prop_flat_map(rows)) {
            let codes = codes_of(&rows);
            let longest = (0..rows.len() as u32).map(|slot| codes.fit(slot).norm).fold(0.0, f32::max);
            let view = codes.lifted(longest);
            for slot in 0..rows.len() as u32 {
                let own = view.probe(slot).key(slot);
                let others = (0..rows.len() as u32).map(|other| view.probe(slot).key(other)).fold(f32::INFINITY, f32::min);
                prop_assert!(own <= others + 0.02 * longest * longest, "{own} {others}");
            }
        }

        #[test]
        fn bytes_open_to_the_same_codes(rows in (1_usize..130).prop_flat_map(rows), flip in any::<usize>(), bit in 0_u32..8) {
            let codes = codes_of(&rows);
            let bytes = codes.to_bytes();
            let opened = Codes::from_bytes(codes.dimension(), codes.rows(), &bytes).unwrap();
            prop_assert_eq!(opened.to_bytes(), bytes.clone());
            prop_assert!(Codes::from_bytes(codes.dimension(), codes.rows(), &bytes[1..]).is_none());
            prop_assert!(Codes::from_bytes(codes.dimension(), codes.rows() + 1, &bytes).is_none());
            let mut damaged = bytes;
            let at = flip % damaged.len();
            damaged[at] ^= 1_u8 << bit;
            if let Some(damaged) = Codes::from_bytes(codes.dimension(), codes.rows(), &damaged) {
                prop_assert!(!damaged.view(Metric::Euclidean).probe(0).key(0).is_nan());
            }
        }
    }

    #[test]
    fn slots_are_set_in_any_order_and_cleared() {
        let mut codes = Codes::new(70);
        codes.set(5, &[1.0; 70]);
        assert_eq!((codes.rows(), codes.fit(4), codes.fit(9)), (6, Fit::default(), Fit::default()));
        assert_eq!(codes.view(Metric::Dot).code(5)[..71], [[127_i8; 70].as_slice(), &[0]].concat());
        assert_eq!(codes.view(Metric::Dot).code(6), [0_i8; 0]);
        codes.clear(5);
        codes.clear(50);
        assert!(codes.to_bytes().iter().all(|byte| *byte == 0) && codes.rows() == 6);
        let none = Codes::new(0);
        assert_eq!(none.view(Metric::Cosine).probe(3).key(4), 0.0);
    }

    #[test]
    fn an_overflow_is_farthest() {
        let codes = codes_of(&[vec![f32::MAX; 40], vec![f32::MAX; 40], vec![f32::MIN; 40]]);
        for metric in [Metric::Euclidean, Metric::Dot] {
            let keys = [0, 1, 2].map(|slot| codes.view(metric).probe(0).key(slot));
            assert!(keys.iter().all(|key| !key.is_nan()), "{keys:?}");
        }
    }
}
