//! Tests of the whole filter: JSON in, a row, an answer out.

mod errors;
mod laws;
mod operators;
mod oracle;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;
use crate::{
    error::Result,
    model::{Field, FieldId, FieldType, Fields, FixedField, Scalar, Timestamp, Value},
};

/// The attribute fields of every test, one for each type.
fn fields() -> Fields {
    [
        ("kw", FieldType::Keyword),
        ("int", FieldType::Integer),
        ("flt", FieldType::Float),
        ("bool", FieldType::Boolean),
        ("ts", FieldType::Timestamp),
        ("txt", FieldType::Text),
    ]
    .into_iter()
    .map(|(name, kind)| Field { name: name.into(), kind })
    .collect()
}

fn scalar(kind: FieldType, json: &Json) -> Scalar {
    match (kind, json) {
        (FieldType::Integer, Json::Number(number)) => Scalar::Integer(number.as_i64().unwrap()),
        _ => kind.scalar(json).unwrap(),
    }
}

/// A row made from a JSON object: attributes and fixed fields under their names.
#[derive(Debug)]
struct JsonRow {
    fixed: BTreeMap<&'static str, Scalar>,
    tags: Vec<Box<str>>,
    attributes: BTreeMap<FieldId, Value>,
}

impl JsonRow {
    fn new(json: &Json) -> Self {
        let mut row = Self { fixed: BTreeMap::new(), tags: Vec::new(), attributes: BTreeMap::new() };
        for (name, json) in json.as_object().unwrap() {
            if name == "tags" {
                row.tags = json.as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().into()).collect();
            } else if let Some(fixed) = FixedField::find(name) {
                row.fixed.insert(fixed.as_str(), scalar(fixed.kind(), json));
            } else {
                let (id, kind) = fields().find(name).unwrap();
                let value = match json {
                    Json::Array(items) => Value::Many(items.iter().map(|item| scalar(kind, item)).collect()),
                    single => Value::One(scalar(kind, single)),
                };
                row.attributes.insert(id, value);
            }
        }
        row
    }
}

impl Row for JsonRow {
    fn fixed(&self, field: FixedField) -> Cell<'_> {
        if field == FixedField::Tags {
            return Cell::Strs(&self.tags);
        }
        match self.fixed.get(field.as_str()) {
            None => Cell::Missing,
            Some(Scalar::String(text)) => Cell::Str(text),
            Some(Scalar::Integer(value)) => Cell::Integer(*value),
            Some(Scalar::Timestamp(value)) => Cell::Timestamp(*value),
            Some(other) => panic!("no fixed field holds {other:?}"),
        }
    }

    fn attribute(&self, field: FieldId) -> Option<&Value> {
        self.attributes.get(&field)
    }
}

fn bind(filter: &Json) -> Result<Bound> {
    Filter::from_json(filter)?.bind(&fields())
}

fn matches(filter: &Json, row: &Json) -> bool {
    bind(filter).unwrap_or_else(|error| panic!("{filter}: {error}")).matches(&JsonRow::new(row))
}
