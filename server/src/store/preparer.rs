//! The thread that has zeros ready for the next segment of the log: see [`Storage::prepare`].

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use vecino_engine::{Result, journal::Journal, storage::Storage};

use super::{Shared, interrupted};

/// Zeros are no use on a disk that is almost full: the free space must be so many times as much.
const ROOM: u64 = 16;

/// What failed is tried again after this time. Nothing depends on it.
const RETRY: Duration = Duration::from_secs(10);

/// What the thread is to do.
#[derive(Debug)]
pub(super) struct Preparer {
    /// Bytes of the disk that are left free.
    reserve: u64,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    /// Bytes that are wanted, until they are there.
    wanted: Option<u64>,
    retry_at: Option<Instant>,
    closed: bool,
}

impl Preparer {
    pub(super) fn new(reserve: u64) -> Self {
        Self { reserve, inner: Mutex::default(), changed: Condvar::new() }
    }

    /// Wakes the thread if the log is in want of zeros, where all that is stored has `data` bytes.
    pub(super) fn look<S: Storage>(&self, journal: &Journal<S>, data: impl FnOnce() -> u64) {
        let Some(bytes) = journal.wants_prepared(data) else { return };
        let mut inner = self.inner();
        if inner.wanted.is_none() && inner.retry_at.is_none_or(|at| at <= Instant::now()) {
            (inner.wanted, inner.retry_at) = (Some(bytes), None);
            self.changed.notify_all();
        }
    }

    /// Whether it could not be done, and is to be tried again.
    #[cfg(test)]
    pub(super) fn has_failed(&self) -> bool {
        self.inner().retry_at.is_some()
    }

    /// Ends the thread.
    pub(super) fn close(&self) {
        self.inner().closed = true;
        self.changed.notify_all();
    }

    /// Waits until zeros are wanted, and how many; `None` at the end.
    fn wait(&self) -> Option<u64> {
        let idle = |inner: &mut Inner| inner.wanted.is_none() && !inner.closed;
        let inner = self.changed.wait_while(self.inner(), idle).unwrap_or_else(PoisonError::into_inner);
        inner.wanted.filter(|_| !inner.closed)
    }

    fn end(&self, ready: bool) {
        let mut inner = self.inner();
        (inner.wanted, inner.retry_at) = (None, (!ready).then(|| Instant::now() + RETRY));
    }

    /// Nothing that is done under the lock can leave it half done.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Storage + Send + Sync + 'static> Shared<S> {
    /// The thread.
    pub(super) fn prepare_segments(&self) {
        while let Some(bytes) = self.preparer.wait() {
            let ready = catch_unwind(AssertUnwindSafe(|| self.prepare_segment(bytes))).unwrap_or_else(|_| Err(interrupted()));
            if let Err(error) = &ready {
                tracing::debug!(%error, bytes, "no room is prepared for the log; it grows as it is written");
            }
            self.preparer.end(ready == Ok(true));
        }
    }

    /// Whether there is room for it.
    fn prepare_segment(&self, bytes: u64) -> Result<bool> {
        // Where the system cannot tell, the disk itself will.
        let free = self.storage.free_bytes()?.unwrap_or(u64::MAX);
        let room = free >= self.preparer.reserve.saturating_add(ROOM * bytes);
        if room {
            self.storage.prepare(bytes)?;
        }
        Ok(room)
    }
}
