//! Evaluation of a bound filter on one row.

use std::cmp::Ordering;

use super::{Bound, Target, Test};
use crate::model::{FieldId, FixedField, Scalar, Timestamp, Value};

/// What a filter sees of a chunk: its own fields and those that it inherits from its document.
pub trait Row {
    /// The value of a fixed field.
    fn fixed(&self, field: FixedField) -> Cell<'_>;

    /// The value of an attribute: the chunk's own, else its document's.
    fn attribute(&self, field: FieldId) -> Option<&Value>;
}

/// The value of a fixed field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Missing,
    /// A string.
    Str(&'a str),
    /// A list of strings; missing when it is empty.
    Strs(&'a [Box<str>]),
    /// A whole number.
    Integer(i64),
    /// A point in time.
    Timestamp(Timestamp),
}

impl Bound {
    /// Whether the row passes.
    pub fn matches(&self, row: &dyn Row) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(row)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(row)),
            Self::Not(part) => !part.matches(row),
            Self::Field(Target::Fixed(field), test) => match row.fixed(*field) {
                Cell::Missing => false,
                Cell::Str(text) => test.single(Item::String(text)),
                Cell::Strs(texts) => texts.iter().any(|text| test.element(Item::String(text))),
                Cell::Integer(value) => test.single(Item::Integer(value)),
                Cell::Timestamp(value) => test.single(Item::Timestamp(value)),
            },
            Self::Field(Target::Attribute(field), test) => match row.attribute(*field) {
                None => false,
                Some(Value::One(scalar)) => test.single(scalar.into()),
                Some(Value::Many(scalars)) => scalars.iter().any(|scalar| test.element(scalar.into())),
            },
        }
    }
}

impl Test {
    /// Whether a value that stands alone passes.
    pub(super) fn single(&self, item: Item<'_>) -> bool {
        match (self, item) {
            (Self::Contains(part), Item::String(text)) => text.contains(part.as_ref()),
            _ => self.element(item),
        }
    }

    /// Whether an element of a list passes.
    pub(super) fn element(&self, item: Item<'_>) -> bool {
        match self {
            Self::Exists => true,
            Self::OneOf(scalars) => scalars.binary_search_by(|scalar| Item::from(scalar).cmp(&item)).is_ok(),
            Self::Compare(order, scalar) => {
                let scalar = Item::from(scalar);
                item.kind() == scalar.kind() && order.admits(item.cmp(&scalar))
            }
            Self::Contains(whole) => item.text() == Some(whole),
            Self::Prefix(start) => item.text().is_some_and(|text| text.starts_with(start.as_ref())),
        }
    }
}

/// A borrowed scalar. Items have a total order: by type, then by value.
#[derive(Clone, Copy)]
pub(crate) enum Item<'a> {
    String(&'a str),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Timestamp(Timestamp),
}

impl<'a> Item<'a> {
    /// The order of two items.
    pub(crate) fn cmp(&self, other: &Item<'_>) -> Ordering {
        match (self, other) {
            (Self::String(left), Item::String(right)) => left.as_bytes().cmp(right.as_bytes()),
            (Self::Integer(left), Item::Integer(right)) => left.cmp(right),
            // Adding zero makes -0.0 equal to 0.0.
            (Self::Float(left), Item::Float(right)) => (left + 0.0).total_cmp(&(right + 0.0)),
            (Self::Boolean(left), Item::Boolean(right)) => left.cmp(right),
            (Self::Timestamp(left), Item::Timestamp(right)) => left.cmp(right),
            _ => self.kind().cmp(&other.kind()),
        }
    }

    /// The value by itself. That it came of a text or a keyword field is not kept.
    pub(crate) fn to_scalar(self) -> Scalar {
        match self {
            Self::String(text) => Scalar::String(text.into()),
            Self::Integer(value) => Scalar::Integer(value),
            Self::Float(value) => Scalar::Float(value),
            Self::Boolean(value) => Scalar::Boolean(value),
            Self::Timestamp(value) => Scalar::Timestamp(value),
        }
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::String(_) => 0,
            Self::Integer(_) => 1,
            Self::Float(_) => 2,
            Self::Boolean(_) => 3,
            Self::Timestamp(_) => 4,
        }
    }

    const fn text(&self) -> Option<&'a str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

impl Target {
    /// Calls `each` with every value that the row has for the field: none, one, or those of a list.
    pub(crate) fn values<'a>(self, row: &'a dyn Row, each: &mut dyn FnMut(Item<'a>)) {
        match self {
            Self::Fixed(field) => match row.fixed(field) {
                Cell::Missing => {}
                Cell::Str(text) => each(Item::String(text)),
                Cell::Strs(texts) => texts.iter().for_each(|text| each(Item::String(text))),
                Cell::Integer(value) => each(Item::Integer(value)),
                Cell::Timestamp(value) => each(Item::Timestamp(value)),
            },
            Self::Attribute(field) => {
                let scalars = row.attribute(field).map(Value::scalars).unwrap_or_default();
                scalars.iter().for_each(|scalar| each(scalar.into()));
            }
        }
    }
}

impl<'a> From<&'a Scalar> for Item<'a> {
    fn from(scalar: &'a Scalar) -> Self {
        match scalar {
            Scalar::String(text) => Self::String(text),
            Scalar::Integer(value) => Self::Integer(*value),
            Scalar::Float(value) => Self::Float(*value),
            Scalar::Boolean(value) => Self::Boolean(*value),
            Scalar::Timestamp(value) => Self::Timestamp(*value),
        }
    }
}
