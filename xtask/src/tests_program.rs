//! The programs of the test kit, built for speed and run with the arguments that were given.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use crate::{checkout::Checkout, process};

/// What is handed on.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// `--help` names them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Runs a program of the package `vecino-tests`.
pub(crate) fn run(checkout: &Checkout, program: &str, options: &Options) -> Result<()> {
    let mut command = checkout.cargo();
    command.args(["run", "--quiet", "--locked", "--release", "--package=vecino-tests", "--bin", program, "--"]);
    process::run(command.args(&options.arguments))
}
