//! A line of a JSONL file as a document.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::json::{RawEntries, Unique};

/// Characters of a title that is taken from the text.
const TITLE_CHARS: usize = 80;

/// The space of the ids that are made from the content of a line.
const NAMESPACE: Uuid = Uuid::from_u128(0x5f0c_1f5e_8a43_4b0e_9a55_7d1c_3f0d_2ac6);

/// A document to be written, in the form of the REST interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Document {
    /// Its id.
    pub id: String,
    /// The fixed metadata.
    pub metadata: Metadata,
    /// The text, to be split and embedded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Or the chunks as they shall be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Vec<Chunk>>,
    /// The free attributes.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
}

/// The fixed metadata of a document.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Metadata {
    /// What it is called.
    pub title: String,
    /// Who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_type: Option<String>,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// A chunk that comes with its vector.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chunk {
    /// Its text.
    pub text: String,
    /// Its vector.
    pub embedding: Vec<f32>,
}

type Fields = BTreeMap<String, Box<RawValue>>;

impl Document {
    /// Reads a line. The names of the fixed metadata go there, `id` or `_id`, `title`, `text` and `embedding` mean what they
    /// say, and the rest becomes attributes. An object called `metadata` is taken apart as if its fields stood outside.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the line.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|error| format!("it is not UTF-8 at byte {}", error.valid_up_to() + 1))?;
        if !text.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
            return Err("it is not a JSON object".to_owned());
        }
        let RawEntries(mut fields) = serde_json::from_str(text).map_err(|error| match twice(&error) {
            Some(name) => format!("the name '{name}' stands in it twice"),
            None => format!("it is not JSON: {}", placed(&error)),
        })?;
        if let Some(inner) = fields.get("metadata").filter(|inner| inner.get().starts_with('{')) {
            let RawEntries(inner) = serde_json::from_str(inner.get()).map_err(|error| match twice(&error) {
                Some(name) => format!("the name '{name}' stands in its metadata twice"),
                None => error.to_string(),
            })?;
            fields.remove("metadata");
            for (name, value) in inner {
                fields.entry(name).or_insert(value);
            }
        }
        let id = take_id(&mut fields)?.unwrap_or_else(|| Uuid::new_v5(&NAMESPACE, line).to_string());
        let text: String = take(&mut fields, "text", "a string")?.ok_or("it has no text")?;
        if text.trim().is_empty() {
            return Err("its text is empty".to_owned());
        }
        let title: Option<String> = take(&mut fields, "title", "a string")?;
        let metadata = Metadata {
            title: title.filter(|title| !title.trim().is_empty()).unwrap_or_else(|| beginning(&text)),
            author: take(&mut fields, "author", "a string")?,
            created_at: take(&mut fields, "created_at", "a string")?,
            document_type: take(&mut fields, "document_type", "a string")?,
            source_url: take(&mut fields, "source_url", "a string")?,
            tags: take(&mut fields, "tags", "a list of strings")?,
        };
        let embedding: Option<Vec<f32>> = take(&mut fields, "embedding", "a list of 32-bit numbers")?;
        let attributes = attributes(&fields)?;
        let (text, chunks) = match embedding {
            None => (Some(text), None),
            Some(embedding) => (None, Some(vec![Chunk { text, embedding }])),
        };
        Ok(Self { id, metadata, text, chunks, attributes })
    }

    /// About how many bytes it has in a request.
    pub fn weight(&self) -> usize {
        let chunks = self.chunks.iter().flatten().map(|chunk| chunk.text.len() + chunk.embedding.len() * 12).sum::<usize>();
        256 + self.text.as_ref().map_or(0, String::len) + chunks + self.metadata.title.len()
    }
}

/// A message of the parser without "line 1", which would be taken for the line of the file.
fn placed(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let what = message.split(" at line ").next().unwrap_or_default();
    format!("{what} at byte {}", error.column())
}

/// The name that stands in an object twice, if that is what is wrong.
fn twice(error: &serde_json::Error) -> Option<String> {
    let message = error.to_string();
    message.strip_prefix("duplicate field `").and_then(|rest| rest.split('`').next()).map(str::to_owned)
}

/// A field that may be missing or null.
fn take<T: DeserializeOwned>(fields: &mut Fields, name: &str, expected: &str) -> Result<Option<T>, String> {
    let Some(raw) = fields.remove(name) else { return Ok(None) };
    serde_json::from_str(raw.get()).map_err(|_| format!("{name}: expected {expected}, received {}", shown(raw.get())))
}

/// The id, by either of its names.
fn take_id(fields: &mut Fields) -> Result<Option<String>, String> {
    let mut id = None;
    for name in ["id", "_id"] {
        let found = match take(fields, name, "a string or a whole number")? {
            None => continue,
            Some(Value::String(text)) if !text.is_empty() => text,
            Some(Value::String(_)) => return Err(format!("{name}: an id is not empty")),
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
            Some(other) => {
                return Err(format!("{name}: expected a string or a whole number, received {}", shown(&other.to_string())));
            }
        };
        if id.as_ref().is_some_and(|other| *other != found) {
            return Err("it has both id and _id, and they differ".to_owned());
        }
        id = Some(found);
    }
    Ok(id)
}

fn attributes(fields: &Fields) -> Result<Map<String, Value>, String> {
    let mut attributes = Map::new();
    for (name, raw) in fields {
        let Unique(value) = serde_json::from_str(raw.get()).map_err(|error| format!("{name}: {}", placed(&error)))?;
        if !value.is_null() {
            attributes.insert(name.clone(), value);
        }
    }
    Ok(attributes)
}

