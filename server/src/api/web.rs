//! The page and the embedding model, as files within the program.

use axum::{
    body::{Body, Bytes},
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::{App, problem::Problem};
use crate::embed::StaticEmbedder;

/// The folder `web/`; a debug build reads it from the disk.
#[derive(RustEmbed)]
#[folder = "../web"]
struct Web;

/// Everything that is not of the API: a file of the page, or nothing.
pub(super) async fn file(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let found = if path.starts_with("v1/") { None } else { Web::get(page(path)) };
    match found {
        Some(_) if method != Method::GET && method != Method::HEAD => method_not_allowed(method, uri).await.into_response(),
        Some(file) => answer(file, &headers),
        None => Problem::new("not_found", format!("there is nothing at {}", uri.path())).into_response(),
    }
}

/// The file at an address.
fn page(path: &str) -> &str {
    match path {
        "" => "index.html",
        "docs" => "docs.html",
        other => other,
    }
}

/// A method that an address of the API does not know.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new("method_not_allowed", format!("{} does not know the method {method}", uri.path()))
}

fn answer(file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let sum: String = file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let kind = file.metadata.mimetype().to_owned();
    let text = kind.starts_with("text/") || kind.ends_with("javascript");
    let kind = if text && !kind.contains("charset") { format!("{kind}; charset=utf-8") } else { kind };
    let data = match file.data {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    };
    cached(data, &kind, &format!("W/\"{sum}\""), "no-cache", headers)
}

/// The built-in embedding model. With its fingerprint as `?v=`, the answer holds for ever.
pub(super) async fn model(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if name != StaticEmbedder::FILE {
        let detail = format!("there is no model '{name}'; the one that is built in is at /models/{}", StaticEmbedder::FILE);
        return Problem::new("not_found", detail).into_response();
    }
    let fingerprint = &app.service.embedder().model().fingerprint;
    let named = query.is_some_and(|query| query.strip_prefix("v=") == Some(fingerprint));
    let cache = if named { "public, max-age=31536000, immutable" } else { "no-cache" };
    let data = Bytes::from_static(StaticEmbedder::bytes());
    cached(data, "application/octet-stream", &format!("\"{fingerprint}\""), cache, &headers)
}

/// A file, or the word that the caller has it.
fn cached(data: Bytes, kind: &str, tag: &str, cache: &'static str, headers: &HeaderMap) -> Response {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let known = known.is_some_and(|tags| tags.split(',').any(|known| bare(known) == bare(tag)));
    let (status, body) = if known { (StatusCode::NOT_MODIFIED, Body::empty()) } else { (StatusCode::OK, Body::from(data)) };
    let mut response = (status, body).into_response();
    let all = [(header::CONTENT_TYPE, kind), (header::ETAG, tag), (header::CACHE_CONTROL, cache)];
    for (name, value) in all {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
