//! `/v1/keys` and `/v1/tokens`.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::{Code, Error, model::Timestamp, plan::library_not_found};

use super::{
    App, blocking,
    extract::{Body, NoParams, Params, Path},
    guard,
    input::Whole,
    problem::{Answer, Problem},
    responses::{Failures, NotFound, Refused, Unreadable},
};
use crate::security::{Caller, Grant, Role, Scope, keys::KeyRecord};

/// Libraries that one key or token can be for.
const MAX_LIBRARIES: usize = 100;

/// The longest name of a key, in bytes.
const MAX_NAME: usize = 255;

/// The longest life of a token, in seconds.
const MAX_TTL: u64 = 86_400;

/// The life of a token unless told.
const TTL: u64 = 600;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_keys, create_key)).routes(routes!(revoke_key)).routes(routes!(create_token))
}

/// A key to be made.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeyInput {
    /// For people, up to 255 bytes.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// What it may do.
    role: Role,
    /// Ids or names of the libraries that it is for, 1 to 100; all of them, also those to come, without this. They stay the same
    /// libraries when they are renamed. Not for the role `admin`.
    #[schema(min_items = 1, max_items = 100)]
    libraries: Option<Vec<String>>,
}

/// A key, but for the key itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct KeyView {
    /// Made here.
    id: String,
    /// For people.
    name: String,
    /// What it may do.
    role: Role,
    /// The ids of the libraries that it is for; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    libraries: Option<Vec<String>>,
    /// When it was made.
    created_at: String,
}

/// A key that was made.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct NewKey {
    /// What is kept of it.
    #[serde(flatten)]
    view: KeyView,
    /// The key. Keep it: the server cannot tell it again.
    key: String,
}

/// All keys.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct KeyList {
    /// Oldest first. The key of the settings is not among them.
    keys: Vec<KeyView>,
}

/// A token to be signed.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenInput {
    /// What it may do, at most what the key may; `read` unless told. Not `admin`.
    #[serde(default = "reading")]
    role: Role,
    /// Ids or names of the libraries that it is for, 1 to 100, of those that the key is for; all of those without this.
    #[schema(min_items = 1, max_items = 100)]
    libraries: Option<Vec<String>>,
    /// After so many seconds it is not valid any more: 1 to 86,400, 600 unless told.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 86_400)]
    ttl_seconds: Option<Whole>,
}

fn reading() -> Role {
    Role::Read
}

/// A token.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Token {
    /// To be sent like a key.
    token: String,
    /// What it may do.
    role: Role,
    /// The ids of the libraries that it is for; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    libraries: Option<Vec<String>>,
    /// When it ends.
    expires_at: String,
}

impl From<KeyRecord> for KeyView {
    fn from(record: KeyRecord) -> Self {
        let KeyRecord { id, name, role, libraries, created_at, .. } = record;
        Self { id, name, role, libraries, created_at }
    }
}

/// Lists the keys.
#[utoipa::path(get, path = "/v1/keys", tag = "keys",
    responses((status = 200, description = "As asked.", body = KeyList), Refused, Failures))]
async fn list_keys(State(app): State<App>, _: Params<NoParams>) -> Answer<Json<KeyList>> {
    let keys = app.guard.keys.list()?;
    Ok(Json(KeyList { keys: keys.into_iter().map(KeyView::from).collect() }))
}

/// Makes a key.
///
/// A server without keys makes none: the settings bring the key of the first administrator (`VECINO_API_KEY`).
#[utoipa::path(post, path = "/v1/keys", tag = "keys", request_body = KeyInput,
    responses((status = 201, description = "It is written.", body = NewKey), Refused, Unreadable, NotFound, Failures,
        (status = 403, description = "The server has no keys.", body = super::problem::Document,
            content_type = "application/problem+json")))]
async fn create_key(
    State(app): State<App>,
    _: Params<NoParams>,
    Body(input): Body<KeyInput>,
) -> Answer<(StatusCode, Json<NewKey>)> {
    if !app.guard.keys.required() {
        let detail =
            "this server has no keys: start it with VECINO_API_KEY, the key of the first administrator, and ask with that";
        return Err(Problem::new("forbidden", detail));
    }
    let KeyInput { name, role, libraries } = input;
    if name.is_empty() || name.len() > MAX_NAME {
        let detail = format!("the name of a key has 1 to {MAX_NAME} bytes, received {}", name.len());
        return Err(Error::new(Code::InvalidValue, detail).field("name").numbers(MAX_NAME, name.len()).into());
    }
    let scope = scope(&app, libraries, &Scope::All)?;
    let (keys, now) = (Arc::clone(&app.guard.keys), app.service.now());
    let (record, key) = blocking(&app, move |_| keys.create(name, &Grant { role, scope }, now)).await?;
    Ok((StatusCode::CREATED, Json(NewKey { view: record.into(), key })))
}

