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

    /// Lets texts that are still those of `then` lie where `mapped` has them. Whether that could be done.
    pub(crate) fn rest_on(&mut self, then: &Self, mapped: &Self) -> bool {
        let mut spans = Vector::new();
        for (slot, span) in self.spans.iter().enumerate() {
            let same = match (span, then.spans.get(slot)) {
                (Span::Owned(now), Some(Span::Owned(then))) => Arc::ptr_eq(now, then),
                (Span::Mapped { offset: now, .. }, Some(Span::Mapped { offset: then, .. })) => now == then,
                _ => false,
            };
            match mapped.spans.get(slot).filter(|_| same) {
                Some(span) => spans.push_back(span.clone()),
                None if matches!(span, Span::Mapped { .. }) => return false,
                None => spans.push_back(span.clone()),
            }
        }
        (self.spans, self.blob) = (spans, mapped.blob.clone());
        true
    }

    /// Sets the text of `slot`.
    pub(crate) fn set(&mut self, slot: u32, text: Box<str>) {
        while self.spans.len() <= slot as usize {
            self.spans.push_back(Span::Empty);
        }
        self.spans.set(slot as usize, if text.is_empty() { Span::Empty } else { Span::Owned(text.into()) });
    }
}
