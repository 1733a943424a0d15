//! Errors as problem documents (RFC 9457).

use std::time::Duration;

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;
use vecino_engine::{Code, Error};

use crate::request_id;

/// An answer that says what went wrong.
#[derive(Clone, Debug)]
pub(super) struct Problem(Box<Document>);

/// What went wrong. The same for every error of the API.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document {
    /// Names the kind of problem: `/problems/` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and what to do.
    pub detail: String,
    /// The kind of problem, for programs.
    #[schema(example = "wrong_dimension")]
    pub code: String,
    /// The field or parameter at fault, as a path such as `chunks[3].embedding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What would have been right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Json>,
    /// What came instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<Json>,
    /// The line of an import that is at fault, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line: Option<u64>,
    /// The id of the request, also in the header `x-request-id`.
    pub request_id: String,
    /// Goes into the header `Retry-After`.
    #[serde(skip)]
    retry_after: Option<Duration>,
}

/// Shorthand for what handlers return.
pub(super) type Answer<T> = Result<T, Problem>;

/// Kinds of problem that only HTTP has: code, status, meaning.
const KINDS: &[(&str, StatusCode, &str)] = &[
    ("bad_json", StatusCode::BAD_REQUEST, "The body is not JSON."),
    ("missing_field", StatusCode::BAD_REQUEST, "A field is missing."),
    ("not_found", StatusCode::NOT_FOUND, "There is nothing at this address."),
    ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "This address does not know this method."),
    ("payload_too_large", StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than this server takes."),
    ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is of a kind that is not understood here."),
    ("bad_request", StatusCode::BAD_REQUEST, "The request cannot be read."),
    ("unauthorized", StatusCode::UNAUTHORIZED, "There is no valid key."),
    ("forbidden", StatusCode::FORBIDDEN, "The key may not do this."),
    ("key_not_found", StatusCode::NOT_FOUND, "There is no such key."),
    ("snapshot_not_found", StatusCode::NOT_FOUND, "There is no such snapshot."),
    ("wrong_host", StatusCode::MISDIRECTED_REQUEST, "This server is not asked under this name."),
    ("too_many_requests", StatusCode::TOO_MANY_REQUESTS, "The key asks too much."),
    ("memory_full", StatusCode::INSUFFICIENT_STORAGE, "The server holds as much as it may."),
    ("not_ready", StatusCode::SERVICE_UNAVAILABLE, "The server does not take requests of all kinds."),
    ("timeout", StatusCode::SERVICE_UNAVAILABLE, "The request took too long."),
    ("silent_body", StatusCode::REQUEST_TIMEOUT, "The body has stopped coming."),
    ("cancelled", StatusCode::CONFLICT, "The work was cancelled."),
    ("key_reused", StatusCode::CONFLICT, "The idempotency key was used for another request."),
    ("in_progress", StatusCode::CONFLICT, "The first request with this idempotency key is not answered yet."),
    ("job_not_found", StatusCode::NOT_FOUND, "No job of this id."),
    ("too_many_jobs", StatusCode::TOO_MANY_REQUESTS, "So many jobs run that no other can begin."),
    ("wrong_cursor", StatusCode::CONFLICT, "The cursor belongs to another listing."),
    ("not_yet", StatusCode::CONFLICT, "The write that the answer must know of has not come."),
    ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Something failed inside the server."),
];

