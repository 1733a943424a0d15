//! The REST API: a file per noun. Handlers read the request, ask the [`Service`] on a thread that may block, and answer.

mod aliases;
mod backup;
mod chunks;
mod contract;
mod documents;
mod durability;
mod examples;
mod extract;
mod guard;
mod health;
mod idempotency;
mod index;
mod index_settings;
mod input;
mod jobs;
mod keys;
mod layers;
mod libraries;
mod numbers;
mod page;
mod problem;
mod query;
mod responses;
mod schema;
mod selection;
mod snapshots;
mod system;
mod transfer;
mod web;

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    http::{HeaderMap, HeaderName, HeaderValue, Method},
    middleware,
    routing::get,
};
use tower::util::option_layer;
use tower_http::{
    compression::{CompressionLayer, Predicate, predicate::SizeAbove},
    cors::{AllowHeaders, CorsLayer},
};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use vecino_engine::{Result, model::Timestamp};

use self::guard::Guard;
use crate::{
    host,
    memory::Memory,
    request_id,
    security::{audit::AuditLog, keys::KeyRing},
    service::Service,
    telemetry::Telemetry,
};
use problem::{Answer, Problem};

/// How the API behaves.
#[derive(Debug)]
pub struct Options {
    /// The largest body of a request.
    pub max_body_bytes: usize,
    /// After so long a request is given up.
    pub timeout: Duration,
    /// Who may ask.
    pub keys: Arc<KeyRing>,
    /// Where the acts of administrators are written.
    pub audit: AuditLog,
    /// Whether only this machine can ask.
    pub loopback: bool,
    /// How much memory there is.
    pub memory: Arc<Memory>,
    /// Where spans of requests go.
    pub telemetry: Telemetry,
    /// The origins whose pages may ask.
    pub origins: Vec<HeaderValue>,
}

/// What handlers share: one thing to be cloned, for a request does so several times.
#[derive(Clone, Debug)]
struct App(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    service: Arc<Service>,
    openapi: Bytes,
    max_body_bytes: usize,
    guard: Arc<Guard>,
    memory: Arc<Memory>,
    started_at: Timestamp,
    answers: Arc<idempotency::Answers>,
    timeout: Duration,
    telemetry: Telemetry,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Vecino",
        description = "A vector database: libraries of documents, whose chunks are found by nearness.\n\nEvery error is a problem \
                       document (RFC 9457) with a stable `code`, the `field` at fault and, where there are any, the numbers \
                       `expected` and `received`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(problem::Document)),
    tags(
        (name = "libraries", description = "Collections of documents whose vectors can be compared."),
        (name = "documents", description = "What a library holds."),
        (name = "chunks", description = "Passages of documents, with a vector each."),
        (name = "query", description = "Search."),
        (name = "index", description = "How a library is searched, and how well."),
        (name = "snapshots", description = "Libraries as they were, kept as files."),
        (name = "keys", description = "Who may do what."),
        (name = "jobs", description = "Long work that goes on after its answer."),
        (name = "system", description = "The server itself.")
    )
)]
struct Description;

/// The whole API and the page.
///
/// # Errors
/// When the description of the API cannot be written as JSON.
pub fn router(service: Arc<Service>, options: Options) -> anyhow::Result<Router> {
    let Options { max_body_bytes, timeout, keys, audit, loopback, memory, telemetry, origins } = options;
    let (router, description) = described().split_for_parts();
    let guard = Arc::new(Guard::new(keys, audit, loopback, &description));
    let openapi = complete(description, guard.keys.required())?;
    let (started_at, answers) = (service.now(), Arc::default());
    let app = App(Arc::new(Shared { service, openapi, max_body_bytes, guard, memory, started_at, answers, timeout, telemetry }));
    let compress = CompressionLayer::new().compress_when(SizeAbove::new(WORTH_COMPRESSING).and(Compressible));
    // As one layer: the router clones and boxes every one for every request.
    let layers = (
        compress,
        option_layer(cors(origins)),
        middleware::from_fn_with_state(app.clone(), layers::around),
        DefaultBodyLimit::max(max_body_bytes),
    );
    Ok(router
        .route("/openapi.json", get(system::openapi))
        .route("/models/{name}", get(web::model))
        .fallback(web::file)
        .method_not_allowed_fallback(web::method_not_allowed)
        .layer(layers)
        .with_state(app))
}

