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
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, available_parallelism},
    time::{Duration, Instant},
};

use rayon::{ThreadPool, ThreadPoolBuilder};
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
    /// When the first library with a tail will have come to rest.
    look_at: Option<Instant>,
}

/// Libraries that have something to be taken in when they have come to rest.
type Tails = BTreeMap<Id, Tail>;

/// Since when a library has been seen to have the same sequence.
#[derive(Debug)]
struct Tail {
    seq: u64,
    since: Instant,
}

impl Indexer {
    /// # Errors
    /// [`Code::Storage`] when no thread can be started.
    pub(super) fn new() -> Result<Self> {
        let inner = Mutex::new(Inner { news: true, look_at: None });
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
        let mut inner = self.inner();
        loop {
            if self.pool.stopped() {
                return None;
            }
            if std::mem::take(&mut inner.news) {
                return Some(true);
            }
            inner = match inner.look_at {
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(at) if at <= Instant::now() => return Some(false),
                Some(at) => {
                    let rest = at.saturating_duration_since(Instant::now());
                    self.changed.wait_timeout(inner, rest).unwrap_or_else(PoisonError::into_inner).0
                }
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
        let mut tails = Tails::new();
        while let Some(news) = self.indexer.wait() {
            if news {
                thread::sleep(GATHER);
            }
            // A panic ends one attempt: the old index goes on serving.
            let done = catch_unwind(AssertUnwindSafe(|| self.take_in(&mut tails).and_then(|()| self.post(|_| false))));
            if let Err(error) = done.unwrap_or_else(|_| Err(interrupted())) {
                tracing::error!(%error, "an index cannot be brought up to date");
            }
            self.see_tails(&mut tails);
            let rests = |tail: &Tail| tail.since.elapsed() >= REST;
            let _ = catch_unwind(AssertUnwindSafe(|| self.post(|library| tails.get(library).is_some_and(rests))));
            tails.retain(|library, tail| {
                let rests = rests(tail);
                if rests {
                    // Should it fail, it is tried again after as long.
                    tail.since = Instant::now();
                }
                !(rests && self.cut(library))
            });
            self.indexer.inner().look_at = tails.values().map(|tail| tail.since + REST).min();
        }
    }

    /// Runs one job after the other until none waits.
    fn take_in(&self, tails: &mut Tails) -> Result<()> {
        while !self.indexer.pool.stopped() {
            // A library may come to rest while jobs run.
            self.see_tails(tails);
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

    /// Looks which libraries have a tail that is worth a record or new postings, and which of them have not been written to since
    /// they were last looked at.
    fn see_tails(&self, tails: &mut Tails) {
        let (state, now) = (self.state(), Instant::now());
        let has_tail = |library: &&Library| library.index_state().changed >= TAIL || library.wants_postings(true);
        let tail = |library: &Library| {
            let (id, seq) = (library.info().id.clone(), library.seq());
            let since = tails.get(&id).filter(|tail| tail.seq == seq).map_or(now, |tail| tail.since);
            (id, Tail { seq, since })
        };
        *tails = state.loaded().filter(has_tail).map(tail).collect();
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
        // One after the other from a common counter: dealt out in ranges, the last range would keep one thread while others idle.
        let next = AtomicUsize::new(0);
        let work = || while Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < jobs).map(job).is_some() {};
        let threads = self.threads.current_num_threads().min(jobs);
        self.threads.scope(|scope| (0..threads).for_each(|_| scope.spawn(|_| work())));
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
