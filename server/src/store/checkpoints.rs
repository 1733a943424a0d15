//! When snapshots are written, and the thread that does it.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use vecino_engine::{checkpoint::Checkpoints, state::State};

/// The disk may hold so much more than the data, before half of the data is added to it.
const SLACK: u64 = 512 << 10;

/// How long a writer waits at most for a checkpoint that makes room.
const PATIENCE: Duration = Duration::from_secs(30);

/// A checkpoint that failed is tried again after this time, and not before eight times as long as it took.
const RETRY: Duration = Duration::from_secs(1);

/// Decides when a checkpoint is due, so that the folder stays within three times the data, and recovery short.
///
/// While a checkpoint is written, the folder holds the old snapshots, the new ones and the log. So it is due when the old
/// snapshots and the log together are more than 1.4 times the data (the rest is what was overwritten or deleted), or when the log
/// is longer than half of the data and than `after`. A short log does not count, unless a quarter of the data was deleted. While
/// one is written, writers wait when the old snapshots and the log are 1.75 times the data, which leaves room for the new
/// snapshots and for a group that is under way.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Bytes of log that are worth a checkpoint in any case, 0 for never.
    after: u64,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    known: Checkpoints,
    /// Bytes of the data at the last checkpoint.
    live: u64,
    /// Bytes of log.
    log: u64,
    /// Bytes of log below which there is nothing to decide.
    look_at: u64,
    /// Bytes of log at which writers wait, while a checkpoint is due or written.
    wait_at: Option<u64>,
    wanted: bool,
    /// When the one that is written was begun.
    begun: Option<Instant>,
    /// When the one that failed is tried again: what makes room may be a deletion, or somebody else.
    retry_at: Option<Instant>,
    closed: bool,
}

impl Schedule {
    pub(super) fn new(after: u64, known: Checkpoints) -> Self {
        let live = known.snapshot_bytes();
        let inner =
            Inner { known, live, log: 0, look_at: 0, wait_at: None, wanted: false, begun: None, retry_at: None, closed: false };
        Self { after, inner: Mutex::new(inner), changed: Condvar::new() }
    }

    /// Looks at the log after it has grown, and wakes the thread if a checkpoint is due. What was deleted makes one due however little
    /// the log has grown.
    pub(super) fn grown(&self, log: u64, state: &State, deleted: bool) {
        let mut inner = self.inner();
        inner.log = log;
        let nothing_new = log < inner.look_at && !deleted;
        if self.after == 0 || nothing_new || inner.wanted || inner.wait_at.is_some() || inner.retry_at.is_some() {
            return;
        }
        let (live, snapshots) = (inner.known.live_bytes(state), inner.known.snapshot_bytes());
        let slack = SLACK.min(self.after);
        let wasted = snapshots.saturating_add(log) > (live + 2 * live / 5).saturating_add(slack);
        let long = log > self.after.max(live / 2);
        // What is gone need not wait for more log, if it is much.
        let shrunk = deleted && wasted && live < inner.live / 4 * 3;
        if shrunk || log > slack && (wasted || long) {
            inner.wanted = true;
            inner.wait_at = Some(limit(live, snapshots));
            self.changed.notify_all();
        } else {
            inner.look_at = log + slack / 4;
        }
    }

    /// Waits until a checkpoint is due; `false` at the end.
    pub(super) fn wait(&self) -> bool {
        let mut inner = self.inner();
        while !inner.wanted && !inner.closed {
            inner = match inner.retry_at {
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(at) if at <= Instant::now() => break,
                Some(at) => {
                    let rest = at.saturating_duration_since(Instant::now());
                    self.changed.wait_timeout(inner, rest).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        inner.retry_at = None;
        !inner.closed
    }

    /// Begins a checkpoint of a state: what is known of the last one.
    pub(super) fn begin(&self, state: &State) -> Checkpoints {
        let mut inner = self.inner();
        (inner.wanted, inner.begun, inner.retry_at) = (false, Some(Instant::now()), None);
        let (live, snapshots) = (inner.known.live_bytes(state), inner.known.snapshot_bytes());
        inner.wait_at = Some(limit(live, snapshots));
        inner.known.clone()
    }

    /// Ends the one of a state, with what is known now, when the log has `log` bytes.
    pub(super) fn end(&self, known: Checkpoints, log: u64, state: &State) {
        let mut inner = self.inner();
        inner.live = known.live_bytes(state);
        (inner.known, inner.log, inner.look_at, inner.wait_at, inner.begun) = (known, log, 0, None, None);
        self.changed.notify_all();
    }

    /// Ends one that failed, however far it came, to be tried `again` or not.
    pub(super) fn fail(&self, again: bool) {
        let mut inner = self.inner();
        let took = inner.begun.take().map_or(Duration::ZERO, |begun| begun.elapsed());
        inner.retry_at = (again && self.after > 0).then(|| Instant::now() + RETRY.max(8 * took));
        (inner.look_at, inner.wanted, inner.wait_at) = (0, false, None);
        self.changed.notify_all();
    }

    /// Holds a writer while the log grows faster than the checkpoint that is to shorten it.
    pub(super) fn hold(&self) {
        let inner = self.inner();
        if inner.wait_at.is_some_and(|at| inner.log > at) {
            let held = |inner: &mut Inner| inner.wait_at.is_some() && !inner.closed;
            drop(self.changed.wait_timeout_while(inner, PATIENCE, held));
        }
    }

    /// What is known of the last checkpoint.
    pub(super) fn known(&self) -> Checkpoints {
        self.inner().known.clone()
    }

    /// Asks for a checkpoint that is not due yet, so that memory can be had back, where the log is worth it.
    pub(super) fn hasten(&self, state: &State) {
        let mut inner = self.inner();
        let worth = SLACK.max(inner.known.live_bytes(state) / 8);
        if self.after > 0 && inner.log > worth && inner.wait_at.is_none() && !inner.wanted {
            inner.wanted = true;
            self.changed.notify_all();
        }
    }

    /// Bytes of the snapshots that count.
    pub(super) fn snapshot_bytes(&self) -> u64 {
        self.inner().known.snapshot_bytes()
    }

    /// Bytes of log since the last checkpoint, as of the last write.
    pub(super) fn log_bytes(&self) -> u64 {
        self.inner().log
    }

    /// Whether the last checkpoint failed and is to be tried again.
    #[cfg(test)]
    pub(super) fn has_failed(&self) -> bool {
        self.inner().retry_at.is_some()
    }

    /// Ends the thread.
    pub(super) fn close(&self) {
        self.inner().closed = true;
        self.changed.notify_all();
    }

    /// All that is done under the lock is counting.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of log at which writers wait for a checkpoint.
fn limit(live: u64, snapshots: u64) -> u64 {
    (7 * live / 4).saturating_sub(snapshots).max(SLACK)
}
