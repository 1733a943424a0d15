//! How much a key may ask at once and in a second.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What each key may use.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Requests a second, and at one moment; `None` for any number.
    pub per_second: Option<NonZeroU32>,
    /// Requests that are worked on at once.
    pub at_once: u32,
}

/// The allowance of one key, and what is used of it.
pub struct KeyLimits {
    rate: Option<DefaultDirectRateLimiter>,
    at_once: Arc<Semaphore>,
}

impl fmt::Debug for KeyLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLimits").field("at_once", &self.at_once).finish_non_exhaustive()
    }
}

impl KeyLimits {
    /// Nothing used yet.
    pub fn new(allowance: Allowance) -> Self {
        let rate = allowance.per_second.map(|rate| RateLimiter::direct(Quota::per_second(rate)));
        Self { rate, at_once: Arc::new(Semaphore::new(allowance.at_once as usize)) }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// How long to wait before the next one.
    pub fn count(&self) -> Result<(), Duration> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.check().map_err(|early| early.wait_time_from(DefaultClock::default().now()))
    }

    /// Leave to work on a request, until it is dropped; `None` when too many are worked on.
    pub fn begin(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.at_once).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowance_is_used_up_and_comes_back() {
        let limits = KeyLimits::new(Allowance { per_second: NonZeroU32::new(2), at_once: 1 });
        assert!(limits.count().is_ok() && limits.count().is_ok());
        let wait = limits.count().unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        let first = limits.begin();
        assert!(first.is_some() && limits.begin().is_none());
        drop(first);
        assert!(limits.begin().is_some());
    }
}
