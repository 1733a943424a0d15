//! `vecino import`.

use std::process::ExitCode;

use crate::cli::Output;

/// What `vecino import` can be told.
#[derive(clap::Args, Clone, Debug)]
pub struct ImportArgs {}

/// `vecino import`.
///
/// # Errors
/// Always, for now.
pub fn run(_args: ImportArgs, _output: Output) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build has no `vecino import`")
}
