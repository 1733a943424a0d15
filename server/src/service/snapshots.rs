//! Snapshots that are kept: a library as it was, as a file of its own beside the log, until somebody deletes it.
//!
//! Each is a `.vecino` file under the name `ID.snapshot`; `snapshots.json` lists them. A file counts once it stands there, and
//! the list goes first when one is deleted, so a crash leaves at most a file that nobody names, which the next start removes.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vecino_engine::{
    Code, Error, Result,
    blob::Blob,
    snapshot,
    storage::{Fill, Storage},
};

use super::{Service, jobs::Running};
use crate::{storage::FileStorage, store::Store};

/// Snapshots that may be kept.
pub const MAX_SNAPSHOTS: usize = 1_000;

/// The list of all.
const CATALOGUE: &str = "snapshots.json";

/// How the names of the files end.
const FILE: &str = ".snapshot";

/// After so many bytes it is looked whether there is room for more.
const LOOK_AFTER: u64 = 1 << 20;

/// A snapshot that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Snapshot)]
pub struct SnapshotView {
    /// Made here.
    pub id: String,
    /// The id of the library that it was taken of.
    pub library: String,
    /// The name of that library then.
    pub name: String,
    /// Sequence of the last write that changed the library before.
    pub seq: u64,
    /// Documents in it.
    pub documents: usize,
    /// Chunks in it.
    pub chunks: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// When it was taken or came in.
    pub created_at: String,
}

/// All snapshots that are kept.
#[derive(Debug)]
pub struct Snapshots {
    storage: Arc<FileStorage>,
    /// What of the disk is left free for the log.
    reserve: u64,
    /// By id, the oldest first. Held while the list is written.
    all: Mutex<BTreeMap<String, SnapshotView>>,
}

impl Snapshots {
    /// Reads the list, and removes files that are not in it.
    ///
    /// # Errors
    /// [`Code::Storage`]; [`Code::Damaged`] when the list cannot be read.
    pub(super) fn open(store: &Store, reserve: u64) -> Result<Self> {
        let storage = Arc::clone(store.storage());
        let all: BTreeMap<String, SnapshotView> = match storage.read(CATALOGUE)? {
            None => BTreeMap::new(),
            Some(list) => {
                let list: Vec<SnapshotView> =
                    serde_json::from_slice(list.bytes()).map_err(|error| Error::damaged(CATALOGUE, 0, error))?;
                list.into_iter().map(|view| (view.id.clone(), view)).collect()
            }
        };
        for name in storage.list()? {
            if name.strip_suffix(FILE).is_some_and(|id| !all.contains_key(id)) {
                storage.remove(&name)?;
            }
        }
        Ok(Self { storage, reserve, all: Mutex::new(all) })
    }

    /// The map is whole at every step.
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, SnapshotView>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_list(&self, all: &BTreeMap<String, SnapshotView>) -> Result<()> {
        let list = serde_json::to_vec(&all.values().collect::<Vec<_>>());
        let list = list.map_err(|error| Error::new(Code::Storage, error.to_string()))?;
        self.storage.write(CATALOGUE, &mut |out| out.write_all(&list))
    }

    /// Writes the file of a snapshot, as long as there is room.
    fn write(&self, id: &str, fill: &mut Fill<'_>) -> Result<()> {
        if self.all().len() >= MAX_SNAPSHOTS {
            return Err(Error::limit("snapshots that are kept", MAX_SNAPSHOTS, MAX_SNAPSHOTS + 1).unfit());
        }
        self.storage.write(&format!("{id}{FILE}"), &mut |out| fill(&mut Roomy { out, snapshots: self, unlooked: LOOK_AFTER }))
    }

    /// Lists the snapshot of a file that is written.
    fn add(&self, id: String, created_at: String) -> Result<SnapshotView> {
        let file = format!("{id}{FILE}");
        let added = self.view(id, created_at).and_then(|view| {
            let mut all = self.all();
            all.insert(view.id.clone(), view.clone());
            self.write_list(&all).inspect_err(|_| drop(all.remove(&view.id)))?;
            Ok(view)
        });
        added.inspect_err(|_| drop(self.storage.remove(&file)))
    }

