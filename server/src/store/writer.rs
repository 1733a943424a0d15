//! What writes a group: it is planned ahead of the log, then appended and synced at once.

use std::{sync::Arc, time::Instant};

use vecino_engine::{Error, Result, codec::Frame, db::Written, journal::Journal, plan::Plan, state::State, storage::Storage};

use crate::metrics::METRICS;

use super::{
    LOGGED_DELAY,
    order::{Durability, Order, deletes, interrupted},
    space::{Space, allowed},
};

/// The state that runs ahead of the log, and what the log is to be given.
#[derive(Debug)]
pub(super) struct Planner {
    /// The state after the last record planned. While nothing is planned or written it is what readers see.
    working: State,
    /// Of the group that is planned.
    frame: Frame,
    deletes: bool,
    synced: bool,
    space: Space,
    /// Why only deletions may be planned, if that is so.
    refusal: Option<Error>,
    /// How many groups had failed when the working state was taken from the published one.
    failures: u64,
}

/// A group that was planned, but for its frame.
#[derive(Debug)]
pub(super) struct Planned {
    /// The state for readers once it is written, where it changes.
    pub(super) state: Option<Arc<State>>,
    /// Whether something is deleted.
    pub(super) deletes: bool,
    /// Whether it is to be synced.
    synced: bool,
}

impl Planner {
    pub(super) fn new(state: State, reserve: u64) -> Self {
        Self {
            working: state,
            frame: Frame::default(),
            deletes: false,
            synced: false,
            space: Space::new(reserve),
            refusal: None,
            failures: 0,
        }
    }

    /// Begins a group.
    pub(super) fn begin(&mut self, storage: &impl Storage, failures: u64, published: &dyn Fn() -> Arc<State>) {
        self.catch_up(failures, published);
        self.frame.clear();
        (self.deletes, self.synced) = (false, false);
        self.refusal = self.space.refusal(storage);
    }

    /// If `failures` tells that a group has failed since, drops what was planned on top of it: the published state is the working
    /// state again. Whether that was so.
    pub(super) fn catch_up(&mut self, failures: u64, published: &dyn Fn() -> Arc<State>) -> bool {
        let behind = self.failures != failures;
        if behind {
            self.working = (*published()).clone();
            self.failures = failures;
        }
        behind
    }

    /// Plans an order on top of the ones before, into the frame and the working state. One that is refused leaves no trace.
    pub(super) fn plan(&mut self, order: &mut dyn Order) -> Result<()> {
        self.synced |= order.durability() == Durability::Synced;
        let command = order.command().ok_or_else(interrupted)?;
        let deletes = deletes(&command);
        allowed(self.refusal.as_ref(), deletes)?;
        let Plan { record, skipped, affected } = self.working.plan(command)?;
        if let Some(record) = record {
            self.frame.push(&record)?;
            self.deletes |= deletes;
            self.working.apply(self.working.seq() + 1, record);
        }
        order.planned(&self.working, Written { seq: self.working.seq(), skipped, affected });
        Ok(())
    }

    /// Hands the group over to the log, which is to write it. The next one can be begun.
    pub(super) fn hand_over<S>(&mut self, log: &mut Log<S>) -> Planned {
        std::mem::swap(&mut self.frame, &mut log.frame);
        let changed = !log.frame.is_empty();
        if changed {
            self.space.took(log.frame.len());
        }
        Planned { state: changed.then(|| Arc::new(self.working.clone())), deletes: self.deletes, synced: self.synced }
    }

    /// Changes what is derived from the log and not in it, while nothing is planned or written.
    pub(super) fn amend<T>(&mut self, change: impl FnOnce(&mut State) -> T) -> (T, Arc<State>) {
        let value = change(&mut self.working);
        (value, Arc::new(self.working.clone()))
    }
}

/// The log as it is written.
#[derive(Debug)]
pub(super) struct Log<S> {
    /// `None` once it is closed.
    pub(super) journal: Option<Journal<S>>,
    /// Of the group that is written.
    frame: Frame,
    /// Since when there are records that are not synced.
    unsynced: Option<Instant>,
    /// Why the last group that failed did.
    pub(super) failure: Option<Error>,
}

impl<S: Storage> Log<S> {
    pub(super) fn new(journal: Journal<S>) -> Self {
        Self { journal: Some(journal), frame: Frame::default(), unsynced: None, failure: None }
    }

    /// Writes the group that was handed over.
    pub(super) fn write(&mut self, planned: &Planned) -> Result<()> {
        let written = self.append(planned.synced);
        if let Err(error) = &written {
            // What was not synced is cut off now, or never will be synced.
            (self.unsynced, self.failure) = (None, Some(error.clone()));
        }
        written
    }

    fn append(&mut self, synced: bool) -> Result<()> {
        let journal = self.journal.as_mut().ok_or_else(super::closed)?;
        if !self.frame.is_empty() {
            journal.append(&mut self.frame)?;
        }
        if synced || self.unsynced.is_some_and(|since| since.elapsed() >= LOGGED_DELAY) {
            let begun = Instant::now();
            journal.sync()?;
            METRICS.sync(begun.elapsed());
        }
        self.unsynced = (journal.unsynced() > 0).then(|| self.unsynced.unwrap_or_else(Instant::now));
        Ok(())
    }

    /// When what is not synced has to be.
    pub(super) fn due(&self) -> Option<Instant> {
        self.unsynced.map(|since| since + LOGGED_DELAY)
    }
}
