//! Documents and chunks as they come in.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Unexpected, Visitor, value::SeqAccessDeserializer},
};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;
use vecino_engine::{
    Code, Error, Result,
    command::{ChunkDraft, ChunkPatch, DocumentDraft, DocumentPatch, OnConflict},
    model::{RawAttributes, Timestamp},
};

use super::{
    extract::{NOT_FINITE, Object},
    numbers,
    problem::Problem,
};
use crate::{
    json::entries,
    service::{
        Service,
        chunks::{ChangedChunk, NewChunk},
        documents::{Content, NewDocument},
    },
};

/// A vector: its numbers, or their 32 bits each, the lowest byte first, in base64, as some embedding services give them: a third or
/// less of the bytes of a body, and nothing to convert.
#[derive(Clone, Debug, ToSchema)]
#[schema(value_type = Vec<f32>)]
pub(super) struct Embedding(Vec<f32>);

impl Embedding {
    /// Reads it from a list.
    pub(super) fn of<'de, A: SeqAccess<'de>>(list: A) -> std::result::Result<Self, A::Error> {
        let components: Vec<Component> = Vec::deserialize(SeqAccessDeserializer::new(list))?;
        Ok(Self(components.into_iter().map(|component| component.0).collect()))
    }

    /// Reads it from base64.
    pub(super) fn of_base64(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        let (numbers, rest) = bytes.as_chunks();
        (!numbers.is_empty() && rest.is_empty()).then(|| Self(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()))
    }
}

impl<'de> Deserialize<'de> for Embedding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EmbeddingVisitor)
    }
}

struct EmbeddingVisitor;

impl<'de> Visitor<'de> for EmbeddingVisitor {
    type Value = Embedding;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list of numbers or floats of 32 bits in base64")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Embedding, A::Error> {
        Embedding::of(list)
    }

    /// In base64, or where the list was taken out before. A number that was mistaken for that of a list leaves that list's own
    /// without one, and nothing counts.
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Embedding, E> {
        let embedding = numbers::list(text).map(Embedding).or_else(|| Embedding::of_base64(text));
        embedding.ok_or_else(|| E::invalid_value(Unexpected::Other("another string"), &self))
    }
}

impl From<Embedding> for Vec<f32> {
    fn from(embedding: Embedding) -> Self {
        embedding.0
    }
}

/// One number of a vector.
#[derive(Clone, Copy, Debug)]
struct Component(f32);

impl<'de> Deserialize<'de> for Component {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wide = f64::deserialize(deserializer)?;
        let number = wide as f32;
        if number.is_finite() { Ok(Self(number)) } else { Err(D::Error::custom(format_args!("{NOT_FINITE}: {wide:e}"))) }
    }
}

/// A whole number, 0 or more; `10.0` is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole(pub(super) u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(WholeVisitor).map(Self)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = u64;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("u64")
    }

    fn visit_u64<E>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<u64, E> {
        u64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<u64, E> {
        if value.fract() != 0.0 {
            return Err(E::invalid_type(Unexpected::Float(value), &self));
        }
        // What is too large for 64 bits becomes the largest number, which every limit refuses.
        if value < 0.0 { Err(E::invalid_value(Unexpected::Float(value), &self)) } else { Ok(value as u64) }
    }
}

/// Reads a value that is there: null is not one.
pub(super) fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads a value that null removes.
pub(super) fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer).map(|value: Option<T>| Some(value.unwrap_or_default()))
}

/// Reads an object, not a list of its values.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(value)| value)
}

/// Reads an object, or null.
pub(super) fn optional_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer).map(|value: Option<Object<T>>| value.map(|Object(value)| value))
}

/// Reads a list of objects.
pub(super) fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Vec::deserialize(deserializer).map(|list: Vec<Object<T>>| list.into_iter().map(|Object(value)| value).collect())
}

