//! The int8 codes of the rows, by slot: what graphs and coarse scans read instead of the floats.
//!
//! A code lies in whole cache lines, zeros behind its end, so that a row begins on a boundary and no kernel has a tail. What
//! belongs to it (scale, norm, residual; see [`Fit`]) lies in columns of its own: small enough to stay in cache while codes come
//! from memory. A code depends on its row alone; nothing is trained, and an insert never changes an old code. Pages of rows are shared
//! between clones until one of them changes.
//!
//! Cost: `dimension`, rounded up to 64, plus 12 bytes a row; [`set`](Codes::set) half a microsecond at 384 dimensions.

use std::sync::Arc;

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

/// Rows in a page.
pub const PAGE_ROWS: usize = 128;

/// Pages in a branch.
const BRANCH_PAGES: usize = 64;

/// The codes of [`PAGE_ROWS`] slots, or fewer at the end, in columns.
#[derive(Debug, Default)]
struct Page {
    lines: Vec<Line>,
    scales: Vec<f32>,
    norms: Vec<f32>,
    residuals: Vec<f32>,
}

impl Page {
    /// A copy with room for at least `rows` rows.
    fn with_room(&self, rows: usize, stride: usize) -> Self {
        let room = rows.max(self.scales.len()).next_power_of_two().min(PAGE_ROWS);
        Self {
            lines: copy_with_room(&self.lines, room * stride),
            scales: copy_with_room(&self.scales, room),
            norms: copy_with_room(&self.norms, room),
            residuals: copy_with_room(&self.residuals, room),
        }
    }

    fn resize(&mut self, rows: usize, stride: usize) {
        self.lines.resize(rows * stride, ZERO);
        for column in [&mut self.scales, &mut self.norms, &mut self.residuals] {
            column.resize(rows, 0.0);
        }
    }

    fn memory(&self) -> usize {
        self.lines.capacity() * LINE + 4 * (self.scales.capacity() + self.norms.capacity() + self.residuals.capacity())
    }
}

fn copy_with_room<T: Copy>(from: &[T], room: usize) -> Vec<T> {
    let mut copy = Vec::with_capacity(room);
    copy.extend_from_slice(from);
    copy
}

/// Some pages in a row, shared by all copies that have not changed one of them.
type Branch = Arc<Vec<Arc<Page>>>;

/// Codes by slot. See the [module](self).
///
/// A clone is cheap: pages are shared until one side changes them.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    dimension: usize,
    rows: usize,
    branches: Vec<Branch>,
}

impl Codes {
    /// No rows yet.
    pub fn new(dimension: usize) -> Self {
        Self { dimension, ..Self::default() }
    }

    /// The codes of every row of `vectors`.
    pub fn of(vectors: &Vectors) -> Self {
        let mut codes = Self::new(vectors.dimension());
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
        self.rows
    }

    /// Writes the code of `slot`; slots in between that were never set are zero.
    pub fn set(&mut self, slot: u32, row: &[f32]) {
        let (slot, stride) = (slot as usize, self.stride());
        while self.rows <= slot {
            // Page by page up to the slot, so that all pages but the last are full.
            let rows = (slot + 1).min((self.rows / PAGE_ROWS + 1) * PAGE_ROWS);
            self.page_mut(self.rows / PAGE_ROWS, (rows - 1) % PAGE_ROWS + 1);
            self.rows = rows;
        }
        let at = slot % PAGE_ROWS;
        let page = self.page_mut(slot / PAGE_ROWS, at + 1);
        let fit = fill(row, &mut page.lines[at * stride..(at + 1) * stride]);
        page.scales[at] = fit.scale;
        page.norms[at] = fit.norm;
        page.residuals[at] = fit.residual;
    }

    /// Writes a code as it is. `None` when its length is not that of a code.
    pub(crate) fn set_code(&mut self, slot: u32, code: &[i8], fit: Fit) -> Option<()> {
        if code.len() != self.stride() * LINE {
            return None;
        }
        self.set(slot, &[]);
        let (stride, at) = (self.stride(), slot as usize % PAGE_ROWS);
        let page = self.page_mut(slot as usize / PAGE_ROWS, at + 1);
        bytemuck::cast_slice_mut(&mut page.lines[at * stride..(at + 1) * stride]).copy_from_slice(code);
        (page.scales[at], page.norms[at], page.residuals[at]) = (fit.scale, fit.norm, fit.residual);
        Some(())
    }

