//! Queries: from a vector and a filter to ranked hits. Pure, on `&Library`.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::{
    calibrate::{K, Point, shown},
    error::{Code, Error, Result},
    explain::Explain,
    filter::{Cell, Filter, Row},
    index::{Found, Search, Strategy, VectorIndex, flat::Flat, join_exact},
    library::{ChunkEntry, DocumentEntry, Library},
    model::{
        FieldId, FixedField, Value,
        limits::{MAX_EFFORT, MAX_K},
    },
    plan::{check_target_recall, check_vector},
    pool::Pool,
    precision::Precision,
    rows::{attribute, metadata_cell},
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
    /// The share of the true nearest that the answer shall hold on average, above 0 and at most 1; 1 is exact. The library's own
    /// target where there is none.
    pub target_recall: Option<f32>,
    /// How hard to look, 1 to 1,000,000, instead of what `target_recall` comes to: `ef` of HNSW, `nprobe` of IVF, candidates of LSH.
    /// Indexes that are exact do not heed it.
    pub effort: Option<usize>,
    /// Whether the answer explains itself.
    pub explain: bool,
}

impl Default for Query {
    /// The ten nearest of all chunks; only the embedding is missing.
    fn default() -> Self {
        Self {
            embedding: Vec::new(),
            k: 10,
            filter: None,
            include: Include::default(),
            target_recall: None,
            effort: None,
            explain: false,
        }
    }
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
    /// Cost: that of [`Library::matching`] when there is a filter; then that of the index.
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
        let looked = self.look(query, &vector, allowed, pool)?;
        let found = &looked.found;
        let hits: Vec<Hit> = found.nearest.iter().filter_map(|(key, slot)| self.hit(*key, *slot, query.include)).collect();
        Ok(Answer {
            returned: hits.len(),
            requested: query.k,
            exhausted: hits.len() >= allowed.len(),
            metric: contract.metric.as_str().to_owned(),
            seq: self.seq,
            explain: query.explain.then(|| {
                let estimate = bound.as_ref().and_then(|bound| self.estimated_selectivity(bound));
                self.explain(query, allowed, estimate, &looked)
            }),
            hits,
        })
    }

    /// The nearest of the allowed slots: by the index those that it knows, one by one those that it does not.
    fn look(&self, query: &Query, vector: &[f32], allowed: &SlotSet, pool: &dyn Pool) -> Result<Looked> {
        let serving = &*self.indexing.serving;
        let approximate = serving.index.index_type().is_approximate();
        let target = match query.target_recall {
            Some(target) => check_target_recall(target).map(|()| target)?,
            None => self.info.index.target_recall,
        };
        if let Some(effort) = query.effort.filter(|effort| !(1..=MAX_EFFORT).contains(effort)) {
            let detail = format!("an effort is 1 to {MAX_EFFORT}, received {effort}");
            return Err(Error::new(Code::InvalidValue, detail).field("effort").numbers(MAX_EFFORT, effort));
        }
        let search = Search {
            vectors: &self.vectors,
            codes: Some(&self.codes),
            metric: self.info.contract.metric,
            query: vector,
            k: query.k,
            effort: 0,
            allowed,
            pool,
        };
        let selectivity = allowed.len() as f32 / self.live.len().max(1) as f32;
        let chosen = match (query.effort, &serving.quality) {
            (Some(effort), _) => Some(Point { effort: effort as u32, recall: f32::NAN, visited: 0 }),
            (None, Some(quality)) => quality.effort(target, selectivity),
            (None, None) => Some(Point { effort: 0, recall: f32::NAN, visited: 0 }),
        };
        // What no effort reaches, comparing all does.
        let Some(point) = chosen.filter(|_| target < 1.0 || query.effort.is_some() || !approximate) else {
            return Ok(Looked { found: Flat.search(&search), target, point: None, unlinked: 0 });
        };
        let unlinked = &*self.indexing.unlinked;
        let known = (!unlinked.is_empty()).then(|| allowed.without(unlinked));
        // More results need a wider search by as many.
        let effort = if point.effort == 0 { 0 } else { point.effort as usize + query.k.saturating_sub(K) };
        let codes = if unlinked.is_empty() { &self.codes } else { &serving.codes };
        let found =
            serving.index.search(&Search { codes: Some(codes), effort, allowed: known.as_ref().unwrap_or(allowed), ..search });
        let rest: Vec<u32> = if known.is_some() { allowed.intersection(unlinked).collect() } else { Vec::new() };
        let found = if rest.is_empty() { found } else { join_exact(found, &search, &self.codes, &rest) };
        Ok(Looked { found, target, point: approximate.then_some(Point { effort: effort as u32, ..point }), unlinked: rest.len() })
    }

    pub(crate) fn row(&self, slot: u32) -> Option<ChunkRow<'_>> {
        let chunk = self.chunk_at(slot)?;
        Some(ChunkRow { library: self, slot, chunk, document: self.document_at(chunk.document)? })
    }

    pub(crate) fn hit(&self, key: f32, slot: u32, include: Include) -> Option<Hit> {
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
            embedding: include.embedding.then(|| self.row_of(slot).into_owned()),
        })
    }

    fn explain(&self, query: &Query, allowed: &SlotSet, estimated_selectivity: Option<f64>, looked: &Looked) -> Explain {
        let (chunks, matching, found) = (self.live.len(), allowed.len(), &looked.found);
        let filtered = query.filter.is_some();
        let fewer_because = (found.nearest.len() < query.k).then(|| match (chunks, filtered) {
            (0, _) => "the library holds no chunks".to_owned(),
            (_, true) => format!("only {matching} of {chunks} chunks pass the filter"),
            (1, _) => "the library holds only one chunk".to_owned(),
            _ => format!("the library holds only {chunks} chunks"),
        });
        // It was measured with float rows.
        let measured = looked.point.map(|point| point.recall).filter(|_| self.precision() == Precision::Float32);
        Explain {
            index: self.indexing.serving.index.name(),
            strategy: found.strategy.as_str(filtered),
            precision: self.precision().as_str(),
            target_recall: shown(looked.target),
            measured_recall: measured.filter(|recall| !recall.is_nan()).map(shown),
            effort: looked.point.map(|point| point.effort).filter(|_| found.strategy != Strategy::ExactScan),
            chunks,
            matching,
            selectivity: if chunks == 0 { 1.0 } else { matching as f64 / chunks as f64 },
            estimated_selectivity,
            visited: found.visited,
            unlinked: looked.unlinked,
            fewer_because,
        }
    }
}

