//! The program `vecino`.

use std::process::ExitCode;

use vecino_server::config;

fn main() -> ExitCode {
    config::parse(std::env::args_os()).unwrap_or_else(|error| error.exit()).run()
}
