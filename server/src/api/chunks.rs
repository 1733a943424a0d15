//! `/v1/libraries/{library}/chunks` and the chunks of a document.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::{command::Kind, view::ChunkView};

use super::{
    App,
    durability::WriteParams,
    extract::{Body, Params, Path},
    input::{ChunkChange, ChunkInput, Conflict, PlacedChunkInput, objects, read_chunks},
    jobs::deletion,
    page::{ChunkPageParams, ReadParams, cursor},
    problem::Answer,
    reading,
    responses::{Conflicts, Failures, NotFound, Refused, Stale, Unreadable},
    selection::{ChunkIdsInput, ChunkScrollInput, CountInput, SelectionInput, cursor_of},
};
use crate::service::{
    Service,
    chunks::{ChunkBatchWritten, ChunkUpdated, ChunksWritten},
    jobs::JobView,
    libraries::Deleted,
    selection::{Counted, ManyDeleted},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_document_chunks, add_chunks))
        .routes(routes!(list_chunks))
        .routes(routes!(put_chunks))
        .routes(routes!(get_chunks))
        .routes(routes!(delete_chunks))
        .routes(routes!(count_chunks))
        .routes(routes!(scroll_chunks))
        .routes(routes!(get_chunk, put_chunk, update_chunk, delete_chunk))
}

/// Chunks to be added: all or none.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChunksInput {
    /// The chunks in order.
    #[serde(deserialize_with = "objects")]
    chunks: Vec<ChunkInput>,
}

/// Chunks to be written to documents that exist: all or none.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChunkBatchInput {
    /// Up to 10,000 chunks, of any documents.
    #[serde(deserialize_with = "objects")]
    #[schema(max_items = 10000)]
    chunks: Vec<PlacedChunkInput>,
    /// What to do with those that exist already: `refuse` (all, with 409) unless told, `skip` or `replace`.
    #[serde(default)]
    on_conflict: Conflict,
}

/// Some chunks.
#[derive(Debug, Serialize, ToSchema)]
struct ChunksFound {
    /// Those that are there, in the order of the request.
    chunks: Vec<ChunkView>,
    /// Ids of those that are not.
    missing: Vec<String>,
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
    /// The answer knows of this write, by its `seq`; it is waited for, up to 5 seconds, then the answer is 409.
    min_seq: Option<u64>,
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
    let list = move |service: &Service| service.document_chunks(&library, &document, &page, params.embedding);
    let listed = reading(&app, params.min_seq, list).await?;
    Ok(Json(ChunkList { chunks: listed.items, next_cursor: cursor(listed.next) }))
}

/// Adds chunks to a document, all or none. Those without an `embedding` are embedded, with the title before the text.
#[utoipa::path(post, path = "/v1/libraries/{library}/documents/{document}/chunks", tag = "chunks", request_body = ChunksInput,
    params(("library" = String, Path, description = "Id or name."), ("document" = String, Path, description = "Its id."), WriteParams),
    responses((status = 201, description = "It is written.", body = ChunksWritten), Refused, Unreadable, NotFound, Conflicts,
        Stale, Failures))]
async fn add_chunks(
    State(app): State<App>,
    Path((library, document)): Path<(String, String)>,
    Params(params): Params<WriteParams>,
    Body(input): Body<ChunksInput>,
) -> Answer<(StatusCode, Json<ChunksWritten>)> {
    let chunks = read_chunks(input.chunks, &app.service)?;
    let written = app.service.add_chunks(&library, &document, chunks, params.options()).await?;
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
    let listed = reading(&app, params.min_seq, move |service| service.chunks(&library, &page, params.embedding)).await?;
    Ok(Json(ChunkList { chunks: listed.items, next_cursor: cursor(listed.next) }))
}

/// Writes chunks of any documents that exist, all or none.
///
/// A chunk that is replaced keeps its place in its document. Chunks without an `embedding` are embedded.
#[utoipa::path(post, path = "/v1/libraries/{library}/chunks:batch", tag = "chunks", request_body = ChunkBatchInput,
    params(("library" = String, Path, description = "Id or name."), WriteParams),
    responses((status = 200, description = "They are written.", body = ChunkBatchWritten),
        Refused, Unreadable, NotFound, Conflicts, Stale, Failures))]
async fn put_chunks(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<WriteParams>,
    Body(input): Body<ChunkBatchInput>,
) -> Answer<Json<ChunkBatchWritten>> {
    let read = |(at, chunk): (usize, PlacedChunkInput)| {
        chunk.read(&app.service).map_err(|error| error.within(format_args!("chunks[{at}]")))
    };
    let chunks = input.chunks.into_iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    let on_conflict = input.on_conflict.into();
    Ok(Json(app.service.put_chunks(&library, chunks, on_conflict, params.options()).await?))
}

