//! Queries.

use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;
use vecino_engine::{
    Code, Error, Result,
    facets::Facets,
    filter::Filter,
    group::Groups,
    library::Library,
    model::{
        IndexType,
        limits::{MAX_HITS_PER_BATCH, MAX_QUERIES_PER_BATCH, MAX_QUERY_CHARS},
    },
    near::{Example, Refine},
    plan::chunk_not_found,
    query::{Answer, Include, Query},
    shelf::Holding,
};

use super::{Service, embedding::no_known_word};
use crate::{live_recall::Sample, metrics::METRICS, request_id};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is near to what.
    pub near: Near,
    /// How many hits are wanted.
    pub k: usize,
    /// Which chunks may be among them.
    pub filter: Option<Filter>,
    /// What a hit tells.
    pub include: Include,
    /// The share of the true nearest that is wanted.
    pub target_recall: Option<f32>,
    /// How hard to look, instead.
    pub effort: Option<usize>,
    /// Whether the answer explains itself.
    pub explain: bool,
    /// The least score of a hit.
    pub min_score: Option<f64>,
}

/// What the hits are to be near to.
#[derive(Clone, Debug)]
pub enum Near {
    /// A text, embedded here.
    Text(String),
    /// A vector.
    Embedding(Vec<f32>),
    /// A chunk of the library, by its id. It is not among the hits.
    Chunk(String),
    /// Examples of what is wanted and of what is not. Chunks among them are not among the hits.
    Examples {
        /// What hits are to be like.
        positive: Vec<Example>,
        /// What they are to be unlike.
        negative: Vec<Example>,
    },
}

/// The answer to a query, with the time that it took.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Answered {
    /// The answer.
    #[serde(flatten)]
    pub answer: Answer,
    /// Milliseconds from reading the question to having the answer, without the way to and fro.
    pub took_ms: f64,
}

/// The answer to a query by document, with the time that it took.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct GroupsAnswered {
    /// The answer.
    #[serde(flatten)]
    pub answer: Groups,
    /// Milliseconds from reading the question to having the answer, without the way to and fro.
    pub took_ms: f64,
}

/// Numbers that are compared in less time than it takes to change threads twice.
const QUICK_NUMBERS: usize = 1 << 18;

/// Hits of a quick answer, at most.
const QUICK_K: usize = 100;

/// Effort of a quick search of a graph, at most.
const QUICK_EFFORT: usize = 256;

/// Characters of a text that are embedded quickly, at most.
const QUICK_CHARS: usize = 500;

impl Service {
    /// Whether a question is sure to be answered in some hundred microseconds at most: it may be asked where nothing may wait.
    pub fn is_quick(&self, library: &str, question: &Question) -> bool {
        let state = self.store.state();
        let Some(library) = state.find(library).and_then(Holding::loaded) else { return false };
        let Question { near, k, filter, include, target_recall, effort, .. } = question;
        let near = match near {
            Near::Text(text) => text.len() <= QUICK_CHARS,
            Near::Embedding(_) | Near::Chunk(_) => true,
            Near::Examples { .. } => false,
        };
        let index = library.index_state();
        let exact = target_recall.unwrap_or(library.info().index.target_recall) >= 1.0;
        let scanned = if index.serving.is_approximate() && !exact { index.unlinked } else { library.chunk_count() };
        let scanned = scanned.saturating_mul(library.vectors().dimension());
        let effort = effort.is_none_or(|effort| index.serving == IndexType::Hnsw && effort <= QUICK_EFFORT);
        near && filter.is_none() && effort && !include.embedding && *k <= QUICK_K && scanned <= QUICK_NUMBERS
    }

    /// Answers a question.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`], [`Code::EmbeddingModel`] for a text where the vectors are of another kind, or what is wrong
    /// with the question.
    pub fn query(&self, library: &str, question: Question) -> Result<Answered> {
        let begun = Instant::now();
        let embedded = self.embed(&question.near)?;
        self.with_library(library, |found| self.answer(library, found, question, embedded, begun))
    }

    /// Answers several questions, all as of the same write.
    ///
    /// # Errors
    /// Those of [`Service::query`], with the place of the question; more questions or hits than the limits allow.
    pub fn query_batch(&self, library: &str, questions: Vec<Question>) -> Result<Vec<Answered>> {
        if questions.len() > MAX_QUERIES_PER_BATCH {
            return Err(Error::limit("queries in one request", MAX_QUERIES_PER_BATCH, questions.len()).field("queries"));
        }
        let at = |number: usize| move |error: Error| error.within(format_args!("queries[{number}]"));
        let embed = |(number, question): (usize, &Question)| self.embed(&question.near).map_err(at(number));
        let embedded = questions.iter().enumerate().map(embed).collect::<Result<Vec<_>>>()?;
        self.with_library(library, |found| {
            let hits = questions.iter().map(|question| question.k.min(found.chunk_count())).sum();
            if hits > MAX_HITS_PER_BATCH {
                return Err(Error::limit("hits of all queries of one request", MAX_HITS_PER_BATCH, hits)
                    .field("queries")
                    .unfit());
            }
            let answer = |(number, (question, embedded)): (usize, (Question, Option<Vec<f32>>))| {
                self.answer(library, found, question, embedded, Instant::now()).map_err(at(number))
            };
            questions.into_iter().zip(embedded).enumerate().map(answer).collect()
        })
    }

