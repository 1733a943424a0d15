//! `vecino query`.

use std::process::ExitCode;

use crate::cli::Output;

/// What `vecino query` can be told.
#[derive(clap::Args, Clone, Debug)]
pub struct QueryArgs {}

/// `vecino query`.
///
/// # Errors
/// Always, for now.
pub fn run(_args: QueryArgs, _output: Output) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build has no `vecino query`")
}
