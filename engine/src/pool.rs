//! The seam to threads: running independent jobs at once.
//!
//! No result may depend on how many threads a pool has: jobs are cut by the data alone, and their results are put together in
//! the order of the jobs.

use std::sync::OnceLock;

/// Runs independent jobs.
pub trait Pool: Sync {
    /// Whether nobody wants the result of long work any more. It may then end early, and its result is worth nothing.
    fn stopped(&self) -> bool {
        false
    }

    /// Calls `job(0)` to `job(jobs - 1)`, in any order and on any threads, and returns when all have returned.
    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync));
}

/// One job after the other, on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequential;

impl Pool for Sequential {
    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..jobs).for_each(job);
    }
}

/// Runs `job` for every number below `jobs` and returns the results in order.
pub fn map<T: Send + Sync>(pool: &dyn Pool, jobs: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let results: Vec<OnceLock<T>> = (0..jobs).map(|_| OnceLock::new()).collect();
    pool.run(jobs, &|number| {
        if let Some(place) = results.get(number) {
            let _ = place.set(job(number));
        }
    });
    results.into_iter().filter_map(OnceLock::into_inner).collect()
}
