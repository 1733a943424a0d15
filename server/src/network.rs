//! The way in: connections, TLS, and an end in order.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use axum::Router;
use axum_server::{
    Handle,
    accept::{Accept, NoDelayAcceptor},
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::rt::TokioTimer;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::io::{AsyncRead, AsyncWrite};

/// How often the files of certificate and key are looked at.
const RELOAD: Duration = Duration::from_secs(10);

/// How connections are taken.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many are open at once; one more is closed as soon as it comes.
    pub connections: usize,
    /// How long a connection may take to send the head of a request, or stay without one.
    pub header_timeout: Duration,
    /// How long open requests may take to end when the server is told to.
    pub drain: Duration,
}

/// TLS from files.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The chain of certificates, the server's own first, in PEM.
    cert: PathBuf,
    /// The private key, in PEM.
    key: PathBuf,
    config: RustlsConfig,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be read, or do not belong together.
    pub fn open(cert: PathBuf, key: PathBuf) -> Result<Self> {
        let config = RustlsConfig::from_config(load(&cert, &key)?);
        Ok(Self { cert, key, config })
    }
}

/// Answers connections until `end` is done and open requests have ended.
///
/// # Errors
/// When the listener or the files for TLS cannot be used.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    limits: Limits,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let handle = Handle::new();
    let stop = handle.clone();
    tokio::spawn(async move {
        end.await;
        let open = stop.connection_count();
        tracing::info!(connections = open, "told to end; open requests are answered first");
        stop.graceful_shutdown(Some(limits.drain));
    });
    let plain = AtMost { inner: NoDelayAcceptor::new(), connections: limits.connections, handle: handle.clone() };
    match tls {
        None => run(listener, plain, handle, router, limits).await,
        Some(tls) => {
            let acceptor = RustlsAcceptor::new(tls.config.clone()).acceptor(plain);
            tokio::spawn(reload(tls));
            run(listener, acceptor, handle, router, limits).await
        }
    }
}

async fn run<A>(listener: TcpListener, acceptor: A, handle: Handle<SocketAddr>, router: Router, limits: Limits) -> Result<()>
where
    A: Accept<tokio::net::TcpStream, Service, Service = Service> + Clone + Send + Sync + 'static,
    A::Stream: AsyncRead + AsyncWrite + Unpin + Send,
    A::Future: Send,
{
    let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle).http1_only();
    // Also ends connections that wait for their next request.
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    Ok(server.serve(router.into_make_service_with_connect_info::<SocketAddr>()).await?)
}

/// What a connection is handed to.
type Service = axum::middleware::AddExtension<Router, axum::extract::ConnectInfo<SocketAddr>>;

/// Takes so many connections and no more, so that there are files left for the data.
#[derive(Clone, Debug)]
struct AtMost<A> {
    inner: A,
    connections: usize,
    handle: Handle<SocketAddr>,
}

impl<I, S, A> Accept<I, S> for AtMost<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = A::Stream;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(A::Stream, A::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        if self.handle.connection_count() > self.connections {
            tracing::debug!(connections = self.connections, "too many connections");
            return Box::pin(async { Err(io::Error::other("too many connections")) });
        }
        Box::pin(self.inner.accept(stream, service))
    }
}

fn load(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let certs = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certs = certs.with_context(|| format!("cannot read certificates from {}", cert.display()))?;
    let private = PrivateKeyDer::from_pem_file(key);
    let private = private.with_context(|| format!("cannot read a private key from {}", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = builder.with_no_client_auth().with_single_cert(certs, private);
    let mut config = config.with_context(|| format!("{} and its key cannot be used", cert.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Takes over certificates that are renewed; those at hand stay in use while new ones cannot be read.
async fn reload(tls: Tls) {
    let changed = || -> [Option<SystemTime>; 2] {
        [&tls.cert, &tls.key].map(|file| std::fs::metadata(file).and_then(|about| about.modified()).ok())
    };
    let mut seen = changed();
    let mut told = Hangup::new();
    loop {
        let asked = tokio::select! {
            () = told.recv() => true,
            () = tokio::time::sleep(RELOAD) => false,
        };
        let now = changed();
        if !asked && now == seen {
            continue;
        }
        match load(&tls.cert, &tls.key) {
            Ok(new) => {
                tls.config.reload_from_config(new);
                tracing::info!("the certificates for TLS are read again");
                seen = now;
            }
            // Tried again at the next look: perhaps only one of two files is there yet.
            Err(error) => tracing::error!(error = format!("{error:#}"), "new certificates for TLS cannot be used"),
        }
    }
}

/// The signal that asks to read files again, where there is one.
struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    #[cfg(unix)]
    fn new() -> Self {
        Self { signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok() }
    }

    #[cfg(not(unix))]
    fn new() -> Self {
        Self {}
    }

    async fn recv(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal {
            signal.recv().await;
            return;
        }
        std::future::pending::<()>().await;
    }
}
