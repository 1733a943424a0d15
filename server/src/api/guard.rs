//! Who may pass: host, key, role, scope, rate, size of the body. One table of rules, made from the description of the API, so
//! that a route that is added is guarded without a word.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    RequestExt,
    body::{Body, HttpBody},
    extract::{ConnectInfo, MatchedPath, RawPathParams, Request},
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::openapi::{ContentBuilder, OpenApi, PathItem, RefOr, ResponseBuilder, path::Operation, schema::Ref};
use vecino_engine::plan::library_not_found;

use super::{
    App, idempotency,
    problem::{Answer, Problem},
};
use crate::{
    memory::Room,
    request_id,
    security::{
        Caller, Role, Scope,
        audit::{Act, AuditLog},
        keys::KeyRing,
    },
};

/// Routes that everybody may ask for.
const OPEN: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// Routes outside the description that need a key all the same.
const UNDESCRIBED: [&str; 1] = ["/openapi.json"];

/// Routes whose body is worked on as it comes in, however long it is.
pub(super) const STREAMED: [&str; 2] = ["/v1/libraries/{library}/import", "/v1/snapshots:upload"];

/// Routes of no library that keys and tokens for certain libraries may use: they tell nothing of others.
const SCOPED: [(Method, &str); 6] = [
    (Method::GET, "/v1/libraries"),
    (Method::GET, "/v1/libraries:count"),
    (Method::GET, "/v1/limits"),
    (Method::GET, "/v1/info"),
    (Method::POST, "/v1/tokens"),
    (Method::GET, "/openapi.json"),
];

/// A body of so many bytes is small.
const SMALL_BODY: usize = 16 * 1024;

/// So long the body of a request that is refused is waited for.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// What is read here is for administrators: everything at once, and checkpoints wait for it.
const WHOLE: [&str; 1] = ["/v1/backup"];

/// Routes of a library that make another one, which no key for certain libraries is for.
const BEYOND: [&str; 1] = ["/v1/libraries/{library}/copy"];

tokio::task_local! {
    static PASSED: Passed;
}

/// A request that has passed.
#[derive(Clone, Debug)]
struct Passed {
    caller: Caller,
    /// Whether it changes nothing.
    reads: bool,
}

/// What is needed for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    role: Role,
    /// Whether the record of administration has it.
    audited: bool,
}

/// The guard at the door.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) keys: Arc<KeyRing>,
    pub(super) audit: AuditLog,
    /// Whether the server listens on the loopback interface only.
    pub(super) loopback: bool,
    rules: HashMap<String, Vec<(Method, Rule)>>,
}

impl Guard {
    pub(super) fn new(keys: Arc<KeyRing>, audit: AuditLog, loopback: bool, description: &OpenApi) -> Self {
        let rules = |(path, item): (&String, &PathItem)| {
            let rules = operations(item).map(|(method, operation)| (method.clone(), rule(path, &method, operation)));
            (path.clone(), rules.collect())
        };
        Self { keys, audit, loopback, rules: description.paths.paths.iter().map(rules).collect() }
    }

    /// What is needed for a method of a route; `None` for what everybody may have.
    fn rule(&self, route: Option<&str>, method: &Method, uri: &Uri) -> Option<Rule> {
        let reading = Rule { role: Role::Read, audited: false };
        let Some(route) = route else {
            // No route: a file of the page, or nothing.
            return uri.path().starts_with("/v1/").then_some(reading);
        };
        if OPEN.contains(&route) {
            return None;
        }
        let method = if method == Method::HEAD { &Method::GET } else { method };
        match self.rules.get(route) {
            Some(rules) => Some(rules.iter().find(|(known, _)| known == method).map_or(reading, |(_, rule)| *rule)),
            None => UNDESCRIBED.contains(&route).then_some(reading),
        }
    }

    /// Whether a route of the description has a method.
    pub(super) fn knows(&self, route: &str, method: &Method) -> bool {
        self.rules.get(route).is_some_and(|rules| rules.iter().any(|(known, _)| known == method))
    }

    fn caller(&self, headers: &HeaderMap) -> Answer<Caller> {
        if !self.keys.required() {
            return Ok(self.keys.anonymous());
        }
        let shown = shown(headers);
        if shown.iter().all(Option::is_none) {
            let detail = "this server needs a key: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`";
            return Err(Problem::new("unauthorized", detail));
        }
        // One that is valid will do, whatever stands in the other place.
        let caller = shown.into_iter().flatten().find_map(|shown| self.keys.authenticate(shown));
        caller.ok_or_else(|| Problem::new("unauthorized", "this key or token is not valid, or not any more"))
    }
}

