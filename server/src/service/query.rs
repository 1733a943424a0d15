//! Queries.

use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;
use vecino_engine::{
    Code, Error, Result,
    filter::Filter,
    library::Library,
    model::limits::MAX_QUERY_CHARS,
    query::{Answer, Include, Query},
};

use super::{Service, embedding::no_known_word};

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
}

/// What the hits are to be near to.
#[derive(Clone, Debug)]
pub enum Near {
    /// A text, embedded here.
    Text(String),
    /// A vector.
    Embedding(Vec<f32>),
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

impl Service {
    /// Answers a question.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`], [`Code::EmbeddingModel`] for a text where the vectors are of another kind, or what is wrong
    /// with the question.
    pub fn query(&self, library: &str, question: Question) -> Result<Answered> {
        let begun = Instant::now();
        let Question { near, k, filter, include, target_recall, effort, explain } = question;
        let embedding = match &near {
            Near::Text(text) => self.embed_question(text)?,
            Near::Embedding(embedding) => Some(embedding.clone()),
        };
        let answer = self.with_library(library, |library| {
            let embedding = match &near {
                Near::Text(text) => self.comparable(library, text, embedding)?,
                Near::Embedding(_) => embedding.unwrap_or_default(),
            };
            library.query(&Query { embedding, k, filter, include, target_recall, effort, explain }, &self.pool)
        })?;
        Ok(Answered { answer, took_ms: begun.elapsed().as_secs_f64() * 1e3 })
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
                Err(Error::new(Code::EmbeddingModel, detail).field("text").numbers(&*model.name, &*own.name))
            }
            None => {
                let detail =
                    "the vectors of this library came with its chunks, so a text cannot be compared with them: give an embedding";
                Err(Error::new(Code::EmbeddingModel, detail).field("text"))
            }
        }
    }
}
