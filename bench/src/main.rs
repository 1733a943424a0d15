//! Measures Vecino. Each command prints lines of JSON, with the command that made them.

mod ann;
mod bandwidth;
mod clock;
mod growth;
mod http;
mod index;
mod ingest;
mod library;
mod matrix;
mod npy;
mod retrieval;
mod rpc;
mod synthetic;
mod xvecs;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measurements, as lines of JSON.
#[derive(Parser)]
#[command(name = "vecino-bench", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// How fast an index is at which recall: one line for each effort.
    Ann(ann::Ann),
    /// How fast one core reads memory, and how near to that exact scans come.
    Bandwidth(bandwidth::Bandwidth),
    /// How time and memory of each index grow with the number of vectors.
    Growth(growth::Growth),
    /// 100,000 vectors of 768 dimensions, beside the figures that this project set out from.
    Headline(growth::Headline),
    /// How fast writes become durable, and what readers notice of it.
    Ingest(ingest::IngestArgs),
    /// A whole library, filled through its log: what it costs, and whether it keeps the recall that is asked for.
    Library(library::Library),
    /// Commands from standard input, one JSON object a line, each answered by one line: for harnesses that measure other engines too.
    Rpc,
    /// What HTTP costs beside the same searches within the process, and what it bears.
    Http(http::Http),
    /// What many small libraries cost a server.
    Tenants(http::tenants::Tenants),
    /// How good the answers are, against a judged collection.
    Retrieval(retrieval::RetrievalArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Ann(args) => ann::run(&args),
        Command::Bandwidth(args) => bandwidth::run(&args),
        Command::Growth(args) => growth::growth(&args),
        Command::Headline(args) => growth::headline(&args),
        Command::Ingest(args) => ingest::run(&args),
        Command::Http(args) => http::run(&args),
        Command::Tenants(args) => http::tenants::run(&args),
        Command::Library(args) => library::run(&args),
        Command::Rpc => rpc::run(),
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
