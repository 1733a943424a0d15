//! `/v1/libraries`.

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::{
    command::{IndexDraft, LibraryDraft},
    distance::Metric,
    model::{EmbeddingModel, FieldType, IndexParams, IndexType},
    precision::Precision,
    snapshot::SNAPSHOT_VERSION,
    view::LibraryView,
};

use super::{
    App,
    durability::{CreateParams, WriteParams},
    extract::{Body, Params, Path},
    guard,
    index_settings::{index_params, share},
    input::{Whole, named, object, optional_object, or_null, some},
    page::{PageParams, ReadParams, SnapshotParams, cursor},
    problem::{Answer, Problem},
    reading,
    responses::{Conflicts, Failures, NotFound, Refused, Stale, Unreadable},
};
use crate::service::{
    Service,
    libraries::{Deleted, Statistics},
    selection::Counted,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_libraries, create_library))
        .routes(routes!(count_libraries))
        .routes(routes!(get_library, put_library, update_library, delete_library))
        .routes(routes!(export_library))
        .routes(routes!(get_statistics))
}

/// A library to be created.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LibraryInput {
    /// Unique among libraries.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// Unique too, and stable under renaming; made here if it is left out.
    #[schema(min_length = 1, max_length = 255)]
    id: Option<String>,
    /// What is known of it.
    #[serde(default, deserialize_with = "object")]
    metadata: LibraryMetadataInput,
    /// How nearness is measured, `cosine` unless told; fixed for the life of the library.
    #[schema(value_type = Option<MetricName>)]
    metric: Option<Metric>,
    /// The attribute fields, where they are known. Others come with the documents, unless `strict`.
    #[serde(default, deserialize_with = "optional_object")]
    schema: Option<SchemaInput>,
}

/// The metadata of a library to be created.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LibraryMetadataInput {
    /// For people.
    description: Option<String>,
    /// `auto` unless told.
    #[schema(value_type = Option<IndexTypeName>)]
    index_type: Option<IndexType>,
    /// How the index is built; a parameter of another type of index has no effect.
    #[serde(default, deserialize_with = "index_params")]
    index_params: Option<IndexParams>,
    /// The share of the true nearest chunks that answers shall hold on average, above 0 and at most 1; 0.95 unless told.
    #[serde(default, deserialize_with = "share")]
    #[schema(exclusive_minimum = 0, maximum = 1)]
    target_recall: Option<f32>,
    /// Length of every vector; else it is fixed by the first one.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 16384)]
    embedding_dimension: Option<Whole>,
    /// The model that turns text into vectors. `static-minilm-256` is built in; for others, bring the vectors.
    embedding_model: Option<String>,
}

/// The attribute fields of a library to be created.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SchemaInput {
    /// Names and types.
    #[schema(value_type = BTreeMap<String, FieldTypeName>)]
    fields: BTreeMap<String, FieldType>,
    /// Whether attributes of other names are refused, `true` unless told.
    #[serde(default = "yes")]
    strict: bool,
}

fn yes() -> bool {
    true
}

/// How nearness is measured.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes")]
enum MetricName {
    Cosine,
    Euclidean,
    Dot,
}

/// Which index serves a library.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum IndexTypeName {
    Auto,
    Flat,
    KdTree,
    Lsh,
    Ivf,
    Hnsw,
}

/// The type of an attribute field.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum FieldTypeName {
    Keyword,
    Integer,
    Float,
    Boolean,
    Timestamp,
    Text,
}

/// Changes of a library. What is left out stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LibraryChange {
    /// Another name.
    #[serde(default, deserialize_with = "some")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// Metadata to be changed.
    #[serde(default, deserialize_with = "object")]
    metadata: LibraryMetadataChange,
}

/// Changes of a library's metadata.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LibraryMetadataChange {
    /// Another description; null removes it.
    #[serde(default, deserialize_with = "or_null")]
    description: Option<String>,
    /// Another index, as by `PUT .../index`.
    #[schema(value_type = Option<IndexTypeName>)]
    index_type: Option<IndexType>,
    /// How it is built, all parameters.
    #[serde(default, deserialize_with = "index_params")]
    index_params: Option<IndexParams>,
    /// Another target.
    #[serde(default, deserialize_with = "share")]
    #[schema(exclusive_minimum = 0, maximum = 1)]
    target_recall: Option<f32>,
}

