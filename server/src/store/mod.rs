//! What is stored: the only locks of the server.
//!
//! Readers take the published [`State`], a value that never changes, and wait for nobody. Writers put their commands into the
//! `queue`; whoever leads plans a whole group while the one before is written, then writes it with one append and one sync, then
//! publishes one new state, then answers all.
//! `ARCHITECTURE.md` says which lock guards what, and why that is enough.

mod checkpoints;
mod indexer;
#[cfg(test)]
mod loom_tests;
mod order;
mod preparer;
pub(crate) mod queue;
mod space;
mod sync;
#[cfg(test)]
mod tests;
mod unload;
mod writer;

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch};
use vecino_engine::{
    Code, Error, Result,
    checkpoint::{Checkpointed, Checkpoints},
    command::Command,
    db::Written,
    journal::{Journal, Opened, Recovery},
    model::Id,
    plan::library_not_found,
    shelf::{Holding, Shelf},
    state::State,
    storage::Storage,
};

use self::{
    checkpoints::Schedule,
    indexer::Indexer,
    order::{Order, Write, interrupted, weight},
    preparer::Preparer,
    queue::{Lead, Limits, Next, Queue, Refused},
    unload::Unloader,
    writer::{Log, Planner},
};
use crate::{
    backup,
    host::in_place,
    memory::{Memory, MemoryLimit},
    storage::FileStorage,
};

pub(crate) use indexer::give_way;
pub use order::Durability;

/// A write that is only logged is on the disk after this time, if the disk is not slower.
pub const LOGGED_DELAY: Duration = Duration::from_millis(50);

/// What may wait to be written, more is refused: writes, and their bytes.
const WAITING: Limits = Limits { items: 4_096, weight: 256 << 20 };

/// What is written as one: writes, and their bytes.
const GROUP: Limits = Limits { items: 1_024, weight: 4 << 20 };

/// Libraries with fewer bytes of rows in memory than this stay there after a snapshot, until they are unloaded.
const WORTH_RESTING: usize = 1 << 20;

/// How a store behaves.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Bytes of log that are worth a checkpoint in any case; 0 for checkpoints on demand only.
    pub checkpoint_after: u64,
    /// Bytes of the disk that are left free.
    pub reserve: u64,
    /// Bytes of snapshots that are opened at the start; libraries beyond are opened when they are asked for.
    pub open_bytes: u64,
    /// Libraries that nobody has asked for so long are unloaded; zero for never.
    pub unload_after: Duration,
    /// When memory gets short, libraries are unloaded sooner.
    pub memory: Arc<Memory>,
}

/// Bytes of snapshots that are opened at the start, unless told.
const OPEN_BYTES: u64 = 256 << 20;

/// After so long without a question a library is unloaded, unless told.
pub const UNLOAD_AFTER: Duration = Duration::from_secs(600);

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            checkpoint_after: 256 << 20,
            reserve: 0,
            open_bytes: OPEN_BYTES,
            unload_after: UNLOAD_AFTER,
            memory: Arc::new(Memory::new(MemoryLimit::Off)),
        }
    }
}

/// What is stored, and the threads that write it. See the [module](self).
pub struct Store<S: Storage + Send + Sync + 'static = FileStorage> {
    shared: Arc<Shared<S>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared<S> {
    queue: Queue<Box<dyn Order>>,
    planner: Mutex<Planner>,
    log: Mutex<Log<Arc<S>>>,
    /// How many groups have failed; counted while the log is locked.
    failures: AtomicU64,
    published: watch::Sender<Arc<State>>,
    schedule: Schedule,
    /// Held while a checkpoint is made, so that there is one at a time.
    checkpointing: Mutex<()>,
    indexer: Indexer,
    unloader: Unloader,
    preparer: Preparer,
    storage: Arc<S>,
    /// Why nothing can be written any more.
    failed: OnceLock<Error>,
}

impl<S: Storage + Send + Sync> fmt::Debug for Store<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("seq", &self.state().seq()).finish_non_exhaustive()
    }
}

