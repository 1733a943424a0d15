//! The texts of chunks, by slot: part of an opened snapshot, read where they lie, or owned.

use std::sync::Arc;

use imbl::Vector;

use crate::blob::Blob;

#[derive(Clone, Debug, Default)]
enum Span {
    #[default]
    Empty,
    /// In the blob.
    Mapped {
        offset: usize,
        len: usize,
    },
    Owned(Arc<str>),
}

/// One text a slot. A clone is cheap.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    spans: Vector<Span>,
    blob: Option<Blob>,
}

impl Texts {
    /// Texts that lie one after the other in `blob` from `offset` on, `lens[slot]` bytes each. `None` unless each is valid
    /// UTF-8 and all together fill `total` bytes.
    pub fn mapped(lens: &[usize], blob: &Blob, offset: usize, total: usize) -> Option<Self> {
        let end = offset.checked_add(total)?;
        let all = std::str::from_utf8(blob.bytes().get(offset..end)?).ok()?;
        let mut at = 0_usize;
        let mut spans = Vector::new();
        for &len in lens {
            let next = at.checked_add(len)?;
            all.get(at..next)?;
            spans.push_back(if len == 0 { Span::Empty } else { Span::Mapped { offset: offset + at, len } });
            at = next;
        }
        (at == total).then(|| Self { spans, blob: Some(blob.clone()) })
    }

    /// The text of `slot`; empty for a free slot.
    pub fn get(&self, slot: u32) -> &str {
        match (self.spans.get(slot as usize), &self.blob) {
            (Some(Span::Owned(text)), _) => text,
            // In bounds and valid: `mapped` has checked it.
            (Some(Span::Mapped { offset, len }), Some(blob)) => {
                std::str::from_utf8(&blob.bytes()[*offset..offset + len]).unwrap_or_default()
            }
            _ => "",
        }
    }

    /// Sets the text of `slot`.
    pub(crate) fn set(&mut self, slot: u32, text: Box<str>) {
        while self.spans.len() <= slot as usize {
            self.spans.push_back(Span::Empty);
        }
        self.spans.set(slot as usize, if text.is_empty() { Span::Empty } else { Span::Owned(text.into()) });
    }
}