/// Tells of several chunks.
#[utoipa::path(post, path = "/v1/libraries/{library}/chunks:get", tag = "query", request_body = ChunkIdsInput,
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = ChunksFound), Refused, Unreadable, NotFound, Failures))]
async fn get_chunks(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
    Body(input): Body<ChunkIdsInput>,
) -> Answer<Json<ChunksFound>> {
    let get = move |service: &Service| service.get_chunks(&library, input.ids, input.embedding);
    let found = reading(&app, params.min_seq, get).await?;
    Ok(Json(ChunksFound { chunks: found.items, missing: found.missing }))
}

/// Deletes several chunks: all or none of those named, or those that a filter lets through.
///
/// More than 100,000 are deleted in several steps, by a job, which the answer then names.
#[utoipa::path(post, path = "/v1/libraries/{library}/chunks:delete", tag = "chunks", request_body = SelectionInput,
    params(("library" = String, Path, description = "Id or name."), WriteParams),
    responses((status = 200, description = "They are deleted.", body = ManyDeleted),
        (status = 202, description = "The first ones are deleted, and a job deletes the others.", body = JobView),
        Refused, Unreadable, NotFound, Stale, Failures))]
async fn delete_chunks(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<WriteParams>,
    Body(input): Body<SelectionInput>,
) -> Answer<Response> {
    deletion(&app, library, Kind::Chunks, input.read()?, params.options()).await
}

/// Counts chunks.
#[utoipa::path(post, path = "/v1/libraries/{library}/chunks:count", tag = "query", request_body = CountInput,
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = Counted), Refused, Unreadable, NotFound, Failures))]
async fn count_chunks(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
    Body(input): Body<CountInput>,
) -> Answer<Json<Counted>> {
    let filter = input.read()?;
    let count = move |service: &Service| service.count(&library, Kind::Chunks, filter.as_ref());
    Ok(Json(reading(&app, params.min_seq, count).await?))
}

/// Goes through the chunks that a filter lets through, part by part, in the order of a field.
#[utoipa::path(post, path = "/v1/libraries/{library}/chunks:scroll", tag = "query", request_body = ChunkScrollInput,
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = ChunkList), Refused, Unreadable, NotFound, Failures))]
async fn scroll_chunks(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
    Body(input): Body<ChunkScrollInput>,
) -> Answer<Json<ChunkList>> {
    let with_embedding = input.embedding;
    let scroll = input.read()?;
    let work = move |service: &Service| service.scroll_chunks(&library, &scroll, with_embedding);
    let part = reading(&app, params.min_seq, work).await?;
    Ok(Json(ChunkList { chunks: part.items, next_cursor: part.next.as_ref().and_then(cursor_of) }))
}

/// Writes a chunk in place of the one of this id, or as a new one, of a document that exists.
#[utoipa::path(put, path = "/v1/libraries/{library}/chunks/{chunk}", tag = "chunks", request_body = PlacedChunkInput,
    params(("library" = String, Path, description = "Id or name."), ("chunk" = String, Path, description = "Its id."),
        WriteParams),
    responses((status = 200, description = "It is written.", body = ChunkUpdated),
        Refused, Unreadable, NotFound, Stale, Failures))]
async fn put_chunk(
    State(app): State<App>,
    Path((library, chunk)): Path<(String, String)>,
    Params(params): Params<WriteParams>,
    Body(input): Body<PlacedChunkInput>,
) -> Answer<Json<ChunkUpdated>> {
    let (document, new) = input.with_id(chunk.clone())?.read(&app.service)?;
    Ok(Json(app.service.put_chunk(&library, chunk, document, new, params.options()).await?))
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
    Ok(Json(reading(&app, params.min_seq, move |service| service.chunk(&library, &chunk, params.embedding)).await?))
}

/// Changes a chunk. Another text without an `embedding` is embedded.
#[utoipa::path(patch, path = "/v1/libraries/{library}/chunks/{chunk}", tag = "chunks", request_body = ChunkChange,
    params(("library" = String, Path, description = "Id or name."), ("chunk" = String, Path, description = "Its id."), WriteParams),
    responses((status = 200, description = "As asked.", body = ChunkUpdated), Refused, Unreadable, NotFound, Stale, Failures))]
async fn update_chunk(
    State(app): State<App>,
    Path((library, chunk)): Path<(String, String)>,
    Params(params): Params<WriteParams>,
    Body(change): Body<ChunkChange>,
) -> Answer<Json<ChunkUpdated>> {
    let patch = change.read()?;
    Ok(Json(app.service.update_chunk(&library, &chunk, patch, params.options()).await?))
}

/// Deletes a chunk.
#[utoipa::path(delete, path = "/v1/libraries/{library}/chunks/{chunk}", tag = "chunks",
    params(("library" = String, Path, description = "Id or name."), ("chunk" = String, Path, description = "Its id."), WriteParams),
    responses((status = 200, description = "As asked.", body = Deleted), Refused, NotFound, Stale, Failures))]
async fn delete_chunk(
    State(app): State<App>,
    Path((library, chunk)): Path<(String, String)>,
    Params(params): Params<WriteParams>,
) -> Answer<Json<Deleted>> {
    Ok(Json(app.service.delete_chunk(&library, &chunk, params.options()).await?))
}
