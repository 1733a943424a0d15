//! Queries: from a vector and a filter to ranked hits. Pure, on `&Library`.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::{
    error::{Code, Error, Result},
    explain::Explain,
    filter::{Bound, Cell, Filter, Row},
    index::{Found, Search, VectorIndex, flat::Flat},
    library::{ChunkEntry, DocumentEntry, Library},
    model::{FieldId, FixedField, Value, limits::MAX_K},
    plan::check_vector,
    pool::Pool,
    slots::SlotSet,
    view::HitMetadataView,
};

/// What is asked of a library.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The vector; its length is the library's dimension.
    pub embedding: Vec<f32>,
    /// How many hits are wanted, 1 to 10,000.
    pub k: usize,
    /// Which chunks may be in the answer.
    pub filter: Option<Filter>,
    /// What a hit tells beside its ids and its score.
    pub include: Include,
    /// Whether the answer explains itself.
    pub explain: bool,
}

/// Which parts of a chunk a hit carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Include {
    /// The text.
    pub text: bool,
    /// The fixed metadata of document and chunk.
    pub metadata: bool,
    /// The attributes of document and chunk.
    pub attributes: bool,
    /// The stored vector.
    pub embedding: bool,
}

impl Default for Include {
    fn default() -> Self {
        Self { text: true, metadata: true, attributes: true, embedding: false }
    }
}

/// A chunk that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Hit {
    /// The chunk's id.
    pub id: String,
    /// Its document's id.
    pub document_id: String,
    /// Higher is better. A 32-bit float, written with all digits that its exact value has.
    pub score: f64,
    /// The raw distance of the library's metric, lower is nearer; exact as the score is.
    pub distance: f64,
    /// The text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The fixed metadata of document and chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<HitMetadataView>,
    /// The attributes of the document, with those of the chunk laid over them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Map<String, Json>>,
    /// The stored vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Answer {
    /// The hits, best first; equal distances in the order of their slots.
    pub hits: Vec<Hit>,
    /// How many there are.
    pub returned: usize,
    /// How many were wanted.
    pub requested: usize,
    /// Whether these are all chunks that match: no other one would follow.
    pub exhausted: bool,
    /// The library's metric.
    pub metric: String,
    /// Sequence of the last write that the answer knows of.
    pub seq: u64,
    /// How the answer came about, on request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

impl Library {
    /// Answers a query.
    ///
    /// Cost with the flat index: one pass over the metadata of all chunks when there is a filter, one over the vectors of those
    /// that match.
    ///
    /// # Errors
    /// What is wrong with the query: `embedding`, `k` or `filter`.
    pub fn query(&self, query: &Query, pool: &dyn Pool) -> Result<Answer> {
        let contract = &self.info.contract;
        let vector = check_vector(contract, query.embedding.clone()).map_err(|error| error.within("embedding"))?;
        if query.k == 0 || query.k > MAX_K {
            let detail = format!("k is 1 to {MAX_K}, received {}", query.k);
            return Err(Error::new(Code::InvalidValue, detail).field("k").numbers(MAX_K, query.k));
        }
        let bound = query.filter.as_ref().map(|filter| filter.bind(&self.fields)).transpose()?;
        let matching = bound.as_ref().map(|bound| self.matching(bound));
        let allowed = matching.as_ref().unwrap_or(&self.live);
        let search = Search {
            vectors: &self.vectors,
            codes: None,
            metric: contract.metric,
            query: &vector,
            k: query.k,
            effort: 0,
            allowed,
            pool,
        };
        let found = Flat.search(&search);
        let hits: Vec<Hit> = found.nearest.iter().filter_map(|(key, slot)| self.hit(*key, *slot, query.include)).collect();
        Ok(Answer {
            returned: hits.len(),
            requested: query.k,
            exhausted: hits.len() >= allowed.len(),
            metric: contract.metric.as_str().to_owned(),
            seq: self.seq,
            explain: query.explain.then(|| self.explain(query, allowed, &found)),
            hits,
        })
    }

    /// The slots that a filter lets through.
    pub fn matching(&self, filter: &Bound) -> SlotSet {
        self.live.iter().filter(|slot| self.row(*slot).is_some_and(|row| filter.matches(&row))).collect()
    }

    fn row(&self, slot: u32) -> Option<ChunkRow<'_>> {
        let chunk = self.chunk_at(slot)?;
        Some(ChunkRow { library: self, slot, chunk, document: self.document_at(chunk.document)? })
    }

    fn hit(&self, key: f32, slot: u32, include: Include) -> Option<Hit> {
        let ChunkRow { chunk, document, .. } = self.row(slot)?;
        let metric = self.info.contract.metric;
        Some(Hit {
            id: chunk.id.to_string(),
            document_id: document.document.id.to_string(),
            score: f64::from(metric.score(key)),
            distance: f64::from(metric.distance(key)),
            text: include.text.then(|| self.text_at(slot).to_owned()),
            metadata: include.metadata.then(|| self.hit_metadata(chunk, document)),
            attributes: include.attributes.then(|| self.hit_attributes(chunk, document)),
            embedding: include.embedding.then(|| self.vectors.row(slot).to_vec()),
        })
    }

    fn explain(&self, query: &Query, allowed: &SlotSet, found: &Found) -> Explain {
        Explain::new(Flat.name(), query.filter.is_some(), query.k, self.live.len(), allowed.len(), found)
    }
}

/// A chunk as filters see it: its own fields and attributes first, then those of its document.
struct ChunkRow<'a> {
    library: &'a Library,
    slot: u32,
    chunk: &'a ChunkEntry,
    document: &'a DocumentEntry,
}

impl Row for ChunkRow<'_> {
    fn fixed(&self, field: FixedField) -> Cell<'_> {
        let metadata = &self.document.document.metadata;

        match field {
            FixedField::Id => Cell::Str(self.chunk.id.as_str()),
            FixedField::DocumentId => Cell::Str(self.document.document.id.as_str()),
            FixedField::Text => Cell::Str(self.library.text_at(self.slot)),
            FixedField::PageNumber => self.chunk.metadata.page_number.map_or(Cell::Missing, |page| Cell::Integer(page.into())),
            FixedField::ChunkIndex => Cell::Integer(self.chunk.metadata.chunk_index.into()),
            FixedField::Title => Cell::Str(&metadata.title),
            FixedField::Author => optional(&metadata.author),
            FixedField::CreatedAt => Cell::Timestamp(metadata.created_at),
            FixedField::DocumentType => optional(&metadata.document_type),
            FixedField::SourceUrl => optional(&metadata.source_url),
            FixedField::Tags => Cell::Strs(&metadata.tags),
        }
    }

    fn attribute(&self, field: FieldId) -> Option<&Value> {
        let find = |attributes: &'_ [(FieldId, Value)]| attributes.binary_search_by_key(&field, |(id, _)| *id).ok();
        let (own, inherited) = (&self.chunk.attributes, &self.document.document.attributes);
        find(own).map(|at| &own[at].1).or_else(|| find(inherited).map(|at| &inherited[at].1))
    }
}

fn optional(value: &Option<Box<str>>) -> Cell<'_> {
    value.as_deref().map_or(Cell::Missing, Cell::Str)
}
