//! `Idempotency-Key`: a write that is sent again is not done again; it gets the answer of the first time.
//!
//! Answers are remembered in memory, for a day and up to a limit in number and bytes, the oldest forgotten first; a restart forgets
//! them all. A request that is under way goes on when its client leaves, so that the answer is there when it comes again. Failures of
//! the server itself (5xx) are not remembered: the next request tries anew.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes, HttpBody as _, to_bytes},
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ring::digest::{Context, SHA256};
use utoipa::openapi::{
    OpenApi, RefOr, Required,
    path::{ParameterBuilder, ParameterIn},
    schema::{ObjectBuilder, Schema, Type},
};

use super::{
    App,
    guard::{self, STREAMED},
    problem::{Answer, Problem},
};
use crate::request_id;

static KEY: HeaderName = HeaderName::from_static("idempotency-key");
static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Characters of a key.
const MAX_KEY_CHARS: usize = 128;

/// Answers, and bytes of their bodies, that are remembered.
const MAX_ANSWERS: usize = 10_000;
const MAX_BYTES: usize = 32 << 20;

/// For so long.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Who sent which key.
type Name = (String, String);

/// What was asked, as a digest.
type Asked = [u8; 32];

/// The answers that are remembered.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    entries: HashMap<Name, Entry>,
    /// Names of answers, the oldest first.
    order: VecDeque<(Name, Instant)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    asked: Asked,
    /// `None` while the first request is under way.
    answer: Option<Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Forgets a request that ended without an answer.
struct UnderWay {
    answers: Arc<Answers>,
    name: Name,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut all = self.answers.all();
        if all.entries.get(&self.name).is_some_and(|entry| entry.answer.is_none()) {
            all.entries.remove(&self.name);
        }
    }
}

