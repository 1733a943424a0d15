//! The world outside, as the engine asks for it: the time and new ids from the system, jobs on its cores.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

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

thread_local! {
    static GIVEN_UP: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Does work whose result nobody needs once `given_up` is true: from then on, jobs that have not begun are left out.
pub fn unless<T>(given_up: Option<Arc<AtomicBool>>, work: impl FnOnce() -> T) -> T {
    GIVEN_UP.set(given_up);
    let result = work();
    GIVEN_UP.set(None);
    result
}

/// All cores.
#[derive(Clone, Copy, Debug, Default)]
pub struct RayonPool;

impl Pool for RayonPool {
    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        let given_up = GIVEN_UP.with_borrow(Clone::clone);
        let wanted = || !given_up.as_ref().is_some_and(|given_up| given_up.load(Ordering::Relaxed));
        let job = |number| {
            if wanted() {
                job(number);
            }
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_nobody_waits_for_is_left_out() {
        let given_up = Arc::new(AtomicBool::new(false));
        let count = |given_up: &Arc<AtomicBool>| {
            let done = std::sync::atomic::AtomicUsize::new(0);
            let job = |_| {
                if done.fetch_add(1, Ordering::Relaxed) == 9 {
                    given_up.store(true, Ordering::Relaxed);
                }
            };
            unless(Some(Arc::clone(given_up)), || RayonPool.run(100_000, &job));
            done.into_inner()
        };
        let done = count(&given_up);
        assert!((10..100_000).contains(&done), "{done}");
        assert_eq!(count(&given_up), 0);
        let done = std::sync::atomic::AtomicUsize::new(0);
        RayonPool.run(100, &|_| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 100, "what comes after on the same thread is done");
    }
}
