//! Random histories on a disk that fails, against a naive model: what was acknowledged is there after every crash, and nothing
//! is half there.
//!
//! A seed is a history: groups of random commands, checkpoints, orderly ends, a second process that tries its luck, a full
//! disk, failing calls, and crashes in the middle of any call, also while the log is being recovered. After every crash the
//! state must be the one after some record that was submitted, not before the last one that was acknowledged; it must have the
//! bytes that the same records give without any crash, and answer as the model does. Now and then a bit of a copy of the disk
//! is flipped: that copy may refuse to open, saying what is damaged, but must not show anything else.

mod commands;
mod compare;
mod disk;
mod inode;
mod plant;
mod process;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

pub use disk::{End, SimDisk, SimFile, SimLock, Weather};
pub use plant::Plant;

/// Events that a failure tells.
const TOLD: usize = 16;

/// What came of histories that went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Histories.
    pub seeds: u64,
    /// Crashes of both kinds, those during a recovery included.
    pub crashes: u64,
    /// Of these, the crashes that lost the page cache.
    pub power_cuts: u64,
    /// Of these, the crashes while a folder was being opened.
    pub in_recovery: u64,
    /// Records that were acknowledged.
    pub acknowledged: u64,
    /// Records that were submitted and not acknowledged.
    pub unacknowledged: u64,
    /// Writes and checkpoints that failed without a crash.
    pub failed_calls: u64,
    /// Checkpoints that were written.
    pub checkpoints: u64,
    /// Times that zeros were prepared for a segment.
    pub prepared: u64,
    /// Times that an index took in what waited for it.
    pub index_jobs: u64,
    /// Recoveries that cut a torn tail off.
    pub torn_tails: u64,
    /// Copies with a flipped bit.
    pub rotted: u64,
    /// Of these, the copies that were refused as damaged.
    pub rot_found: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.crashes += other.crashes;
        self.power_cuts += other.power_cuts;
        self.in_recovery += other.in_recovery;
        self.acknowledged += other.acknowledged;
        self.unacknowledged += other.unacknowledged;
        self.failed_calls += other.failed_calls;
        self.checkpoints += other.checkpoints;
        self.prepared += other.prepared;
        self.index_jobs += other.index_jobs;
        self.torn_tails += other.torn_tails;
        self.rotted += other.rotted;
        self.rot_found += other.rot_found;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seeds, crashes, power_cuts, in_recovery, .. } = self;
        writeln!(f, "{seeds} seeds, {crashes} crashes ({power_cuts} power cuts; {in_recovery} while recovering)")?;
        let Self { acknowledged, unacknowledged, failed_calls, checkpoints, prepared, index_jobs, torn_tails, .. } = self;
        writeln!(f, "{acknowledged} records acknowledged, {unacknowledged} not; {failed_calls} failures without a crash")?;
        writeln!(f, "{checkpoints} checkpoints, {prepared} segments prepared, {index_jobs} index jobs")?;
        writeln!(
            f,
            "{torn_tails} torn tails cut; {} of {} flipped bits refused as damage, the others changed nothing",
            self.rot_found, self.rotted
        )?;
        write!(f, "0 acknowledged records lost, 0 phantoms, 0 folders that cannot be opened")
    }
}

/// A history that went wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// Its crashes.
    pub crashes: u64,
    /// What is wrong.
    pub what: String,
    /// What happened last.
    pub story: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for event in &self.story {
            writeln!(f, "  {event}")?;
        }
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        write!(f, "replay it with: cargo xtask sim --seed {} --crashes {}", self.seed, self.crashes)
    }
}

/// Runs the history of one seed until it has had so many crashes.
///
/// # Errors
/// What was lost, or shown though it never happened, or cannot be opened; also when the engine panicked.
pub fn run(seed: u64, crashes: u64, plant: Option<Plant>) -> Result<Tally, Failure> {
    told(seed, crashes, plant, None).map_err(|what| {
        // The same once more, told.
        let mut story = Vec::new();
        let again = told(seed, crashes, plant, Some(&mut story));
        let what = if again.is_err() { what } else { format!("{what}; and the second time it went well") };
        story.drain(..story.len().saturating_sub(TOLD));
        Failure { seed, crashes, what, story }
    })
}

fn told(seed: u64, crashes: u64, plant: Option<Plant>, story: Option<&mut Vec<String>>) -> Result<Tally, String> {
    catch_unwind(AssertUnwindSafe(|| world::run(seed, crashes, plant, story))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("it panicked: {}", text.unwrap_or("without a word")))
    })
}

/// Runs seeds `from`, `from + 1`, ... on every core: `count` of them, or until `limit` has passed.
///
/// # Errors
/// The first history that went wrong.
pub fn run_many(from: u64, count: u64, crashes: u64, limit: Option<Duration>) -> Result<Tally, Failure> {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..cores {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                while limit.is_none_or(|limit| begun.elapsed() < limit) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count || sender.send(run(from + number, crashes, None)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut total = Tally::default();
        for result in results {
            match result {
                Ok(tally) => total.add(&tally),
                Err(failure) => {
                    next.store(count, Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
        Ok(total)
    })
}
