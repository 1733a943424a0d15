//! Searching the lists.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{
    codes::{Coded, Codes},
    distance::Metric,
    index::{Found, Search, scan, shortlist::Shortlist},
    top_k::pack,
};

use super::Ivf;

impl Ivf {
    pub(super) fn find(&self, search: &Search<'_>, codes: &Codes) -> Found {
        if search.k == 0 {
            return Found::default();
        }
        let effort = if search.effort == 0 { self.params.effort } else { search.effort };
        let rows = effort.saturating_mul(self.len().div_ceil(self.lists.len().max(1)));
        if search.allowed.len() <= rows {
            return scan::all(search, codes);
        }
        let mut query = Coded::default();
        query.set(search.query);
        let centres = self.centres.view(if self.metric == Metric::Dot { Metric::Dot } else { Metric::Euclidean });
        let mut keys = Vec::new();
        centres.probe_for(&query).keys(&mut Vec::new(), &mut keys);
        // A heap, of which only as many are taken in order as are needed.
        let order: Vec<_> = (0..).zip(&keys).map(|(list, key)| Reverse(pack(*key, list))).collect();
        let mut order = BinaryHeap::from(order);
        let everything = search.allowed.len() >= self.len() && self.used.is_within(search.allowed);
        let probe = codes.view(self.metric).probe_for(&query);
        let mut shortlist = Shortlist::new(search);
        let mut allowed = Vec::new();
        while shortlist.compared < rows || shortlist.len() < search.k {
            let Some(Reverse(list)) = order.pop() else { break };
            let list = &self.lists[list as u32 as usize];
            if everything {
                shortlist.compare(&probe, list);
            } else {
                allowed.clear();
                allowed.extend(list.iter().copied().filter(|slot| search.allowed.contains(*slot)));
                shortlist.compare(&probe, &allowed);
            }
        }
        shortlist.finish(search, codes, &query, &self.used)
    }
}