impl Answers {
    /// The tables are whole at every step.
    fn all(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer of the first time; `None` for the first time itself.
    fn begin(self: &Arc<Self>, name: Name, asked: Asked) -> Answer<Result<UnderWay, Kept>> {
        let mut all = self.all();
        all.forget(Instant::now());
        match all.entries.get(&name) {
            Some(entry) if entry.asked != asked => {
                let detail = "this idempotency key was sent with another request; use a new one for each write";
                Err(Problem::new("key_reused", detail).field("Idempotency-Key"))
            }
            Some(Entry { answer: Some(answer), .. }) => Ok(Err(answer.clone())),
            Some(_) => {
                let detail = "the first request with this idempotency key is not answered yet; ask again in a moment";
                Err(Problem::new("in_progress", detail).retry_after(Duration::from_secs(1)))
            }
            None => {
                all.entries.insert(name.clone(), Entry { asked, answer: None });
                Ok(Ok(UnderWay { answers: Arc::clone(self), name }))
            }
        }
    }

    fn keep(&self, name: &Name, kept: Kept) {
        let mut all = self.all();
        all.bytes += kept.body.len();
        if let Some(entry) = all.entries.get_mut(name) {
            entry.answer = Some(kept);
            all.order.push_back((name.clone(), Instant::now()));
        }
    }
}

impl Remembered {
    fn forget(&mut self, now: Instant) {
        while let Some((name, since)) = self.order.front() {
            if self.order.len() < MAX_ANSWERS && self.bytes <= MAX_BYTES && now.duration_since(*since) < MAX_AGE {
                return;
            }
            if let Some(answer) = self.entries.remove(name).and_then(|entry| entry.answer) {
                self.bytes -= answer.body.len();
            }
            self.order.pop_front();
        }
    }
}

/// The layer.
pub(super) async fn once(app: &App, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    match request.headers().get(&KEY) {
        // What no route does is refused for that, whatever key comes with it.
        Some(key) if request.method() != Method::GET && app.guard.knows(route, request.method()) => {
            let key = key.clone();
            answer(app, &key, request, next).await.unwrap_or_else(IntoResponse::into_response)
        }
        _ => next.run(request).await,
    }
}

async fn answer(app: &App, key: &HeaderValue, request: Request, next: Next) -> Answer<Response> {
    let sound = |key: &&str| !key.is_empty() && key.len() <= MAX_KEY_CHARS && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key = key.to_str().ok().filter(sound).ok_or_else(|| {
        let detail = format!("an idempotency key has 1 to {MAX_KEY_CHARS} visible ASCII characters");
        Problem::new("bad_request", detail).field("Idempotency-Key")
    })?;
    if request.extensions().get::<MatchedPath>().is_some_and(|route| STREAMED.contains(&route.as_str())) {
        let detail = "what is streamed takes no idempotency key; an import can be sent again with on_conflict=skip";
        return Err(Problem::new("bad_request", detail).field("Idempotency-Key"));
    }
    let name = (guard::caller(app).key, key.to_owned());
    let (head, body) = request.into_parts();
    let body = to_bytes(body, app.max_body_bytes).await.map_err(|_| {
        let detail = "the body did not arrive whole, or is larger than this server takes; send it in several requests";
        Problem::new("payload_too_large", detail)
    })?;
    let mut asked = Context::new(&SHA256);
    for part in [head.method.as_str().as_bytes(), b" ", head.uri.to_string().as_bytes(), b"\n", &body] {
        asked.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(asked.finish().as_ref());
    let under_way = match app.answers.begin(name, digest)? {
        Ok(under_way) => under_way,
        Err(kept) => return Ok(kept.replay()),
    };
    let request = Request::from_parts(head, Body::from(body));
    let work =
        guard::on_behalf(request_id::under(request_id::current(), async move { keep(under_way, next.run(request).await).await }));
    tokio::spawn(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request panicked");
        Err(Problem::new("internal", "the request failed for a reason that is not its own; the log has more"))
    })
}

/// Remembers an answer and gives it on.
async fn keep(under_way: UnderWay, response: Response) -> Answer<Response> {
    if response.status().is_server_error() || response.body().size_hint().upper().is_none_or(|bytes| bytes > MAX_BYTES as u64) {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let body = to_bytes(body, MAX_BYTES).await.map_err(|error| Problem::new("internal", error.to_string()))?;
    under_way.answers.keep(&under_way.name, Kept { status: head.status, headers: head.headers.clone(), body: body.clone() });
    Ok(Response::from_parts(head, Body::from(body)))
}

impl Kept {
    fn replay(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        for name in [header::CONTENT_TYPE, header::LOCATION] {
            if let Some(value) = self.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response.headers_mut().insert(REPLAYED.clone(), HeaderValue::from_static("true"));
        response
    }
}

/// Says in the description which requests take a key.
pub(super) fn describe(description: &mut OpenApi) {
    for (path, item) in &mut description.paths.paths {
        if STREAMED.contains(&path.as_str()) {
            continue;
        }
        let all = [&mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in all.into_iter().flatten() {
            let text = "A name for this write, 1 to 128 visible ASCII characters. Sent again with the same name, it is not done again: \
                        the answer is that of the first time, for a day and until the server ends.";
            let schema = ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(MAX_KEY_CHARS))
                .pattern(Some("^[!-~]+$"));
            let parameter = ParameterBuilder::new()
                .name("Idempotency-Key")
                .parameter_in(ParameterIn::Header)
                .required(Required::False)
                .description(Some(text))
                .schema(Some(RefOr::T(Schema::Object(schema.build()))));
            operation.parameters.get_or_insert_default().push(RefOr::T(parameter.build()));
            for (status, meaning) in [
                ("409", "The idempotency key was used for another request, or its first request is not answered yet."),
                ("413", "The body is larger than the server takes."),
                ("400", "The request is wrong: `code`, `field`, `expected` and `received` say where and why."),
            ] {
                let responses = &mut operation.responses.responses;
                responses.entry(status.to_owned()).or_insert_with(|| guard::problem(meaning));
            }
        }
    }
}
