//! A whole database with one owner: a state and the journal that keeps it. For tabs, tools and tests; the server puts the same
//! two parts behind its locks.

use crate::{
    checkpoint::{Checkpointed, Checkpoints},
    codec::Frame,
    command::Command,
    error::{Code, Error, Result},
    journal::{Journal, Opened, Recovery},
    plan::Plan,
    pool::Pool,
    query::{Answer, Query},
    snapshot,
    state::State,
    storage::Storage,
};

/// A database over a storage.
#[derive(Debug)]
pub struct Database<S> {
    state: State,
    journal: Journal<S>,
    checkpoints: Checkpoints,
    frame: Frame,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Sequence of the write, or of the last one when nothing had to change.
    pub seq: u64,
    /// Documents or chunks left out because they exist already.
    pub skipped: usize,
    /// Documents or chunks that were written or deleted.
    pub affected: usize,
}

impl<S: Storage> Database<S> {
    /// Opens a storage, or begins in an empty one.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open(storage: S) -> Result<(Self, Recovery)> {
        let Opened { journal, checkpoints, state, recovery } = Journal::open(storage)?;
        Ok((Self { state, journal, checkpoints, frame: Frame::default() }, recovery))
    }

    /// As [`Journal::set_segment_bytes`].
    pub fn set_segment_bytes(&mut self, bytes: u64) {
        self.journal.set_segment_bytes(bytes);
    }

    /// What is in it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Plans, appends, syncs, applies. Durable when it returns.
    ///
    /// # Errors
    /// Those of [`State::plan`], [`Journal::append`] and [`Journal::sync`]; nothing has changed then.
    pub fn execute(&mut self, command: Command) -> Result<Written> {
        let Plan { record, skipped, affected } = self.state.plan(command)?;
        if let Some(record) = record {
            self.frame.push(&record)?;
            let seq = self.journal.append(&mut self.frame)?;
            self.journal.sync()?;
            self.state.apply(seq, record);
        }
        Ok(Written { seq: self.state.seq(), skipped, affected })
    }

    /// Does all work that waits for indexes, and returns how many pieces there were; and makes new postings where they are worth
    /// it. Until then, queries compare one by one what an index does not know.
    pub fn settle(&mut self, pool: &dyn Pool) -> usize {
        let mut done = 0;
        while let Some(finished) = self.state.index_job().and_then(|job| job.run(pool)) {
            self.state.install(&finished);
            done += 1;
        }
        let wanted = self.state.loaded().filter(|library| library.wants_postings(true));
        for library in wanted.map(|library| library.info.id.clone()).collect::<Vec<_>>() {
            if let Some(job) = self.state.begin_postings(&library) {
                self.state.install_postings(&job.run());
            }
        }
        done
    }

    /// Answers a query against a library, by id or name.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`], and those of [`Library::query`](crate::library::Library::query).
    pub fn query(&self, library: &str, query: &Query, pool: &dyn Pool) -> Result<Answer> {
        self.state.library(library)?.query(query, pool)
    }

    /// Writes snapshots of what has changed, and shortens the log.
    ///
    /// # Errors
    /// As [`Journal::cut`] and [`Checkpoints::write`].
    pub fn checkpoint(&mut self) -> Result<Checkpointed> {
        let cut = self.journal.cut()?;
        let done = self.checkpoints.write(self.journal.storage(), &self.state)?;
        self.journal.forget(&cut);
        Ok(done)
    }

    /// The bytes of the whole state: the snapshots of all libraries in the order of their ids. Equal states have equal bytes.
    ///
    /// # Errors
    /// As [`snapshot::to_bytes`].
    pub fn state_bytes(&self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        for holding in self.state.holdings() {
            snapshot::write(holding.library()?, &mut all).map_err(|error| Error::new(Code::Storage, error.to_string()))?;
        }
        Ok(all)
    }

    /// Closes the log in order and gives the storage back.
    ///
    /// # Errors
    /// As [`Journal::close`].
    pub fn close(self) -> Result<S> {
        self.journal.close()
    }

    /// Gives the storage back as a crash would leave it.
    pub fn into_storage(self) -> S {
        self.journal.into_storage()
    }
}
