//! `vecino serve`.

use std::{
    io::{IsTerminal, Write},
    net::{SocketAddr, TcpListener},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

use crate::{
    api,
    cli::{Output, ServeArgs},
    embed::StaticEmbedder,
    service::Service,
    storage::FileStorage,
    store::StoreOptions,
};

/// How long requests may take to end when the server is told to.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves a data folder until the process is told to end.
///
/// # Errors
/// When the address, the folder or what is in it is not to be had; one sentence each.
pub fn run(args: &ServeArgs, output: Output) -> Result<ExitCode> {
    log_to_stderr(output);
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        eprintln!(
            "vecino: {} can be reached from other machines, and this server asks nobody for a password yet; \
             add --allow-remote if that is meant",
            args.listen
        );
        return Ok(ExitCode::from(2));
    }
    let begun = Instant::now();
    let listener = listen(args.listen)?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let service = Arc::new(open(args)?);
    let options = api::Options {
        max_body_bytes: usize::try_from(args.max_body_bytes).unwrap_or(usize::MAX),
        timeout: Duration::from_secs(args.request_timeout),
    };
    let router = api::router(Arc::clone(&service), options)?;
    tracing::info!(%address, took_ms = %begun.elapsed().as_millis(), "the server is ready");
    greet(args, address, output)?;

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let served = runtime.block_on(serve(listener, router));
    // Writes that still run get their answer on the disk, if not on the network.
    runtime.shutdown_timeout(DRAIN);
    let closed = service.close();
    served?;
    closed?;
    tracing::info!("the server has ended");
    Ok(ExitCode::SUCCESS)
}

/// The log of the program: to stderr, as `VECINO_LOG` says, such as `debug` or `vecino_server=debug`.
fn log_to_stderr(output: Output) {
    let default = if output.quiet { "error" } else { "info" };
    let filter = EnvFilter::try_from_env("VECINO_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber, in tests, changes nothing.
    let _ = if output.json { log.json().try_init() } else { log.with_ansi(std::io::stderr().is_terminal()).try_init() };
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{address} is in use by another program; choose another address with --listen")
        }
        _ => anyhow::anyhow!("cannot listen at {address}: {error}"),
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn open(args: &ServeArgs) -> Result<Service> {
    let embedder = StaticEmbedder::load().context("the built-in embedding model cannot be read")?;
    let storage = FileStorage::open(&args.data_dir)?;
    let begun = Instant::now();
    let opened = Service::open(
        storage,
        Box::new(embedder),
        StoreOptions { checkpoint_after: args.snapshot_after_bytes, ..StoreOptions::default() },
    );
    let (service, recovery) = opened.with_context(|| format!("cannot open {}", args.data_dir.display()))?;
    let took = begun.elapsed().as_millis();
    tracing::info!(snapshots = recovery.snapshots, replayed = recovery.replayed, took_ms = %took, "the data folder is open");
    if recovery.torn_bytes > 0 {
        let bytes = recovery.torn_bytes;
        tracing::warn!(bytes, "the end of the log was a write that never ended; nobody was told that it had, and it was cut off");
    }
    Ok(service)
}

fn greet(args: &ServeArgs, address: SocketAddr, output: Output) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if output.json {
        writeln!(out, "{}", serde_json::json!({"url": format!("http://{address}"), "data_dir": args.data_dir}))?;
    } else {
        writeln!(out, "Vecino is at http://{address}, its data in {}", args.data_dir.display())?;
    }
    Ok(out.flush()?)
}

async fn serve(listener: TcpListener, router: axum::Router) -> Result<()> {
    let (told, mut tell) = tokio::sync::watch::channel(false);
    let mut end = signals()?;
    tokio::spawn(async move {
        end.recv().await;
        tracing::info!("told to end; open requests are answered first");
        let _ = told.send(true);
    });
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut stop = tell.clone();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _ = stop.wait_for(|told| *told).await;
    });
    let late = async {
        let _ = tell.wait_for(|told| *told).await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = server => Ok(served?),
        () = late => {
            tracing::warn!("requests that are still open are given up");
            Ok(())
        }
    }
}

/// The signals that tell the process to end.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
fn signals() -> Result<Signals> {
    use tokio::signal::unix::{SignalKind, signal};
    Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
}

#[cfg(not(unix))]
fn signals() -> Result<Signals> {
    Ok(Signals {})
}

impl Signals {
    #[cfg(unix)]
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn recv(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
