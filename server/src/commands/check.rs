//! `vecino check`.

use std::process::ExitCode;

use crate::cli::Output;

/// What `vecino check` can be told.
#[derive(clap::Args, Clone, Debug)]
pub struct CheckArgs {}

/// `vecino check`.
///
/// # Errors
/// Always, for now.
pub fn run(_args: CheckArgs, _output: Output) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build has no `vecino check`")
}