/// Revokes a key, and with it the tokens that it has signed.
#[utoipa::path(delete, path = "/v1/keys/{key}", tag = "keys", params(("key" = String, Path, description = "Its id.")),
    responses((status = 200, description = "It was this one.", body = KeyView), Refused, NotFound, Failures))]
async fn revoke_key(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<KeyView>> {
    let keys = Arc::clone(&app.guard.keys);
    let missing = Problem::new("key_not_found", format!("there is no key '{id}'; GET /v1/keys lists them"));
    let record = blocking(&app, move |_| keys.revoke(&id)).await?;
    Ok(Json(record.ok_or(missing)?.into()))
}

/// Signs a short-lived token that can do no more than the key, for a backend to hand to a browser.
#[utoipa::path(post, path = "/v1/tokens", tag = "keys", request_body = TokenInput,
    responses((status = 201, description = "It is valid.", body = Token), Refused, Unreadable, NotFound, Failures,
        (status = 403, description = "Only a key can sign, and for no more than itself.", body = super::problem::Document,
            content_type = "application/problem+json")))]
async fn create_token(
    State(app): State<App>,
    _: Params<NoParams>,
    Body(input): Body<TokenInput>,
) -> Answer<(StatusCode, Json<Token>)> {
    let caller = guard::caller(&app);
    let grant = granted(&app, &caller, input.role, input.libraries)?;
    let ttl = input.ttl_seconds.map_or(TTL, |Whole(seconds)| seconds);
    if ttl == 0 || ttl > MAX_TTL {
        let detail = format!("ttl_seconds is 1 to {MAX_TTL}, received {ttl}");
        return Err(Error::new(Code::InvalidValue, detail).field("ttl_seconds").numbers(MAX_TTL, ttl).into());
    }
    let expires = (app.service.now().micros().max(0) / 1_000_000).cast_unsigned() + ttl;
    let token = app.guard.keys.sign(&caller, &grant, expires)?;
    let expires_at = Timestamp::from_micros(expires.cast_signed() * 1_000_000).to_string();
    Ok((StatusCode::CREATED, Json(Token { token, role: grant.role, libraries: grant.scope.ids(), expires_at })))
}

fn granted(app: &App, caller: &Caller, role: Role, libraries: Option<Vec<String>>) -> Answer<Grant> {
    if !app.guard.keys.required() {
        return Err(Problem::new("forbidden", "this server has no keys, so there is nothing that could sign"));
    }
    if caller.token {
        return Err(Problem::new("forbidden", "a token cannot sign tokens; ask with the key"));
    }
    if role == Role::Admin {
        return Err(Error::new(Code::InvalidValue, "a token cannot be an administrator's").field("role").into());
    }
    if role > caller.role {
        return Err(Problem::new("forbidden", "a token can do no more than its key").field("role"));
    }
    let scope = match libraries {
        None => caller.scope.clone(),
        some => scope(app, some, &caller.scope)?,
    };
    Ok(Grant { role, scope })
}

/// The ids of libraries that exist, as far as one may know who may see those `within`.
fn scope(app: &App, libraries: Option<Vec<String>>, within: &Scope) -> Answer<Scope> {
    let Some(libraries) = libraries else { return Ok(Scope::All) };
    if libraries.is_empty() || libraries.len() > MAX_LIBRARIES {
        let detail = format!("name 1 to {MAX_LIBRARIES} libraries, or leave them out for all; received {}", libraries.len());
        return Err(Error::new(Code::InvalidValue, detail).field("libraries").numbers(MAX_LIBRARIES, libraries.len()).into());
    }
    let id = |(place, library): (usize, &String)| {
        let id = app.service.library_id(library)?.filter(|id| within.allows(id));
        id.ok_or_else(|| Problem::from(library_not_found(library).field(format!("libraries[{place}]"))))
    };
    Ok(Scope::of(Some(libraries.iter().enumerate().map(id).collect::<Answer<_>>()?)))
}