    /// A page to be changed, with at least `rows` rows. It exists, or is the next one.
    fn page_mut(&mut self, page: usize, rows: usize) -> &mut Page {
        let stride = self.stride();
        // A small library has a small page; one that has filled a page will fill another.
        let room = if page == 0 { rows } else { PAGE_ROWS };
        let (branch, page) = (page / BRANCH_PAGES, page % BRANCH_PAGES);
        if branch == self.branches.len() {
            self.branches.push(Branch::default());
        }
        let pages = Arc::make_mut(&mut self.branches[branch]);
        if page == pages.len() {
            pages.push(Arc::default());
        }
        let shared = &mut pages[page];
        if Arc::get_mut(shared).is_none_or(|page| page.scales.capacity() < rows) {
            *shared = Arc::new(shared.with_room(room, stride));
        }
        // Shared with nobody: it was made just now, if it was not so before.
        let page = Arc::make_mut(shared);
        if page.scales.len() < rows {
            page.resize(rows, stride);
        }
        page
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
        self.view(Metric::Euclidean).fit(slot)
    }

    /// What the code of `slot` stands for, in the place of what is in `row`.
    pub fn decode(&self, slot: u32, row: &mut Vec<f32>) {
        let view = self.view(Metric::Euclidean);
        let scale = view.fit(slot).scale;
        row.clear();
        row.extend(view.code(slot).iter().take(self.dimension).map(|step| scale * f32::from(*step)));
    }

    /// The codes as they are read many times in a row.
    pub fn view(&self, metric: Metric) -> View<'_> {
        View { branches: &self.branches, stride: self.stride(), norms: metric == Metric::Euclidean, lift: None }
    }

    /// As [`view`](Self::view) for [`Metric::Dot`], with rows that are shorter than `length` brought to it: each gets another
    /// coordinate, at a right angle to all, such that its length is that. Rows then have neighbours in the sense of the
    /// angle, and a query, whose own such coordinate is 0, still has the same products with them (Bachrach et al., 2014).
    pub fn lifted(&self, length: f32) -> View<'_> {
        View { norms: true, lift: Some(length * length), ..self.view(Metric::Dot) }
    }

    /// Bytes held, those shared with clones too.
    pub fn memory(&self) -> usize {
        self.pages().map(Page::memory).sum()
    }

    /// The codes of a page, one after the other, and what belongs to them; the page begins at slot `page * PAGE_ROWS`. The last
    /// page may be short.
    pub fn page(&self, page: usize) -> PageView<'_> {
        let found = self.branches.get(page / BRANCH_PAGES).and_then(|branch| branch.get(page % BRANCH_PAGES));
        found.map_or_else(PageView::default, |page| PageView {
            codes: bytemuck::cast_slice(&page.lines),
            scales: &page.scales,
            norms: &page.norms,
            residuals: &page.residuals,
        })
    }

    fn pages(&self) -> impl Iterator<Item = &Page> {
        self.branches.iter().flat_map(|branch| branch.iter()).map(|page| &**page)
    }

    /// The codes as a section of a snapshot, in pieces: the codes of all slots, then scales, norms and residuals, little endian.
    pub(crate) fn pieces(&self) -> Vec<&[u8]> {
        let lines = self.pages().map(|page| bytemuck::cast_slice(&page.lines));
        let scales = self.pages().map(|page| bytemuck::cast_slice(&page.scales));
        let norms = self.pages().map(|page| bytemuck::cast_slice(&page.norms));
        let residuals = self.pages().map(|page| bytemuck::cast_slice(&page.residuals));
        lines.chain(scales).chain(norms).chain(residuals).collect()
    }

    /// The codes as bytes: a section of a snapshot, and what [`from_bytes`](Self::from_bytes) reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.pieces().concat()
    }

    /// The codes of `rows` rows from what [`to_bytes`](Self::to_bytes) gave; `None` when the length does not fit, or a number is
    /// none that a code can have.
    pub fn from_bytes(dimension: usize, rows: usize, bytes: &[u8]) -> Option<Self> {
        let mut codes = Self::new(dimension);
        let stride = codes.stride();
        let (lines, columns) = bytes.split_at_checked(rows.checked_mul(stride.checked_mul(LINE)?)?)?;
        if columns.len() != rows.checked_mul(12)? {
            return None;
        }
        let floats: Vec<f32> = columns.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        if floats.iter().any(|number| number.is_nan() || number.is_sign_negative()) {
            return None;
        }
        let mut pages = (0..rows).step_by(PAGE_ROWS).map(|first| {
            let range = first..(first + PAGE_ROWS).min(rows);
            let column = |number: usize| floats[number * rows + range.start..number * rows + range.end].to_vec();
            let mut own = vec![ZERO; range.len() * stride];
            bytemuck::cast_slice_mut(&mut own).copy_from_slice(&lines[range.start * stride * LINE..range.end * stride * LINE]);
            Arc::new(Page { lines: own, scales: column(0), norms: column(1), residuals: column(2) })
        });
        while codes.rows < rows {
            let branch: Vec<Arc<Page>> = pages.by_ref().take(BRANCH_PAGES).collect();
            codes.rows = (codes.rows + BRANCH_PAGES * PAGE_ROWS).min(rows);
            codes.branches.push(Arc::new(branch));
        }
        Some(codes)
    }

    /// Lines in a row.
    fn stride(&self) -> usize {
        self.dimension.div_ceil(LINE)
    }
}

