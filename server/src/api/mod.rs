//! The REST API: a file per noun. Handlers read the request, ask the [`Service`] on a thread that may block, and answer.

mod chunks;
mod documents;
mod durability;
mod extract;
mod index;
mod input;
mod layers;
mod libraries;
mod page;
mod problem;
mod query;
mod responses;
mod system;
mod web;

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Bytes, extract::DefaultBodyLimit, http::HeaderMap, middleware, routing::get};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, Predicate, predicate::SizeAbove},
};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use vecino_engine::Result;

use crate::service::Service;
use problem::{Answer, Problem};

/// How the API behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The largest body of a request.
    pub max_body_bytes: usize,
    /// After so long a request is given up.
    pub timeout: Duration,
}

/// What handlers share.
#[derive(Clone, Debug)]
struct App {
    service: Arc<Service>,
    openapi: Bytes,
    max_body_bytes: usize,
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
        (name = "system", description = "The server itself.")
    )
)]
struct Description;

/// The whole API and the page.
///
/// # Errors
/// When the description of the API cannot be written as JSON.
pub fn router(service: Arc<Service>, options: Options) -> anyhow::Result<Router> {
    let (router, description) = described().split_for_parts();
    let app = App { service, openapi: description.to_json()?.into(), max_body_bytes: options.max_body_bytes };
    let compress = CompressionLayer::new().compress_when(SizeAbove::new(1024).and(Compressible));
    Ok(router
        .route("/openapi.json", get(system::openapi))
        .route("/models/{name}", get(web::model))
        .fallback(web::file)
        .method_not_allowed_fallback(web::method_not_allowed)
        .layer(DefaultBodyLimit::max(options.max_body_bytes))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(middleware::from_fn_with_state(options.timeout, layers::around))
        .layer(compress)
        .with_state(app))
}

/// The routes with their descriptions.
fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi())
        .merge(system::router())
        .merge(libraries::router())
        .merge(index::router())
        .merge(documents::router())
        .merge(chunks::router())
        .merge(query::router())
}

/// Kinds of answers that get smaller.
#[derive(Clone, Copy, Debug)]
struct Compressible;

impl Predicate for Compressible {
    fn should_compress<B: axum::body::HttpBody>(&self, response: &axum::http::Response<B>) -> bool {
        let kind = |headers: &HeaderMap| headers.get("content-type").and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        kind(response.headers())
            .is_some_and(|kind| kind.starts_with("text/") || ["json", "javascript", "wasm"].iter().any(|end| kind.contains(end)))
    }
}

/// Runs what computes for long, or waits, on a thread that may.
async fn blocking<T: Send + 'static>(app: &App, work: impl FnOnce(&Service) -> Result<T> + Send + 'static) -> Answer<T> {
    let service = Arc::clone(&app.service);
    let done = tokio::task::spawn_blocking(move || work(&service));
    match done.await {
        Ok(result) => result.map_err(Problem::from),
        Err(error) => {
            tracing::error!(%error, request_id = layers::request_id(), "a request panicked");
            Err(Problem::new("internal", "the request failed for a reason that is not its own; the log has more"))
        }
    }
}
