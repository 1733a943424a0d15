//! `/v1/libraries/{library}/chunks` and the chunks of a document.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::view::ChunkView;

use super::{
    App, blocking,
    durability::WriteParams,
    extract::{Body, Params, Path},
    input::{ChunkChange, ChunkInput, objects, read_chunks},
    page::{ChunkPageParams, cursor},
    problem::Answer,
    responses::{Conflicts, Failures, NotFound, Refused, Unreadable},
};
use crate::service::{
    chunks::{ChunkUpdated, ChunksWritten},
    libraries::Deleted,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_document_chunks, add_chunks)).routes(routes!(list_chunks)).routes(routes!(
        get_chunk,
        update_chunk,
        delete_chunk
    ))
}

/// Chunks to be added: all or none.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChunksInput {
    /// The chunks in order.
    #[serde(deserialize_with = "objects")]
    chunks: Vec<ChunkInput>,
}

/// A part of a listing of chunks.
#[derive(Debug, Serialize, ToSchema)]
struct ChunkList {
    /// The chunks.
    chunks: Vec<ChunkView>,
    /// Where the next part begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What a chunk is to tell.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ChunkParams {
    /// Whether it tells its vector.
    #[serde(default)]
    embedding: bool,
}

/// Lists the chunks of a document, in the order of their index.
#[utoipa::path(get, path = "/v1/libraries/{library}/documents/{document}/chunks", tag = "chunks",
    params(("library" = String, Path, description = "Id or name."), ("document" = String, Path, description = "Its id."),
        ChunkPageParams),
    responses((status = 200, description = "As asked.", body = ChunkList), Refused, NotFound, Failures))]
async fn list_document_chunks(
    State(app): State<App>,
    Path((library, document)): Path<(String, String)>,
    Params(params): Params<ChunkPageParams>,
) -> Answer<Json<ChunkList>> {
    let page = params.read()?;
    let list = move |service: &crate::service::Service| service.document_chunks(&library, &document, &page, params.embedding);
    let listed = blocking(&app, list).await?;
    Ok(Json(ChunkList { chunks: listed.items, next_cursor: cursor(listed.next) }))
}

/// Adds chunks to a document, all or none. Those without an `embedding` are embedded, with the title before the text.
#[utoipa::path(post, path = "/v1/libraries/{library}/documents/{document}/chunks", tag = "chunks", request_body = ChunksInput,
    params(("library" = String, Path, description = "Id or name."), ("document" = String, Path, description = "Its id."), WriteParams),
    responses((status = 201, description = "It is written.", body = ChunksWritten), Refused, Unreadable, NotFound, Conflicts, Failures))]
async fn add_chunks(
    State(app): State<App>,
    Path((library, document)): Path<(String, String)>,
    Params(params): Params<WriteParams>,
    Body(input): Body<ChunksInput>,
) -> Answer<(StatusCode, Json<ChunksWritten>)> {
    let chunks = read_chunks(input.chunks, &app.service)?;
    let written = app.service.add_chunks(&library, &document, chunks, params.durability).await?;
    Ok((StatusCode::CREATED, Json(written)))
}

/// Lists the chunks of a library, in the order of their ids.
#[utoipa::path(get, path = "/v1/libraries/{library}/chunks", tag = "chunks",
    params(("library" = String, Path, description = "Id or name."), ChunkPageParams),
    responses((status = 200, description = "As asked.", body = ChunkList), Refused, NotFound, Failures))]
async fn list_chunks(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ChunkPageParams>,
) -> Answer<Json<ChunkList>> {
    let page = params.read()?;
    let listed = blocking(&app, move |service| service.chunks(&library, &page, params.embedding)).await?;
    Ok(Json(ChunkList { chunks: listed.items, next_cursor: cursor(listed.next) }))
}

/// Tells of a chunk.
#[utoipa::path(get, path = "/v1/libraries/{library}/chunks/{chunk}", tag = "chunks",
    params(("library" = String, Path, description = "Id or name."), ("chunk" = String, Path, description = "Its id."), ChunkParams),
    responses((status = 200, description = "As asked.", body = ChunkView), Refused, NotFound, Failures))]
async fn get_chunk(
    State(app): State<App>,
    Path((library, chunk)): Path<(String, String)>,
    Params(params): Params<ChunkParams>,
) -> Answer<Json<ChunkView>> {
    Ok(Json(blocking(&app, move |service| service.chunk(&library, &chunk, params.embedding)).await?))
}

/// Changes a chunk. Another text without an `embedding` is embedded.
#[utoipa::path(patch, path = "/v1/libraries/{library}/chunks/{chunk}", tag = "chunks", request_body = ChunkChange,
    params(("library" = String, Path, description = "Id or name."), ("chunk" = String, Path, description = "Its id."), WriteParams),
    responses((status = 200, description = "As asked.", body = ChunkUpdated), Refused, Unreadable, NotFound, Failures))]
async fn update_chunk(
    State(app): State<App>,
    Path((library, chunk)): Path<(String, String)>,
    Params(params): Params<WriteParams>,
    Body(change): Body<ChunkChange>,
) -> Answer<Json<ChunkUpdated>> {
    let patch = change.read()?;
    Ok(Json(app.service.update_chunk(&library, &chunk, patch, params.durability).await?))
}

/// Deletes a chunk.
#[utoipa::path(delete, path = "/v1/libraries/{library}/chunks/{chunk}", tag = "chunks",
    params(("library" = String, Path, description = "Id or name."), ("chunk" = String, Path, description = "Its id."), WriteParams),
    responses((status = 200, description = "As asked.", body = Deleted), Refused, NotFound, Failures))]
async fn delete_chunk(
    State(app): State<App>,
    Path((library, chunk)): Path<(String, String)>,
    Params(params): Params<WriteParams>,
) -> Answer<Json<Deleted>> {
    Ok(Json(app.service.delete_chunk(&library, &chunk, params.durability).await?))
}
