//! How the server is: for load balancers, for Prometheus, for people.

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::snapshot::SNAPSHOT_VERSION;

use super::{
    App, blocking,
    problem::{Answer, Document, Problem},
    responses::Failures,
};
use crate::metrics::METRICS;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).routes(routes!(info)).routes(routes!(metrics))
}

/// That something is so.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct Well {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// What this server is.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Info {
    /// The version of the program.
    version: &'static str,
    /// When it was started.
    started_at: String,
    /// The version of the `.vecino` files that it writes.
    snapshot_version: u32,
    /// The model that turns text into vectors.
    embedding_model: String,
    /// The length of its vectors.
    embedding_dimension: usize,
    /// Whether requests need a key.
    keys_required: bool,
    /// Bytes of memory that the process holds, without files that are mapped.
    memory_bytes: u64,
    /// Bytes of memory above which writes are refused; absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_limit_bytes: Option<u64>,
}

/// Tells that the process answers. It is not restarted for less than that it does not.
#[utoipa::path(get, path = "/livez", tag = "system", responses((status = 200, description = "It does.", body = Well)))]
async fn live() -> Json<Well> {
    Json(Well { status: "ok" })
}

/// Tells whether requests of all kinds are taken.
#[utoipa::path(get, path = "/readyz", tag = "system", responses(
    (status = 200, description = "They are.", body = Well),
    (status = 503, description = "Writes are refused until a restart; `detail` says why.", body = Document,
        content_type = "application/problem+json")))]
async fn ready(State(app): State<App>) -> Answer<Json<Well>> {
    let failure = tokio::task::spawn_blocking(move || app.service.failure()).await;
    match failure {
        Ok(None) => Ok(Json(Well { status: "ok" })),
        // Whoever asks needs no key, so the detail names no file; the log does.
        Ok(Some(_)) => Err(Problem::new("not_ready", "the storage has failed; reads go on, writes are refused until a restart")),
        Err(_) => Err(Problem::new("not_ready", "the storage does not answer")),
    }
}

/// Tells what this server is.
#[utoipa::path(get, path = "/v1/info", tag = "system", responses((status = 200, description = "As asked.", body = Info)))]
async fn info(State(app): State<App>) -> Json<Info> {
    let embedder = app.service.embedder();
    Json(Info {
        version: env!("CARGO_PKG_VERSION"),
        started_at: app.started_at.to_string(),
        snapshot_version: SNAPSHOT_VERSION,
        embedding_model: embedder.model().name.to_string(),
        embedding_dimension: embedder.dimension(),
        keys_required: app.guard.keys.required(),
        memory_bytes: app.memory.held(),
        memory_limit_bytes: app.memory.limit(),
    })
}

/// Tells the numbers of this server, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "system", responses(
    (status = 200, description = "In the text form of OpenMetrics.", content_type = "application/openmetrics-text", body = String),
    Failures))]
async fn metrics(State(app): State<App>) -> Answer<Response> {
    let process = app.memory.held();
    let stored = blocking(&app, move |service| Ok(service.figures(process))).await?;
    let text = METRICS.write(&stored).map_err(|error| Problem::new("internal", error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}