/// A part of the listing of libraries.
#[derive(Debug, Serialize, ToSchema)]
struct LibraryList {
    /// In the order of their ids.
    libraries: Vec<LibraryView>,
    /// Where the next part begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists the libraries: those that the key is for.
#[utoipa::path(get, path = "/v1/libraries", tag = "libraries", params(PageParams),
    responses((status = 200, description = "As asked.", body = LibraryList), Refused, Failures))]
async fn list_libraries(State(app): State<App>, Params(params): Params<PageParams>) -> Answer<Json<LibraryList>> {
    let page = params.read()?;
    let scope = guard::caller(&app).scope;
    let list = move |service: &Service| service.libraries(&page, |id| scope.allows(id));
    let listed = reading(&app, params.min_seq, list).await?;
    Ok(Json(LibraryList { libraries: listed.items, next_cursor: cursor(listed.next) }))
}

/// Creates a library.
///
/// Its contract (dimension, metric, embedding model) is fixed here or by its first vector, and holds for all that come after.
#[utoipa::path(post, path = "/v1/libraries", tag = "libraries", request_body = LibraryInput, params(CreateParams),
    responses((status = 201, description = "It is written.", body = LibraryView), Refused, Unreadable, Conflicts, Failures))]
async fn create_library(
    State(app): State<App>,
    Params(params): Params<CreateParams>,
    Body(input): Body<LibraryInput>,
) -> Answer<(StatusCode, Json<LibraryView>)> {
    let view = app.service.create_library(input.read(&app.service), params.options()).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

impl LibraryInput {
    fn read(self, service: &Service) -> LibraryDraft {
        let Self { name, id, metadata, metric, schema } = self;
        let (fields, strict_schema) = schema.map_or_else(Default::default, |schema| (schema.fields, schema.strict));
        LibraryDraft {
            id: id.unwrap_or_else(|| service.new_id()),
            name,
            description: metadata.description,
            metric: metric.unwrap_or_default(),
            index: IndexDraft {
                index_type: metadata.index_type,
                params: metadata.index_params,
                target_recall: metadata.target_recall,
            },
            dimension: metadata.embedding_dimension.map(|Whole(dimension)| usize::try_from(dimension).unwrap_or(usize::MAX)),
            embedding_model: metadata
                .embedding_model
                .map(|name| EmbeddingModel { name: name.into(), fingerprint: Box::default() }),
            fields: fields.into_iter().collect(),
            strict_schema,
            now: service.now(),
        }
    }
}

/// Counts the libraries: those that the key is for.
#[utoipa::path(get, path = "/v1/libraries:count", tag = "libraries", params(ReadParams),
    responses((status = 200, description = "As asked.", body = Counted), Refused, Failures))]
async fn count_libraries(State(app): State<App>, Params(params): Params<ReadParams>) -> Answer<Json<Counted>> {
    let scope = guard::caller(&app).scope;
    let count = move |service: &Service| service.count_libraries(|id| scope.allows(id));
    Ok(Json(reading(&app, params.min_seq, count).await?))
}

/// Writes a library anew: its name, its description and its index, and what is left out as for a new one. Its contents stay.
///
/// What its vectors and attributes must fit (`metric`, `embedding_dimension`, `embedding_model`, `schema`) cannot be changed here;
/// left out, it stays. A library that does not exist is created with this id.
#[utoipa::path(put, path = "/v1/libraries/{library}", tag = "libraries", request_body = LibraryInput,
    params(("library" = String, Path, description = "Id or name."), WriteParams),
    responses((status = 200, description = "It is written.", body = LibraryView),
        (status = 201, description = "It is new.", body = LibraryView), Refused, Unreadable, NotFound, Conflicts, Stale, Failures))]
async fn put_library(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<WriteParams>,
    Body(mut input): Body<LibraryInput>,
) -> Answer<(StatusCode, Json<LibraryView>)> {
    let known = app.service.library_id(&library)?;
    let (status, id) = known.map_or((StatusCode::CREATED, library), |id| (StatusCode::OK, id));
    named(&mut input.id, id.clone(), "library")?;
    let metric = input.metric;
    let draft = input.read(&app.service);
    let view = match status {
        StatusCode::CREATED => app.service.create_library(draft, params.options()).await?,
        _ => app.service.replace_library(&id, draft, metric, params.options()).await?,
    };
    Ok((status, Json(view)))
}

