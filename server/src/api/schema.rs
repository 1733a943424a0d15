//! `/v1/libraries/{library}/fields`: the attribute fields, and `/v1/libraries/{library}/copy`.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::{command::SchemaChange, model::FieldType, view::LibraryView};

use super::{
    App,
    durability::WriteParams,
    extract::{Body, Params, Path},
    libraries::FieldTypeName,
    problem::Answer,
    responses::{Conflicts, Failures, NotFound, Refused, Stale, Unreadable},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(add_field)).routes(routes!(rename_field, drop_field)).routes(routes!(copy_library))
}

/// An attribute field to be added.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FieldInput {
    /// Its name, up to 128 bytes.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// Its type.
    #[serde(rename = "type")]
    #[schema(value_type = FieldTypeName)]
    kind: FieldType,
}

/// Another name of an attribute field.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FieldChange {
    /// Its name from now on.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
}

/// A copy to be made.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CopyInput {
    /// The name of the copy.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// The id of the copy; made here if it is left out.
    #[schema(min_length = 1, max_length = 255)]
    id: Option<String>,
}

/// Adds an attribute field.
#[utoipa::path(post, path = "/v1/libraries/{library}/fields", tag = "libraries", request_body = FieldInput,
    params(("library" = String, Path, description = "Id or name."), WriteParams),
    responses((status = 201, description = "The library with the field.", body = LibraryView),
        Refused, Unreadable, NotFound, Conflicts, Stale, Failures))]
async fn add_field(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<WriteParams>,
    Body(input): Body<FieldInput>,
) -> Answer<(StatusCode, Json<LibraryView>)> {
    let change = SchemaChange::Add { name: input.name, kind: input.kind };
    Ok((StatusCode::CREATED, Json(app.service.change_schema(&library, change, params.options()).await?)))
}

/// Gives an attribute field another name. Its values stay.
#[utoipa::path(patch, path = "/v1/libraries/{library}/fields/{field}", tag = "libraries", request_body = FieldChange,
    params(("library" = String, Path, description = "Id or name."), ("field" = String, Path, description = "Its name."), WriteParams),
    responses((status = 200, description = "The library with the field.", body = LibraryView),
        Refused, Unreadable, NotFound, Conflicts, Stale, Failures))]
async fn rename_field(
    State(app): State<App>,
    Path((library, field)): Path<(String, String)>,
    Params(params): Params<WriteParams>,
    Body(input): Body<FieldChange>,
) -> Answer<Json<LibraryView>> {
    let change = SchemaChange::Rename { name: field, to: input.name };
    Ok(Json(app.service.change_schema(&library, change, params.options()).await?))
}

/// Drops an attribute field, with its values in all documents and chunks.
#[utoipa::path(delete, path = "/v1/libraries/{library}/fields/{field}", tag = "libraries",
    params(("library" = String, Path, description = "Id or name."), ("field" = String, Path, description = "Its name."), WriteParams),
    responses((status = 200, description = "The library without the field.", body = LibraryView), Refused, NotFound, Stale, Failures))]
async fn drop_field(
    State(app): State<App>,
    Path((library, field)): Path<(String, String)>,
    Params(params): Params<WriteParams>,
) -> Answer<Json<LibraryView>> {
    Ok(Json(app.service.change_schema(&library, SchemaChange::Drop { name: field }, params.options()).await?))
}

/// Copies a library with everything in it, index included. Aliases stay with the library that was copied.
///
/// It takes no time and hardly any memory: the two share what neither has changed since.
#[utoipa::path(post, path = "/v1/libraries/{library}/copy", tag = "libraries", request_body = CopyInput,
    params(("library" = String, Path, description = "Id or name."), WriteParams),
    responses((status = 201, description = "The copy.", body = LibraryView),
        Refused, Unreadable, NotFound, Conflicts, Stale, Failures))]
async fn copy_library(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<WriteParams>,
    Body(input): Body<CopyInput>,
) -> Answer<(StatusCode, Json<LibraryView>)> {
    let id = input.id.unwrap_or_else(|| app.service.new_id());
    Ok((StatusCode::CREATED, Json(app.service.copy_library(&library, id, input.name, params.options()).await?)))
}
