//! `/v1/libraries/{library}/query`.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::{
    Code, Error,
    filter::Filter,
    model::limits::{MAX_EFFORT, MAX_K},
    query::Include,
};

use super::{
    App, blocking,
    extract::{Body, NoParams, Params, Path},
    input::{Embedding, Whole},
    problem::{Answer, Problem},
    responses::{Failures, NotFound, Refused, Unreadable},
};
use crate::{
    json::optional,
    service::query::{Answered, Near, Question},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(query))
}

/// What is asked: the chunks that are nearest to a `text` or to an `embedding`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QueryInput {
    /// A text of up to 10,000 characters, embedded here.
    text: Option<String>,
    /// A vector.
    embedding: Option<Embedding>,
    /// How many hits, 1 to 10,000; 10 unless told.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 10000)]
    k: Option<Whole>,
    /// Which chunks may be among them, such as `{"year": {"$gte": 2020}}`.
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// How to search.
    #[serde(default)]
    mode: Mode,
    /// What a hit tells beside its ids and its score; `text`, `metadata` and `attributes` unless told.
    include: Option<Vec<Part>>,
    /// The share of the true nearest chunks that the answer shall hold on average, above 0 and at most 1; 1 is exact. The
    /// library's own target unless told.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    target_recall: Option<f32>,
    /// How hard to look, 1 to 1,000,000, instead of what `target_recall` comes to: `ef` of HNSW, `nprobe` of IVF, candidates
    /// of LSH. Exact indexes do not heed it.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1000000)]
    effort: Option<Whole>,
    /// Another name for `effort`.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1000000)]
    ef: Option<Whole>,
    /// Another name for `effort`.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1000000)]
    nprobe: Option<Whole>,
    /// Whether the answer explains itself.
    #[serde(default)]
    explain: bool,
}

/// How to search.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// By the nearness of vectors.
    #[default]
    Vector,
}

/// A part of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// The text.
    Text,
    /// The fixed metadata of document and chunk.
    Metadata,
    /// The attributes of the document, with those of the chunk laid over them.
    Attributes,
    /// The stored vector.
    Embedding,
}

/// Answers a query.
///
/// `k` hits come back whenever so many chunks pass the filter.
#[utoipa::path(post, path = "/v1/libraries/{library}/query", tag = "query", request_body = QueryInput,
    params(("library" = String, Path, description = "Id or name.")),
    responses((status = 200, description = "As asked.", body = Answered), Refused, Unreadable, NotFound, Failures))]
async fn query(
    State(app): State<App>,
    Path(library): Path<String>,
    _: Params<NoParams>,
    Body(input): Body<QueryInput>,
) -> Answer<Json<Answered>> {
    let question = input.read()?;
    Ok(Json(blocking(&app, move |service| service.query(&library, question)).await?))
}

impl QueryInput {
    fn read(self) -> Answer<Question> {
        let Mode::Vector = self.mode;
        let near = match (self.text, self.embedding) {
            (Some(text), None) => Near::Text(text),
            (None, Some(embedding)) => Near::Embedding(embedding.into()),
            (None, None) => {
                return Err(
                    Problem::new("missing_field", "a query has either a text or an embedding; both are missing").field("text")
                );
            }
            (Some(_), Some(_)) => {
                let detail = "a query has either a text or an embedding; received both";
                return Err(Error::new(Code::InvalidValue, detail).field("text").into());
            }
        };
        let k = self.k.map_or(10, |Whole(k)| k);
        if k > MAX_K as u64 {
            let detail = format!("k is 1 to {MAX_K}, received {k}");
            return Err(Error::new(Code::InvalidValue, detail).field("k").numbers(MAX_K, k).into());
        }
        let include = self.include.map_or_else(Include::default, |parts| Include {
            text: parts.contains(&Part::Text),
            metadata: parts.contains(&Part::Metadata),
            attributes: parts.contains(&Part::Attributes),
            embedding: parts.contains(&Part::Embedding),
        });
        let filter = self.filter.as_ref().map(Filter::from_json).transpose()?;
        let effort = one_effort([("effort", self.effort), ("ef", self.ef), ("nprobe", self.nprobe)])?;
        Ok(Question { near, k: k as usize, filter, include, target_recall: self.target_recall, effort, explain: self.explain })
    }
}

/// The effort by whichever name it was given.
fn one_effort(given: [(&'static str, Option<Whole>); 3]) -> Answer<Option<usize>> {
    let mut given = given.into_iter().filter_map(|(name, effort)| Some((name, effort?)));
    let Some((name, Whole(effort))) = given.next() else { return Ok(None) };
    if let Some((other, _)) = given.next() {
        let detail = format!("'{name}' and '{other}' are two names of the same thing; received both");
        return Err(Error::new(Code::InvalidValue, detail).field(other).into());
    }
    if !(1..=MAX_EFFORT as u64).contains(&effort) {
        let detail = format!("{name} is 1 to {MAX_EFFORT}, received {effort}");
        return Err(Error::new(Code::InvalidValue, detail).field(name).numbers(MAX_EFFORT, effort).into());
    }
    Ok(Some(effort as usize))
}
