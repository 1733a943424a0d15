//! Figures of everything that is stored.

use super::Service;
use crate::metrics::Stored;

impl Service {
    /// Counts what is stored, in a process of so many bytes. Cost: a look at every library, which opens none.
    pub(crate) fn figures(&self, process: u64) -> Stored {
        let state = self.store.state();
        let mut stored = Stored {
            seq: state.seq(),
            writes_waiting: self.store.waiting().0,
            log_bytes: self.store.log_bytes(),
            ..Stored::default()
        };
        let (mut vectors, mut codes, mut links) = (0, 0, 0);
        for holding in state.holdings() {
            let summary = holding.summary();
            stored.libraries += 1;
            stored.documents += summary.documents;
            stored.chunks += summary.chunks;
            stored.least_recall = [stored.least_recall, summary.measured_recall].into_iter().flatten().reduce(f32::min);
        }
        for library in state.loaded() {
            stored.loaded += 1;
            vectors += library.vectors().memory() as u64;
            codes += library.codes().memory() as u64;
            let index = library.index_state();
            links += index.memory as u64;
            stored.unlinked += index.unlinked;
        }
        stored.live_recall = self.sampler.of_all();
        stored.bytes = [("vectors", vectors), ("codes", codes), ("indexes", links), ("process", process)];
        stored
    }
}