/// What a search found, and how it was set up.
struct Looked {
    found: Found,
    target: f32,
    /// The effort, and the recall that was measured for it; NaN when none was.
    point: Option<Point>,
    /// How many allowed slots the index did not know.
    unlinked: usize,
}

/// A chunk as filters see it: its own fields and attributes first, then those of its document.
pub(crate) struct ChunkRow<'a> {
    library: &'a Library,
    slot: u32,
    chunk: &'a ChunkEntry,
    document: &'a DocumentEntry,
}

impl Row for ChunkRow<'_> {
    fn fixed(&self, field: FixedField) -> Cell<'_> {
        match field {
            FixedField::Id => Cell::Str(self.chunk.id.as_str()),
            FixedField::DocumentId => Cell::Str(self.document.document.id.as_str()),
            FixedField::Text => Cell::Str(self.library.text_at(self.slot)),
            FixedField::PageNumber => self.chunk.metadata.page_number.map_or(Cell::Missing, |page| Cell::Integer(page.into())),
            FixedField::ChunkIndex => Cell::Integer(self.chunk.metadata.chunk_index.into()),
            _ => metadata_cell(&self.document.document.metadata, field),
        }
    }

    fn attribute(&self, field: FieldId) -> Option<&Value> {
        attribute(&self.chunk.attributes, field).or_else(|| attribute(&self.document.document.attributes, field))
    }
}
