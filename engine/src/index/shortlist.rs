//! Candidates by their codes, and the best of them by their float rows.

use crate::{
    codes::{Coded, Codes, Probe},
    slots::SlotSet,
    top_k::TopK,
};

use super::{Found, Search, Strategy, hnsw::search::likely, scan};

/// How many rows ahead codes are fetched.
const AHEAD: usize = 10;

/// The nearest candidates so far, by approximate key. Equal keys stand in the order of slots, so that of many equal rows the
/// lowest slots stay.
pub(super) struct Shortlist {
    top: TopK,
    /// How many rows were compared.
    pub(super) compared: usize,
}

impl Shortlist {
    /// Room for more candidates than are likely to be measured: [`likely`] chooses among them.
    pub(super) fn new(search: &Search<'_>) -> Self {
        let room = search.k.saturating_mul(6).saturating_add(100);
        Self { top: TopK::new(room, search.allowed.len()), compared: 0 }
    }

    /// Compares the codes of `slots`.
    pub(super) fn compare(&mut self, probe: &Probe<'_>, slots: &[u32]) {
        slots.iter().take(AHEAD).for_each(|slot| probe.prefetch(*slot));
        let mut ahead = slots.iter().skip(AHEAD);
        for &slot in slots {
            if let Some(later) = ahead.next() {
                probe.prefetch(*later);
            }
            self.top.push(probe.key(slot), slot);
        }
        self.compared += slots.len();
    }

    pub(super) fn len(&self) -> usize {
        self.top.len()
    }

    /// The `k` nearest by their float rows, together with those of `tail`, slots that the index has not taken in. When that
    /// is less than there could be, all allowed slots are compared: k results whenever k match.
    pub(super) fn finish(self, search: &Search<'_>, codes: &Codes, query: &Coded, used: &SlotSet) -> Found {
        let tail: Vec<u32> = if search.allowed.is_within(used) { Vec::new() } else { search.allowed.difference(used).collect() };
        if self.len() < search.k.min(search.allowed.len() - tail.len()) {
            return scan::all(search, codes);
        }
        let candidates = self.top.into_sorted_vec();
        let slots = likely(search.metric, codes, query.fit(), candidates.into_iter(), search.k);
        let mut top = scan::measured(search, &slots);
        if !tail.is_empty() {
            top.merge(scan::nearest(search, codes, &tail));
        }
        let strategy = if search.allowed.len() < used.len() { Strategy::MaskedIndex } else { Strategy::Index };
        Found { nearest: top.into_sorted_vec(), visited: self.compared + tail.len(), strategy }
    }
}
