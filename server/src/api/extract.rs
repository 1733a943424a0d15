//! Bodies, parameters and paths of requests, and what is wrong with them.

use std::{fmt, marker::PhantomData};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE, request::Parts},
    response::IntoResponse,
};
use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, IntoDeserializer, MapAccess, Visitor,
        value::{MapAccessDeserializer, MapDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::error::Category;

use super::{numbers, problem::Problem};

/// A body in JSON.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_content_type(request.headers())?;
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::new("payload_too_large", "the body is larger than this server takes; send it in several requests")
            } else {
                Problem::new("bad_request", format!("the body did not arrive whole: {}", rejection.body_text()))
            }
        })?;
        parse(&bytes).map(Self)
    }
}

/// What a body is said to be; refuses what is not one of these kinds.
pub(super) fn check_kind(headers: &HeaderMap, kinds: &[&'static str], what: &str) -> Result<&'static str, Problem> {
    let received = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("none");
    let essence = received.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if let Some(kind) = kinds.iter().find(|kind| **kind == essence) {
        return Ok(kind);
    }
    let expected = kinds.first().copied().unwrap_or_default();
    let detail = format!("{what}, with the header Content-Type: {expected}; received {received}");
    Err(Problem::new("unsupported_media_type", detail).numbers(expected, received))
}

/// Only JSON, and said to be JSON: so no page of another origin can send it without being asked.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let received = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("none");
    let essence = received.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let detail = format!("the body must be JSON, with the header Content-Type: application/json; received {received}");
    Err(Problem::new("unsupported_media_type", detail).numbers("application/json", received))
}

/// Reads a JSON object.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let read = numbers::from_slice(bytes).or_else(|| serde_json::from_slice(bytes).ok());
    read.map_or_else(|| parse_closely(bytes), |Object(value)| Ok(value))
}

/// The same, keeping the path to what is wrong, which takes half as long again.
fn parse_closely<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let Object(value) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let message = message.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&message).to_owned();
        let broken = matches!(error.classify(), Category::Syntax | Category::Eof | Category::Io);
        if broken && !message.starts_with(OUT_OF_RANGE) { bad_json(&error) } else { mistaken(&message, &path) }
    })?;
    reader.end().map_err(|error| bad_json(&error))?;
    Ok(value)
}

/// A value that is read from an object: serde by itself takes a list of the fields in their order, too.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Object)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

fn bad_json(error: &serde_json::Error) -> Problem {
    Problem::new("bad_json", format!("the body is not JSON: {error}"))
}

/// Parameters of the query string.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query)
            .map_err(|error| Problem::new("bad_request", format!("the query string cannot be read: {error}")))?;
        let reader = MapDeserializer::new(pairs.iter().map(|(key, value)| (key.as_str(), Param(value))));
        serde_path_to_error::deserialize(reader).map(Self).map_err(|error| {
            let path = error.path().to_string();
            mistaken(&error.into_inner().to_string(), &path)
        })
    }
}

/// No parameters in the query string: one that stands there is not ignored but refused, since it was meant to change something.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParams {}

/// The value of a parameter: read as what is expected there.
struct Param<'a>(&'a str);

type ParamError = serde::de::value::Error;

impl<'a, 'de: 'a> IntoDeserializer<'de, ParamError> for Param<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Param<'_> {
    type Error = ParamError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_some(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        match self.0 {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => visitor.visit_str(self.0),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        match self.0.parse() {
            Ok(number) => visitor.visit_u64(number),
            Err(_) => visitor.visit_str(self.0),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        visitor.visit_enum(StrDeserializer::new(self.0))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// The placeholders of a path.
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => {
                let broken = rejection.status() == StatusCode::BAD_REQUEST;
                let detail = format!("the address cannot be read: {}", rejection.body_text());
                tracing::debug!(status = rejection.into_response().status().as_u16(), "a path was refused");
                Err(Problem::new(if broken { "bad_request" } else { "internal" }, detail))
            }
        }
    }
}

/// How messages about numbers begin that 64 bits cannot hold.
const OUT_OF_RANGE: &str = "number out of range";

/// How messages about numbers begin that 32 bits cannot hold.
pub(super) const NOT_FINITE: &str = "not a finite number of 32 bits";

/// What is wrong with well-formed input, from what serde says of it.
fn mistaken(message: &str, path: &str) -> Problem {
    let quoted = || message.split('`').nth(1).unwrap_or_default().to_owned();
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let within = |name: &str| match path {
        "." | "" => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{path}.{name}"),
    };
    let at = |problem: Problem| if matches!(path, "." | "") { problem } else { problem.field(path) };
    if what.starts_with("unknown field") {
        let detail = match expected {
            "" | "there are no fields" => format!("there is no field '{}' here", quoted()),
            expected => format!("there is no field '{}' here; known: {}", quoted(), names(expected)),
        };
        engine(vecino_engine::Code::UnknownField, detail).field(within(&quoted()))
    } else if what.starts_with("missing field") {
        Problem::new("missing_field", format!("the field '{}' is missing", quoted())).field(within(&quoted()))
    } else if what.starts_with("duplicate field") {
        engine(vecino_engine::Code::InvalidValue, format!("the field '{}' stands here twice", quoted())).field(within(&quoted()))
    } else if what.starts_with("unknown variant") {
        let detail = format!("'{}' is not a value of this; it is one of {}", quoted(), names(expected));
        at(engine(vecino_engine::Code::InvalidValue, detail).numbers(names(expected), quoted()))
    } else if message.starts_with(OUT_OF_RANGE) || message.starts_with(NOT_FINITE) {
        let detail = format!("{message}; a number here is finite and has at most 32 bits");
        at(engine(vecino_engine::Code::NotFinite, detail).numbers("finite number", received(message)))
    } else if let Some(what) = what.strip_prefix("invalid type: ") {
        let (expected, what) = (kind(expected), kind(what));
        let detail = format!("expected {expected}, received {what}");
        at(engine(vecino_engine::Code::WrongType, detail).numbers(expected, what))
    } else if let Some(what) = what.strip_prefix("invalid value: ") {
        let (expected, what) = (kind(expected), kind(what));
        let detail = format!("expected {expected}, received {what}");
        at(engine(vecino_engine::Code::InvalidValue, detail).numbers(expected, what))
    } else {
        at(engine(vecino_engine::Code::InvalidValue, message.to_owned()))
    }
}

fn engine(code: vecino_engine::Code, detail: String) -> Problem {
    vecino_engine::Error::new(code, detail).into()
}

fn received(message: &str) -> &str {
    message.rsplit_once(": ").map_or("a larger number", |(_, number)| number)
}

/// The names in a list such as "one of `a`, `b`".
fn names(expected: &str) -> String {
    let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    names.join(", ")
}

/// What serde says of a type, in the words of JSON.
fn kind(of: &str) -> String {
    let known = match of {
        "u32" => "a whole number of 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "f32" | "f64" => "a number",
        "a sequence" | "sequence" => "a list",
        "a map" | "map" => "an object",
        "a string" => "a string",
        "unit value" => "null",
        _ if of.starts_with("struct ") => "an object",
        _ => return of.chars().take(200).collect::<String>().replace('`', "'"),
    };
    known.to_owned()
}