/// Reading needs the least; what is not known to be reading is writing; the server itself is for administrators.
fn rule(path: &str, method: &Method, operation: &Operation) -> Rule {
    let tags = operation.tags.as_deref().unwrap_or_default();
    let tagged = |tag: &str| tags.iter().any(|known| known == tag);
    let reading = method == Method::GET || tagged("query");
    let whole = WHOLE.contains(&path);
    let role = match (reading, tagged("system"), tagged("keys") || whole) {
        (_, _, true) => Role::Admin,
        (true, ..) => Role::Read,
        (false, true, _) => Role::Admin,
        (false, false, _) => Role::Write,
    };
    // Who has a key may sign tokens that can do less.
    let role = if path == "/v1/tokens" { Role::Read } else { role };
    let inside = path.contains("/documents") || path.contains("/chunks");
    Rule { role, audited: whole || (method != Method::GET && !tagged("query") && !inside) }
}

fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let all = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::PATCH, &item.patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// Whether a route is open to everybody.
pub(super) fn is_open(route: &str) -> bool {
    OPEN.contains(&route)
}

/// Whoever sent the request that is being answered.
pub(super) fn caller(app: &App) -> Caller {
    PASSED.try_with(|passed| passed.caller.clone()).unwrap_or_else(|_| app.guard.keys.anonymous())
}

/// Whether the request that is being answered changes nothing, and so may be left half done.
pub(super) fn reads() -> bool {
    PASSED.try_with(|passed| passed.reads).unwrap_or(false)
}

/// The same work, on behalf of the request that is being answered now, also on another task.
pub(super) fn on_behalf<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let passed = PASSED.try_with(Clone::clone).ok();
    async move {
        match passed {
            Some(passed) => PASSED.scope(passed, work).await,
            None => work.await,
        }
    }
}

/// Leave to work on the request, for as long as it is held.
pub(super) fn begin(app: &App) -> Answer<OwnedSemaphorePermit> {
    let begun =
        PASSED.try_with(|passed| passed.caller.limits.begin()).unwrap_or_else(|_| app.guard.keys.anonymous().limits.begin());
    begun.ok_or_else(|| {
        let detail = "as many requests of this key are worked on as it may have at once; try again when one is answered";
        Problem::new("too_many_requests", detail).retry_after(Duration::from_secs(1))
    })
}

/// The layer.
pub(super) async fn check(app: &App, mut request: Request, next: Next) -> Response {
    let guard = &app.guard;
    let route = request.extensions().get::<MatchedPath>().cloned();
    let rule = guard.rule(route.as_ref().map(MatchedPath::as_str), request.method(), request.uri());
    let audited = rule.is_some_and(|rule| rule.audited);
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip());
    let what = audited.then(|| (request.method().clone(), request.uri().path().to_owned()));

    let admitted = admit(app, rule, route.as_ref(), &mut request).await;
    let key = what.as_ref().map(|_| admitted.as_ref().map_or_else(|_| "unknown".to_owned(), |(caller, _)| caller.key.clone()));
    let response = match admitted {
        Err(problem) => refuse(problem, request).await,
        Ok((caller, _room)) => {
            let reads = rule.is_some_and(|rule| rule.role == Role::Read);
            PASSED
                .scope(Passed { caller, reads }, async {
                    match whole(request).await {
                        Ok(request) => idempotency::once(app, request, next).await,
                        Err(problem) => problem.into_response(),
                    }
                })
                .await
        }
    };
    if let Some(((method, path), key)) = what.zip(key) {
        let (status, at) = (response.status().as_u16(), app.service.now().to_string());
        let id = request_id::current();
        let method = method.as_str();
        let act = Act { at, key: &key, from, method, path: &path, status, request_id: &id };
        tokio::task::block_in_place(|| guard.audit.write(&act));
    }
    response
}

