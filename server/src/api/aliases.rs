//! `/v1/aliases`: other names of libraries, which can be led elsewhere all at once.

use axum::{Json, extract::State};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    App,
    durability::CreateParams,
    extract::{Body, Params, Path},
    page::ReadParams,
    problem::Answer,
    reading,
    responses::{Conflicts, Failures, NotFound, Refused, Unreadable},
};
use crate::{
    json::entries,
    service::{Service, libraries::Aliases},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_aliases, set_aliases)).routes(routes!(put_alias, delete_alias))
}

/// Where an alias leads.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AliasInput {
    /// The library, by id, name or another alias.
    library: String,
}

/// Where aliases lead, all at once.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AliasesInput {
    /// Each alias with the id or the name of its library; null takes one away. Up to 100.
    #[serde(deserialize_with = "targets")]
    #[schema(value_type = std::collections::BTreeMap<String, Option<String>>)]
    aliases: Vec<(String, Option<String>)>,
}

fn targets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, Option<String>)>, D::Error> {
    let named: Vec<(String, Value)> = entries(deserializer)?;
    let target = |(alias, value): (String, Value)| match value {
        Value::Null => Ok((alias, None)),
        Value::String(library) => Ok((alias, Some(library))),
        _ => Err(D::Error::custom(format_args!("invalid type: the value of '{alias}', expected a string"))),
    };
    named.into_iter().map(target).collect()
}

/// Lists the aliases.
#[utoipa::path(get, path = "/v1/aliases", tag = "libraries", params(ReadParams),
    responses((status = 200, description = "As asked.", body = Aliases), Refused, Failures))]
async fn list_aliases(State(app): State<App>, Params(params): Params<ReadParams>) -> Answer<Json<Aliases>> {
    Ok(Json(reading(&app, params.min_seq, Service::aliases).await?))
}

/// Sets aliases, all at once: nobody sees one of them changed and another not. So two libraries can change places.
#[utoipa::path(post, path = "/v1/aliases", tag = "libraries", request_body = AliasesInput, params(CreateParams),
    responses((status = 200, description = "All aliases from now on.", body = Aliases),
        Refused, Unreadable, NotFound, Conflicts, Failures))]
async fn set_aliases(
    State(app): State<App>,
    Params(params): Params<CreateParams>,
    Body(input): Body<AliasesInput>,
) -> Answer<Json<Aliases>> {
    Ok(Json(app.service.set_aliases(input.aliases, params.options().durability).await?))
}

/// Leads an alias to a library, from another one if it led there.
#[utoipa::path(put, path = "/v1/aliases/{alias}", tag = "libraries", request_body = AliasInput,
    params(("alias" = String, Path, description = "The alias."), CreateParams),
    responses((status = 200, description = "All aliases from now on.", body = Aliases),
        Refused, Unreadable, NotFound, Conflicts, Failures))]
async fn put_alias(
    State(app): State<App>,
    Path(alias): Path<String>,
    Params(params): Params<CreateParams>,
    Body(input): Body<AliasInput>,
) -> Answer<Json<Aliases>> {
    Ok(Json(app.service.set_aliases(vec![(alias, Some(input.library))], params.options().durability).await?))
}

/// Takes an alias away. Its library stays.
#[utoipa::path(delete, path = "/v1/aliases/{alias}", tag = "libraries",
    params(("alias" = String, Path, description = "The alias."), CreateParams),
    responses((status = 200, description = "All aliases from now on.", body = Aliases), Refused, NotFound, Failures))]
async fn delete_alias(
    State(app): State<App>,
    Path(alias): Path<String>,
    Params(params): Params<CreateParams>,
) -> Answer<Json<Aliases>> {
    Ok(Json(app.service.set_aliases(vec![(alias, None)], params.options().durability).await?))
}