impl Problem {
    /// A problem of the kinds that only HTTP has.
    pub(super) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let known = KINDS.iter().find(|(known, ..)| *known == code);
        let (_, status, title) = known.copied().unwrap_or((code, StatusCode::INTERNAL_SERVER_ERROR, ""));
        Self::with(code, status, title, detail.into())
    }

    fn with(code: &str, status: StatusCode, title: &str, detail: String) -> Self {
        Self(Box::new(Document {
            kind: format!("/problems/{code}"),
            title: title.trim().trim_end_matches('.').to_owned(),
            status: status.as_u16(),
            detail,
            code: code.to_owned(),
            field: None,
            expected: None,
            received: None,
            line: None,
            request_id: request_id::current(),
            retry_after: None,
        }))
    }

    /// Names the field at fault.
    pub(super) fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Says when to try again.
    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Names the line at fault.
    pub(super) fn line(mut self, line: u64) -> Self {
        self.0.line = Some(line);
        self
    }

    /// Says more of what happened.
    pub(super) fn explained(mut self, more: &str) -> Self {
        self.0.detail = format!("{}; {more}", self.0.detail);
        self
    }

    /// The kind of problem.
    pub(super) fn code(&self) -> &str {
        &self.0.code
    }

    /// The whole of it.
    pub(super) fn document(&self) -> &Document {
        &self.0
    }

    /// Puts `prefix` before the field's path.
    pub(super) fn within(mut self, prefix: &str) -> Self {
        let field = self.0.field.map_or_else(String::new, |field| format!(".{field}"));
        self.0.field = Some(format!("{prefix}{field}"));
        self
    }

    /// Says what was expected and what was received.
    pub(super) fn numbers(mut self, expected: impl Into<Json>, received: impl Into<Json>) -> Self {
        self.0.expected = Some(expected.into());
        self.0.received = Some(received.into());
        self
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let title = Code::ALL.iter().find(|(code, _)| *code == error.code).map_or("", |(_, meaning)| meaning);
        let status = status_of(&error);
        if status.is_server_error() {
            tracing::error!(%error, request_id = request_id::current(), "a request failed");
        }
        let mut problem = Self::with(error.code.as_str(), status, title, error.detail);
        (problem.0.field, problem.0.expected, problem.0.received) = (error.field, error.expected, error.received);
        problem
    }
}

fn status_of(error: &Error) -> StatusCode {
    match error.code {
        // What is wrong by itself is a bad request; this one would be right for another library, or at another time.
        _ if error.unfit => StatusCode::CONFLICT,
        Code::InvalidValue
        | Code::WrongType
        | Code::UnknownField
        | Code::UnknownOperator
        | Code::WrongDimension
        | Code::NotFinite
        | Code::ZeroVector
        | Code::EmptyText
        | Code::LimitExceeded
        | Code::EmbeddingModel => StatusCode::BAD_REQUEST,
        Code::LibraryNotFound | Code::DocumentNotFound | Code::ChunkNotFound | Code::FieldNotFound | Code::AliasNotFound => {
            StatusCode::NOT_FOUND
        }
        Code::Changed | Code::FieldExists | Code::LibraryExists | Code::DocumentExists | Code::ChunkExists => {
            StatusCode::CONFLICT
        }
        Code::Damaged | Code::UnsupportedVersion => StatusCode::INTERNAL_SERVER_ERROR,
        Code::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        Code::Locked | Code::Storage | Code::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let wait = self.0.retry_after.map(|wait| HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64));
        let mut response = (status, axum::Json(self.0)).into_response();
        if let Some(wait) = wait {
            response.headers_mut().insert(RETRY_AFTER, wait);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

#[cfg(test)]
mod tests {
    use vecino_engine::model::limits;

    use super::*;

    /// The rows of the tables of the documentation, in their order.
    fn documented(heading: &str) -> Vec<String> {
        let page = include_str!("../../../docs/api.md");
        let part = page.split("\n## ").find(|part| part.starts_with(heading)).unwrap_or_default();
        part.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect()
    }

    #[test]
    fn the_documentation_lists_every_code() {
        let engine = Code::ALL.iter().map(|(code, meaning)| {
            (code.as_str(), status_of(&Error::new(*code, "")), meaning.split_whitespace().collect::<Vec<_>>().join(" "))
        });
        let http = KINDS.iter().map(|(code, status, meaning)| (*code, *status, (*meaning).to_owned()));
        let rows: Vec<String> =
            engine.chain(http).map(|(code, status, meaning)| format!("| `{code}` | {} | {meaning} |", status.as_u16())).collect();
        assert_eq!(documented("Problems"), rows);
    }

    #[test]
    fn the_documentation_lists_every_limit() {
        let row = |(name, value, meaning): &(&str, u64, &str)| {
            let meaning = meaning.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("| `{}` | {value} | {meaning} |", name.to_ascii_lowercase())
        };
        assert_eq!(documented("Limits"), limits::ALL.iter().map(row).collect::<Vec<_>>());
    }
}
