//! What the server does for a client, whatever the way in.
//!
//! Every call blocks. Texts become vectors before the store is asked for its lock, so that a write holds it for as short as
//! it can.

pub mod chunks;
pub mod documents;
mod embedding;
pub mod index;
pub mod libraries;
pub mod query;
pub mod split;

use std::time::Duration;

use vecino_engine::{
    Error, Result, checkpoint::Checkpointed, host::Host, journal::Recovery, library::Library, model::Timestamp,
    plan::library_not_found, state::State,
};

use self::split::SplitOptions;
use crate::{
    embed::Embedder,
    host::{RayonPool, SystemHost},
    storage::FileStorage,
    store::Store,
};

/// Everything that a client can ask for.
#[derive(Debug)]
pub struct Service {
    store: Store,
    embedder: Box<dyn Embedder>,
    host: SystemHost,
    pool: RayonPool,
    split: SplitOptions,
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
    /// Opens a folder. A checkpoint is due when the log has more than `checkpoint_every` bytes; never if that is 0.
    ///
    /// # Errors
    /// As [`vecino_engine::journal::Journal::open`].
    pub fn open(storage: FileStorage, embedder: Box<dyn Embedder>, checkpoint_every: u64) -> Result<(Self, Recovery)> {
        let (store, recovery) = Store::open(storage, checkpoint_every)?;
        Ok((Self { store, embedder, host: SystemHost, pool: RayonPool, split: SplitOptions::default() }, recovery))
    }

    /// Makes passages of another size than usual.
    #[must_use]
    pub fn with_split(mut self, split: SplitOptions) -> Self {
        self.split = split;
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
        let begun = std::time::Instant::now();
        let result = self.store.checkpoint();
        let took = Duration::as_millis(&begun.elapsed());
        match &result {
            Ok(done) => tracing::info!(seq = done.seq, written = done.written, took_ms = %took, "snapshots are written"),
            Err(error) => tracing::error!(%error, "snapshots cannot be written"),
        }
        result
    }

    /// Whether the log is large enough for a checkpoint. Says so once until the checkpoint is made.
    pub fn checkpoint_is_due(&self) -> bool {
        self.store.checkpoint_is_due()
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

    /// Reads a library, by id or name.
    fn with_library<T>(&self, library: &str, read: impl FnOnce(&Library) -> Result<T>) -> Result<T> {
        self.store.read(|state| read(known(state, library)?))
    }
}

fn known<'a>(state: &'a State, library: &str) -> Result<&'a Library> {
    state.find(library).ok_or_else(|| library_not_found(library))
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
