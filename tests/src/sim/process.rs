//! A process that has the simulated folder open: the engine's parts as the server puts them together.

use vecino_engine::{
    Error, Result,
    journal::{Checkpointed, Journal, Recovery},
    record::Record,
    state::State,
};
use vecino_server::storage::FileStorage;

use super::disk::SimDisk;

/// A state and its journal.
#[derive(Debug)]
pub(super) struct Process {
    journal: Journal<FileStorage<SimDisk>>,
    /// What readers see.
    pub(super) state: State,
}

impl Process {
    pub(super) fn open(disk: SimDisk) -> Result<(Self, Recovery)> {
        let (journal, state, recovery) = Journal::open(FileStorage::own(disk)?)?;
        Ok((Self { journal, state }, recovery))
    }

    /// Writes records as one step, then shows the state after them.
    pub(super) fn commit(&mut self, records: &[Record], after: &State) -> Result<u64> {
        let first = self.journal.append(&records.iter().collect::<Vec<_>>())?;
        self.state = after.clone();
        Ok(first)
    }

    pub(super) fn checkpoint(&mut self) -> Result<Checkpointed> {
        self.journal.checkpoint(&self.state)
    }

    pub(super) fn close(self) -> Result<()> {
        self.journal.close().map(drop)
    }

    pub(super) fn failure(&self) -> Option<&Error> {
        self.journal.failure()
    }
}
