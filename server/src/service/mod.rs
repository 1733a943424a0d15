//! What the server does for a client, whatever the way in.
//!
//! Reading takes the present state and computes on the caller's thread. Writing waits for the disk without a thread. Texts become
//! vectors before a write is queued.

pub mod chunks;
pub mod documents;
mod embedding;
mod figures;
pub mod index;
pub mod jobs;
pub mod libraries;
pub mod query;
pub mod restore;
pub mod selection;
pub mod snapshots;
pub mod split;
pub mod transfer;

use std::time::Duration;

use vecino_engine::{
    Error, Result, checkpoint::Checkpointed, command::Command, db::Written, host::Host, journal::Recovery, library::Library,
    model::Timestamp, state::State,
};

use self::{jobs::Jobs, snapshots::Snapshots, split::SplitOptions};
use crate::{
    embed::Embedder,
    host::{RayonPool, SystemHost},
    live_recall::Sampler,
    storage::FileStorage,
    store::{Durability, Store, StoreOptions},
};

/// Everything that a client can ask for.
#[derive(Debug)]
pub struct Service {
    store: Store,
    embedder: Box<dyn Embedder>,
    host: SystemHost,
    pool: RayonPool,
    split: SplitOptions,
    jobs: Jobs,
    snapshots: Snapshots,
    /// Queries that take longer are written to the log.
    slow_query: Option<Duration>,
    sampler: Sampler,
}

/// What every write can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// When it is answered.
    pub durability: Durability,
    /// The write is done only if the library was last changed by this write.
    pub if_seq: Option<u64>,
}

/// The part of a listing that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many items, at most.
    pub limit: usize,
    /// The cursor of the item after which it begins.
    pub after: Option<String>,
}

/// A part of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next part begins, if there is one.
    pub next: Option<String>,
}

impl Service {
    /// Opens a folder.
    ///
    /// # Errors
    /// As [`vecino_engine::journal::Journal::open`].
    pub fn open(storage: FileStorage, embedder: Box<dyn Embedder>, options: StoreOptions) -> Result<(Self, Recovery)> {
        let reserve = options.reserve;
        let (store, recovery) = Store::open(storage, options)?;
        let snapshots = Snapshots::open(&store, reserve)?;
        Ok((
            Self {
                store,
                embedder,
                host: SystemHost,
                pool: RayonPool,
                split: SplitOptions::default(),
                jobs: Jobs::default(),
                snapshots,
                slow_query: None,
                sampler: Sampler::start()?,
            },
            recovery,
        ))
    }

    /// Makes passages of another size than usual.
    #[must_use]
    pub fn with_split(mut self, split: SplitOptions) -> Self {
        self.split = split;
        self
    }

    /// Writes queries that take longer to the log, with their explanation.
    #[must_use]
    pub fn with_slow_query(mut self, limit: Option<Duration>) -> Self {
        self.slow_query = limit;
        self
    }

    /// A new id.
    pub fn new_id(&self) -> String {
        self.host.new_id()
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        self.host.now()
    }

    /// What turns text into vectors here.
    pub fn embedder(&self) -> &dyn Embedder {
        &*self.embedder
    }

    /// Writes snapshots of what has changed and shortens the log.
    ///
    /// # Errors
    /// As [`Store::checkpoint`].
    pub fn checkpoint(&self) -> Result<Checkpointed> {
        self.store.checkpoint()
    }

    /// Writes an archive of the whole state.
    ///
    /// # Errors
    /// As [`Store::back_up`].
    pub fn back_up(&self, out: &mut dyn std::io::Write) -> Result<usize> {
        self.store.back_up(out)
    }

    /// Why nothing can be written any more, if that is so.
    pub fn failure(&self) -> Option<Error> {
        self.store.failure()
    }

    /// Closes the log in order; later writes are refused.
    ///
    /// # Errors
    /// As [`Store::close`].
    pub fn close(&self) -> Result<()> {
        self.store.close()
    }

    /// Waits until the state that readers see knows of the write `seq`.
    ///
    /// # Errors
    /// The last write, when that one has not come in time.
    pub async fn wait_for(&self, seq: u64, limit: Duration) -> Result<(), u64> {
        let mut published = self.store.watch();
        let come =
            tokio::time::timeout(limit, published.wait_for(|state| state.seq() >= seq)).await.is_ok_and(|come| come.is_ok());
        if come { Ok(()) } else { Err(self.store.state().seq()) }
    }

    /// Writes to a library.
    async fn write<T: Send + 'static>(
        &self,
        options: WriteOptions,
        library: &str,
        command: Command,
        seen: impl FnOnce(&State, Written) -> T + Send + 'static,
    ) -> Result<T> {
        let command = match options.if_seq {
            None => command,
            Some(seq) => Command::IfUnchanged { library: library.to_owned(), seq, command: Box::new(command) },
        };
        self.store.write(command, options.durability, seen).await
    }

    /// Reads a library, by id or name.
    fn with_library<T>(&self, library: &str, read: impl FnOnce(&Library) -> Result<T>) -> Result<T> {
        read(self.store.opened(library)?.library(library)?)
    }
}

impl Page {
    /// Takes the items of the page; `cursor` is that of an item.
    fn take<T, V>(
        &self,
        mut items: impl Iterator<Item = T>,
        cursor: impl Fn(&T) -> String,
        view: impl Fn(T) -> Option<V>,
    ) -> Listed<V> {
        let mut taken = Vec::new();
        let mut last = None;
        for item in items.by_ref().take(self.limit) {
            last = Some(cursor(&item));
            taken.extend(view(item));
        }
        Listed { items: taken, next: last.filter(|_| items.next().is_some()) }
    }
}
