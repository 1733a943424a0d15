//! What writes a group: plan, append once, sync once, publish, answer.

use std::{sync::Arc, time::Instant};

use vecino_engine::{Error, Result, codec::Frame, db::Written, journal::Journal, plan::Plan, state::State, storage::Storage};

use crate::metrics::METRICS;

use super::{
    LOGGED_DELAY,
    order::{Durability, Order, deletes, interrupted},
    space::{Space, allowed},
};

/// The log, and the state that runs ahead of it while a group is planned.
#[derive(Debug)]
pub(super) struct Writer<S> {
    /// `None` once it is closed.
    pub(super) journal: Option<Journal<S>>,
    /// The state after the last record planned. Between two groups it is what readers see.
    working: State,
    frame: Frame,
    space: Space,
    /// Whether a command of the present group deletes.
    deletes: bool,
    /// Since when there are records that are not synced.
    unsynced: Option<Instant>,
}

/// A group that was written.
pub(super) struct Done {
    /// What each of its orders came to.
    pub(super) results: Vec<Result<()>>,
    /// The state for readers, where it changed.
    pub(super) state: Option<Arc<State>>,
    /// Whether something was deleted.
    pub(super) deleted: bool,
}

impl<S: Storage> Writer<S> {
    pub(super) fn new(journal: Journal<S>, state: State, reserve: u64) -> Self {
        Self {
            journal: Some(journal),
            working: state,
            frame: Frame::default(),
            space: Space::new(reserve),
            deletes: false,
            unsynced: None,
        }
    }

    /// Writes a group. `published` is what readers see now, to go back to when it fails.
    pub(super) fn write(&mut self, group: &mut [Box<dyn Order>], published: &dyn Fn() -> Arc<State>) -> Done {
        let before = self.working.seq();
        let results = self.plan(group);
        let synced = group.iter().any(|order| order.durability() == Durability::Synced)
            || self.unsynced.is_some_and(|since| since.elapsed() >= LOGGED_DELAY);
        match self.append(synced) {
            Ok(()) => {
                let changed = self.working.seq() != before;
                Done { results, state: changed.then(|| Arc::new(self.working.clone())), deleted: self.deletes }
            }
            Err(error) => {
                self.working = (*published()).clone();
                Done { results: group.iter().map(|_| Err(error.clone())).collect(), state: None, deleted: false }
            }
        }
    }

    /// Plans each order on top of the ones before, into the frame and the working state. One that is refused leaves no trace.
    fn plan(&mut self, group: &mut [Box<dyn Order>]) -> Vec<Result<()>> {
        self.frame.clear();
        self.deletes = false;
        let journal = self.journal.as_ref();
        let refusal = journal.and_then(|journal| self.space.refusal(journal.storage()));
        group.iter_mut().map(|order| self.plan_one(&mut **order, refusal.as_ref())).collect()
    }

    fn plan_one(&mut self, order: &mut dyn Order, refusal: Option<&Error>) -> Result<()> {
        let command = order.command().ok_or_else(interrupted)?;
        let deletes = deletes(&command);
        allowed(refusal, deletes)?;
        let Plan { record, skipped, affected } = self.working.plan(command)?;
        if let Some(record) = record {
            self.frame.push(&record)?;
            self.deletes |= deletes;
            self.working.apply(self.working.seq() + 1, record);
        }
        order.planned(&self.working, Written { seq: self.working.seq(), skipped, affected });
        Ok(())
    }

    fn append(&mut self, synced: bool) -> Result<()> {
        let journal = self.journal.as_mut().ok_or_else(super::closed)?;
        if !self.frame.is_empty() {
            self.space.took(self.frame.len());
            journal.append(&mut self.frame)?;
        }
        if synced {
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

    /// Changes what is derived from the log and not in it.
    pub(super) fn amend<T>(&mut self, change: impl FnOnce(&mut State) -> T) -> (T, Arc<State>) {
        let value = change(&mut self.working);
        (value, Arc::new(self.working.clone()))
    }
}
