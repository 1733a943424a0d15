//! The float rows: the truth about every vector, and the only owner of it. Everything else holds slots.
//!
//! Rows lie in pages of [`PAGE_ROWS`]. A page is either part of an opened snapshot, used where it lies, or owned; a mapped page
//! becomes owned when a row in it changes. Pages are shared between clones until one of them changes.

use std::sync::Arc;

use imbl::Vector;

use crate::blob::Blob;

/// Rows in a page. A page that is shared is copied before a row in it changes, so fewer make a write cheaper.
pub const PAGE_ROWS: usize = 32;

#[derive(Clone, Debug)]
enum Page {
    /// Byte offset in the blob.
    Mapped(usize),
    Owned(Arc<Vec<f32>>),
}

/// Rows of `dimension` floats, by slot. A clone is cheap.
#[derive(Clone, Debug, Default)]
pub struct Vectors {
    dimension: usize,
    rows: usize,
    pages: Vector<Page>,
    blob: Option<Blob>,
}

impl Vectors {
    /// No rows yet.
    pub fn new(dimension: usize) -> Self {
        Self { dimension, ..Self::default() }
    }

    /// Rows that lie in `blob` from byte `offset` on, little endian. Where the bytes cannot be used in place (they are not
    /// aligned for floats), they are copied.
    ///
    /// `None` when the blob is too short.
    pub fn mapped(dimension: usize, rows: usize, blob: &Blob, offset: usize) -> Option<Self> {
        let bytes = rows.checked_mul(dimension)?.checked_mul(4)?;
        let data = blob.bytes().get(offset..offset.checked_add(bytes)?)?;
        let page_bytes = PAGE_ROWS * dimension * 4;
        let in_place = cfg!(target_endian = "little") && bytemuck::try_cast_slice::<u8, f32>(data).is_ok();
        let pages = if in_place {
            (0..rows.div_ceil(PAGE_ROWS)).map(|page| Page::Mapped(offset + page * page_bytes)).collect()
        } else {
            let floats = |page: &[u8]| page.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            data.chunks(page_bytes.max(4)).map(|page| Page::Owned(Arc::new(floats(page)))).collect()
        };
        Some(Self { dimension, rows, pages, blob: in_place.then(|| blob.clone()) })
    }

    /// `rows` rows that are not there: all of them are empty.
    pub(crate) fn absent(dimension: usize, rows: usize) -> Self {
        Self { dimension, rows, ..Self::default() }
    }

    /// Whether there are rows, but none of them is here.
    pub(crate) fn are_absent(&self) -> bool {
        self.rows > 0 && self.pages.is_empty()
    }

    /// Whether no number is infinite or none at all. Cost: one pass.
    pub(crate) fn are_finite(&self) -> bool {
        (0..self.pages()).all(|page| self.page(page).iter().all(|x| x.is_finite()))
    }

    /// Floats in a row.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// One past the highest slot that has ever been used.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of pages.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// The rows of page `page`, one after the other; the page begins at slot `page * PAGE_ROWS`. The last page may be short.
    pub fn page(&self, page: usize) -> &[f32] {
        let rows = self.rows.saturating_sub(page * PAGE_ROWS).min(PAGE_ROWS);
        match (self.pages.get(page), &self.blob) {
            (Some(Page::Owned(floats)), _) => floats,
            (Some(Page::Mapped(offset)), Some(blob)) => {
                // In bounds and aligned: `mapped` has checked the whole range.
                bytemuck::try_cast_slice(&blob.bytes()[*offset..*offset + rows * self.dimension * 4]).unwrap_or(&[])
            }
            _ => &[],
        }
    }

    /// The row of `slot`; empty for a slot that was never used.
    #[inline]
    pub fn row(&self, slot: u32) -> &[f32] {
        let (page, row) = (slot as usize / PAGE_ROWS, slot as usize % PAGE_ROWS);
        self.page(page).get(row * self.dimension..(row + 1) * self.dimension).unwrap_or(&[])
    }

