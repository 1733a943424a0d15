//! Figures of everything that is stored.

use super::Service;
use crate::metrics::Stored;

impl Service {
    /// Counts what is stored. Cost: a look at every library.
    pub(crate) fn figures(&self) -> Stored {
        let state = self.store.state();
        let mut stored = Stored {
            seq: state.seq(),
            writes_waiting: self.store.waiting().0,
            log_bytes: self.store.log_bytes(),
            ..Stored::default()
        };
        let (mut vectors, mut codes) = (0, 0);
        for library in state.libraries() {
            stored.libraries += 1;
            stored.documents += library.document_count();
            stored.chunks += library.chunk_count();
            vectors += library.vectors().memory() as u64;
            codes += library.codes().memory() as u64;
            let measured = library.quality_view().measured_recall;
            stored.least_recall = [stored.least_recall, measured].into_iter().flatten().reduce(f64::min);
        }
        stored.bytes = [("vectors", vectors), ("codes", codes)];
        stored
    }
}
