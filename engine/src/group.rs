//! Answers by document: the nearest documents, and of each its nearest chunks.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    error::{Code, Error, Result},
    filter::Bound,
    library::Library,
    model::limits::{MAX_GROUP_SIZE, MAX_K},
    near::Refine,
    plan::check_vector,
    pool::Pool,
    query::{Hit, Include, Query},
    top_k::TopK,
};

/// A document that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Group {
    /// The document's id.
    pub document_id: String,
    /// Its nearest chunks, best first.
    pub hits: Vec<Hit>,
}

/// The answer to a query by document.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Groups {
    /// The documents, that of the best chunk first.
    pub groups: Vec<Group>,
    /// How many there are.
    pub returned: usize,
    /// How many were wanted.
    pub requested: usize,
    /// Whether these are all documents that match.
    pub exhausted: bool,
    /// The library's metric.
    pub metric: String,
    /// Sequence of the last write that the answer knows of.
    pub seq: u64,
}

/// What a query by document looks at.
struct Scope<'a> {
    library: &'a Library,
    query: &'a Query,
    vector: Vec<f32>,
    filter: Option<Bound>,
    refine: &'a Refine,
}

impl Library {
    /// Answers a query by document: `query.k` documents, with up to `size` chunks of each. So many documents come back whenever
    /// so many have a chunk that matches.
    ///
    /// Cost: that of some queries for the nearest chunks, growing while too few documents are among them. Where 10,000 chunks
    /// are of too few documents, one pass over all chunks that match.
    ///
    /// # Errors
    /// Those of [`Library::query`], and [`Code::InvalidValue`] for a size of 0 or above the limit, with the field `size`.
    pub fn query_groups(&self, query: &Query, size: usize, refine: &Refine, pool: &dyn Pool) -> Result<Groups> {
        if size == 0 || size > MAX_GROUP_SIZE {
            let detail = format!("the size of a group is 1 to {MAX_GROUP_SIZE}, received {size}");
            return Err(Error::new(Code::InvalidValue, detail).field("size").numbers(MAX_GROUP_SIZE, size));
        }
        let scope = Scope {
            library: self,
            query,
            vector: check_vector(&self.info.contract, query.embedding.clone()).map_err(|error| error.within("embedding"))?,
            filter: query.filter.as_ref().map(|filter| filter.bind(self.fields())).transpose()?,
            refine,
        };
        let (places, exhausted) = scope.nearest_documents(pool)?;
        let groups: Vec<Group> = places.into_iter().filter_map(|place| scope.group(place, size)).collect();
        Ok(Groups {
            returned: groups.len(),
            requested: query.k,
            exhausted,
            metric: self.info.contract.metric.as_str().to_owned(),
            seq: self.seq(),
            groups,
        })
    }
}

impl Scope<'_> {
    /// Places of the documents whose best chunks are nearest, and whether there are no others.
    fn nearest_documents(&self, pool: &dyn Pool) -> Result<(Vec<u32>, bool)> {
        let wanted = self.query.k;
        let most = MAX_K.saturating_sub(self.refine.without.len()).max(1);
        let include = Include { text: false, metadata: false, attributes: false, embedding: false };
        let mut k = if wanted == 0 || wanted > MAX_K { wanted } else { (wanted * 4).max(64).min(most) };
        loop {
            let query = Query { k, include, explain: false, ..self.query.clone() };
            let answer = self.library.query_refined(&query, self.refine, pool)?;
            let mut seen = BTreeSet::new();
            let slots = answer.hits.iter().filter_map(|hit| self.library.slot(&hit.id));
            let places = slots.filter_map(|slot| self.library.chunk_at(slot)).map(|chunk| chunk.document);
            let mut places: Vec<u32> = places.filter(|place| seen.insert(*place)).collect();
            if places.len() >= wanted || answer.exhausted {
                let exhausted = answer.exhausted && places.len() <= wanted;
                places.truncate(wanted);
                return Ok((places, exhausted));
            }
            if k >= most {
                return Ok(self.by_scan());
            }
            k = (k * 4).min(most);
        }
    }

    /// As `nearest_documents`, by looking at every chunk.
    fn by_scan(&self) -> (Vec<u32>, bool) {
        let mut best: BTreeMap<u32, (f32, u32)> = BTreeMap::new();
        for slot in self.library.live().iter() {
            let Some((place, key)) = self.key(slot) else { continue };
            let entry = best.entry(place).or_insert((key, slot));
            if key < entry.0 {
                *entry = (key, slot);
            }
        }
        let mut top = TopK::new(self.query.k, best.len());
        for (key, slot) in best.values() {
            top.push(*key, *slot);
        }
        let nearest = top.into_sorted_vec();
        let places = nearest.iter().filter_map(|(_, slot)| Some(self.library.chunk_at(*slot)?.document));
        (places.collect(), best.len() <= self.query.k)
    }

    /// The document of a chunk and its key, if the chunk may be in the answer.
    fn key(&self, slot: u32) -> Option<(u32, f32)> {
        let row = self.library.row(slot)?;
        let chunk = self.library.chunk_at(slot)?;
        let metric = self.library.info.contract.metric;
        let left_out = self.refine.without.contains(chunk.id.as_str());
        if left_out || self.filter.as_ref().is_some_and(|filter| !filter.matches(&row)) {
            return None;
        }
        let key = metric.key(&self.vector, &self.library.row_of(slot));
        let enough = self.refine.min_score.is_none_or(|least| f64::from(metric.score(key)) >= least);
        enough.then_some((chunk.document, key))
    }

    fn group(&self, place: u32, size: usize) -> Option<Group> {
        let entry = self.library.document_at(place)?;
        let mut keys: Vec<(f32, u32)> =
            entry.chunks.iter().filter_map(|slot| self.key(*slot).map(|(_, key)| (key, *slot))).collect();
        keys.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
        let hits = keys.into_iter().take(size).filter_map(|(key, slot)| self.library.hit(key, slot, self.query.include));
        Some(Group { document_id: entry.document.id.to_string(), hits: hits.collect() })
    }
}
