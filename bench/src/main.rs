//! Measurements of Vecino, as JSON lines.

mod ann;
mod npy;

use clap::Parser;

/// Measures Vecino.
#[derive(Parser)]
enum Command {
    Ann(ann::Ann),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Ann(args) => ann::run(&args),
    }
}
