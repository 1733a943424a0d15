//! The errors that handlers answer with, for the description of the API.

use utoipa::IntoResponses;

use super::problem::Document;

/// What any request can meet.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum Failures {
    /// Something failed inside the server, or its files are damaged.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Document),
    /// The storage failed, or the request took too long.
    #[response(status = 503, content_type = "application/problem+json")]
    Storage(Document),
    /// The disk is full.
    #[response(status = 507, content_type = "application/problem+json")]
    Full(Document),
}

/// What a request can be refused for.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum Refused {
    /// The request is wrong: `code`, `field`, `expected` and `received` say where and why.
    #[response(status = 400, content_type = "application/problem+json")]
    Wrong(Document),
}

/// What a body can be refused for before it is read.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum Unreadable {
    /// The body is larger than the server takes.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Document),
    /// The body is not said to be JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(Document),
}

/// What is not there.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum NotFound {
    /// The library, the document or the chunk does not exist.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Document),
}

/// What is there already.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum Conflicts {
    /// A library, a document or a chunk of this name or id exists already, or the request does not fit the library as it is.
    #[response(status = 409, content_type = "application/problem+json")]
    Exists(Document),
}

/// What has changed meanwhile.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum Stale {
    /// What is to be written is there already or does not fit the library as it is, or the library has changed since the write that
    /// `if_seq` names.
    #[response(status = 409, content_type = "application/problem+json")]
    Changed(Document),
}
