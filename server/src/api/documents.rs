//! `/v1/libraries/{library}/documents`.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::{
    command::{Kind, OnConflict},
    view::DocumentView,
};

use super::{
    App,
    durability::WriteParams,
    extract::{Body, Params, Path},
    input::{Conflict, DocumentChange, DocumentInput, named, objects},
    jobs::deletion,
    page::{PageParams, ReadParams, cursor},
    problem::Answer,
    reading,
    responses::{Conflicts, Failures, NotFound, Refused, Stale, Unreadable},
    selection::{CountInput, IdsInput, ScrollInput, SelectionInput, cursor_of},
};
use crate::service::{
    Service, WriteOptions,
    documents::{BatchWritten, DocumentUpdated, DocumentWritten},
    jobs::JobView,
    libraries::Deleted,
    selection::{Counted, ManyDeleted},
};
use crate::store::Durability;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_documents, add_document))
        .routes(routes!(add_documents))
        .routes(routes!(get_documents))
        .routes(routes!(delete_documents))
        .routes(routes!(count_documents))
        .routes(routes!(scroll_documents))
        .routes(routes!(get_document, put_document, update_document, delete_document))
}

/// What to do when the document exists already.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ConflictParams {
    /// `refuse` (with 409) unless told, `skip` or `replace`.
    #[serde(default)]
    #[param(inline)]
    on_conflict: Conflict,
    /// As for every write: `synced` unless told, or `logged`.
    #[serde(default)]
    #[param(inline)]
    durability: Durability,
    /// The write is done only if the library was last changed by this write: its `seq`. Else the answer is 409.
    if_seq: Option<u64>,
}

/// Documents to be written: all or none.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchInput {
    /// Up to 1,000 documents.
    #[serde(deserialize_with = "objects")]
    documents: Vec<DocumentInput>,
    /// What to do with those that exist already: `refuse` (all, with 409) unless told, `skip` or `replace`.
    #[serde(default)]
    on_conflict: Conflict,
}

/// A part of the listing of documents.
#[derive(Debug, Serialize, ToSchema)]
struct DocumentList {
    /// In the order of their ids.
    documents: Vec<DocumentView>,
    /// Where the next part begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Some documents.
#[derive(Debug, Serialize, ToSchema)]
struct DocumentsFound {
    /// Those that are there, in the order of the request.
    documents: Vec<DocumentView>,
    /// Ids of those that are not.
    missing: Vec<String>,
}

/// Lists the documents of a library.
#[utoipa::path(get, path = "/v1/libraries/{library}/documents", tag = "documents",
    params(("library" = String, Path, description = "Id or name."), PageParams),
    responses((status = 200, description = "As asked.", body = DocumentList), Refused, NotFound, Failures))]
async fn list_documents(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<PageParams>,
) -> Answer<Json<DocumentList>> {
    let page = params.read()?;
    let listed = reading(&app, params.min_seq, move |service| service.documents(&library, &page)).await?;
    Ok(Json(DocumentList { documents: listed.items, next_cursor: cursor(listed.next) }))
}

/// Adds a document.
///
/// With a `text`, it is split into passages of up to 200 tokens, and each is embedded with the title before it. With `chunks`,
/// those without an `embedding` are embedded.
#[utoipa::path(post, path = "/v1/libraries/{library}/documents", tag = "documents", request_body = DocumentInput,
    params(("library" = String, Path, description = "Id or name."), ConflictParams),
    responses((status = 201, description = "It is written.", body = DocumentWritten),
        (status = 200, description = "It exists already and was kept, as `on_conflict=skip` asked.", body = DocumentWritten),
        Refused, Unreadable, NotFound, Conflicts, Stale, Failures))]
async fn add_document(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ConflictParams>,
    Body(input): Body<DocumentInput>,
) -> Answer<(StatusCode, Json<DocumentWritten>)> {
    let document = input.read(&app.service)?;
    let options = WriteOptions { durability: params.durability, if_seq: params.if_seq };
    let written = app.service.put_document(&library, document, params.on_conflict.into(), options).await?;
    Ok((if written.skipped { StatusCode::OK } else { StatusCode::CREATED }, Json(written)))
}

/// Adds documents, all or none.
#[utoipa::path(post, path = "/v1/libraries/{library}/documents:batch", tag = "documents", request_body = BatchInput,
    params(("library" = String, Path, description = "Id or name."), WriteParams),
    responses((status = 200, description = "As asked.", body = BatchWritten), Refused, Unreadable, NotFound, Conflicts, Stale, Failures))]
async fn add_documents(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<WriteParams>,
    Body(input): Body<BatchInput>,
) -> Answer<Json<BatchWritten>> {
    let read = |(number, document): (usize, DocumentInput)| {
        document.read(&app.service).map_err(|problem| problem.within(&format!("documents[{number}]")))
    };
    let documents = input.documents.into_iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    let written = app.service.put_documents(&library, documents, input.on_conflict.into(), params.options()).await?;
    Ok(Json(written))
}

/// Tells of several documents.
#[utoipa::path(post, path = "/v1/libraries/{library}/documents:get", tag = "query", request_body = IdsInput,
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = DocumentsFound), Refused, Unreadable, NotFound, Failures))]
async fn get_documents(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
    Body(input): Body<IdsInput>,
) -> Answer<Json<DocumentsFound>> {
    let found = reading(&app, params.min_seq, move |service| service.get_documents(&library, input.ids)).await?;
    Ok(Json(DocumentsFound { documents: found.items, missing: found.missing }))
}

