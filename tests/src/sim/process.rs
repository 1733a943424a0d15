//! A process that has the simulated folder open: the engine's parts as the server puts them together.

use std::{cell::RefCell, mem, sync::Arc};

use vecino_engine::{
    Error, Result,
    blob::Blob,
    checkpoint::{Checkpointed, Checkpoints},
    codec::Frame,
    journal::{Cut, Journal, Opened, Recovery},
    record::Record,
    shelf::Shelf,
    state::State,
    storage::{Fill, Storage},
};
use vecino_server::storage::FileStorage;

use super::disk::SimDisk;

type Files = Arc<FileStorage<SimDisk>>;

/// Bytes of snapshots that are opened with the log; what is beyond is opened when it is asked for.
const OPEN_BYTES: u64 = 2_000;

thread_local! {
    /// Damage that was repaired when libraries were opened later than the log.
    static REPAIRED: RefCell<Vec<Error>> = const { RefCell::new(Vec::new()) };
}

/// A state and its journal.
#[derive(Debug)]
pub(super) struct Process {
    journal: Journal<Files>,
    checkpoints: Checkpoints,
    /// What readers see.
    pub(super) state: State,
}

/// When a write is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// When the operating system has it.
    Logged,
    /// When it is on the disk.
    Synced,
}

/// A checkpoint that has begun: all that it needs, so that writing goes on beside it.
pub(super) struct Checkpointing {
    files: Files,
    checkpoints: Checkpoints,
    state: State,
    cut: Cut,
}

impl Process {
    /// Opens the folder, and then every library that is still shelved.
    pub(super) fn open(disk: SimDisk) -> Result<(Self, Recovery)> {
        let files = Arc::new(FileStorage::own(disk)?);
        let shelf = Shelf::new(Arc::clone(&files) as Arc<dyn Storage + Send + Sync>, OPEN_BYTES, |damage| {
            REPAIRED.with_borrow_mut(|repaired| repaired.push(damage.clone()));
        });
        REPAIRED.take();
        let Opened { journal, checkpoints, state, mut recovery } = Journal::open_with(files, Some(&shelf))?;
        state.holdings().try_for_each(|holding| holding.library().map(drop))?;
        recovery.repaired.extend(REPAIRED.take());
        Ok((Self { journal, checkpoints, state }, recovery))
    }

    pub(super) fn set_segment_bytes(&mut self, bytes: u64) {
        self.journal.set_segment_bytes(bytes);
    }

    /// Has zeros ready for the next segment.
    pub(super) fn prepare(&mut self, bytes: u64) -> Result<()> {
        self.journal.storage().prepare(bytes)
    }

    /// Writes records as one step, then shows the state after them.
    pub(super) fn commit(&mut self, records: &[Record], after: &State, durability: Durability) -> Result<u64> {
        let mut frame = Frame::default();
        records.iter().try_for_each(|record| frame.push(record))?;
        let first = self.journal.append(&mut frame)?;
        if durability == Durability::Synced {
            self.journal.sync()?;
        }
        self.state = after.clone();
        Ok(first)
    }

    pub(super) fn begin_checkpoint(&mut self) -> Result<Checkpointing> {
        let cut = self.journal.cut()?;
        let (files, checkpoints) = (Arc::clone(self.journal.storage()), mem::take(&mut self.checkpoints));
        Ok(Checkpointing { files, checkpoints, state: self.state.clone(), cut })
    }

    pub(super) fn finish_checkpoint(&mut self, done: Checkpointing, written: bool) {
        self.checkpoints = done.checkpoints;
        if written {
            self.journal.forget(&done.cut);
        }
    }

    pub(super) fn close(self) -> Result<()> {
        self.journal.close().map(drop)
    }

    pub(super) fn failure(&self) -> Option<&Error> {
        self.journal.failure()
    }
}

impl Checkpointing {
    /// Sequence of the last record that it will hold.
    pub(super) fn seq(&self) -> u64 {
        self.state.seq()
    }

    /// Writes the snapshots; before each of its calls, something else happens.
    pub(super) fn write(&mut self, meanwhile: impl FnMut()) -> Result<Checkpointed> {
        let files = Interrupted { files: &self.files, meanwhile: RefCell::new(meanwhile) };
        self.checkpoints.write(&files, &self.state)
    }
}

/// Files, with something else before each call that changes any.
struct Interrupted<'a, F> {
    files: &'a Files,
    meanwhile: RefCell<F>,
}

impl<F: FnMut()> Storage for Interrupted<'_, F> {
    fn list(&self) -> Result<Vec<String>> {
        self.files.list()
    }

    fn read(&self, name: &str) -> Result<Option<Blob>> {
        self.files.read(name)
    }

    fn write(&self, name: &str, fill: &mut Fill<'_>) -> Result<()> {
        self.meanwhile.borrow_mut()();
        self.files.write(name, fill)
    }

    fn begin(&self, name: &str, bytes: &[u8]) -> Result<u64> {
        self.files.begin(name, bytes)
    }

    fn append(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        self.files.append(name, at, bytes)
    }

    fn sync(&self, name: &str) -> Result<()> {
        self.files.sync(name)
    }

    fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.files.truncate(name, len)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.meanwhile.borrow_mut()();
        self.files.remove(name)
    }
}
