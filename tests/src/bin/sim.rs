//! Runs simulated histories; `cargo xtask sim` calls it.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use vecino_tests::sim;

/// Random histories on a simulated disk that loses what was not synced.
///
/// Ends with 0 when every history went well. A history that went wrong is told with the command that replays it.
#[derive(Parser)]
#[command(name = "cargo xtask sim")]
struct Cli {
    /// How many seeds.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Stop after so many minutes, however many seeds are done.
    #[arg(long)]
    minutes: Option<f64>,
    /// Run this seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Crashes of each seed.
    #[arg(long, default_value_t = 100)]
    crashes: u64,
}

fn main() -> ExitCode {
    let Cli { seeds, minutes, seed, from, crashes } = Cli::parse();
    let begun = Instant::now();
    let limit = minutes.map(|minutes| Duration::from_secs_f64(minutes.max(0.0) * 60.0));
    let result = match seed {
        Some(seed) => sim::run(seed, crashes, None),
        // A panic becomes a failure with its seed; the backtrace is had by replaying it.
        None => sim::run_many(from, seeds, crashes, limit),
    };
    match result {
        Ok(tally) => {
            println!("{tally}");
            let rate = tally.crashes as f64 / begun.elapsed().as_secs_f64();
            println!("in {:.1} s, {rate:.0} crashes a second", begun.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