/// Reads a list of objects, or null.
fn optional_objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Vec<T>>, D::Error> {
    let list: Option<Vec<Object<T>>> = Option::deserialize(deserializer)?;
    Ok(list.map(|list| list.into_iter().map(|Object(value)| value).collect()))
}

/// What to do when a document exists already.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Conflict {
    /// Refuse the whole request.
    #[default]
    Refuse,
    /// Keep the old document and leave out the new one.
    Skip,
    /// Put the new document in place of the old one and its chunks.
    Replace,
}

impl From<Conflict> for OnConflict {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Refuse => Self::Refuse,
            Conflict::Skip => Self::Skip,
            Conflict::Replace => Self::Replace,
        }
    }
}

/// A document to be written: with a `text` that is split and embedded here, or with `chunks`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DocumentInput {
    /// Unique within the library; made here if it is left out.
    pub(super) id: Option<String>,
    /// The fixed metadata.
    #[serde(deserialize_with = "object")]
    metadata: DocumentMetadataInput,
    /// Free, typed attributes: strings, numbers, booleans, or lists of these.
    #[serde(default, deserialize_with = "entries")]
    attributes: BTreeMap<String, Json>,
    /// The whole text, up to 1,000,000 characters.
    text: Option<String>,
    /// The chunks in order.
    #[serde(default, deserialize_with = "optional_objects")]
    chunks: Option<Vec<ChunkInput>>,
}

/// The fixed metadata of a document to be written.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DocumentMetadataInput {
    /// What it is called.
    title: String,
    /// Who wrote it.
    author: Option<String>,
    /// RFC 3339, or a date; the time of the write if it is left out.
    created_at: Option<String>,
    /// Its kind.
    document_type: Option<String>,
    /// Where it came from.
    source_url: Option<String>,
    /// Labels.
    tags: Option<Vec<String>>,
}

/// A chunk to be written.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChunkInput {
    /// Unique within the library; made here if it is left out.
    id: Option<String>,
    /// The text, up to 10,000 characters.
    text: String,
    /// The vector; made here from the title and the text if it is left out.
    embedding: Option<Embedding>,
    /// `page_number`, `chunk_index` and `created_at`; every other key is an attribute of the chunk.
    #[serde(default, deserialize_with = "entries")]
    #[schema(value_type = Object)]
    metadata: Map<String, Json>,
    /// Attributes, as those among the metadata.
    #[serde(default, deserialize_with = "entries")]
    attributes: BTreeMap<String, Json>,
}

/// A chunk to be written, and where.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlacedChunkInput {
    /// The id of its document.
    #[schema(min_length = 1, max_length = 255)]
    document_id: String,
    /// Unique within the library; made here if it is left out.
    #[schema(min_length = 1, max_length = 255)]
    id: Option<String>,
    /// The text, up to 10,000 characters.
    text: String,
    /// The vector; made here from the document's title and the text if it is left out.
    embedding: Option<Embedding>,
    /// `page_number`, `chunk_index` and `created_at`; every other key is an attribute of the chunk.
    #[serde(default, deserialize_with = "entries")]
    #[schema(value_type = Object)]
    metadata: Map<String, Json>,
    /// Attributes, as those among the metadata.
    #[serde(default, deserialize_with = "entries")]
    attributes: BTreeMap<String, Json>,
}

/// Changes of a document. What is left out stays; null removes what is optional.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DocumentChange {
    /// Fixed metadata to be changed.
    #[serde(default, deserialize_with = "object")]
    metadata: DocumentMetadataChange,
    /// Attributes to be set; null removes one.
    #[serde(default, deserialize_with = "entries")]
    attributes: BTreeMap<String, Json>,
}

