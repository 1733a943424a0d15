//! The watch on the free space of the disk.

use std::time::{Duration, Instant};

use vecino_engine::{Code, Error, Result, storage::Storage};

/// How long a look at the disk counts, and for how many bytes, while there is room.
const LOOK_AGAIN: (Duration, u64) = (Duration::from_secs(1), 1 << 20);

/// Refuses writes before the last byte is taken, so that checkpoints and deletions, which make room, still find some.
#[derive(Debug)]
pub(super) struct Space {
    reserve: u64,
    looked: Option<Instant>,
    /// Bytes written since then.
    written: u64,
}

impl Space {
    pub(super) fn new(reserve: u64) -> Self {
        Self { reserve, looked: None, written: 0 }
    }

    /// Why nothing but deletions may be written now, if that is so.
    pub(super) fn refusal(&mut self, storage: &impl Storage) -> Option<Error> {
        let (time, bytes) = LOOK_AGAIN;
        if self.reserve == 0 || self.looked.is_some_and(|at| at.elapsed() < time) && self.written < bytes {
            return None;
        }
        // Where the system cannot tell, the disk itself will.
        let free = storage.free_bytes().ok().flatten()?;
        if free >= self.reserve.saturating_add(bytes) {
            (self.looked, self.written) = (Some(Instant::now()), 0);
            return None;
        }
        self.looked = None;
        (free < self.reserve).then(|| full(self.reserve, free))
    }

    /// Counts bytes that were written.
    pub(super) fn took(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes as u64);
    }
}

fn full(reserve: u64, free: u64) -> Error {
    let detail = format!(
        "the disk is full but for a reserve: {free} bytes are free, {reserve} are kept for deletions and snapshots; \
         reading goes on, and writing when there is room again"
    );
    Error::new(Code::StorageFull, detail).numbers(reserve, free)
}

/// A result for a group of writes while there is no room.
pub(super) fn allowed(refusal: Option<&Error>, deletes: bool) -> Result<()> {
    match refusal {
        Some(error) if !deletes => Err(error.clone()),
        _ => Ok(()),
    }
}
