//! Typed attribute values, and the fields of a library that say which type each name has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{
    limits::{MAX_FIELD_NAME_BYTES, MAX_KEYWORD_BYTES, MAX_LIST_VALUES, MAX_TEXT_ATTRIBUTE_CHARS},
    time::Timestamp,
};
use crate::error::{Code, Error, Result};

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// A string compared as a whole, up to 1,024 bytes.
    Keyword,
    /// A whole number of 64 bits.
    Integer,
    /// A finite number of 64 bits.
    Float,
    /// True or false.
    Boolean,
    /// A point in time, RFC 3339 in JSON.
    Timestamp,
    /// A longer string, up to 10,000 characters.
    Text,
}

impl FieldType {
    /// The name in JSON and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Text => "text",
        }
    }

    /// The type that a first value gives to its field: strings are keywords while they are short enough, whole numbers are
    /// integers. Timestamps are never guessed: declare them in the schema. `None` for null, objects and empty lists.
    fn infer(json: &Json) -> Option<Self> {
        match json {
            Json::String(text) if text.len() <= MAX_KEYWORD_BYTES => Some(Self::Keyword),
            Json::String(_) => Some(Self::Text),
            Json::Bool(_) => Some(Self::Boolean),
            Json::Number(number) if number.is_i64() => Some(Self::Integer),
            Json::Number(_) => Some(Self::Float),
            Json::Array(items) => {
                let types: Option<Vec<Self>> =
                    items.iter().map(|item| if item.is_array() { None } else { Self::infer(item) }).collect();
                let types = types?;
                let (Some(first), wider) = (types.first(), [Self::Text, Self::Float]) else { return None };
                Some(wider.into_iter().find(|wide| types.contains(wide)).unwrap_or(*first))
            }
            Json::Null | Json::Object(_) => None,
        }
    }

    /// Reads one JSON value as a scalar of this type.
    ///
    /// # Errors
    /// [`Code::WrongType`] or [`Code::LimitExceeded`], without a field.
    pub fn scalar(self, json: &Json) -> Result<Scalar> {
        let wrong = || {
            Error::new(Code::WrongType, format!("expected {}, received {}", self.as_str(), kind_of(json)))
                .numbers(self.as_str(), kind_of(json))
        };
        Ok(match (self, json) {
            (Self::Keyword, Json::String(text)) => {
                if text.len() > MAX_KEYWORD_BYTES {
                    return Err(Error::limit(
                        "bytes of a keyword (declare the field as text for longer strings)",
                        MAX_KEYWORD_BYTES,
                        text.len(),
                    ));
                }
                Scalar::String(text.as_str().into())
            }
            (Self::Text, Json::String(text)) => {
                let chars = text.chars().count();
                if chars > MAX_TEXT_ATTRIBUTE_CHARS {
                    return Err(Error::limit("characters of a text attribute", MAX_TEXT_ATTRIBUTE_CHARS, chars));
                }
                Scalar::String(text.as_str().into())
            }
            (Self::Timestamp, Json::String(text)) => Scalar::Timestamp(Timestamp::parse(text)?),
            (Self::Boolean, Json::Bool(value)) => Scalar::Boolean(*value),
            (Self::Integer, Json::Number(number)) => Scalar::Integer(whole(number).ok_or_else(wrong)?),
            (Self::Float, Json::Number(number)) => {
                Scalar::Float(number.as_f64().filter(|value| value.is_finite()).ok_or_else(wrong)? + 0.0)
            }
            _ => return Err(wrong()),
        })
    }
}

/// A JSON number as a whole number of 64 bits: `2` and `2.0`, not `2.5`.
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let value = number.as_f64()?;
        // Below 2^53 every whole number is exact.
        (value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0).then_some(value as i64)
    })
}

/// What a JSON value is, for messages.
pub(crate) fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Json::Number(_) => "float",
        Json::String(_) => "string",
        Json::Array(_) => "list",
        Json::Object(_) => "object",
    }
}

/// One value. Its type is that of its field, which tells keywords from texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Scalar {
    /// Of a keyword or text field.
    String(Box<str>),
    /// Of an integer field.
    Integer(i64),
    /// Of a float field; finite, never `-0.0`.
    Float(f64),
    /// Of a boolean field.
    Boolean(bool),
    /// Of a timestamp field.
    Timestamp(Timestamp),
}

impl Scalar {
    /// The value in JSON.
    pub fn to_json(&self) -> Json {
        match self {
            Self::String(text) => Json::from(text.as_ref()),
            Self::Integer(value) => Json::from(*value),
            Self::Float(value) => Json::from(*value),
            Self::Boolean(value) => Json::from(*value),
            Self::Timestamp(value) => Json::from(value.to_string()),
        }
    }
}

/// The value of an attribute: one scalar or a list of scalars of one type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A single value.
    One(Scalar),
    /// A list, which may be empty.
    Many(Vec<Scalar>),
}

impl Value {
    /// Its scalars: one, or those of the list.
    pub fn scalars(&self) -> &[Scalar] {
        match self {
            Self::One(scalar) => std::slice::from_ref(scalar),
            Self::Many(scalars) => scalars,
        }
    }

    /// The value in JSON.
    pub fn to_json(&self) -> Json {
        match self {
            Self::One(scalar) => scalar.to_json(),
            Self::Many(scalars) => scalars.iter().map(Scalar::to_json).collect(),
        }
    }
}