/// Tells of a library, by id or name.
#[utoipa::path(get, path = "/v1/libraries/{library}", tag = "libraries",
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = LibraryView), Refused, NotFound, Failures))]
async fn get_library(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
) -> Answer<Json<LibraryView>> {
    Ok(Json(reading(&app, params.min_seq, move |service| service.library(&library)).await?))
}

/// Tells how much a library holds, in how many bytes, and how its index stands. Cost: one pass over the lengths of the texts.
#[utoipa::path(get, path = "/v1/libraries/{library}/stats", tag = "libraries",
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = Statistics), Refused, NotFound, Failures))]
async fn get_statistics(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
) -> Answer<Json<Statistics>> {
    Ok(Json(reading(&app, params.min_seq, move |service| service.statistics(&library)).await?))
}

/// Renames a library, describes it anew, or chooses its index.
#[utoipa::path(patch, path = "/v1/libraries/{library}", tag = "libraries", request_body = LibraryChange,
    params(("library" = String, Path, description = "Id or name."), WriteParams),
    responses((status = 200, description = "As asked.", body = LibraryView), Refused, Unreadable, NotFound, Conflicts, Stale, Failures))]
async fn update_library(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<WriteParams>,
    Body(change): Body<LibraryChange>,
) -> Answer<Json<LibraryView>> {
    let LibraryChange { name, metadata } = change;
    let LibraryMetadataChange { description, index_type, index_params, target_recall } = metadata;
    let index = IndexDraft { index_type, params: index_params, target_recall };
    Ok(Json(app.service.update_library(&library, name, description, index, params.options()).await?))
}

/// Deletes a library with all that is in it.
#[utoipa::path(delete, path = "/v1/libraries/{library}", tag = "libraries",
    params(("library" = String, Path, description = "Id or name."), WriteParams),
    responses((status = 200, description = "As asked.", body = Deleted), Refused, NotFound, Stale, Failures))]
async fn delete_library(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<WriteParams>,
) -> Answer<Json<Deleted>> {
    Ok(Json(app.service.delete_library(&library, params.options()).await?))
}

/// Downloads a library as a `.vecino` file.
///
/// The same bytes for the same contents. Send the `ETag` in `If-None-Match` to hear whether there is something new.
#[utoipa::path(get, path = "/v1/libraries/{library}/snapshot", tag = "libraries",
    params(("library" = String, Path, description = "Id or name."), SnapshotParams),
    responses(
        (status = 200, description = "The file.", content_type = "application/octet-stream", body = Vec<u8>, headers(
            ("ETag" = String, description = "Changes with the library."),
            ("X-Vecino-Seq" = u64, description = "Sequence of the last write that changed the library."))),
        (status = 304, description = "Nothing has changed."), Refused, NotFound, Failures))]
async fn export_library(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<SnapshotParams>,
    headers: HeaderMap,
) -> Answer<Response> {
    let SnapshotParams { precision, min_seq } = params;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
    let known = known.split(',').find_map(|tag| tag.trim().trim_matches('"').strip_prefix(&tag_prefix(precision))?.parse().ok());
    let exported = reading(&app, min_seq, move |service| service.export_library(&library, precision, known)).await?;
    let value = |text: String| HeaderValue::try_from(text).map_err(|error| Problem::new("internal", error.to_string()));
    let mut response = match exported.bytes {
        Some(bytes) => Bytes::from(bytes).into_response(),
        None => StatusCode::NOT_MODIFIED.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, value(format!("\"{}{}\"", tag_prefix(precision), exported.seq))?);
    headers.insert("x-vecino-seq", HeaderValue::from(exported.seq));
    headers.insert(header::CONTENT_DISPOSITION, value(disposition(&exported.name))?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// The same contents are other bytes in another format or at another precision.
fn tag_prefix(precision: Precision) -> String {
    format!("{SNAPSHOT_VERSION}-{}-", precision.as_str())
}

/// The file's name: in plain letters for everybody, and as it is for those who can read that.
pub(super) fn disposition(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let safe: String = name.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect();
    let encoded: String =
        name.bytes().map(|byte| if plain(byte.into()) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect();
    format!("attachment; filename=\"{safe}.vecino\"; filename*=UTF-8''{encoded}.vecino")
}
