//! Measures Vecino. Each command prints one line of JSON, with the command that made it.

mod retrieval;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measurements; each prints one line of JSON.
#[derive(Debug, Parser)]
#[command(name = "vecino-bench", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How good the answers are, against a judged collection.
    Retrieval(retrieval::RetrievalArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Retrieval(args) => retrieval::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vecino-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
