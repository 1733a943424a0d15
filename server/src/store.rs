//! A state and its journal behind the only locks of the server.
//!
//! A write holds the journal's lock from planning to applying, so writes are one after the other; it takes the state's lock to
//! plan (shared) and to apply (alone), and not while the disk works. So a reader never waits for the disk.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use vecino_engine::{
    Code, Error, Result,
    checkpoint::{Checkpointed, Checkpoints},
    codec::Frame,
    command::Command,
    db::Written,
    journal::{Journal, Opened, Recovery},
    plan::Plan,
    state::State,
};

use crate::storage::FileStorage;

/// What is stored. Every call blocks, possibly for as long as the disk takes.
pub struct Store {
    state: RwLock<State>,
    /// `None` after [`Store::close`].
    journal: Mutex<Option<Journal<FileStorage>>>,
    checkpoints: Mutex<Checkpoints>,
    /// Bytes of log that are worth a checkpoint, 0 for never.
    checkpoint_every: u64,
    /// Bytes of log at which the next checkpoint is due.
    checkpoint_at: AtomicU64,
    log_bytes: AtomicU64,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("log_bytes", &self.log_bytes).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a folder. A checkpoint is due when the log has more than `checkpoint_every` bytes; never if that is 0.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open(storage: FileStorage, checkpoint_every: u64) -> Result<(Self, Recovery)> {
        let Opened { journal, checkpoints, state, recovery } = Journal::open(storage)?;
        let store = Self {
            state: RwLock::new(state),
            checkpoints: Mutex::new(checkpoints),
            checkpoint_every,
            checkpoint_at: AtomicU64::new(checkpoint_every),
            log_bytes: AtomicU64::new(journal.log_bytes()),
            journal: Mutex::new(Some(journal)),
        };
        Ok((store, recovery))
    }

    /// Reads the state as it is between two writes.
    ///
    /// # Errors
    /// Those of `read`; [`Code::Storage`] after a failure inside.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> Result<T>) -> Result<T> {
        read(&*self.state()?)
    }

    /// Plans, appends, applies. Durable when it returns. `seen` is what nobody else has changed since.
    ///
    /// # Errors
    /// What the plan refuses, and [`Code::Storage`]; nothing has changed then, unless the disk itself failed, when it is not
    /// known whether the write is there after a restart.
    pub fn write<T>(&self, command: Command, seen: impl FnOnce(&State, Written) -> T) -> Result<T> {
        let mut journal = self.journal()?;
        let journal = journal.as_mut().ok_or_else(closed)?;
        let (Plan { record, skipped, affected }, last) = self.read(|state| Ok((state.plan(command)?, state.seq())))?;
        let Some(record) = record else {
            return self.read(|state| Ok(seen(state, Written { seq: last, skipped, affected })));
        };
        let mut frame = Frame::default();
        frame.push(&record)?;
        let seq = journal.append(&mut frame)?;
        journal.sync()?;
        self.log_bytes.store(journal.log_bytes(), Ordering::Relaxed);
        let mut state = self.state.write().map_err(broken)?;
        state.apply(seq, record);
        Ok(seen(&state, Written { seq, skipped, affected }))
    }

    /// Writes snapshots of what has changed and shortens the log. Reads go on, writes wait.
    ///
    /// # Errors
    /// As [`Journal::cut`] and [`Checkpoints::write`].
    pub fn checkpoint(&self) -> Result<Checkpointed> {
        let mut journal = self.journal()?;
        let journal = journal.as_mut().ok_or_else(closed)?;
        let result = journal.cut().and_then(|cut| {
            let done = self.checkpoints.lock().map_err(broken)?.write(journal.storage(), &*self.state()?)?;
            journal.forget(&cut);
            Ok(done)
        });
        let bytes = journal.log_bytes();
        self.log_bytes.store(bytes, Ordering::Relaxed);
        // After a failure, not every write shall try again.
        let from = if result.is_ok() { 0 } else { bytes };
        self.checkpoint_at.store(from.saturating_add(self.checkpoint_every), Ordering::Relaxed);
        result
    }

    /// Whether the log is large enough for a checkpoint. Says so once until the checkpoint is made.
    pub fn checkpoint_is_due(&self) -> bool {
        let at = self.checkpoint_at.load(Ordering::Relaxed);
        self.checkpoint_every > 0
            && self.log_bytes.load(Ordering::Relaxed) > at
            && self.checkpoint_at.compare_exchange(at, u64::MAX, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Why nothing can be written any more, if that is so.
    pub fn failure(&self) -> Option<Error> {
        match self.journal() {
            Ok(journal) => journal.as_ref().map_or_else(|| Some(closed()), |journal| journal.failure().cloned()),
            Err(error) => Some(error),
        }
    }

    /// Closes the log in order; later writes are refused.
    ///
    /// # Errors
    /// As [`Journal::close`].
    pub fn close(&self) -> Result<()> {
        match self.journal()?.take() {
            Some(journal) => journal.close().map(drop),
            None => Ok(()),
        }
    }

    fn state(&self) -> Result<RwLockReadGuard<'_, State>> {
        self.state.read().map_err(broken)
    }

    fn journal(&self) -> Result<MutexGuard<'_, Option<Journal<FileStorage>>>> {
        self.journal.lock().map_err(broken)
    }
}

fn closed() -> Error {
    Error::new(Code::Storage, "the server is shutting down; nothing is written any more")
}

/// A thread panicked with the lock: what it left behind is not to be trusted, the files are.
fn broken<T>(_: PoisonError<T>) -> Error {
    Error::new(Code::Storage, "an earlier operation failed half way inside the server; restart it to go on from its files")
}