impl<S: Storage + Send + Sync + 'static> Store<S> {
    /// Opens a storage.
    ///
    /// # Errors
    /// As [`Journal::open`]; [`Code::Storage`] when no thread can be started.
    pub fn open(storage: S, options: StoreOptions) -> Result<(Self, Recovery)> {
        let storage = Arc::new(storage);
        let shelf = Shelf::new(Arc::clone(&storage) as Arc<dyn Storage + Send + Sync>, options.open_bytes, |damage| {
            tracing::warn!(%damage, "what was damaged in a snapshot is made again from the rest; nothing is lost");
        });
        let Opened { journal, checkpoints, state, recovery } = Journal::open_with(Arc::clone(&storage), Some(&shelf))?;
        let shared = Arc::new(Shared {
            queue: Queue::new(WAITING),
            published: watch::Sender::new(Arc::new(state.clone())),
            planner: Mutex::new(Planner::new(state, options.reserve)),
            log: Mutex::new(Log::new(journal)),
            failures: AtomicU64::new(0),
            schedule: Schedule::new(options.checkpoint_after, checkpoints),
            checkpointing: Mutex::new(()),
            indexer: Indexer::new()?,
            unloader: Unloader::new(shelf, options.unload_after, options.memory),
            preparer: Preparer::new(options.reserve),
            storage,
            failed: OnceLock::new(),
        });
        let store = Self { shared, threads: Mutex::default() };
        // One plans while the other one writes.
        store.start("vecino-write-0", Shared::write_groups)?;
        store.start("vecino-write-1", Shared::write_groups)?;
        store.start("vecino-snapshot", Shared::write_checkpoints)?;
        store.start("vecino-index", Shared::keep_indexes)?;
        store.start("vecino-unload", Shared::unload_idle)?;
        store.start("vecino-prepare", Shared::prepare_segments)?;
        Ok((store, recovery))
    }

    fn start(&self, name: &str, work: fn(&Shared<S>)) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(&shared));
        let thread = thread.map_err(|error| Error::new(Code::Storage, format!("cannot start a thread: {error}")))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// The state as of the last write that is durable (or logged, if it asked for no more). It does not change; a later call
    /// gives a later one. Cost: a lock for a few instructions.
    pub fn state(&self) -> Arc<State> {
        self.shared.state()
    }

    /// Tells of every state that is published, to wait for one.
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.shared.published.subscribe()
    }

    /// Reads the present state.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> Result<T>) -> Result<T> {
        read(&self.state())
    }

    /// The present state, with a library in it opened. Cost: that of opening it, if it is not in memory.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`]; [`Code::Damaged`] and [`Code::Storage`] when it cannot be opened.
    pub fn opened(&self, library: &str) -> Result<Arc<State>> {
        loop {
            let state = self.state();
            let holding = state.find(library).ok_or_else(|| library_not_found(library))?;
            let (seq, loaded) = (holding.seq(), holding.loaded().is_some());
            match holding.library() {
                Ok(_) => {
                    if !loaded {
                        // Its filters may want postings, and its index may be damaged.
                        self.shared.indexer.look();
                    }
                    return Ok(state);
                }
                // In the meantime it has been written to, and its old snapshot is gone.
                Err(_) if self.state().find(library).map(Holding::seq) != Some(seq) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes, and waits without keeping a thread. `seen` makes the answer from the state right after the write; it runs before
    /// the write is durable, and what it makes is given out when it is.
    ///
    /// # Errors
    /// What the plan refuses; [`Code::Overloaded`] when too much waits; [`Code::StorageFull`]; [`Code::Storage`]. Nothing has
    /// changed then, unless the disk itself failed, when it is not known whether the write is there after a restart.
    pub async fn write<T: Send + 'static>(
        &self,
        command: Command,
        durability: Durability,
        seen: impl FnOnce(&State, Written) -> T + Send + 'static,
    ) -> Result<T> {
        let answer = self.shared.submit(command, durability, seen)?;
        answer.await.unwrap_or_else(|_| Err(interrupted()))
    }

    /// As [`Store::write`], keeping the thread: not for use within a future.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_blocking<T: Send + 'static>(
        &self,
        command: Command,
        durability: Durability,
        seen: impl FnOnce(&State, Written) -> T + Send + 'static,
    ) -> Result<T> {
        let answer = self.shared.submit(command, durability, seen)?;
        answer.blocking_recv().unwrap_or_else(|_| Err(interrupted()))
    }

    /// How much waits to be written: writes, and about how many bytes they have.
    pub fn waiting(&self) -> (usize, usize) {
        self.shared.queue.depth()
    }

    /// Bytes of log since the last checkpoint.
    pub fn log_bytes(&self) -> u64 {
        self.shared.schedule.log_bytes()
    }

    /// Changes what is derived from the log and not in it, such as an index, and publishes it. The log does not tell of it, so
    /// what is in the log must not change. Waits for groups that are planned or written.
    ///
    /// # Errors
    /// [`Code::Storage`] after a failure inside.
    pub fn amend<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T> {
        self.shared.amend(change)
    }

    /// The present state, in which the index of a library has taken in all that it will at this position of the log. Takes as long
    /// as that takes; for readers who carry the library away.
    ///
    /// # Errors
    /// [`Code::Storage`] at the end of the server.
    pub fn settled(&self, library: &Id) -> Result<Arc<State>> {
        self.shared.settled(|| Ok(self.state()), Some(library))
    }

    /// The files, for those that are no part of the log.
    pub fn storage(&self) -> &Arc<S> {
        &self.shared.storage
    }

    /// Writes snapshots of what has changed and shortens the log. Reads and writes go on.
    ///
    /// # Errors
    /// As [`Journal::cut`] and [`vecino_engine::checkpoint::Checkpoints::write`].
    pub fn checkpoint(&self) -> Result<Checkpointed> {
        self.shared.checkpoint()
    }

    /// Writes an archive of the whole state: see [`backup`]. Reads and writes go on, checkpoints wait.
    ///
    /// # Errors
    /// As [`backup::write`].
    pub fn back_up(&self, out: &mut dyn io::Write) -> Result<usize> {
        let _waits = self.shared.checkpointing.lock().unwrap_or_else(PoisonError::into_inner);
        backup::write(&self.shared.storage, out)
    }

    /// Why nothing can be written until a restart, if that is so. Waits for nothing.
    pub fn failure(&self) -> Option<Error> {
        self.shared.failed.get().cloned()
    }

    /// Writes what waits and closes the log in order; later writes are refused.
    ///
    /// # Errors
    /// As [`Journal::close`].
    pub fn close(&self) -> Result<()> {
        self.end_threads();
        match self.shared.log()?.journal.take() {
            Some(journal) => journal.close().map(drop),
            None => Ok(()),
        }
    }

    fn end_threads(&self) {
        self.shared.queue.close();
        self.shared.schedule.close();
        self.shared.indexer.close();
        self.shared.unloader.close();
        self.shared.preparer.close();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Panics are caught within, and a write that failed has been answered.
            let _ = thread.join();
        }
    }
}

