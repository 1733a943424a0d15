//! How fast writes become durable, and what readers notice of it.
//!
//! Everything that is compared is measured in one run, in turns, since a disk has moods: each figure is the median over the
//! rounds. Writes go to one document of one library, the case in which writers are most in each other's way.

mod http;
mod local;
mod readers;
mod recovery;

use std::{
    env,
    fs::OpenOptions,
    io::{Seek as _, Write as _},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use vecino_server::memory::use_small_pages;

/// What `vecino-bench ingest` can be told.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct IngestArgs {
    /// The folder on the disk to be measured; a temporary one is made in it [default: the present folder].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Numbers of a vector.
    #[arg(long, default_value_t = 384)]
    dimension: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How often each measurement is taken.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Writers or connections at once, apart from one.
    #[arg(long, value_delimiter = ',', default_values_t = [8, 64])]
    writers: Vec<usize>,
    /// The server program [default: `vecino` beside this program].
    #[arg(long, value_name = "FILE")]
    server_bin: Option<PathBuf>,
    /// Chunks of the library that is searched, snapshot and brought back.
    #[arg(long, default_value_t = 100_000)]
    chunks: usize,
    /// As if each sync of the log took so many milliseconds longer, on the bare disk and in this process: other disks are slower.
    #[arg(long, default_value_t = 0.0)]
    slower_ms: f64,
    /// Leave out some measurements.
    #[arg(long, value_delimiter = ',')]
    skip: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Writers in this process.
    Local,
    /// Connections to a server.
    Http,
    /// Searches beside writes and snapshots.
    Readers,
    /// Opening a folder.
    Recovery,
}

type Run = fn(&Bench) -> Result<()>;

/// `vecino-bench ingest`.
pub(crate) fn run(args: &IngestArgs) -> Result<()> {
    let parts: [(Part, Run); 4] =
        [(Part::Local, local::run), (Part::Http, http::run), (Part::Readers, readers::run), (Part::Recovery, recovery::run)];
    // As the server.
    use_small_pages();
    let parent = args.dir.clone().map_or_else(env::current_dir, Ok)?;
    for (part, run) in parts {
        if !args.skip.contains(&part) {
            let folder = tempfile::Builder::new().prefix("vecino-ingest-").tempdir_in(&parent);
            run(&Bench { args: args.clone(), folder: folder.with_context(|| format!("no folder in {}", parent.display()))? })?;
        }
    }
    Ok(())
}

/// What all measurements share.
struct Bench {
    args: IngestArgs,
    folder: TempDir,
}

impl Bench {
    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.args.seconds)
    }

    /// What the disk is slower by.
    fn slower(&self) -> Duration {
        Duration::from_secs_f64(self.args.slower_ms / 1e3)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Prints a line.
    fn say(&self, figures: Value) {
        let mut line = json!({"bench": "ingest", "command": env::args().collect::<Vec<_>>().join(" ")});
        if let (Some(line), Value::Object(figures)) = (line.as_object_mut(), figures) {
            line.extend(figures);
        }
        println!("{line}");
    }

    /// The numbers of writers to be measured, one first.
    fn writers(&self) -> Vec<usize> {
        let mut all = vec![1];
        all.extend(self.args.writers.iter().filter(|count| **count > 1));
        all
    }
}

/// A vector that no other number gives.
fn vector(number: usize, dimension: usize) -> Vec<f32> {
    let mut state = number as u32 ^ 0x9E37_79B9;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..dimension).map(|_| next()).collect()
}

/// How a file that is written to has got its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// By the writes.
    Grows,
    /// The file system has allocated it before.
    Allocated,
    /// Zeros were written there before.
    Written,
}

/// The bare disk: writes of `bytes` bytes one behind the other, each followed by fdatasync, as if that took so much longer. Their
/// latencies in seconds.
fn bare(bench: &Bench, bytes: usize, length: Length, slower: Duration) -> Result<Vec<f64>> {
    let (path, time) = (bench.path("bare"), bench.time());
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    match length {
        Length::Grows => {}
        Length::Allocated => rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, PREPARED as u64)?,
        Length::Written => file.write_all(&vec![0; PREPARED])?,
    }
    file.sync_all()?;
    file.rewind()?;
    let block = vec![0xA5; bytes];
    let mut took = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < time {
        let at = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        thread::sleep(slower);
        took.push(at.elapsed().as_secs_f64());
    }
    std::fs::remove_file(path)?;
    Ok(took)
}

/// Bytes of a file that has its length before it is written to.
const PREPARED: usize = 64 << 20;

/// What a series of latencies, in seconds, comes to.
fn summary(mut took: Vec<f64>, seconds: f64) -> Value {
    took.sort_unstable_by(f64::total_cmp);
    let micros = |share: f64| (percentile(&took, share) * 1e6).round();
    json!({
        "per_second": (took.len() as f64 / seconds).round(),
        "p50_us": micros(0.5), "p99_us": micros(0.99), "max_us": micros(1.0),
    })
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((share * last as f64).round() as usize).copied().unwrap_or_default()
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    percentile(&values, 0.5)
}

/// Latencies of several rounds of one thing.
#[derive(Default)]
struct Rounds {
    rates: Vec<f64>,
    took: Vec<f64>,
    seconds: f64,
    /// Syncs of the log, where they are counted.
    syncs: u64,
}

impl Rounds {
    fn add(&mut self, took: Vec<f64>, seconds: f64) {
        self.rates.push(took.len() as f64 / seconds);
        self.took.extend(took);
        self.seconds += seconds;
    }

    /// The median rate of the rounds, per second.
    fn rate(&self) -> f64 {
        median(self.rates.iter().copied())
    }

    /// The median latency in seconds.
    fn p50(&self) -> f64 {
        median(self.took.iter().copied())
    }

    fn summary(&self) -> Value {
        let mut figures = summary(self.took.clone(), self.seconds);
        figures["median_per_second"] = json!(self.rate().round());
        if self.syncs > 0 {
            figures["writes_per_sync"] = json!(round(self.took.len() as f64 / self.syncs as f64));
        }
        figures
    }
}

/// Says how the writers compare: each count with one, and one with the bare disk.
fn compare(bench: &Bench, how: &str, log_bytes: usize, bare: &Rounds, counted: &[(usize, Rounds)]) {
    bench.say(json!({"what": "write+fdatasync", "beside": how, "bytes": log_bytes, "figures": bare.summary()}));
    for (count, rounds) in counted {
        bench.say(json!({"what": how, "writers": count, "dimension": bench.args.dimension, "figures": rounds.summary()}));
    }
    let Some((_, one)) = counted.first() else { return };
    let times: Vec<Value> =
        counted.iter().map(|(count, rounds)| json!({"writers": count, "times_one": round(rounds.rate() / one.rate())})).collect();
    bench.say(json!({
        "what": format!("{how}: ratios"),
        "one_to_bare_rate": round(bare.rate() / one.rate()), "one_to_bare_p50": round(one.p50() / bare.p50()), "many": times,
    }));
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