/// Deletes several documents with their chunks: all or none of those named, or those that a filter lets through.
///
/// The filter is about documents. More than 100,000 are deleted in several steps, by a job, which the answer then names.
#[utoipa::path(post, path = "/v1/libraries/{library}/documents:delete", tag = "documents", request_body = SelectionInput,
    params(("library" = String, Path, description = "Id or name."), WriteParams),
    responses((status = 200, description = "They are deleted.", body = ManyDeleted),
        (status = 202, description = "The first ones are deleted, and a job deletes the others.", body = JobView),
        Refused, Unreadable, NotFound, Stale, Failures))]
async fn delete_documents(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<WriteParams>,
    Body(input): Body<SelectionInput>,
) -> Answer<Response> {
    deletion(&app, library, Kind::Documents, input.read()?, params.options()).await
}

/// Counts documents.
#[utoipa::path(post, path = "/v1/libraries/{library}/documents:count", tag = "query", request_body = CountInput,
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = Counted), Refused, Unreadable, NotFound, Failures))]
async fn count_documents(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
    Body(input): Body<CountInput>,
) -> Answer<Json<Counted>> {
    let filter = input.read()?;
    let count = move |service: &Service| service.count(&library, Kind::Documents, filter.as_ref());
    Ok(Json(reading(&app, params.min_seq, count).await?))
}

/// Goes through the documents that a filter lets through, part by part, in the order of a field.
#[utoipa::path(post, path = "/v1/libraries/{library}/documents:scroll", tag = "query", request_body = ScrollInput,
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = DocumentList), Refused, Unreadable, NotFound, Failures))]
async fn scroll_documents(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
    Body(input): Body<ScrollInput>,
) -> Answer<Json<DocumentList>> {
    let scroll = input.read()?;
    let part = reading(&app, params.min_seq, move |service| service.scroll_documents(&library, &scroll)).await?;
    Ok(Json(DocumentList { documents: part.items, next_cursor: part.next.as_ref().and_then(cursor_of) }))
}

/// Tells of a document.
#[utoipa::path(get, path = "/v1/libraries/{library}/documents/{document}", tag = "documents",
    params(("library" = String, Path, description = "Id or name."), ("document" = String, Path, description = "Its id."), ReadParams),
    responses((status = 200, description = "As asked.", body = DocumentView), Refused, NotFound, Failures))]
async fn get_document(
    State(app): State<App>,
    Path((library, document)): Path<(String, String)>,
    Params(params): Params<ReadParams>,
) -> Answer<Json<DocumentView>> {
    Ok(Json(reading(&app, params.min_seq, move |service| service.document(&library, &document)).await?))
}

/// Writes a document in place of the one of this id, or as a new one.
#[utoipa::path(put, path = "/v1/libraries/{library}/documents/{document}", tag = "documents", request_body = DocumentInput,
    params(("library" = String, Path, description = "Id or name."), ("document" = String, Path, description = "Its id."), WriteParams),
    responses((status = 200, description = "It was replaced.", body = DocumentWritten),
        (status = 201, description = "There was none.", body = DocumentWritten), Refused, Unreadable, NotFound, Conflicts, Stale,
        Failures))]
async fn put_document(
    State(app): State<App>,
    Path((library, id)): Path<(String, String)>,
    Params(params): Params<WriteParams>,
    Body(mut input): Body<DocumentInput>,
) -> Answer<(StatusCode, Json<DocumentWritten>)> {
    named(&mut input.id, id, "document")?;
    let document = input.read(&app.service)?;
    let written = app.service.put_document(&library, document, OnConflict::Replace, params.options()).await?;
    Ok((if written.created { StatusCode::CREATED } else { StatusCode::OK }, Json(written)))
}

/// Changes metadata and attributes of a document.
///
/// Its chunks stay as they are: to embed them with another title, write the document anew.
#[utoipa::path(patch, path = "/v1/libraries/{library}/documents/{document}", tag = "documents", request_body = DocumentChange,
    params(("library" = String, Path, description = "Id or name."), ("document" = String, Path, description = "Its id."), WriteParams),
    responses((status = 200, description = "As asked.", body = DocumentUpdated), Refused, Unreadable, NotFound, Stale, Failures))]
async fn update_document(
    State(app): State<App>,
    Path((library, document)): Path<(String, String)>,
    Params(params): Params<WriteParams>,
    Body(change): Body<DocumentChange>,
) -> Answer<Json<DocumentUpdated>> {
    let patch = change.read()?;
    Ok(Json(app.service.update_document(&library, &document, patch, params.options()).await?))
}

/// Deletes a document with its chunks.
#[utoipa::path(delete, path = "/v1/libraries/{library}/documents/{document}", tag = "documents",
    params(("library" = String, Path, description = "Id or name."), ("document" = String, Path, description = "Its id."), WriteParams),
    responses((status = 200, description = "As asked.", body = Deleted), Refused, NotFound, Stale, Failures))]
async fn delete_document(
    State(app): State<App>,
    Path((library, document)): Path<(String, String)>,
    Params(params): Params<WriteParams>,
) -> Answer<Json<Deleted>> {
    Ok(Json(app.service.delete_document(&library, &document, params.options()).await?))
}
