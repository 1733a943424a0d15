//! Queries that name examples instead of a vector, and answers that leave something out.

use std::collections::BTreeSet;

use crate::{
    error::{Code, Error, Result},
    library::Library,
    model::limits::{MAX_EXAMPLES, MAX_K},
    plan::{check_vector, chunk_not_found},
    pool::Pool,
    query::{Answer, Query},
};

/// Something that hits are to be like, or unlike.
#[derive(Clone, Debug, PartialEq)]
pub enum Example {
    /// A chunk of the library, by its id.
    Chunk(String),
    /// A vector.
    Embedding(Vec<f32>),
}

/// What is left out of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refine {
    /// Hits of a lower score.
    pub min_score: Option<f64>,
    /// Chunks of these ids.
    pub without: BTreeSet<String>,
}

/// Where examples point to.
#[derive(Clone, Debug, PartialEq)]
pub struct Direction {
    /// The vector to look for.
    pub embedding: Vec<f32>,
    /// Ids of the chunks among the examples.
    pub chunks: BTreeSet<String>,
}

impl Library {
    /// The vector that is like the positive examples and unlike the negative ones: the average of the positive ones, moved away
    /// from the average of the negative ones by their difference. Cost: one pass over the examples.
    ///
    /// # Errors
    /// No positive example, [`Code::ChunkNotFound`], or what is wrong with a vector; the field is `positive` or `negative`, with
    /// the number of the example.
    pub fn direction(&self, positive: &[Example], negative: &[Example]) -> Result<Direction> {
        if positive.is_empty() {
            let detail = "a recommendation needs a positive example at least";
            return Err(Error::new(Code::InvalidValue, detail).field("positive").numbers(1, 0));
        }
        let count = positive.len() + negative.len();
        if count > MAX_EXAMPLES {
            return Err(Error::limit("examples of a recommendation", MAX_EXAMPLES, count).field("positive"));
        }
        let mut chunks = BTreeSet::new();
        let mut average = self.average(positive, "positive", &mut chunks)?;
        if !negative.is_empty() {
            let away = self.average(negative, "negative", &mut chunks)?;
            for (number, away) in average.iter_mut().zip(away) {
                *number += *number - away;
            }
        }
        Ok(Direction { embedding: average, chunks })
    }

    fn average(&self, examples: &[Example], field: &str, chunks: &mut BTreeSet<String>) -> Result<Vec<f32>> {
        let mut sum: Vec<f32> = Vec::new();
        for (at, example) in examples.iter().enumerate() {
            let place = |error: Error| error.within(format_args!("{field}[{at}]"));
            let vector = self.example(example, chunks).map_err(place)?;
            // The first one decides the length: a library without chunks may have no dimension yet.
            sum.resize(vector.len().max(sum.len()), 0.0);
            sum.iter_mut().zip(vector).for_each(|(sum, number)| *sum += number);
        }
        sum.iter_mut().for_each(|sum| *sum /= examples.len() as f32);
        Ok(sum)
    }

    fn example(&self, example: &Example, chunks: &mut BTreeSet<String>) -> Result<Vec<f32>> {
        match example {
            Example::Embedding(vector) => check_vector(&self.info.contract, vector.clone()),
            Example::Chunk(id) => {
                let slot = self.slot(id).ok_or_else(|| Error { field: None, ..chunk_not_found(id) })?;
                chunks.insert(id.clone());
                Ok(self.row_of(slot).into_owned())
            }
        }
    }

    /// Answers a query as [`Library::query`] does, without what is to be left out. `k` hits come back whenever so many are left.
    ///
    /// # Errors
    /// Those of [`Library::query`].
    pub fn query_refined(&self, query: &Query, refine: &Refine, pool: &dyn Pool) -> Result<Answer> {
        let wanted = query.k;
        // Where so many are left out that the query would be too large, it is, and says so.
        let more = refine.without.iter().filter(|id| self.slot(id).is_some()).count();
        if wanted > 0 && wanted <= MAX_K && (wanted + more).min(self.chunk_count()) > MAX_K {
            let detail =
                format!("k and the {more} chunks that are left out are {MAX_K} together, at most; received k = {wanted}");
            return Err(Error::new(Code::InvalidValue, detail).field("k").numbers(MAX_K - more, wanted).unfit());
        }
        let k = if wanted == 0 || wanted > MAX_K { wanted } else { (wanted + more).min(MAX_K) };
        let mut answer = self.query(&Query { k, ..query.clone() }, pool)?;
        answer.hits.retain(|hit| !refine.without.contains(&hit.id));
        answer.exhausted &= answer.hits.len() <= wanted;
        answer.hits.truncate(wanted);
        let kept = refine.min_score.map_or(answer.hits.len(), |least| answer.hits.partition_point(|hit| hit.score >= least));
        if kept < answer.hits.len() {
            answer.hits.truncate(kept);
            answer.exhausted = true;
            if let Some(explain) = &mut answer.explain {
                explain.fewer_because = Some(format!("only {kept} of the nearest chunks have the least score that is wanted"));
            }
        }
        (answer.returned, answer.requested) = (answer.hits.len(), wanted);
        Ok(answer)
    }
}
