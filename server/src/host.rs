//! The world outside, as the engine asks for it: the time and new ids from the system, jobs on its cores.

use std::time::{SystemTime, UNIX_EPOCH};

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use vecino_engine::{host::Host, model::Timestamp, pool::Pool};

/// The system's clock, and UUIDs of version 7.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemHost;

impl Host for SystemHost {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn new_id(&self) -> String {
        uuid::Uuid::now_v7().to_string()
    }
}

/// All cores.
#[derive(Clone, Copy, Debug, Default)]
pub struct RayonPool;

impl Pool for RayonPool {
    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        if jobs > 1 {
            (0..jobs).into_par_iter().for_each(job);
        } else {
            (0..jobs).for_each(job);
        }
    }
}

/// Runs what keeps a thread for long; within a runtime so that its other tasks go on.
pub(crate) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor::MultiThread};
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}
