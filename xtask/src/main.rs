//! The project's own commands: `cargo xtask demo`, `test`, `wasm`, `sim`, `crash`, `fuzz`, `docker-test`.
//!
//! They need Rust (with rustup), Node.js with npm, and Chromium for the browser tests. Everything else comes from the
//! lock files. One file per noun; `setup.rs` says what must be installed.

mod arm;
mod browser;
mod checkout;
mod demo;
mod docker;
mod fuzz;
mod imports;
mod process;
mod report;
mod setup;
mod test;
mod tests_program;
mod wasm;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::checkout::Checkout;

/// Builds, shows and tests Vecino.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts a server with a sample library and the web page, and shows the address.
    ///
    /// Builds the wasm package and the server (release), imports the sample, and stays in the foreground until Ctrl-C.
    /// The data are kept between runs.
    Demo(demo::Options),
    /// Runs every check: format, lints, licences, tests, wasm size and imports, browser tests.
    ///
    /// Stops at the first step that fails. Checks that could not be made are listed as skipped. Installs what it can:
    /// the targets for wasm and ARM and the components of Miri (rustup), cargo-fuzz, the npm packages and, as root on Debian,
    /// Chromium and qemu-user.
    Test(test::Options),
    /// Builds the wasm package into `web/pkg` and checks its size and its imports.
    Wasm(wasm::Options),
    /// Builds the container image and runs it: restart, kill -9, upgrade, and the data are still there.
    ///
    /// Uses the Docker engine that runs; where none does, root on Debian gets one of its own.
    DockerTest(docker::Options),
    /// Runs random histories on a simulated disk that loses what was not synced; `--help` names the arguments.
    Sim(tests_program::Options),
    /// Kills a real server again and again while clients write to it; `--help` names the arguments.
    Crash(tests_program::Options),
    /// Feeds random bytes to all that reads files or requests. Installs cargo-fuzz where it is missing.
    Fuzz(fuzz::Options),
    /// Runs one wasm test file; cargo calls it as the runner of the wasm target.
    #[command(hide = true)]
    WasmTestRunner {
        /// The file and its arguments, as cargo passes them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Test(options) => return test::run(Checkout::find()?, options),
        Command::Demo(options) => demo::run(&Checkout::find()?, &options)?,
        Command::Wasm(options) => wasm::run(&Checkout::find()?, &options)?,
        Command::DockerTest(options) => docker::run(&Checkout::find()?, &options)?,
        Command::Sim(options) => tests_program::run(&Checkout::find()?, "sim", &options)?,
        Command::Crash(options) => {
            let checkout = Checkout::find()?;
            process::run(checkout.cargo().args(["build", "--locked", "--release", "--package=vecino-server", "--bin=vecino"]))?;
            tests_program::run(&checkout, "crash", &options)?;
        }
        Command::Fuzz(options) => fuzz::run(&Checkout::find()?, &options)?,
        Command::WasmTestRunner { arguments } => {
            let program = OsString::from("wasm-bindgen-test-runner");
            wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(std::iter::once(program).chain(arguments))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
