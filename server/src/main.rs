//! The program `vecino`.

use std::process::ExitCode;

use clap::Parser;
use vecino_server::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
