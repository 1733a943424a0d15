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

/// Texts in a page. Pages are shared between clones until a text of them changes.
const PAGE: usize = 64;

type Page = Arc<[Span; PAGE]>;

/// One text a slot. A clone is cheap.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    pages: Vector<Page>,
    blob: Option<Blob>,
}

impl Texts {
    /// Texts that lie one after the other in `blob` from `offset` on, `lens[slot]` bytes each. `None` unless each is valid
    /// UTF-8 and all together fill `total` bytes.
    pub fn mapped(lens: &[usize], blob: &Blob, offset: usize, total: usize) -> Option<Self> {
        let end = offset.checked_add(total)?;
        let all = std::str::from_utf8(blob.bytes().get(offset..end)?).ok()?;
        let mut at = 0_usize;
        let mut pages = Vector::new();
        for lens in lens.chunks(PAGE) {
            let mut page = empty();
            for (span, &len) in page.iter_mut().zip(lens) {
                let next = at.checked_add(len)?;
                all.get(at..next)?;
                if len > 0 {
                    *span = Span::Mapped { offset: offset + at, len };
                }
                at = next;
            }
            pages.push_back(Arc::new(page));
        }
        (at == total).then(|| Self { pages, blob: Some(blob.clone()) })
    }

    /// The text of `slot`; empty for a free slot.
    pub fn get(&self, slot: u32) -> &str {
        let (page, at) = (slot as usize / PAGE, slot as usize % PAGE);
        match (self.pages.get(page).map(|page| &page[at]), &self.blob) {
            (Some(Span::Owned(text)), _) => text,
            // In bounds and valid: `mapped` has checked it.
            (Some(Span::Mapped { offset, len }), Some(blob)) => {
                std::str::from_utf8(&blob.bytes()[*offset..offset + len]).unwrap_or_default()
            }
            _ => "",
        }
    }

    /// Lets texts that are still those of `then` lie where `mapped` has them. Whether that could be done. Cost: a glance at each
    /// page, and at each text of those that have changed.
    pub(crate) fn rest_on(&mut self, then: &Self, mapped: &Self) -> bool {
        let mut pages = Vector::new();
        for (at, page) in self.pages.iter().enumerate() {
            let rested = match (then.pages.get(at), mapped.pages.get(at)) {
                (Some(then), Some(mapped)) if Arc::ptr_eq(page, then) => Some(mapped.clone()),
                (then, mapped) => mixed(page, then, mapped),
            };
            match rested {
                Some(rested) => pages.push_back(rested),
                None => return false,
            }
        }
        (self.pages, self.blob) = (pages, mapped.blob.clone());
        true
    }

    /// Sets the text of `slot`.
    pub(crate) fn set(&mut self, slot: u32, text: Box<str>) {
        let (page, at) = (slot as usize / PAGE, slot as usize % PAGE);
        while self.pages.len() <= page {
            self.pages.push_back(Arc::new(empty()));
        }
        if let Some(page) = self.pages.get_mut(page) {
            Arc::make_mut(page)[at] = if text.is_empty() { Span::Empty } else { Span::Owned(text.into()) };
        }
    }
}

fn empty() -> [Span; PAGE] {
    std::array::from_fn(|_| Span::Empty)
}

/// A page in which some texts have changed: `None` if one of the others lies elsewhere than it did then.
fn mixed(page: &Page, then: Option<&Page>, mapped: Option<&Page>) -> Option<Page> {
    let mut rested = empty();
    for (at, (rested, span)) in rested.iter_mut().zip(&**page).enumerate() {
        let same = match (span, then.map(|then| &then[at])) {
            (Span::Owned(now), Some(Span::Owned(then))) => Arc::ptr_eq(now, then),
            (Span::Mapped { offset: now, .. }, Some(Span::Mapped { offset: then, .. })) => now == then,
            _ => false,
        };
        *rested = match mapped.filter(|_| same) {
            Some(mapped) => mapped[at].clone(),
            None if matches!(span, Span::Mapped { .. }) => return None,
            None => span.clone(),
        };
    }
    Some(Arc::new(rested))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(slot: usize) -> String {
        format!("text {slot}")
    }

    /// As many texts, in memory, and the same as a snapshot has them.
    fn both(count: usize) -> (Texts, Texts) {
        let mut owned = Texts::default();
        (0..count).for_each(|slot| owned.set(slot as u32, text(slot).into()));
        let lens: Vec<usize> = (0..count).map(|slot| text(slot).len()).collect();
        let bytes: Vec<u8> = (0..count).flat_map(|slot| text(slot).into_bytes()).collect();
        let total = bytes.len();
        (owned, Texts::mapped(&lens, &Blob::new(bytes), 0, total).unwrap())
    }

    fn mapped(texts: &Texts) -> usize {
        texts.pages.iter().flat_map(|page| page.iter()).filter(|span| matches!(span, Span::Mapped { .. })).count()
    }

    #[test]
    fn what_has_not_changed_comes_to_rest_and_what_has_stays() {
        let (then, snapshot) = both(3 * PAGE + 5);
        let mut now = then.clone();
        now.set(1, "other".into());
        now.set(2, "".into());
        now.set((4 * PAGE) as u32, "new".into());
        assert!(now.rest_on(&then, &snapshot));
        assert_eq!(mapped(&now), 3 * PAGE + 3);
        let expected = |slot| match slot {
            1 => "other".to_owned(),
            2 => String::new(),
            _ if slot == 4 * PAGE => "new".to_owned(),
            _ if slot < 3 * PAGE + 5 => text(slot),
            _ => String::new(),
        };
        (0..=4 * PAGE + 1).for_each(|slot| assert_eq!(now.get(slot as u32), expected(slot), "slot {slot}"));
    }

    #[test]
    fn texts_of_another_file_do_not_come_to_rest() {
        let (then, snapshot) = both(PAGE + 1);
        let (_, mut now) = both(PAGE + 1);
        assert!(!now.rest_on(&then, &snapshot));
        assert_eq!(now.get(PAGE as u32), text(PAGE));
    }
}