    /// Answers a question by document: `k` documents, with up to `size` hits each.
    ///
    /// # Errors
    /// Those of [`Service::query`], and a size beyond the limit.
    pub fn query_groups(&self, library: &str, question: Question, size: usize) -> Result<GroupsAnswered> {
        let begun = Instant::now();
        let embedded = self.embed(&question.near)?;
        let answer = self.with_library(library, |library| {
            let (query, refine) = self.resolve(library, question, embedded)?;
            library.query_groups(&query, size, &refine, &self.pool)
        })?;
        Ok(GroupsAnswered { answer, took_ms: since(begun) })
    }

    /// Counts the values of fields.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`], and those of [`Library::facets`].
    pub fn facets(&self, library: &str, fields: &[String], filter: Option<&Filter>, limit: usize) -> Result<Facets> {
        self.with_library(library, |library| library.facets(fields, filter, limit))
    }

    /// The vector of a text; it is made while no library is looked at.
    fn embed(&self, near: &Near) -> Result<Option<Vec<f32>>> {
        match near {
            Near::Text(text) => self.embed_question(text),
            _ => Ok(None),
        }
    }

    /// Answers a question, counts it, samples it, and writes it to the log if it was slow.
    fn answer(
        &self,
        name: &str,
        library: &Library,
        question: Question,
        embedded: Option<Vec<f32>>,
        begun: Instant,
    ) -> Result<Answered> {
        let (k, wanted) = (question.k, question.explain);
        let (query, refine) = self.resolve(library, question, embedded)?;
        let sampled = self.sampler.is_due().then(|| query.clone());
        let mut answer = library.query_refined(&Query { explain: true, ..query }, &refine, &self.pool)?;
        let took = begun.elapsed();
        if let Some(sample) = sampled.and_then(|query| Sample::of(library, query, &refine, &answer)) {
            self.sampler.take(sample);
        }
        if let Some(explain) = &answer.explain {
            METRICS.query(explain.index, explain.strategy, took);
            if self.slow_query.is_some_and(|limit| took > limit) {
                let (took_ms, explain) = (took.as_secs_f64() * 1e3, serde_json::json!(explain));
                let (returned, request_id) = (answer.hits.len(), request_id::current());
                tracing::warn!(
                    target: "slow_query", library = name, k, returned, took_ms, %explain, request_id, "a query was slow"
                );
            }
        }
        answer.explain = answer.explain.filter(|_| wanted);
        Ok(Answered { answer, took_ms: took.as_secs_f64() * 1e3 })
    }

    /// A question as one for the engine.
    fn resolve(&self, library: &Library, question: Question, embedded: Option<Vec<f32>>) -> Result<(Query, Refine)> {
        let Question { near, k, filter, include, target_recall, effort, explain, min_score } = question;
        let mut refine = Refine { min_score, ..Refine::default() };
        let embedding = match near {
            Near::Text(text) => self.comparable(library, &text, embedded)?,
            Near::Embedding(embedding) => embedding,
            Near::Chunk(id) => {
                let slot = library.slot(&id).ok_or_else(|| chunk_not_found(&id).field("chunk_id"))?;
                refine.without.insert(id);
                library.row_of(slot).into_owned()
            }
            Near::Examples { positive, negative } => {
                let direction = library.direction(&positive, &negative)?;
                refine.without = direction.chunks;
                direction.embedding
            }
        };
        Ok((Query { embedding, k, filter, include, target_recall, effort, explain }, refine))
    }

    fn embed_question(&self, text: &str) -> Result<Option<Vec<f32>>> {
        if text.trim().is_empty() {
            return Err(Error::new(Code::EmptyText, "the text of a query is empty").field("text"));
        }
        let chars = if text.len() > MAX_QUERY_CHARS { text.chars().count() } else { 0 };
        if chars > MAX_QUERY_CHARS {
            return Err(Error::limit("characters of the text of a query", MAX_QUERY_CHARS, chars).field("text"));
        }
        Ok(self.embedder.embed(&[text.to_owned()])?.pop().flatten())
    }

    /// The vector of a text for a library whose vectors it can be compared with.
    fn comparable(&self, library: &Library, text: &str, embedding: Option<Vec<f32>>) -> Result<Vec<f32>> {
        let contract = &library.info().contract;
        let own = self.embedder.model();
        match &contract.embedding_model {
            Some(model) if model == own => embedding.ok_or_else(|| no_known_word(own, text)),
            // Nothing can be found in an empty library; the rest of the question is checked all the same.
            _ if library.chunk_count() == 0 => Ok(vec![1.0; contract.dimension.map_or(1, |dimension| dimension as usize)]),
            Some(model) => {
                let detail = format!(
                    "the vectors of this library are made by the model '{}'; this server has '{}': give an embedding instead of a text",
                    model.name, own.name
                );
                Err(Error::new(Code::EmbeddingModel, detail).field("text").numbers(&*model.name, &*own.name).unfit())
            }
            None => {
                let detail =
                    "the vectors of this library came with its chunks, so a text cannot be compared with them: give an embedding";
                Err(Error::new(Code::EmbeddingModel, detail).field("text").unfit())
            }
        }
    }
}

fn since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}