/// The description as it is served; `keys` tells whether requests need one.
fn complete(mut description: utoipa::openapi::OpenApi, keys: bool) -> anyhow::Result<Bytes> {
    idempotency::describe(&mut description);
    page::describe(&mut description);
    guard::describe(&mut description, keys);
    let mut description = serde_json::to_value(description)?;
    contract::complete(&mut description);
    examples::add(&mut description);
    Ok(Bytes::from(serde_json::to_vec(&description)?))
}

/// Pages of these origins may ask, with keys in headers and never with cookies.
fn cors(origins: Vec<HeaderValue>) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let exposed = ["etag", "location", "retry-after", "x-request-id", "x-vecino-seq", "idempotency-replayed"];
    let exposed = exposed.map(HeaderName::from_static);
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods(methods)
        // Whatever the browser asks for by name: `*` would leave out `Authorization`.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed)
        .max_age(Duration::from_secs(600));
    Some(layer)
}

/// The routes with their descriptions.
fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi())
        .merge(system::router())
        .merge(backup::router())
        .merge(libraries::router())
        .merge(index::router())
        .merge(schema::router())
        .merge(aliases::router())
        .merge(documents::router())
        .merge(chunks::router())
        .merge(query::router())
        .merge(keys::router())
        .merge(jobs::router())
        .merge(snapshots::router())
        .merge(health::router())
        .merge(transfer::router())
}

/// Smaller answers arrive with the first packets, compressed or not, and to compress one takes half as long as a query.
const WORTH_COMPRESSING: u64 = 8 * 1024;

/// Kinds of answers that get smaller.
#[derive(Clone, Copy, Debug)]
struct Compressible;

impl Predicate for Compressible {
    fn should_compress<B: axum::body::HttpBody>(&self, response: &axum::http::Response<B>) -> bool {
        let kind = |headers: &HeaderMap| headers.get("content-type").and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        kind(response.headers())
            .filter(|kind| !kind.starts_with("text/event-stream"))
            .is_some_and(|kind| kind.starts_with("text/") || ["json", "javascript", "wasm"].iter().any(|end| kind.contains(end)))
    }
}

/// Says that nobody waits any more: the client has gone, or the time is over.
#[derive(Debug, Default)]
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How long a read waits for the write that it must know of.
const MIN_SEQ_WAIT: Duration = Duration::from_secs(5);

/// As [`blocking`], for a read that must know of the write `min_seq`.
async fn reading<T: Send + 'static>(
    app: &App,
    min_seq: Option<u64>,
    work: impl FnOnce(&Service) -> Result<T> + Send + 'static,
) -> Answer<T> {
    if let Some(wanted) = min_seq {
        app.service.wait_for(wanted, MIN_SEQ_WAIT).await.map_err(|seq| {
            let detail = format!("the last write is {seq}; {wanted} has not come within {} s", MIN_SEQ_WAIT.as_secs());
            Problem::new("not_yet", detail).field("min_seq").numbers(wanted, seq)
        })?;
    }
    blocking(app, work).await
}

/// Runs what computes for long, or waits, on a thread that may. A key has only so much done at once, and what only reads is
/// left half done when nobody waits for it.
async fn blocking<T: Send + 'static>(app: &App, work: impl FnOnce(&Service) -> Result<T> + Send + 'static) -> Answer<T> {
    let service = Arc::clone(&app.service);
    let permit = guard::begin(app)?;
    let abandoned = Abandoned::default();
    let given_up = guard::reads().then(|| Arc::clone(&abandoned.0));
    let id = request_id::current();
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        request_id::during(id, || host::unless(given_up, || work(&service)))
    });
    match done.await {
        Ok(result) => result.map_err(Problem::from),
        Err(error) => {
            tracing::error!(%error, request_id = request_id::current(), "a request panicked");
            Err(Problem::new("internal", "the request failed for a reason that is not its own; the log has more"))
        }
    }
}