    fn view(&self, id: String, created_at: String) -> Result<SnapshotView> {
        let blob = self.file(&id)?;
        let library = snapshot::open("the snapshot", &blob)?.library;
        let info = library.info();
        Ok(SnapshotView {
            id,
            library: info.id.to_string(),
            name: info.name.to_string(),
            seq: library.seq(),
            documents: library.document_count(),
            chunks: library.chunk_count(),
            bytes: blob.bytes().len() as u64,
            created_at,
        })
    }

    fn file(&self, id: &str) -> Result<Blob> {
        let missing = || Error::new(Code::Storage, format!("the file of the snapshot '{id}' is missing"));
        self.storage.read(&format!("{id}{FILE}"))?.ok_or_else(missing)
    }
}

/// Writes as long as the disk has more room than the log is to keep.
struct Roomy<'a> {
    out: &'a mut dyn Write,
    snapshots: &'a Snapshots,
    unlooked: u64,
}

impl Write for Roomy<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.unlooked >= LOOK_AFTER {
            let free = self.snapshots.storage.free_bytes().map_err(io::Error::other)?;
            if free.is_some_and(|free| free < self.snapshots.reserve + LOOK_AFTER) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.unlooked = 0;
        }
        let written = self.out.write(bytes)?;
        self.unlooked += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Tells a job how many bytes are written, and ends when it is cancelled.
struct Told<'a> {
    out: &'a mut dyn Write,
    job: &'a Running,
    bytes: u64,
}

impl Write for Told<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.job.progress(self.bytes, None).map_err(|_| io::Error::other("cancelled"))?;
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Service {
    /// All snapshots, the newest first.
    pub fn snapshots(&self) -> Vec<SnapshotView> {
        self.snapshots.all().values().rev().cloned().collect()
    }

    /// A snapshot, if there is one.
    pub fn snapshot(&self, id: &str) -> Option<SnapshotView> {
        self.snapshots.all().get(id).cloned()
    }

    /// The file of a snapshot, if there is one.
    ///
    /// # Errors
    /// [`Code::Storage`].
    pub fn snapshot_file(&self, id: &str) -> Result<Option<(SnapshotView, Blob)>> {
        let view = self.snapshot(id);
        view.map(|view| Ok((view, self.snapshots.file(id)?))).transpose()
    }

    /// Takes a snapshot of a library as it is now, with all that waits for its index taken in. Keeps the thread.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`], [`Code::LimitExceeded`], [`Code::StorageFull`], [`Code::Storage`].
    pub fn take_snapshot(&self, library: &str, job: &Running) -> Result<SnapshotView> {
        let id = self.with_library(library, |library| Ok(library.info().id.clone()))?;
        let state = self.store.settled(&id)?;
        let library = state.library(id.as_str())?;
        let new = self.new_id();
        self.snapshots.write(&new, &mut |out| snapshot::write(library, &mut Told { out, job, bytes: 0 }))?;
        self.snapshots.add(new, self.now().to_string())
    }

    /// Keeps a snapshot that `fill` writes. Keeps the thread.
    ///
    /// # Errors
    /// [`Code::InvalidValue`] when it is none, [`Code::LimitExceeded`], [`Code::StorageFull`], [`Code::Storage`].
    pub fn keep_snapshot(&self, fill: &mut Fill<'_>) -> Result<SnapshotView> {
        let id = self.new_id();
        self.snapshots.write(&id, fill)?;
        self.snapshots.add(id, self.now().to_string()).map_err(|error| match error.code {
            Code::Damaged | Code::UnsupportedVersion => {
                let detail = format!("this is no snapshot that this server can use: {}", error.detail);
                // Any bytes may come; which of them are a snapshot no description can say.
                Error::new(Code::InvalidValue, detail).field("body").unfit()
            }
            _ => error,
        })
    }

    /// Deletes a snapshot, if there is one.
    ///
    /// # Errors
    /// [`Code::StorageFull`], [`Code::Storage`]. The snapshot is there as before then.
    pub fn delete_snapshot(&self, id: &str) -> Result<Option<SnapshotView>> {
        let mut all = self.snapshots.all();
        let Some(view) = all.remove(id) else { return Ok(None) };
        if let Err(error) = self.snapshots.write_list(&all) {
            all.insert(id.to_owned(), view);
            return Err(error);
        }
        self.snapshots.storage.remove(&format!("{id}{FILE}"))?;
        Ok(Some(view))
    }
}
