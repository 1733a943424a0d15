//! `vecino export`.

use std::process::ExitCode;

use crate::cli::Output;

/// What `vecino export` can be told.
#[derive(clap::Args, Clone, Debug)]
pub struct ExportArgs {}

/// `vecino export`.
///
/// # Errors
/// Always, for now.
pub fn run(_args: ExportArgs, _output: Output) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build has no `vecino export`")
}
