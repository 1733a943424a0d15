//! The thread that unloads what nobody asks for, so that many libraries cost little.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use vecino_engine::{Result, model::Id, shelf::Shelf, storage::Storage};

use super::{Shared, interrupted};
use crate::memory::Memory;

/// How often the thread looks whether memory is short.
const LOOK: Duration = Duration::from_secs(1);

/// When to unload what, and where it can be opened again.
#[derive(Debug)]
pub(super) struct Unloader {
    shelf: Shelf,
    /// Zero for never.
    after: Duration,
    memory: Arc<Memory>,
    closed: Mutex<bool>,
    changed: Condvar,
}

impl Unloader {
    pub(super) fn new(shelf: Shelf, after: Duration, memory: Arc<Memory>) -> Self {
        Self { shelf, after, memory, closed: Mutex::default(), changed: Condvar::new() }
    }

    /// Ends the thread.
    pub(super) fn close(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for the next look; `false` at the end.
    fn wait(&self) -> bool {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = if self.after.is_zero() { LOOK } else { LOOK.min(self.after) };
        !*self.changed.wait_timeout_while(closed, pause, |closed| !*closed).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl<S: Storage + Send + Sync + 'static> Shared<S> {
    /// The thread. A library is idle when nobody has asked for it between two looks.
    pub(super) fn unload_idle(&self) {
        let mut looked = Instant::now();
        while self.unloader.wait() {
            let short = self.unloader.memory.is_short();
            if short {
                self.schedule.hasten(&self.state());
            }
            let due = !self.unloader.after.is_zero() && looked.elapsed() >= self.unloader.after;
            if due || short {
                looked = Instant::now();
                match self.unload() {
                    Ok(0) => {}
                    Ok(libraries) => tracing::debug!(libraries, short, "idle libraries are unloaded"),
                    Err(error) => tracing::error!(%error, "idle libraries cannot be unloaded"),
                }
            }
        }
    }

    /// Unloads the libraries that nobody has asked for since the last call, where a snapshot holds them as they are. How many there
    /// were.
    pub(super) fn unload(&self) -> Result<usize> {
        // What is on the shelf must not be removed by a checkpoint meanwhile.
        let _one = self.checkpointing.lock().map_err(|_| interrupted())?;
        let state = self.state();
        let idle = state.holdings().filter(|holding| holding.loaded().is_some()).filter(|holding| !holding.was_used());
        let idle: Vec<Id> = idle.map(|holding| holding.id().clone()).collect();
        drop(state);
        if idle.is_empty() {
            return Ok(0);
        }
        let known = self.schedule.known();
        self.amend(|state| idle.iter().filter(|library| known.shelve(state, library, &self.unloader.shelf)).count())
    }
}
