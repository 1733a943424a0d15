//! What is done for every request: its id, its time, its headers, and a word in the log.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::{
    App,
    guard::{self, STREAMED},
    problem::Problem,
};
use crate::{metrics::METRICS, request_id, telemetry::Span};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id than this is not taken over from a client.
const MAX_REQUEST_ID: usize = 128;

/// The page runs its own scripts and wasm only; it may read a library from any address that the user names.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self' https: http:; object-src 'none'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

static SECURITY: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// The outermost layer. A client's own request id is kept if it is one.
pub(super) async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let (limit, telemetry) = (app.timeout, &app.telemetry);
    let own = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok());
    let sound = |id: &&str| !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
    let id = own.filter(sound).map_or_else(request_id::new, str::to_owned);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let parent = request.headers().get("traceparent").filter(|_| telemetry.is_on());
    let parent = parent.and_then(|parent| parent.to_str().ok()).map(str::to_owned);
    let begun = Instant::now();
    let streamed = route.as_ref().is_some_and(|route| STREAMED.contains(&route.as_str()));
    let limit = if streamed { Duration::from_secs(u64::from(u32::MAX)) } else { limit };
    let answer = async {
        let answer = AssertUnwindSafe(guard::check(&app, request, next)).catch_unwind();
        match timeout(limit, answer).await {
            Ok(answer) => answer.unwrap_or_else(panicked),
            Err(_) => {
                let detail = format!("after {} s there is no answer; a write may still be done", limit.as_secs());
                Problem::new("timeout", detail).into_response()
            }
        }
    };
    let mut response = request_id::under(id.clone(), answer).await;
    decorate(response.headers_mut(), &id);
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    METRICS.request(method.as_str(), route.as_ref().map(MatchedPath::as_str), status, took);
    if telemetry.is_on() {
        let (method, route) = (method.to_string(), route.map(|route| route.as_str().to_owned()));
        telemetry.hand_in(&Span { method, route, status, took, request_id: id.clone(), parent });
    }
    let took_ms = took.as_secs_f64() * 1e3;
    tracing::debug!(%method, path, status, took_ms, request_id = id, "answered");
    response
}

fn decorate(headers: &mut HeaderMap, id: &str) {
    headers.reserve(SECURITY.len() + 4);
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(&REQUEST_ID, id);
    }
    for (name, value) in &SECURITY {
        headers.insert(name, value.clone());
    }
    // What the API tells is as of now.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// The answer to a request that made its handler panic.
fn panicked(why: Box<dyn Any + Send>) -> Response {
    let why = why.downcast::<String>().map_or_else(
        |why| why.downcast::<&'static str>().map_or_else(|_| "unknown".to_owned(), |why| (*why).to_owned()),
        |why| *why,
    );
    tracing::error!(why, request_id = request_id::current(), "a request panicked");
    Problem::new("internal", "the request failed for a reason that is not its own; the log has more").into_response()
}
