//! `/v1/libraries/{library}/query`.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::{
    Code, Error,
    facets::Facets,
    filter::Filter,
    model::limits::{MAX_EFFORT, MAX_K},
    near::Example,
    query::Include,
};

use super::{
    App,
    extract::{Body, Params, Path},
    guard,
    index_settings::share,
    input::{Embedding, Whole, object, objects},
    page::ReadParams,
    problem::{Answer, Problem},
    reading,
    responses::{Failures, NotFound, Refused, Unreadable},
};
use crate::{
    json::optional,
    service::{
        Service,
        query::{Answered, GroupsAnswered, Near, Question},
    },
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(query))
        .routes(routes!(query_batch))
        .routes(routes!(query_groups))
        .routes(routes!(count_facets))
}

/// What is asked: the chunks that are nearest to a `text`, to an `embedding`, to the chunk `chunk_id` or to `positive` examples:
/// to one of these.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QueryInput {
    /// A text of up to 10,000 characters, embedded here.
    text: Option<String>,
    /// A vector.
    embedding: Option<Embedding>,
    /// The id of a chunk, for more like it; it is not among the hits itself.
    chunk_id: Option<String>,
    /// Examples of what is wanted, up to 100 with the negative ones; chunks among them are not among the hits.
    #[schema(max_items = 100)]
    positive: Option<Vec<ExampleInput>>,
    /// Examples of what is not wanted.
    #[schema(max_items = 100)]
    negative: Option<Vec<ExampleInput>>,
    /// The least score of a hit; nothing below it comes back.
    min_score: Option<f64>,
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
    #[serde(default, deserialize_with = "share")]
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

/// An example: the id of a chunk, or a vector.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes")]
enum ExampleForm {
    Chunk(String),
    Embedding(Vec<f32>),
}

/// An example, read.
#[derive(Clone, Debug, ToSchema)]
#[schema(value_type = ExampleForm)]
struct ExampleInput(Example);

impl<'de> Deserialize<'de> for ExampleInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExampleVisitor)
    }
}

struct ExampleVisitor;

impl<'de> Visitor<'de> for ExampleVisitor {
    type Value = ExampleInput;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the id of a chunk or a list of numbers")
    }

    fn visit_str<E>(self, id: &str) -> Result<ExampleInput, E> {
        Ok(ExampleInput(Example::Chunk(id.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<ExampleInput, A::Error> {
        Ok(ExampleInput(Example::Embedding(Embedding::of(seq)?.into())))
    }
}

/// Several queries.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QueryBatchInput {
    /// Up to 100 queries, with 10,000 hits together.
    #[serde(deserialize_with = "objects")]
    #[schema(max_items = 100)]
    queries: Vec<QueryInput>,
}

/// The answers to several queries.
#[derive(Debug, Serialize, ToSchema)]
struct QueryBatchAnswered {
    /// In the order of the queries, and all as of the same write.
    answers: Vec<Answered>,
}

/// A query by document.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GroupsInput {
    /// The query; its `k` is the number of documents.
    #[serde(deserialize_with = "object")]
    query: QueryInput,
    /// How many hits of each document, 1 to 100; 3 unless told.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 100)]
    size: Option<Whole>,
}

/// Which values are counted.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FacetsInput {
    /// Names of 1 to 16 fields, attributes or fixed ones.
    #[schema(min_items = 1, max_items = 16)]
    fields: Vec<String>,
    /// Which chunks are looked at; all of them without one.
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// How many values are told of each field, 1 to 1,000; 10 unless told.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1000)]
    limit: Option<Whole>,
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
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = Answered), Refused, Unreadable, NotFound, Failures))]
async fn query(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
    Body(input): Body<QueryInput>,
) -> Answer<Response> {
    let question = input.read()?;
    let under_way = UnderWay::begin();
    if under_way.others() {
        // A search leaves nothing else in the caches of its core: to read what has come first, all in a row, takes less time.
        tokio::task::yield_now().await;
    }
    if params.min_seq.is_none() && app.service.is_quick(&library, &question) {
        // To another thread and back would take longer.
        let _permit = guard::begin(&app)?;
        return json(&app.service.query(&library, question)?);
    }
    json(&reading(&app, params.min_seq, move |service| service.query(&library, question)).await?)
}