/// Changes of a document's fixed metadata.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DocumentMetadataChange {
    /// Another title. The chunks keep their vectors.
    #[serde(default, deserialize_with = "some")]
    #[schema(nullable = false)]
    title: Option<String>,
    /// Another author.
    #[serde(default, deserialize_with = "or_null")]
    author: Option<String>,
    /// Another time.
    #[serde(default, deserialize_with = "some")]
    #[schema(nullable = false)]
    created_at: Option<String>,
    /// Another kind.
    #[serde(default, deserialize_with = "or_null")]
    document_type: Option<String>,
    /// Another source.
    #[serde(default, deserialize_with = "or_null")]
    source_url: Option<String>,
    /// Other labels, all of them.
    #[serde(default, deserialize_with = "or_null")]
    tags: Option<Vec<String>>,
}

/// Changes of a chunk. What is left out stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChunkChange {
    /// Another text. Without an embedding, one is made here.
    #[serde(default, deserialize_with = "some")]
    #[schema(nullable = false)]
    text: Option<String>,
    /// Another vector.
    #[serde(default, deserialize_with = "some")]
    #[schema(nullable = false)]
    embedding: Option<Embedding>,
    /// `page_number` and `chunk_index`; every other key is an attribute to be set, or removed by null.
    #[serde(default, deserialize_with = "entries")]
    #[schema(value_type = Object)]
    metadata: Map<String, Json>,
    /// Attributes to be set, as those among the metadata; null removes one.
    #[serde(default, deserialize_with = "entries")]
    attributes: BTreeMap<String, Json>,
}

/// The keys of a chunk's metadata that are not attributes.
#[derive(Default)]
struct ChunkFields {
    page_number: Option<u32>,
    chunk_index: Option<u32>,
    created_at: Option<Timestamp>,
    attributes: RawAttributes,
    from_metadata: Vec<String>,
}

impl DocumentInput {
    /// With an id, and with its times read.
    pub(super) fn read(self, service: &Service) -> Result<NewDocument, Problem> {
        let metadata = self.metadata;
        let content = match (self.text, self.chunks) {
            (Some(text), None) => Content::Text(text),
            (None, Some(chunks)) => Content::Chunks(read_chunks(chunks, service)?),
            (None, None) => {
                return Err(
                    Problem::new("missing_field", "a document has either a text or chunks; both are missing").field("text")
                );
            }
            (Some(_), Some(_)) => {
                let detail = "a document has either a text or chunks; received both";
                return Err(Error::new(Code::InvalidValue, detail).field("text").into());
            }
        };
        let draft = DocumentDraft {
            id: self.id.unwrap_or_else(|| service.new_id()),
            title: metadata.title,
            author: metadata.author,
            created_at: time("metadata.created_at", metadata.created_at.as_deref())?,
            document_type: metadata.document_type,
            source_url: metadata.source_url,
            tags: metadata.tags.unwrap_or_default(),
            attributes: self.attributes,
            chunks: Vec::new(),
        };
        Ok(NewDocument { draft, content })
    }
}

/// Reads the chunks of one document.
pub(super) fn read_chunks(chunks: Vec<ChunkInput>, service: &Service) -> Result<Vec<NewChunk>> {
    let read = |(at, chunk): (usize, ChunkInput)| chunk.read(service).map_err(|error| error.within(format_args!("chunks[{at}]")));
    chunks.into_iter().enumerate().map(read).collect()
}

impl ChunkInput {
    fn read(self, service: &Service) -> Result<NewChunk> {
        let fields = ChunkFields::read(self.metadata, self.attributes)?;
        let embed = self.embedding.is_none();
        let draft = ChunkDraft {
            id: self.id.unwrap_or_else(|| service.new_id()),
            text: self.text,
            embedding: self.embedding.map(Into::into).unwrap_or_default(),
            created_at: fields.created_at,
            page_number: fields.page_number,
            chunk_index: fields.chunk_index,
            attributes: fields.attributes,
            stored: false,
        };
        Ok(NewChunk { draft, embed, from_metadata: fields.from_metadata })
    }
}

