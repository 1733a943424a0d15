//! A process that has the simulated folder open: the engine's parts as the server puts them together.

use vecino_engine::{
    Error, Result,
    checkpoint::{Checkpointed, Checkpoints},
    codec::Frame,
    journal::{Journal, Opened, Recovery},
    record::Record,
    state::State,
};
use vecino_server::storage::FileStorage;

use super::disk::SimDisk;

/// A state and its journal.
#[derive(Debug)]
pub(super) struct Process {
    journal: Journal<FileStorage<SimDisk>>,
    checkpoints: Checkpoints,
    /// What readers see.
    pub(super) state: State,
}

impl Process {
    pub(super) fn open(disk: SimDisk) -> Result<(Self, Recovery)> {
        let Opened { journal, checkpoints, state, recovery } = Journal::open(FileStorage::own(disk)?)?;
        Ok((Self { journal, checkpoints, state }, recovery))
    }

    /// Writes records as one step, then shows the state after them.
    pub(super) fn commit(&mut self, records: &[Record], after: &State) -> Result<u64> {
        let mut frame = Frame::default();
        records.iter().try_for_each(|record| frame.push(record))?;
        let first = self.journal.append(&mut frame)?;
        self.journal.sync()?;
        self.state = after.clone();
        Ok(first)
    }

    pub(super) fn checkpoint(&mut self) -> Result<Checkpointed> {
        let cut = self.journal.cut()?;
        let done = self.checkpoints.write(self.journal.storage(), &self.state)?;
        self.journal.forget(&cut);
        Ok(done)
    }

    pub(super) fn close(self) -> Result<()> {
        self.journal.close().map(drop)
    }

    pub(super) fn failure(&self) -> Option<&Error> {
        self.journal.failure()
    }
}