impl<S: Storage + Send + Sync + 'static> Drop for Store<S> {
    fn drop(&mut self) {
        self.end_threads();
    }
}

impl<S: Storage + Send + Sync + 'static> Shared<S> {
    fn state(&self) -> Arc<State> {
        Arc::clone(&self.published.borrow())
    }

    fn planner(&self) -> Result<MutexGuard<'_, Planner>> {
        // A thread panicked with the lock: what it left behind is not to be trusted, the files are.
        self.planner.lock().map_err(|_| self.failed.get_or_init(interrupted).clone())
    }

    fn log(&self) -> Result<MutexGuard<'_, Log<Arc<S>>>> {
        self.log.lock().map_err(|_| self.failed.get_or_init(interrupted).clone())
    }

    /// Keeps why nothing can be written any more, where those find it who must not wait for the log.
    fn note_failure(&self, log: &Log<Arc<S>>) {
        if let Some(error) = log.journal.as_ref().and_then(Journal::failure) {
            self.failed.get_or_init(|| error.clone());
        }
    }

    fn submit<T: Send + 'static>(
        &self,
        command: Command,
        durability: Durability,
        seen: impl FnOnce(&State, Written) -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T>>> {
        let weight = weight(&command);
        let (sender, answer) = oneshot::channel();
        let write = Write { command: Some(command), durability, seen: Some(seen), value: None, answer: sender };
        match self.queue.push(Box::new(write), weight) {
            Ok(None) => {}
            Ok(Some(lead)) => {
                in_place(|| self.write_group(lead));
            }
            Err(Refused::Closed) => return Err(closed()),
            Err(Refused::Full(writes, bytes)) => {
                let detail = format!("{writes} writes ({bytes} bytes) wait already; try again in a moment");
                return Err(Error::new(Code::Overloaded, detail).numbers(WAITING.items, writes));
            }
        }
        Ok(answer)
    }

    /// As [`Store::amend`].
    fn amend<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T> {
        let mut planner = self.planner()?;
        // With both locks nothing is planned and nothing is written.
        let _log = self.log()?;
        planner.catch_up(self.failures.load(Ordering::Relaxed), &|| self.state());
        let (value, state) = planner.amend(change);
        self.published.send_replace(state);
        Ok(value)
    }

    /// What the threads do that lead when there is company.
    fn write_groups(&self) {
        while let Some(lead) = self.queue.wait() {
            self.write_group(lead);
        }
    }

    /// Plans, writes and answers the next group.
    fn write_group(&self, lead: Lead<'_, Box<dyn Order>>) {
        let mut group = Vec::new();
        // After a panic the orders are dropped, which tells those who wait, and the lock is poisoned.
        let written = catch_unwind(AssertUnwindSafe(|| self.write_orders(lead, &mut group)));
        let results = written.unwrap_or_else(|_| Err(interrupted()));
        let results = results.unwrap_or_else(|error| group.iter().map(|_| Err(error.clone())).collect());
        for (order, result) in group.into_iter().zip(results) {
            order.answer(result);
        }
    }

    /// Takes the next group, and says what each of its orders came to; or the error of all of them.
    fn write_orders(&self, lead: Lead<'_, Box<dyn Order>>, group: &mut Vec<Box<dyn Order>>) -> Result<Vec<Result<()>>> {
        self.schedule.hold();
        let published = || self.state();
        let mut results = Vec::new();
        let mut planner = self.planner();
        if let Ok(planner) = &mut planner {
            planner.begin(&self.storage, self.failures.load(Ordering::Relaxed), &published);
        }
        let turn = loop {
            match lead.next(GROUP) {
                Next::Gather(orders) => {
                    let planned = group.len();
                    group.extend(orders);
                    if let Ok(planner) = &mut planner {
                        results.extend(group[planned..].iter_mut().map(|order| planner.plan(&mut **order)));
                    }
                }
                Next::Write(turn) => break turn,
            }
        };
        let mut planner = planner?;
        let mut log = self.log()?;
        if planner.catch_up(self.failures.load(Ordering::Relaxed), &published) {
            // It was planned on top of the group that has failed meanwhile.
            return Err(log.failure.clone().unwrap_or_else(interrupted));
        }
        let planned = planner.hand_over(&mut log);
        drop(planner);
        drop(lead);
        let begun = Instant::now();
        let written = log.write(&planned);
        turn.took(begun.elapsed());
        if written.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
            self.note_failure(&log);
        }
        turn.again_at(log.due());
        let bytes = log.journal.as_ref().map_or(0, Journal::log_bytes);
        if let Some(journal) = &log.journal {
            self.preparer.look(journal, || self.schedule.snapshot_bytes() + bytes);
        }
        let state = written.as_ref().ok().and(planned.state);
        if let Some(state) = &state {
            self.published.send_replace(Arc::clone(state));
        }
        drop(log);
        if let Some(state) = state {
            self.indexer.look();
            self.schedule.grown(bytes, &state, planned.deletes);
        }
        written.map(|()| results)
    }

    /// The thread that makes checkpoints when they are due.
    fn write_checkpoints(&self) {
        while self.schedule.wait() {
            // What else comes of it stands in the log.
            if catch_unwind(AssertUnwindSafe(|| self.checkpoint())).is_err() {
                self.schedule.fail(true);
            }
        }
    }

    fn checkpoint(&self) -> Result<Checkpointed> {
        let begun = Instant::now();
        let made = self.make_checkpoint();
        let took_ms = begun.elapsed().as_millis() as u64;
        match &made {
            Ok(done) => tracing::info!(seq = done.seq, written = done.written, took_ms, "snapshots are written"),
            Err(error) => {
                self.schedule.fail(self.failed.get().is_none());
                tracing::error!(%error, took_ms, "snapshots cannot be written");
            }
        }
        made
    }

    fn make_checkpoint(&self) -> Result<Checkpointed> {
        let _one = self.checkpointing.lock().map_err(|_| interrupted())?;
        let mut cut = Err(closed());
        let state = self.settled(
            || {
                let mut log = self.log()?;
                cut = log.journal.as_mut().ok_or_else(closed)?.cut();
                self.note_failure(&log);
                // Between two groups, the published state is the one after the last record of the log.
                Ok(self.state())
            },
            None,
        )?;
        let cut = cut?;
        let mut known = self.schedule.begin(&state);
        let done = known.write(&*self.storage, &state)?;
        let log = self.log()?.journal.as_mut().map_or(0, |journal| {
            journal.forget(&cut);
            journal.log_bytes()
        });
        let rested = self.rest(&known, &state);
        self.schedule.end(known, log, &state);
        rested?;
        Ok(done)
    }

    /// Lets large libraries lie in the snapshots that were just written, rather than in memory.
    fn rest(&self, known: &Checkpoints, state: &State) -> Result<()> {
        for library in state.loaded().filter(|library| library.vectors().memory() >= WORTH_RESTING) {
            if let Some(place) = known.in_place(&*self.storage, library)? {
                self.amend(|state| state.rest_on(&place))?;
            }
        }
        Ok(())
    }
}

fn closed() -> Error {
    Error::new(Code::Storage, "the server is shutting down; nothing is written any more")
}