impl PlacedChunkInput {
    /// The chunk, and the id of its document.
    pub(super) fn read(self, service: &Service) -> Result<(String, NewChunk)> {
        let Self { document_id, id, text, embedding, metadata, attributes } = self;
        Ok((document_id, ChunkInput { id, text, embedding, metadata, attributes }.read(service)?))
    }

    /// The same, for an address that names the chunk.
    pub(super) fn with_id(mut self, id: String) -> Result<Self> {
        named(&mut self.id, id, "chunk")?;
        Ok(self)
    }
}

/// Gives an item the id that the address names; the body may repeat it.
pub(super) fn named(own: &mut Option<String>, id: String, what: &str) -> Result<()> {
    if let Some(received) = own.replace(id.clone()).filter(|received| *received != id) {
        let detail = format!("the address names the {what} '{id}', the body names '{received}'; leave it out of the body");
        return Err(Error::new(Code::InvalidValue, detail).field("id").numbers(id, received).unfit());
    }
    Ok(())
}

impl DocumentChange {
    pub(super) fn read(self) -> Result<DocumentPatch> {
        let metadata = self.metadata;
        Ok(DocumentPatch {
            title: metadata.title,
            author: metadata.author,
            created_at: time("metadata.created_at", metadata.created_at.as_deref())?,
            document_type: metadata.document_type,
            source_url: metadata.source_url,
            tags: metadata.tags,
            attributes: self.attributes,
        })
    }
}

impl ChunkChange {
    pub(super) fn read(self) -> Result<ChangedChunk> {
        let fields = ChunkFields::read(self.metadata, self.attributes)?;
        if fields.created_at.is_some() {
            let detail = "the time at which a chunk was made stays as it is";
            return Err(Error::new(Code::InvalidValue, detail).field("metadata.created_at"));
        }
        let patch = ChunkPatch {
            text: self.text,
            embedding: self.embedding.map(Into::into),
            page_number: fields.page_number,
            chunk_index: fields.chunk_index,
            attributes: fields.attributes,
        };
        Ok(ChangedChunk { patch, from_metadata: fields.from_metadata })
    }
}

impl ChunkFields {
    fn read(metadata: Map<String, Json>, attributes: RawAttributes) -> Result<Self> {
        let mut fields = Self { attributes, ..Self::default() };
        for (key, value) in metadata {
            let place = format!("metadata.{key}");
            match (key.as_str(), &value) {
                ("page_number" | "chunk_index" | "created_at", Json::Null) => {}
                ("page_number", value) => fields.page_number = Some(whole(&place, value)?),
                ("chunk_index", value) => fields.chunk_index = Some(whole(&place, value)?),
                ("created_at", Json::String(text)) => fields.created_at = time(&place, Some(text))?,
                ("created_at", _) => {
                    let detail = format!("expected an RFC 3339 timestamp, received {value}");
                    return Err(Error::new(Code::WrongType, detail).field(place).numbers("RFC 3339 timestamp", value));
                }
                _ if fields.attributes.contains_key(&key) => {
                    let detail = format!("the attribute '{key}' stands both here and among the attributes");
                    return Err(Error::new(Code::InvalidValue, detail).field(place).unfit());
                }
                _ => {
                    fields.from_metadata.push(key.clone());
                    fields.attributes.insert(key, value);
                }
            }
        }
        Ok(fields)
    }
}

fn whole(place: &str, value: &Json) -> Result<u32> {
    let number = Whole::deserialize(value).ok().and_then(|Whole(number)| u32::try_from(number).ok());
    number.ok_or_else(|| {
        let code = if value.is_number() { Code::InvalidValue } else { Code::WrongType };
        let detail = format!("expected a whole number of 0 to {}, received {value}", u32::MAX);
        Error::new(code, detail).field(place).numbers("a whole number, 0 or more", value.clone())
    })
}

fn time(place: &str, text: Option<&str>) -> Result<Option<Timestamp>> {
    text.map(|text| Timestamp::parse(text).map_err(|error| error.within(place))).transpose()
}