impl Clone for Page {
    fn clone(&self) -> Self {
        let rows = self.scales.len();
        self.with_room(rows, self.lines.len() / rows.max(1))
    }
}

/// A page of codes, for scans. `scales`, `norms` and `residuals` are as in [`Fit`].
#[derive(Clone, Copy, Debug, Default)]
pub struct PageView<'a> {
    /// Codes, each padded with zeros to whole cache lines.
    pub codes: &'a [i8],
    /// One a row.
    pub scales: &'a [f32],
    /// One a row.
    pub norms: &'a [f32],
    /// One a row.
    pub residuals: &'a [f32],
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
    branches: &'a [Branch],
    stride: usize,
    /// Whether norms count: under the euclidean metric, and where rows are lifted.
    norms: bool,
    /// The square of the length that shorter rows are lifted to.
    lift: Option<f32>,
}

impl<'a> View<'a> {
    /// The page of a slot, and the row within it.
    #[inline(always)]
    fn find(&self, slot: u32) -> Option<(&'a Page, usize)> {
        let (page, row) = (slot as usize / PAGE_ROWS, slot as usize % PAGE_ROWS);
        Some((self.branches.get(page / BRANCH_PAGES)?.get(page % BRANCH_PAGES)?, row))
    }

    #[inline(always)]
    fn code_in(&self, page: &'a Page, row: usize) -> &'a [i8] {
        bytemuck::cast_slice(page.lines.get(row * self.stride..(row + 1) * self.stride).unwrap_or(&[]))
    }

    /// The code of `slot`; empty for a slot that was never set.
    #[inline(always)]
    pub fn code(&self, slot: u32) -> &'a [i8] {
        self.find(slot).map_or(&[], |(page, row)| self.code_in(page, row))
    }

    /// What belongs to the code of `slot`; zero for a slot that was never set.
    #[inline(always)]
    pub fn fit(&self, slot: u32) -> Fit {
        let fit = |(page, row): (&Page, usize)| {
            Some(Fit { scale: *page.scales.get(row)?, norm: *page.norms.get(row)?, residual: *page.residuals.get(row)? })
        };
        self.find(slot).and_then(fit).unwrap_or_default()
    }

    /// Asks the cache for the code of `slot`, and for what belongs to it where keys are computed.
    #[inline(always)]
    pub fn prefetch(&self, slot: u32) {
        let Some((page, row)) = self.find(slot) else { return };
        prefetch(self.code_in(page, row));
        prefetch(page.scales.get(row..=row).unwrap_or(&[]));
        if self.norms {
            prefetch(page.norms.get(row..=row).unwrap_or(&[]));
        }
    }

    /// A row of its own as the query.
    #[inline]
    pub fn probe(&self, slot: u32) -> Probe<'a> {
        let Fit { scale, norm, .. } = self.fit(slot);
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
        let Some((page, row)) = self.view.find(slot) else { return self.key_of(0, 0.0, 0.0) };
        let product = dot_i8(self.code, self.view.code_in(page, row));
        let scale = page.scales.get(row).copied().unwrap_or(0.0);
        let norm = if self.view.norms { page.norms.get(row).copied().unwrap_or(0.0) } else { 0.0 };
        self.key_of(product, scale, norm)
    }

    /// The key of a row by the product of the codes, and by its scale and norm.
    #[inline(always)]
    fn key_of(&self, product: i32, scale: f32, norm: f32) -> f32 {
        let product = self.scale * scale * product as f32;
        let key = match (self.view.norms, self.view.lift) {
            (false, _) => 0.0 - product,
            (true, None) => self.square + norm * norm - 2.0 * product,
            (true, Some(lift)) => 0.0 - (product + height(lift, self.square) * height(lift, norm * norm)),
        };
        if key.is_nan() { f32::INFINITY } else { key }
    }

    /// The approximate keys of all rows, by slot, in the place of what is in `keys`; the same bits as [`key`](Self::key) gives.
    /// `products` is memory to work in.
    pub fn keys(&self, products: &mut Vec<i32>, keys: &mut Vec<f32>) {
        keys.clear();
        for page in self.view.branches.iter().flat_map(|branch| branch.iter()) {
            dot_i8_many(self.code, bytemuck::cast_slice(&page.lines), self.view.stride * LINE, products);
            let rows = products.iter().zip(&page.scales).zip(&page.norms);
            keys.extend(rows.map(|((product, scale), norm)| self.key_of(*product, *scale, *norm)));
        }
    }
}

/// The coordinate that brings a row to its lifted length; none where it is longer.
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
