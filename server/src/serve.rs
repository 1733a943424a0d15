//! `vecino serve`.

use std::{
    io::{IsTerminal, Write},
    net::{SocketAddr, TcpListener},
    num::NonZeroU32,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use axum::http::HeaderValue;
use tracing_subscriber::EnvFilter;

use crate::{
    api,
    cli::Output,
    config::{LogFormat, Secret, ServeArgs},
    embed::StaticEmbedder,
    memory::{Memory, use_small_pages},
    network::{self, Tls},
    security::{audit::AuditLog, keys::KeyRing, limits::Allowance},
    service::Service,
    storage::FileStorage,
    store::StoreOptions,
    telemetry::Telemetry,
};

/// How long requests may take to end when the server is told to.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves a data folder until the process is told to end.
///
/// # Errors
/// When the address, the folder or what is in it is not to be had; one sentence each.
pub fn run(args: &ServeArgs, output: Output) -> Result<ExitCode> {
    log_to_stderr(args, output);
    use_small_pages();
    // A connection is a file; where the limit cannot be raised, the one that holds is in force.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let begun = Instant::now();
    let listener = listen(args.listen)?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let tls = args.tls_cert.clone().zip(args.tls_key.clone()).map(|(cert, key)| Tls::open(cert, key)).transpose()?;
    let slow_query = Some(args.slow_query_ms).filter(|limit| !limit.is_zero());
    let memory = Arc::new(Memory::new(args.memory_limit));
    let service = Arc::new(open(args, &memory)?.with_slow_query(slow_query));
    let keys = Arc::new(open_keys(args)?);
    let loopback = args.listen.ip().is_loopback();
    if !loopback && !keys.required() && !args.insecure_no_auth {
        eprintln!(
            "vecino: {} can be reached from other machines, and this server has no keys: set VECINO_API_KEY to the key of the first \
             administrator, or add --insecure-no-auth if everybody may do everything",
            args.listen
        );
        return Ok(ExitCode::from(2));
    }
    let (telemetry, spans) = args.otlp_endpoint.as_deref().map(Telemetry::start).transpose()?.unzip();
    let options = api::Options {
        max_body_bytes: usize::try_from(args.max_body_bytes).unwrap_or(usize::MAX),
        timeout: Duration::from_secs(args.request_timeout),
        keys,
        audit: args.audit_log.as_deref().map(AuditLog::open).transpose()?.unwrap_or_default(),
        loopback,
        telemetry: telemetry.unwrap_or_default(),
        memory,
        origins: origins(&args.cors_origin)?,
    };
    let router = api::router(Arc::clone(&service), options)?;
    tracing::info!(%address, took_ms = %begun.elapsed().as_millis(), "the server is ready");
    greet(args, address, output)?;

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let served = runtime.block_on(serve(listener, router, tls, args));
    // Writes that still run get their answer on the disk, if not on the network.
    runtime.shutdown_timeout(DRAIN);
    // The router is gone, and with it whoever hands spans in.
    let _ = spans.map(std::thread::JoinHandle::join);
    let closed = service.close();
    served?;
    closed?;
    tracing::info!("the server has ended");
    Ok(ExitCode::SUCCESS)
}

/// The log of the program, to stderr.
fn log_to_stderr(args: &ServeArgs, output: Output) {
    let default = if output.quiet { "error" } else { "info" };
    let filter = args.log.as_deref().and_then(|log| EnvFilter::try_new(log).ok()).unwrap_or_else(|| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let json = output.json || args.log_format == LogFormat::Json;
    // A second subscriber, in tests, changes nothing.
    let _ = if json { log.json().try_init() } else { log.with_ansi(std::io::stderr().is_terminal()).try_init() };
}

fn open_keys(args: &ServeArgs) -> Result<KeyRing> {
    let allowance = Allowance { per_second: NonZeroU32::new(args.rate_limit), at_once: args.concurrency_limit };
    Ok(KeyRing::open(&args.data_dir, args.api_key.as_ref().map(Secret::reveal), allowance)?)
}

fn origins(origins: &[String]) -> Result<Vec<HeaderValue>> {
    let origin = |origin: &String| {
        let sound = ["http://", "https://"]
            .iter()
            .any(|scheme| origin.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.contains('/')));
        anyhow::ensure!(sound, "cors_origin: an origin looks like https://example.com, received '{origin}'");
        Ok(HeaderValue::from_str(origin)?)
    };
    origins.iter().map(origin).collect()
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

fn open(args: &ServeArgs, memory: &Arc<Memory>) -> Result<Service> {
    let embedder = StaticEmbedder::load().context("the built-in embedding model cannot be read")?;
    let storage = FileStorage::open(&args.data_dir)?;
    let begun = Instant::now();
    let options = StoreOptions {
        checkpoint_after: args.snapshot_after_bytes,
        reserve: args.reserve_bytes.unwrap_or_else(|| storage.usual_reserve()),
        unload_after: Duration::from_secs(args.unload_after),
        memory: Arc::clone(memory),
        ..StoreOptions::default()
    };
    let opened = Service::open(storage, Box::new(embedder), options);
    let (service, recovery) = opened.with_context(|| format!("cannot open {}", args.data_dir.display()))?;
    let took = begun.elapsed().as_millis();
    tracing::info!(snapshots = recovery.snapshots, replayed = recovery.replayed, took_ms = %took, "the data folder is open");
    for damage in &recovery.repaired {
        tracing::warn!(%damage, "what was damaged here is made again from the rest; nothing is lost");
    }
    if recovery.torn_bytes > 0 {
        let bytes = recovery.torn_bytes;
        tracing::warn!(bytes, "the end of the log was a write that never ended; nobody was told that it had, and it was cut off");
    }
    Ok(service)
}

fn greet(args: &ServeArgs, address: SocketAddr, output: Output) -> Result<()> {
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    let mut out = std::io::stdout().lock();
    if output.json {
        writeln!(out, "{}", serde_json::json!({"url": format!("{scheme}://{address}"), "data_dir": args.data_dir}))?;
    } else {
        writeln!(out, "Vecino is at {scheme}://{address}, its data in {}", args.data_dir.display())?;
    }
    Ok(out.flush()?)
}

async fn serve(listener: TcpListener, router: axum::Router, tls: Option<Tls>, args: &ServeArgs) -> Result<()> {
    let limits = network::Limits {
        connections: args.max_connections as usize,
        header_timeout: Duration::from_secs(args.header_timeout),
        drain: DRAIN,
    };
    let mut end = signals()?;
    network::serve(listener, router, tls, limits, async move { end.recv().await }).await
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
