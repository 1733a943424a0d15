//! `/v1/libraries/{library}/index` and `/quality`.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::{
    command::IndexDraft,
    model::{IndexParams, IndexType},
    view::IndexView,
};

use super::{
    App,
    durability::WriteParams,
    extract::{Body, Params, Path},
    index_settings::{index_params, share},
    libraries::IndexTypeName,
    page::ReadParams,
    problem::Answer,
    reading,
    responses::{Failures, NotFound, Refused, Stale, Unreadable},
};
use crate::service::index::LibraryQuality;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_index, choose_index)).routes(routes!(quality))
}

/// Which index a library shall have. What is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IndexInput {
    /// The type.
    #[schema(value_type = Option<IndexTypeName>)]
    index_type: Option<IndexType>,
    /// How it is built, all parameters; a parameter of another type of index has no effect.
    #[serde(default, deserialize_with = "index_params")]
    index_params: Option<IndexParams>,
    /// The share of the true nearest chunks that answers shall hold on average, above 0 and at most 1; 1 is exact.
    #[serde(default, deserialize_with = "share")]
    #[schema(exclusive_minimum = 0, maximum = 1)]
    target_recall: Option<f32>,
    /// Whether to build it anew even if nothing about it changes.
    #[serde(default)]
    rebuild: bool,
}

/// The index that was chosen.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct IndexChosen {
    /// The index as it is now.
    #[serde(flatten)]
    view: IndexView,
    /// The job that watches the building, where there is something to be built.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    job: Option<String>,
}

/// Tells of a library's index: what serves, and what waits to be taken in.
#[utoipa::path(get, path = "/v1/libraries/{library}/index", tag = "index",
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = IndexView), Refused, NotFound, Failures))]
async fn get_index(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
) -> Answer<Json<IndexView>> {
    Ok(Json(reading(&app, params.min_seq, move |service| service.index(&library)).await?))
}

/// Chooses a library's index.
///
/// It is built in the background; the old one serves until the new one is ready, and every chunk is found all the while. The job
/// only watches: to cancel it does not take the choice back, another choice does.
#[utoipa::path(put, path = "/v1/libraries/{library}/index", tag = "index", request_body = IndexInput,
    params(("library" = String, Path, description = "Id or name."), WriteParams),
    responses((status = 200, description = "It is written, and there is nothing to be built.", body = IndexChosen),
        (status = 202, description = "It is written, and is being built.", body = IndexChosen),
        Refused, Unreadable, NotFound, Stale, Failures))]
async fn choose_index(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<WriteParams>,
    Body(input): Body<IndexInput>,
) -> Answer<Response> {
    let IndexInput { index_type, index_params, target_recall, rebuild } = input;
    let draft = IndexDraft { index_type, params: index_params, target_recall };
    let view = app.service.choose_index(&library, draft, rebuild, params.options()).await?;
    // Where too many jobs run, it is built all the same.
    let job = (view.waiting > 0).then(|| app.service.watch_index(&library)).flatten().map(|job| job.id);
    let status = if view.waiting > 0 { StatusCode::ACCEPTED } else { StatusCode::OK };
    let location = job.as_ref().map(|job| [(header::LOCATION, format!("/v1/jobs/{job}"))]);
    Ok((status, location, Json(IndexChosen { view, job })).into_response())
}

/// Tells how good a library's answers are, as it has measured itself against exact search, and as sampled queries found it.
#[utoipa::path(get, path = "/v1/libraries/{library}/quality", tag = "index",
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = LibraryQuality), Refused, NotFound, Failures))]
async fn quality(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
) -> Answer<Json<LibraryQuality>> {
    Ok(Json(reading(&app, params.min_seq, move |service| service.quality(&library)).await?))
}