/// The first words of a text, on one line.
fn beginning(text: &str) -> String {
    let mut title = String::new();
    let mut chars = 0;
    for word in text.split_whitespace() {
        let more = word.chars().count() + usize::from(chars > 0);
        if chars + more > TITLE_CHARS {
            if chars == 0 {
                title.extend(word.chars().take(TITLE_CHARS));
            }
            title.push('…');
            break;
        }
        if chars > 0 {
            title.push(' ');
        }
        title.push_str(word);
        chars += more;
    }
    title
}

/// The start of some JSON, for messages.
fn shown(json: &str) -> String {
    let start: String = json.chars().take(40).collect();
    if start.len() < json.len() { format!("{start}…") } else { start }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<Document, String> {
        Document::read(value.to_string().as_bytes())
    }

    #[test]
    fn every_field_goes_to_its_place() {
        let line = json!({
            "_id": 7, "title": "T", "text": "some text", "author": "A", "created_at": "2026-01-02", "document_type": "note",
            "source_url": "https://example.org", "tags": ["x"], "year": 1999, "open": true, "nothing": null, "list": ["a"],
        });
        let metadata = json!({
            "title": "T", "author": "A", "created_at": "2026-01-02", "document_type": "note",
            "source_url": "https://example.org", "tags": ["x"],
        });
        let attributes = json!({"year": 1999, "open": true, "list": ["a"]});
        let expected = json!({"id": "7", "metadata": metadata, "text": "some text", "attributes": attributes});
        assert_eq!(serde_json::to_value(read(&line).unwrap()).unwrap(), expected);
    }

    #[test]
    fn an_embedding_makes_one_chunk() {
        let document = read(&json!({"id": "a", "text": "t", "embedding": [0.1, -2, 3e-3]})).unwrap();
        let expected =
            json!({"id": "a", "metadata": {"title": "t"}, "chunks": [{"text": "t", "embedding": [0.1_f32, -2.0, 3e-3_f32]}]});
        assert_eq!(serde_json::to_value(document).unwrap(), expected);
    }

    #[test]
    fn an_object_of_metadata_is_taken_apart() {
        let document = read(&json!({"_id": "a", "text": "t", "metadata": {"author": "A", "year": 3, "text": "other"}})).unwrap();
        assert_eq!((document.metadata.author.as_deref(), document.text.as_deref()), (Some("A"), Some("t")));
        assert_eq!(Value::from(document.attributes), json!({"year": 3}));
        assert!(read(&json!({"text": "t", "metadata": {}})).unwrap().attributes.is_empty());
    }

    #[test]
    fn a_missing_title_is_the_beginning_of_the_text() {
        let title = |text: &str| read(&json!({"text": text, "title": " "})).unwrap().metadata.title;
        assert_eq!(title("  short\n text "), "short text");
        let long = title(&"word ".repeat(100));
        assert_eq!(long, format!("{}…", ["word"; 16].join(" ")));
        assert_eq!(title(&"é".repeat(500)).chars().count(), TITLE_CHARS + 1);
    }

    #[test]
    fn a_missing_id_depends_on_the_content_alone() {
        let id = |line: &str| Document::read(line.as_bytes()).unwrap().id;
        assert_eq!(id(r#"{"text": "a"}"#), id(r#"{"text": "a"}"#));
        assert_ne!(id(r#"{"text": "a"}"#), id(r#"{"text": "b"}"#));
        assert_eq!(Uuid::parse_str(&id(r#"{"text": "a"}"#)).unwrap().get_version_num(), 5);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, reason) in [
            (r#"{"text": "a""#, "it is not JSON: EOF while parsing an object at byte 12"),
            ("nonsense", "it is not JSON: expected ident at byte 2"),
            ("[1, 2]", "it is not a JSON object"),
            (r#"{"id": "x"}"#, "it has no text"),
            (r#"{"text": null}"#, "it has no text"),
            (r#"{"text": " "}"#, "its text is empty"),
            (r#"{"text": 5}"#, "text: expected a string, received 5"),
            (r#"{"text": "a", "id": 1.5}"#, "id: expected a string or a whole number, received 1.5"),
            (r#"{"text": "a", "id": ""}"#, "id: an id is not empty"),
            (r#"{"text": "a", "id": "1", "_id": 2}"#, "it has both id and _id, and they differ"),
            (r#"{"text": "a", "year": 1, "year": 2}"#, "the name 'year' stands in it twice"),
            (r#"{"text": "a", "metadata": {"year": 1, "year": 2}}"#, "the name 'year' stands in its metadata twice"),
            (r#"{"text": "a", "tags": "x"}"#, r#"tags: expected a list of strings, received "x""#),
            (r#"{"text": "a", "embedding": [1, "2"]}"#, r#"embedding: expected a list of 32-bit numbers, received [1, "2"]"#),
            (r#"{"text": "a", "embedding": [1e39]}"#, "embedding: expected a list of 32-bit numbers, received [1e39]"),
        ] {
            assert_eq!(Document::read(line.as_bytes()).unwrap_err(), reason, "{line}");
        }
        assert_eq!(Document::read(b"{\"text\": \"\xFF\"}").unwrap_err(), "it is not UTF-8 at byte 11");
    }
}
