//! Kills a real server again and again; `cargo xtask crash` calls it.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use vecino_tests::crash::{self, Options};

/// A real server under clients that write, killed with SIGKILL, restarted, and compared with what the clients were told.
///
/// Ends with 0 when nothing acknowledged was lost and nothing was half done.
#[derive(Parser)]
#[command(name = "cargo xtask crash")]
struct Cli {
    /// For how long.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Seconds between two throws of the dice.
    #[arg(long, default_value_t = 1.5)]
    every: f64,
    /// How probable a kill is at each.
    #[arg(long, default_value_t = 0.3)]
    probability: f64,
    /// Clients that write at the same time.
    #[arg(long, default_value_t = 6)]
    writers: usize,
    /// What the dice show.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Make calls of the system fail as well: no room, errors of the disk, short writes (Linux).
    #[arg(long)]
    faults: bool,
    /// Put the folder on a file system of its own with so many MiB, which gets full (Linux).
    #[arg(long, value_name = "MIB", conflicts_with = "folder")]
    room: Option<f64>,
    /// Kept for a look at it; otherwise a folder that is removed at the end.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(tally) => {
            println!("{tally}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("error: {what}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<crash::Tally, String> {
    let words = |error: std::io::Error| error.to_string();
    let own = tempfile::tempdir().map_err(words)?;
    let mut options = Options {
        program: crash::program_beside(&std::env::current_exe().map_err(words)?)?,
        folder: cli.folder.clone().unwrap_or_else(|| own.path().join("data")),
        time: Duration::from_secs_f64(cli.minutes.max(0.0) * 60.0),
        every: Duration::from_secs_f64(cli.every.max(0.01)),
        probability: cli.probability.clamp(0.01, 1.0),
        writers: cli.writers.max(1),
        seed: cli.seed,
        faults: cli.faults,
    };
    #[cfg(target_os = "linux")]
    let disk = cli.room.map(|mib| crash::SmallDisk::mount((mib.max(0.1) * 1_048_576.0) as u64, &options.program)).transpose()?;
    #[cfg(target_os = "linux")]
    if let Some(disk) = &disk {
        (options.program, options.folder) = (disk.program(), disk.folder());
    }
    #[cfg(not(target_os = "linux"))]
    if cli.room.is_some() {
        return Err("small file systems are mounted on Linux only".to_owned());
    }
    crash::run(&options, |tally| {
        if tally.kills.is_multiple_of(20) {
            println!("{} kills, {} writes acknowledged", tally.kills, tally.acknowledged);
        }
    })
}