/// Queries that have been read and are not answered yet.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// One of them, until it is dropped.
struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        Self
    }

    /// Whether there are others.
    fn others(&self) -> bool {
        UNDER_WAY.load(Ordering::Relaxed) > 1
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer in JSON. Hits have many small parts, and with [`Json`] each would ask whether there is room for it.
fn json(answer: &impl Serialize) -> Answer<Response> {
    let bytes = serde_json::to_vec(answer).map_err(|error| Problem::new("internal", error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

/// Answers several queries, all as of the same write.
#[utoipa::path(post, path = "/v1/libraries/{library}/query:batch", tag = "query", request_body = QueryBatchInput,
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = QueryBatchAnswered), Refused, Unreadable, NotFound, Failures))]
async fn query_batch(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
    Body(input): Body<QueryBatchInput>,
) -> Answer<Response> {
    let read = |(at, query): (usize, QueryInput)| query.read().map_err(|problem| problem.within(&format!("queries[{at}]")));
    let questions = input.queries.into_iter().enumerate().map(read).collect::<Answer<Vec<_>>>()?;
    let answers = reading(&app, params.min_seq, move |service| service.query_batch(&library, questions)).await?;
    json(&QueryBatchAnswered { answers })
}

/// Answers a query by document: the nearest documents, and of each its nearest chunks.
///
/// `k` documents come back whenever so many have a chunk that passes the filter. `explain` has no effect.
#[utoipa::path(post, path = "/v1/libraries/{library}/query:groups", tag = "query", request_body = GroupsInput,
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = GroupsAnswered), Refused, Unreadable, NotFound, Failures))]
async fn query_groups(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
    Body(input): Body<GroupsInput>,
) -> Answer<Response> {
    let question = input.query.read().map_err(|problem| problem.within("query"))?;
    let size = small(input.size, 3);
    let answer = move |service: &Service| {
        service.query_groups(&library, question, size).map_err(|error| match error.field.as_deref() {
            Some("size" | "library") => error,
            _ => error.within("query"),
        })
    };
    json(&reading(&app, params.min_seq, answer).await?)
}

/// Counts the values of fields over the chunks that a filter lets through.
#[utoipa::path(post, path = "/v1/libraries/{library}/facets", tag = "query", request_body = FacetsInput,
    params(("library" = String, Path, description = "Id or name."), ReadParams),
    responses((status = 200, description = "As asked.", body = Facets), Refused, Unreadable, NotFound, Failures))]
async fn count_facets(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ReadParams>,
    Body(input): Body<FacetsInput>,
) -> Answer<Json<Facets>> {
    let filter = input.filter.as_ref().map(Filter::from_json).transpose()?;
    let (fields, limit) = (input.fields, small(input.limit, 10));
    let count = move |service: &Service| service.facets(&library, &fields, filter.as_ref(), limit);
    Ok(Json(reading(&app, params.min_seq, count).await?))
}

/// A number that a limit of the engine holds down.
fn small(number: Option<Whole>, default: usize) -> usize {
    number.map_or(default, |Whole(number)| usize::try_from(number).unwrap_or(usize::MAX))
}

impl QueryInput {
    fn read(self) -> Answer<Question> {
        let Mode::Vector = self.mode;
        let near = near(self.text, self.embedding, self.chunk_id, self.positive, self.negative)?;
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
        let (target_recall, min_score, explain) = (self.target_recall, self.min_score, self.explain);
        Ok(Question { near, k: k as usize, filter, include, target_recall, effort, explain, min_score })
    }
}

/// What a query is near to: one thing.
fn near(
    text: Option<String>,
    embedding: Option<Embedding>,
    chunk_id: Option<String>,
    positive: Option<Vec<ExampleInput>>,
    negative: Option<Vec<ExampleInput>>,
) -> Answer<Near> {
    let examples = |list: Vec<ExampleInput>| list.into_iter().map(|ExampleInput(example)| example).collect();
    match (text, embedding, chunk_id, positive) {
        (Some(text), None, None, None) if negative.is_none() => Ok(Near::Text(text)),
        (None, Some(embedding), None, None) if negative.is_none() => Ok(Near::Embedding(embedding.into())),
        (None, None, Some(chunk), None) if negative.is_none() => Ok(Near::Chunk(chunk)),
        (None, None, None, Some(positive)) => {
            Ok(Near::Examples { positive: examples(positive), negative: negative.map_or_else(Vec::new, examples) })
        }
        (None, None, None, None) => {
            let detail = "a query has a text, an embedding, a chunk_id or positive examples; all are missing";
            Err(Problem::new("missing_field", detail).field("text"))
        }
        _ => {
            let detail =
                "a query has one of text, embedding, chunk_id and positive examples (with negative ones); received several";
            Err(Error::new(Code::InvalidValue, detail).field("text").into())
        }
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
