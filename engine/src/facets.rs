//! Facets: how often each value of a field stands in the chunks that a filter lets through.

use std::{cmp::Ordering, collections::BTreeMap};

use serde::Serialize;
use serde_json::Value as Json;

use crate::{
    error::{Code, Error, Result},
    filter::{Filter, Item, resolve},
    library::Library,
    model::{
        limits::{MAX_FACET_VALUES, MAX_FACETS},
        shown,
    },
};

/// How often the values of a field stand there.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Facet {
    /// The field's name.
    pub field: String,
    /// The most frequent values, equally frequent ones in ascending order.
    pub values: Vec<FacetValue>,
    /// How many different values there are.
    pub distinct: usize,
    /// Chunks without a value.
    pub missing: usize,
}

/// A value and how often it stands there.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FacetValue {
    /// The value.
    pub value: Json,
    /// Chunks that have it, among others perhaps.
    pub count: usize,
}

/// The facets of some fields.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Facets {
    /// One for each field, in the order in which they were asked for.
    pub facets: Vec<Facet>,
    /// Chunks that the filter lets through.
    pub matching: usize,
    /// Sequence of the last write that the counts know of.
    pub seq: u64,
}

/// An item with its order.
struct Ordered<'a>(Item<'a>);

impl PartialEq for Ordered<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered<'_> {}

impl PartialOrd for Ordered<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl Library {
    /// Counts the values of fields over the chunks that a filter lets through: `limit` values of each. An element that stands in
    /// a list twice counts once for its chunk.
    ///
    /// Cost: one pass over the metadata of all chunks; memory for the distinct values.
    ///
    /// # Errors
    /// Those of [`Filter::bind`], [`Code::UnknownField`], and what is beyond the limits, with the field `fields` or `limit`.
    pub fn facets(&self, fields: &[String], filter: Option<&Filter>, limit: usize) -> Result<Facets> {
        if fields.is_empty() || fields.len() > MAX_FACETS {
            let detail = format!("1 to {MAX_FACETS} fields can be counted at once, received {}", fields.len());
            return Err(Error::new(Code::InvalidValue, detail).field("fields").numbers(MAX_FACETS, fields.len()));
        }
        if limit == 0 || limit > MAX_FACET_VALUES {
            let detail = format!("limit is 1 to {MAX_FACET_VALUES}, received {limit}");
            return Err(Error::new(Code::InvalidValue, detail).field("limit").numbers(MAX_FACET_VALUES, limit));
        }
        let resolved = |(at, name): (usize, &String)| {
            resolve(name, self.fields()).map(|(target, _)| target).map_err(|error| error.within(format_args!("fields[{at}]")))
        };
        let targets = fields.iter().enumerate().map(resolved).collect::<Result<Vec<_>>>()?;
        let matching = filter.map(|filter| filter.bind(self.fields()).map(|bound| self.matching(&bound))).transpose()?;
        let allowed = matching.as_ref().unwrap_or(self.live());
        let rows: Vec<_> = allowed.iter().filter_map(|slot| self.row(slot)).collect();
        let mut facets = Vec::with_capacity(targets.len());
        for (name, target) in fields.iter().zip(targets) {
            let mut counts: BTreeMap<Ordered<'_>, usize> = BTreeMap::new();
            let mut missing = 0;
            for row in &rows {
                let mut own: Vec<Ordered<'_>> = Vec::new();
                target.values(row, &mut |item| own.push(Ordered(item)));
                own.sort_unstable();
                own.dedup();
                missing += usize::from(own.is_empty());
                own.into_iter().for_each(|item| *counts.entry(item).or_default() += 1);
            }
            let distinct = counts.len();
            let mut counts: Vec<(Ordered<'_>, usize)> = counts.into_iter().collect();
            // Stable: equally frequent ones stay in the order of their values.
            counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            let told = counts.into_iter().take(limit);
            let values = told.map(|(item, count)| FacetValue { value: item.0.to_scalar().to_json(), count }).collect();
            facets.push(Facet { field: shown(name), values, distinct, missing });
        }
        Ok(Facets { facets, matching: allowed.len(), seq: self.seq() })
    }
}
