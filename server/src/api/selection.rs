//! Bodies that name several items: by their ids, or by a filter.

use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use vecino_engine::{
    Code, Error, Result,
    filter::Filter,
    scroll::{OrderBy, Position, Scroll},
};

use super::{
    input::{Whole, optional_object},
    page::{CURSORS, read_limit},
    problem::{Answer, Problem},
};
use crate::{json::optional, service::selection::Selection};

/// Items by their ids.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IdsInput {
    /// Up to 10,000 ids.
    #[schema(max_items = 10000)]
    pub(super) ids: Vec<String>,
}

/// Chunks by their ids.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChunkIdsInput {
    /// Up to 10,000 ids.
    #[schema(max_items = 10000)]
    pub(super) ids: Vec<String>,
    /// Whether the chunks tell their vectors.
    #[serde(default)]
    pub(super) embedding: bool,
}

/// Items by their ids, which must all exist, or by a filter: one of the two.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SelectionInput {
    /// Up to 10,000 ids.
    #[schema(max_items = 10000)]
    ids: Option<Vec<String>>,
    /// Such as `{"year": {"$lt": 2020}}`; `{}` lets everything through.
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
}

/// What is counted.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CountInput {
    /// Which items; all of them without one.
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
}

/// What is scrolled through.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScrollInput {
    /// Which items; all of them without one.
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// The order; that of the ids without one.
    #[serde(default, deserialize_with = "optional_object")]
    order_by: Option<OrderInput>,
    /// How many items, at most: 1 to 1,000, 100 unless told.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1000)]
    limit: Option<Whole>,
    /// Where to go on: `next_cursor` of the part before, with the same filter and order.
    cursor: Option<String>,
}

/// What is scrolled through, of chunks.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChunkScrollInput {
    /// Which items; all of them without one.
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// The order; that of the ids without one.
    #[serde(default, deserialize_with = "optional_object")]
    order_by: Option<OrderInput>,
    /// How many items, at most: 1 to 1,000, 100 unless told.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1000)]
    limit: Option<Whole>,
    /// Where to go on: `next_cursor` of the part before, with the same filter and order.
    cursor: Option<String>,
    /// Whether the chunks tell their vectors.
    #[serde(default)]
    pub(super) embedding: bool,
}

/// An order by a field. Items without a value come last, equal ones in the order of their ids.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OrderInput {
    /// An attribute or a fixed field.
    field: String,
    /// `ascending` unless told.
    #[serde(default)]
    direction: Direction,
}

/// Which end comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Direction {
    /// The smallest comes first.
    #[default]
    Ascending,
    /// The greatest comes first.
    Descending,
}

impl SelectionInput {
    pub(super) fn read(self) -> Answer<Selection> {
        match (self.ids, self.filter) {
            (Some(ids), None) => Ok(Selection::Ids(ids)),
            (None, Some(filter)) => Ok(Selection::Filter(Filter::from_json(&filter)?)),
            (None, None) => Err(Problem::new("missing_field", "give either ids or a filter; both are missing").field("ids")),
            (Some(_), Some(_)) => {
                Err(Error::new(Code::InvalidValue, "give either ids or a filter; received both").field("ids").into())
            }
        }
    }
}

impl CountInput {
    pub(super) fn read(self) -> Result<Option<Filter>> {
        self.filter.as_ref().map(Filter::from_json).transpose()
    }
}

impl ScrollInput {
    pub(super) fn read(self) -> Answer<Scroll> {
        Ok(Scroll {
            filter: self.filter.as_ref().map(Filter::from_json).transpose()?,
            order_by: self.order_by.map(Into::into),
            after: self.cursor.as_deref().map(position).transpose()?,
            limit: read_limit(self.limit.map(|Whole(limit)| limit))?,
        })
    }
}

impl ChunkScrollInput {
    pub(super) fn read(self) -> Answer<Scroll> {
        let Self { filter, order_by, limit, cursor, embedding: _ } = self;
        ScrollInput { filter, order_by, limit, cursor }.read()
    }
}

impl From<OrderInput> for OrderBy {
    fn from(order: OrderInput) -> Self {
        Self { field: order.field, descending: order.direction == Direction::Descending }
    }
}

/// The cursor of a position.
pub(super) fn cursor_of(position: &Position) -> Option<String> {
    serde_json::to_vec(position).ok().map(|bytes| CURSORS.encode(bytes))
}

fn position(cursor: &str) -> Answer<Position> {
    let bytes = CURSORS.decode(cursor).ok();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(|| {
        let detail = "this is not a cursor of scrolling: take next_cursor as it is, or leave it out to begin anew";
        Problem::new("wrong_cursor", detail).field("cursor")
    })
}
