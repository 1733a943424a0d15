//! The locks of the commit queue: those of the standard library. Its test under loom puts loom's in their place.

pub(super) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
