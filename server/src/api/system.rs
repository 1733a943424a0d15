//! What is about the server itself.

use axum::{Json, extract::State, http::header, response::IntoResponse};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::model::limits;

use super::{App, blocking, problem::Answer, responses::Failures};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(list_limits)).routes(routes!(write_snapshots))
}

/// That the server is there.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// The version of the program.
    version: &'static str,
}

/// The limits of this server.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct LimitList {
    /// The limits.
    limits: Vec<Limit>,
}

/// A limit.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Limit {
    /// Its name.
    #[schema(example = "max_chunk_chars")]
    name: String,
    /// The largest value that is allowed.
    value: u64,
    /// What it is a limit of.
    meaning: String,
}

/// What writing snapshots did.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct SnapshotsWritten {
    /// Sequence of the last write that the snapshots hold.
    seq: u64,
    /// Snapshots written; libraries that had not changed kept theirs.
    written: usize,
}

/// Tells that the server is there.
#[utoipa::path(get, path = "/healthz", tag = "system", responses((status = 200, description = "As asked.", body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Lists every limit.
#[utoipa::path(get, path = "/v1/limits", tag = "system", responses((status = 200, description = "As asked.", body = LimitList)))]
async fn list_limits(State(app): State<App>) -> Json<LimitList> {
    let limit = |(name, value, meaning): &(&str, u64, &str)| Limit {
        name: name.to_ascii_lowercase(),
        value: *value,
        meaning: meaning.trim().to_owned(),
    };
    let mut limits: Vec<Limit> = limits::ALL.iter().map(limit).collect();
    let meaning = "Bytes of the body of one request.".to_owned();
    limits.push(Limit { name: "max_body_bytes".to_owned(), value: app.max_body_bytes as u64, meaning });
    Json(LimitList { limits })
}

/// Writes snapshots of all libraries that have changed, and shortens the log. The next start is faster then.
#[utoipa::path(post, path = "/v1/checkpoint", tag = "system",
    responses((status = 200, description = "As asked.", body = SnapshotsWritten), Failures))]
async fn write_snapshots(State(app): State<App>) -> Answer<Json<SnapshotsWritten>> {
    let done = blocking(&app, crate::service::Service::checkpoint).await?;
    Ok(Json(SnapshotsWritten { seq: done.seq, written: done.written }))
}

/// The description of this API.
pub(super) async fn openapi(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], app.openapi.clone())
}