/// A request that is refused: its body is read if it is small, so that the connection can be used again; a large one ends it.
async fn refuse(problem: Problem, request: Request) -> Response {
    let mut response = problem.into_response();
    let small = is_small(&request);
    let read = tokio::time::timeout(DISCARD_TIME, whole(request)).await;
    if !small || !matches!(read, Ok(Ok(_))) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn is_small(request: &Request) -> bool {
    request.body().size_hint().upper().is_some_and(|bytes| bytes <= SMALL_BODY as u64)
}

/// Reads a small body before the handler looks at the request: it may refuse it unread, which would end the connection.
async fn whole(request: Request) -> Answer<Request> {
    if !is_small(&request) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, SMALL_BODY).await;
    let bytes = bytes.map_err(|error| Problem::new("bad_request", format!("the body did not arrive whole: {error}")))?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Everything that is refused before a handler sees the request.
async fn admit(
    app: &App,
    rule: Option<Rule>,
    route: Option<&MatchedPath>,
    request: &mut Request,
) -> Answer<(Caller, Option<Room>)> {
    let guard = &app.guard;
    if guard.loopback && !guard.keys.required() {
        check_host(request.headers())?;
    }
    let Some(rule) = rule else { return Ok((guard.keys.anonymous(), None)) };
    let caller = guard.caller(request.headers())?;
    caller.limits.count().map_err(|wait| {
        Problem::new("too_many_requests", "this key has asked as often as it may in a second").retry_after(wait)
    })?;
    check_scope(app, &caller, route, request).await?;
    if caller.role < rule.role {
        let (needed, has) = (name(rule.role), name(caller.role));
        let detail = format!("this needs the role {needed}; the key has the role {has}");
        return Err(Problem::new("forbidden", detail).numbers(needed, has));
    }
    // What is streamed asks for room as it comes in.
    if route.is_some_and(|route| STREAMED.contains(&route.as_str())) {
        return Ok((caller, None));
    }
    let length = check_length(app, request.headers())?;
    let adds = rule.role == Role::Write && request.method() != Method::DELETE;
    Ok((caller, if adds { Some(room(app, length)?) } else { None }))
}

/// Room for what a write brings, for as long as it is worked on.
pub(super) fn room(app: &App, length: u64) -> Answer<Room> {
    app.memory.room(length).map_err(|(wanted, limit)| {
        let detail = format!(
            "with this write the server would hold about {wanted} bytes of memory; it may hold {limit} (memory_limit). Delete \
             something, or give it more"
        );
        Problem::new("memory_full", detail).numbers(limit, wanted)
    })
}

const fn name(role: Role) -> &'static str {
    match role {
        Role::Read => "read",
        Role::Write => "write",
        Role::Admin => "admin",
    }
}

/// What stands in either of the places for a key.
fn shown(headers: &HeaderMap) -> [Option<&str>; 2] {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| value.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, key)| key.trim());
    [text("x-api-key"), bearer]
}

/// A page of another site can make its name lead to this machine; the browser still sends that name.
fn check_host(headers: &HeaderMap) -> Answer<()> {
    let Some(host) = headers.get(header::HOST) else { return Ok(()) };
    let host = host.to_str().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => host.split(':').next(),
    };
    let name = name.unwrap_or_default();
    let own =
        name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if own {
        return Ok(());
    }
    let detail =
        "without keys this server answers to localhost only, so that no page of another site can ask it: make a key first";
    Err(Problem::new("wrong_host", detail).numbers("localhost", host))
}

/// A library that the caller has no key for is as one that does not exist.
async fn check_scope(app: &App, caller: &Caller, route: Option<&MatchedPath>, request: &mut Request) -> Answer<()> {
    if caller.scope == Scope::All {
        return Ok(());
    }
    let params = request.extract_parts::<RawPathParams>().await.ok();
    let library = params.as_ref().and_then(|params| params.iter().find(|(name, _)| *name == "library"));
    let route = route.map(MatchedPath::as_str).unwrap_or_default();
    if let Some((_, library)) = library {
        let id = app.service.library_id(library)?;
        if !id.is_some_and(|id| caller.scope.allows(&id)) {
            return Err(library_not_found(library).into());
        }
        if !BEYOND.contains(&route) {
            return Ok(());
        }
    } else if SCOPED.iter().any(|(method, path)| method == request.method() && *path == route) {
        return Ok(());
    }
    Err(Problem::new("forbidden", "the key is for certain libraries, and this is about more than those"))
}

/// A body that says itself that it is too large is not waited for. Its length, 0 where it does not say it.
fn check_length(app: &App, headers: &HeaderMap) -> Answer<u64> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > app.max_body_bytes as u64 => {
            let detail =
                format!("the body has {length} bytes; this server takes {}: send it in several requests", app.max_body_bytes);
            Err(Problem::new("payload_too_large", detail).numbers(app.max_body_bytes, length))
        }
        length => Ok(length.unwrap_or(0)),
    }
}

/// The description of an answer that is a problem document.
pub(super) fn problem(meaning: &str) -> RefOr<utoipa::openapi::Response> {
    let schema = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    RefOr::T(ResponseBuilder::new().description(meaning).content("application/problem+json", content).build())
}

/// Says in the description what the guard does.
pub(super) fn describe(description: &mut OpenApi, keys: bool) {
    use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
    for (path, item) in &mut description.paths.paths {
        let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in all.into_iter().flatten().filter(|_| !is_open(path)) {
            let responses = &mut operation.responses.responses;
            responses.insert(
                "429".to_owned(),
                problem("The key has asked too often or too much at once, or too many jobs run; `Retry-After` says when to try again."),
            );
            if keys {
                responses.insert("401".to_owned(), problem("There is no key, or it is not valid."));
                responses.insert("403".to_owned(), problem("The key may not do this."));
                let either = ["bearer", "key"].map(|scheme| SecurityRequirement::new::<_, [&str; 0], &str>(scheme, []));
                operation.security = Some(either.to_vec());
            }
        }
    }
    if keys {
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        components.add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
    }
}