    /// Writes the row of `slot`; rows in between that were never set are zero.
    pub(crate) fn set(&mut self, slot: u32, row: &[f32]) {
        while self.rows < slot as usize {
            self.set(self.rows as u32, &[]);
        }
        let slot = slot as usize;
        let page = slot / PAGE_ROWS;
        let within = slot % PAGE_ROWS * self.dimension;
        let end = within + self.dimension;
        if page == self.pages.len() {
            self.pages.push_back(Page::Owned(Arc::default()));
        }
        let shared = match self.pages.get_mut(page) {
            Some(Page::Owned(floats)) => Arc::get_mut(floats).is_none_or(|floats| floats.capacity() < end),
            _ => true,
        };
        if shared {
            // A small library has a small page; one that has filled a page will fill another.
            let rows = if page == 0 { (slot % PAGE_ROWS + 1).next_power_of_two() } else { PAGE_ROWS };
            let room = rows * self.dimension;
            let old = self.page(page);
            let mut floats = Vec::with_capacity(old.len().max(room));
            floats.extend_from_slice(old);
            self.pages.set(page, Page::Owned(Arc::new(floats)));
        }
        self.rows = self.rows.max(slot + 1);
        if let Some(Page::Owned(floats)) = self.pages.get_mut(page) {
            // Shared with nobody: it was made just now, if it was not so before.
            let floats = Arc::make_mut(floats);
            let row = &row[..row.len().min(self.dimension)];
            if floats.len() <= within {
                floats.resize(within, 0.0);
                floats.extend_from_slice(row);
                floats.resize(end, 0.0);
            } else {
                floats[within..within + row.len()].copy_from_slice(row);
            }
        }
    }

    /// Zeroes the row of a freed slot, so that equal contents have equal bytes.
    pub(crate) fn clear(&mut self, slot: u32) {
        if (slot as usize) < self.rows {
            self.set(slot, &vec![0.0; self.dimension]);
        }
    }

    /// Lets pages that are still those of `then` lie where `mapped` has them: rows of the same slots with the same numbers. Whether
    /// that could be done.
    pub(crate) fn rest_on(&mut self, then: &Self, mapped: &Self) -> bool {
        let mut pages = Vector::new();
        for (at, page) in self.pages.iter().enumerate() {
            let same = match (page, then.pages.get(at)) {
                (Page::Owned(now), Some(Page::Owned(then))) => Arc::ptr_eq(now, then),
                (Page::Mapped(now), Some(Page::Mapped(then))) => now == then,
                _ => false,
            };
            match mapped.pages.get(at).filter(|_| same) {
                Some(page) => pages.push_back(page.clone()),
                None if matches!(page, Page::Owned(_)) => pages.push_back(page.clone()),
                None => return false,
            }
        }
        (self.pages, self.blob) = (pages, mapped.blob.clone());
        true
    }

    /// Bytes of rows that are held in memory, those shared with clones too; rows in a mapped file are not counted.
    pub fn memory(&self) -> usize {
        let owned = |page: &Page| if let Page::Owned(floats) = page { floats.capacity() * 4 } else { 0 };
        self.pages.iter().map(owned).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::AlignedBytes;

    fn bytes(rows: usize, dimension: usize) -> Vec<u8> {
        (0..rows * dimension).flat_map(|i| (i as f32).to_le_bytes()).collect()
    }

    #[test]
    fn mapped_rows_equal_copied_rows_and_survive_changes() {
        let (rows, dimension) = (PAGE_ROWS * 2 + 7, 3);
        let raw = bytes(rows, dimension);
        let aligned = Vectors::mapped(dimension, rows, &Blob::new(AlignedBytes::from(&raw[..])), 0).unwrap();
        let mut shifted = vec![0; 1];
        shifted.extend_from_slice(&raw);
        let copied = Vectors::mapped(dimension, rows, &Blob::new(AlignedBytes::from(&shifted[..])), 1).unwrap();
        assert!(copied.blob.is_none() && aligned.blob.is_some());
        for mut vectors in [aligned, copied] {
            for slot in 0..rows as u32 {
                assert_eq!(vectors.row(slot), [slot as f32 * 3.0, slot as f32 * 3.0 + 1.0, slot as f32 * 3.0 + 2.0]);
            }
            vectors.set(rows as u32, &[7.0, 8.0, 9.0]);
            vectors.clear(5);
            assert_eq!(vectors.row(rows as u32), [7.0, 8.0, 9.0]);
            assert_eq!(vectors.row(5), [0.0; 3]);
            assert_eq!(vectors.row(6), [18.0, 19.0, 20.0]);
            assert_eq!(vectors.row(rows as u32 + 1), [0.0; 0]);
        }
    }

    #[test]
    fn a_short_blob_is_refused() {
        assert!(Vectors::mapped(3, 3, &Blob::new(vec![0; 35]), 0).is_none());
        assert!(Vectors::mapped(usize::MAX, 2, &Blob::new(vec![0; 35]), 0).is_none());
    }
}
