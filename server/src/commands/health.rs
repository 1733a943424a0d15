//! `vecino health`: whether a server answers, for container engines and scripts that have no other client.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use ureq::{Agent, tls::TlsConfig};

/// What `vecino health` can be told.
#[derive(clap::Args, Clone, Debug)]
pub struct HealthArgs {
    /// The address that the server listens at; one that stands for all addresses is asked on the loopback interface.
    #[arg(long, value_name = "ADDR", env = "VECINO_LISTEN", default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
    /// Ask with TLS. The certificate is not checked: what is asked is whether the server is there, of this machine.
    #[arg(long)]
    tls: bool,
    /// After so many seconds without an answer the server counts as ill.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// Asks a server how it is.
///
/// # Errors
/// When it does not answer, or answers with anything but 200.
pub fn run(args: &HealthArgs) -> Result<ExitCode> {
    let mut address = args.listen;
    if address.ip().is_unspecified() {
        let v4 = address.is_ipv4();
        address.set_ip(if v4 { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(args.timeout)))
        .tls_config(TlsConfig::builder().disable_verification(true).build())
        .proxy(None)
        .build()
        .into();
    let scheme = if args.tls { "https" } else { "http" };
    match agent.get(format!("{scheme}://{address}/healthz")).call() {
        Ok(answer) if answer.status() == 200 => Ok(ExitCode::SUCCESS),
        Ok(answer) => bail!("{address} answers {}", answer.status()),
        Err(error) => bail!("{address} does not answer: {error}"),
    }
}
