//! The thread that brings indexes up to date, beside everything else.
//!
//! It takes the published state, runs the next [job](vecino_engine::indexing::IndexJob) that waits in it, and has the writer
//! install what came of it, which takes microseconds. Its threads give way to those that answer requests. When a library has come to
//! rest with a tail that its index does not know, it writes a record that makes the index take the tail in. The same thread makes the
//! postings of filters anew.

use std::{
    collections::BTreeMap,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, available_parallelism},
    time::{Duration, Instant},
};

use rayon::{
    ThreadPool, ThreadPoolBuilder,
    iter::{IntoParallelIterator, ParallelIterator},
};
use vecino_engine::{
    Code, Error, Result, command::Command, library::Library, model::Id, pool::Pool, state::State, storage::Storage,
};

use super::{Durability, Shared, interrupted};

/// A library that has not been written to for this long is at rest.
const REST: Duration = Duration::from_millis(400);

/// States that are published within so long are looked at together, so that not every write wakes a thread.
const GATHER: Duration = Duration::from_millis(5);

/// Fewer slots than this are compared in some microseconds, and not worth a record.
const TAIL: usize = 256;

/// Gives way to everything of usual priority.
const NICENESS: i32 = 10;

/// What the indexing thread waits for, and its threads.
#[derive(Debug)]
pub(super) struct Indexer {
    inner: Mutex<Inner>,
    changed: Condvar,
    /// Held while a job runs, so that none is run twice.
    building: Mutex<()>,
    pool: BuildPool,
}

#[derive(Debug, Default)]
struct Inner {
    /// Whether a state has been published since it was last looked at.
    news: bool,
    /// Whether to look again when [`REST`] is over.
    tails: bool,
}

impl Indexer {
    /// # Errors
    /// [`Code::Storage`] when no thread can be started.
    pub(super) fn new() -> Result<Self> {
        let inner = Mutex::new(Inner { news: true, tails: false });
        Ok(Self { inner, changed: Condvar::new(), building: Mutex::default(), pool: BuildPool::new()? })
    }

    /// Tells that a state has been published.
    pub(super) fn look(&self) {
        if !std::mem::replace(&mut self.inner().news, true) {
            self.changed.notify_all();
        }
    }

    /// Stops what is being built; nothing comes of it.
    pub(super) fn close(&self) {
        self.pool.stopped.store(true, Ordering::Relaxed);
        self.inner().news = true;
        self.changed.notify_all();
    }

    /// Waits for news, or for the end of a rest. `None` at the end; else whether there is news.
    fn wait(&self) -> Option<bool> {
        let begun = Instant::now();
        let mut inner = self.inner();
        loop {
            if self.pool.stopped() {
                return None;
            }
            if std::mem::take(&mut inner.news) {
                return Some(true);
            }
            inner = if inner.tails {
                let Some(rest) = REST.checked_sub(begun.elapsed()) else { return Some(false) };
                self.changed.wait_timeout(inner, rest).unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Storage + Send + Sync + 'static> Shared<S> {
    /// The indexing thread.
    pub(super) fn keep_indexes(&self) {
        give_way();
        let mut tails = BTreeMap::new();
        while let Some(news) = self.indexer.wait() {
            if news {
                thread::sleep(GATHER);
            }
            // A panic ends one attempt: the old index goes on serving.
            let done = catch_unwind(AssertUnwindSafe(|| self.take_in().and_then(|()| self.post(|_| false))));
            if let Err(error) = done.unwrap_or_else(|_| Err(interrupted())) {
                tracing::error!(%error, "an index cannot be brought up to date");
            }
            let before = if news { BTreeMap::new() } else { std::mem::take(&mut tails) };
            tails = self.tails();
            let resting = |library: &Id| tails.get(library).is_some_and(|seq| before.get(library) == Some(seq));
            let _ = catch_unwind(AssertUnwindSafe(|| self.post(resting)));
            tails.retain(|library, seq| before.get(library) != Some(seq) || !self.cut(library));
            self.indexer.inner().tails = !tails.is_empty();
        }
    }

    /// Runs one job after the other until none waits.
    fn take_in(&self) -> Result<()> {
        while !self.indexer.pool.stopped() {
            let _one = self.indexer.building.lock().map_err(|_| interrupted())?;
            let Some(job) = self.state().index_job() else { break };
            let (library, slots, begun) = (job.library().clone(), job.slots(), Instant::now());
            let Some(done) = job.run(&self.indexer.pool) else { break };
            self.amend(|state| state.install(&done))?;
            tracing::debug!(%library, slots, took_ms = begun.elapsed().as_millis() as u64, "the index is up to date");
        }
        Ok(())
    }

    /// Makes new postings where they are worth it.
    fn post(&self, at_rest: impl Fn(&Id) -> bool) -> Result<()> {
        for library in self.state().loaded() {
            let id = &library.info().id;
            if !library.wants_postings(at_rest(id)) || self.indexer.pool.stopped() {
                continue;
            }
            if let Some(job) = self.amend(|state| state.begin_postings(id))? {
                let done = job.run();
                self.amend(|state| state.install_postings(&done))?;
            }
        }
        Ok(())
    }

    /// The present state with nothing left to be taken in by an index, or only by others than that of `library`. What is done for
    /// it is not done again.
    ///
    /// # Errors
    /// [`Code::Storage`] at the end of the server.
    pub(super) fn settled(&self, take: impl FnOnce() -> Result<Arc<State>>, library: Option<&Id>) -> Result<Arc<State>> {
        let _one = self.indexer.building.lock().map_err(|_| interrupted())?;
        let mut state = take()?;
        let job = |state: &State| match library {
            Some(library) => state.find(library.as_str())?.loaded()?.index_job(),
            None => state.index_job(),
        };
        while let Some(job) = job(&state) {
            let done = job.run(&self.indexer.pool).ok_or_else(super::closed)?;
            self.amend(|state| state.install(&done))?;
            Arc::make_mut(&mut state).install(&done);
        }
        Ok(state)
    }

    /// The libraries with a tail that is worth a record or new postings, and their sequences.
    fn tails(&self) -> BTreeMap<Id, u64> {
        let state = self.state();
        let has_tail = |library: &&Library| library.index_state().changed >= TAIL || library.wants_postings(true);
        let tails = state.loaded().filter(has_tail);
        tails.map(|library| (library.info().id.clone(), library.seq())).collect()
    }

    /// Has the index of a library take in its tail. Whether that could be asked for.
    fn cut(&self, library: &Id) -> bool {
        let command = Command::CutIndex { library: library.to_string() };
        // Nobody waits for the answer: the state tells.
        self.submit(command, Durability::Logged, |_, _| ()).is_ok()
    }
}

/// The threads that build. They stop when they are told to.
#[derive(Debug)]
struct BuildPool {
    threads: ThreadPool,
    stopped: AtomicBool,
}

impl BuildPool {
    fn new() -> Result<Self> {
        let threads = ThreadPoolBuilder::new()
            .num_threads(available_parallelism().map_or(1, NonZero::get))
            .thread_name(|number| format!("vecino-index-{number}"))
            .start_handler(|_| give_way())
            .build();
        let threads = threads.map_err(|error| Error::new(Code::Storage, format!("cannot start a thread: {error}")))?;
        Ok(Self { threads, stopped: AtomicBool::new(false) })
    }
}

impl Pool for BuildPool {
    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        self.threads.install(|| (0..jobs).into_par_iter().for_each(job));
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Lowers the priority of this thread, where threads have one of their own.
pub(crate) fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "index builds run at the usual priority");
    }
}
