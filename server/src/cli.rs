//! What the program can be told on the command line.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::{
    commands::{backup, check, export, health, import, query},
    config::{self, ServeArgs},
    serve,
};

/// A vector database: one engine and one file, on a server and in a browser tab.
#[derive(Debug, Parser)]
#[command(name = "vecino", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

/// How a command speaks.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Output {
    /// Write JSON instead of sentences.
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but results and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a data folder over HTTP.
    Serve(Box<ServeArgs>),
    /// Print the settings that `serve` would have, and where each comes from.
    Config(ConfigArgs),
    /// Write the lines of a JSONL file into a library.
    Import(import::ImportArgs),
    /// Save a library as a `.vecino` file.
    Export(export::ExportArgs),
    /// Search a `.vecino` file or a library of a server.
    Query(query::QueryArgs),
    /// Verify every checksum of a data folder.
    Check(check::CheckArgs),
    /// Keep the whole state as one archive, while the server goes on.
    Backup(backup::BackupArgs),
    /// Make a data folder from an archive.
    Restore(backup::RestoreArgs),
    /// Make a new data folder from what is intact in a damaged one.
    Repair(backup::RepairArgs),
    /// Ask a server whether it is well: exit code 0 if it is.
    Health(health::HealthArgs),
}

/// What `vecino config` can be told: the same as `vecino serve`.
#[derive(Args, Clone, Debug)]
struct ConfigArgs {
    #[command(flatten)]
    _settings: Box<ServeArgs>,
    /// Filled in when the line is read.
    #[arg(skip)]
    effective: config::Effective,
}

impl Cli {
    /// Where the settings go that the command prints, if it does.
    pub(crate) fn settings(&mut self) -> Option<&mut config::Effective> {
        match &mut self.command {
            Command::Config(args) => Some(&mut args.effective),
            _ => None,
        }
    }

    /// Does what was asked. Errors go to stderr as one line.
    pub fn run(self) -> ExitCode {
        let output = self.output;
        let result = match self.command {
            Command::Serve(args) => serve::run(&args, output),
            Command::Config(args) => config::print(&args.effective, output),
            Command::Import(args) => import::run(&args, output),
            Command::Export(args) => export::run(&args, output),
            Command::Query(args) => query::run(&args, output),
            Command::Check(args) => check::run(&args, output),
            Command::Backup(args) => backup::run(&args, output),
            Command::Restore(args) => backup::restore(&args, output),
            Command::Repair(args) => backup::repair(&args, output),
            Command::Health(args) => health::run(&args),
        };
        result.unwrap_or_else(|error| {
            eprintln!("vecino: {error:#}");
            ExitCode::FAILURE
        })
    }
}

/// Reads a size in bytes: a number alone, or with `KiB`, `MiB` or `GiB` (also `K`, `M`, `G`).
///
/// # Errors
/// A sentence that names the forms.
pub fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err("a size is a number of bytes, or one with KiB, MiB or GiB, such as 64MiB".to_owned()),
    };
    let number: u64 = digits.trim().parse().map_err(|_| "a size begins with a whole number, such as 64MiB".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "this size does not fit in 64 bits".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("2g"), Ok(2 << 30));
        assert_eq!(bytes("0"), Ok(0));
        for wrong in ["", "MiB", "-1", "1.5MiB", "10 apples", "99999999999GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