/// The number of a field within its library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FieldId(pub u16);

/// A field: an attribute name and its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The attribute's name.
    pub name: Box<str>,
    /// The type of its values.
    #[serde(rename = "type")]
    pub kind: FieldType,
}

/// Attributes with their names resolved, in ascending order of the field.
pub type Attributes = Vec<(FieldId, Value)>;

/// Attributes as they come from outside: names and JSON values.
pub type RawAttributes = BTreeMap<String, Json>;

/// The attribute fields of a library. A [`FieldId`] stays good: a field that is dropped keeps its place, without a name.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    list: Vec<Field>,
    by_name: BTreeMap<Box<str>, FieldId>,
}

impl Fields {
    /// The fields in the order of their ids.
    pub fn list(&self) -> &[Field] {
        &self.list
    }

    /// Finds a field by name.
    pub fn find(&self, name: &str) -> Option<(FieldId, FieldType)> {
        let id = *self.by_name.get(name)?;
        Some((id, self.list.get(usize::from(id.0))?.kind))
    }

    /// The name of a field.
    pub fn name(&self, id: FieldId) -> &str {
        self.list.get(usize::from(id.0)).map_or("", |field| &field.name)
    }

    /// The fields that are there, with their ids: not those that were dropped, which keep their ids.
    pub fn named(&self) -> impl Iterator<Item = (FieldId, &Field)> {
        (0_u16..).map(FieldId).zip(&self.list).filter(|(_, field)| !field.name.is_empty())
    }

    /// Adds a field; a name that exists keeps its id and its type. One without a name was dropped.
    pub fn add(&mut self, field: Field) -> FieldId {
        if let Some(id) = self.by_name.get(&field.name) {
            return *id;
        }
        // `plan` holds the number of fields under MAX_FIELDS, far below u16::MAX.
        let id = FieldId(u16::try_from(self.list.len()).unwrap_or(u16::MAX));
        if !field.name.is_empty() {
            self.by_name.insert(field.name.clone(), id);
        }
        self.list.push(field);
        id
    }

    /// Attributes as a JSON object.
    pub fn to_json(&self, attributes: &Attributes) -> serde_json::Map<String, Json> {
        attributes.iter().map(|(id, value)| (self.name(*id).to_owned(), value.to_json())).collect()
    }
}

impl FromIterator<Field> for Fields {
    fn from_iter<I: IntoIterator<Item = Field>>(fields: I) -> Self {
        let mut all = Self::default();
        all.extend(fields);
        all
    }
}

impl Extend<Field> for Fields {
    fn extend<I: IntoIterator<Item = Field>>(&mut self, fields: I) {
        for field in fields {
            self.add(field);
        }
    }
}

/// A name from outside, cut to what an error may repeat.
pub fn shown(name: &str) -> String {
    match name.char_indices().find(|(at, _)| *at >= MAX_FIELD_NAME_BYTES) {
        Some((at, _)) => format!("{}...", &name[..at]),
        None => name.to_owned(),
    }
}

/// Checks the name of an attribute field.
///
/// # Errors
/// [`Code::InvalidValue`] for an empty name, one that begins with `$`, or one of a fixed metadata field;
/// [`Code::LimitExceeded`] for a long one.
pub fn check_field_name(name: &str) -> Result<()> {
    if name.is_empty() || name.starts_with('$') {
        return Err(
            Error::new(Code::InvalidValue, "the name of an attribute is not empty and does not begin with '$'").field(name)
        );
    }
    if name.len() > MAX_FIELD_NAME_BYTES {
        return Err(Error::limit("bytes of an attribute's name", MAX_FIELD_NAME_BYTES, name.len()).field(shown(name)));
    }
    if let Some(fixed) = super::FixedField::find(name) {
        let detail = format!("'{name}' is a fixed field of the {}; it cannot be an attribute too", fixed.owner());
        return Err(Error::new(Code::InvalidValue, detail).field(name));
    }
    Ok(())
}

/// What [`Value::read`] found.
pub(crate) enum Read {
    /// Null: the attribute is absent.
    Absent,
    /// A value of this type.
    Typed(FieldType, Value),
}

impl Value {
    /// Reads an attribute: of type `kind` when its field exists, else of the type that the value itself suggests.
    pub(crate) fn read(json: &Json, kind: Option<FieldType>) -> Result<Read> {
        if json.is_null() {
            return Ok(Read::Absent);
        }
        let Some(kind) = kind.or_else(|| FieldType::infer(json)) else {
            return match json {
                Json::Array(items) if items.is_empty() => Ok(Read::Absent),
                _ => Err(Error::new(
                    Code::WrongType,
                    "an attribute is a string, a number, a boolean, or a list of these of one type",
                )
                .numbers("string, number, boolean or list", kind_of(json))),
            };
        };
        let value = match json {
            Json::Array(items) => {
                if items.len() > MAX_LIST_VALUES {
                    return Err(Error::limit("values in a list", MAX_LIST_VALUES, items.len()));
                }
                Self::Many(items.iter().map(|item| kind.scalar(item)).collect::<Result<_>>()?)
            }
            single => Self::One(kind.scalar(single)?),
        };
        Ok(Read::Typed(kind, value))
    }
}
