//! What the derived description cannot say of inputs: which fields go together, the form of filters, of vectors and of times.

use serde_json::{Value, json};
use vecino_engine::model::limits::{
    MAX_CHUNK_CHARS, MAX_COMPONENT, MAX_DIMENSION, MAX_DOCUMENT_CHARS, MAX_ID_BYTES, MAX_METADATA_CHARS, MAX_QUERY_CHARS,
};

use super::page::CURSOR;

/// Completes the description.
pub(super) fn complete(description: &mut Value) {
    if let Some(schemas) = description["components"]["schemas"].as_object_mut() {
        schemas.insert("Filter".to_owned(), filter());
        schemas.insert("FilterOperators".to_owned(), operators());
    }
    merge(&mut description["components"]["schemas"], inputs());
    each(description, &mut |entries| {
        if entries.get("name").is_some_and(|name| name == "cursor") && entries.get("in").is_some_and(|place| place == "query") {
            entries["schema"]["pattern"] = json!(CURSOR);
        }
    });
}

/// Calls `change` with every object.
fn each(value: &mut Value, change: &mut dyn FnMut(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Object(entries) => {
            change(entries);
            entries.values_mut().for_each(|value| each(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, change)),
        _ => {}
    }
}

/// Lays `more` over what is there: objects within objects, everything else in place of it. What is null goes.
fn merge(into: &mut Value, more: Value) {
    let Value::Object(more) = more else {
        *into = more;
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in more {
        match into.as_object_mut() {
            Some(entries) if value.is_null() => drop(entries.remove(&name)),
            Some(entries) => merge(entries.entry(name).or_insert(Value::Null), value),
            None => {}
        }
    }
}

fn scalar() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

fn filter() -> Value {
    let list = json!({"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Filter"}});
    json!({
        "type": "object",
        "description": "Which chunks, or documents, are meant. All entries must hold.",
        "examples": [{"year": {"$gte": 2020}, "$or": [{"topic": "birds"}, {"tags": "sea"}]}],
        "properties": {"$and": list, "$or": list, "$not": {"$ref": "#/components/schemas/Filter"}},
        "patternProperties": {"^[^$]": {"anyOf": [scalar(), {"$ref": "#/components/schemas/FilterOperators"}]}},
        "additionalProperties": false,
    })
}

fn operators() -> Value {
    let list = json!({"type": "array", "items": scalar()});
    json!({
        "type": "object",
        "description": "What the value of a field must be. All entries must hold.",
        "minProperties": 1,
        "properties": {
            "$eq": scalar(), "$ne": scalar(), "$gt": scalar(), "$gte": scalar(), "$lt": scalar(), "$lte": scalar(),
            "$in": list, "$nin": list, "$exists": {"type": "boolean"}, "$contains": scalar(), "$prefix": {"type": "string"},
            "$not": {"$ref": "#/components/schemas/FilterOperators"},
        },
        "additionalProperties": false,
    })
}

/// One of these fields is there, and the others are not.
fn one_of(names: &[(&str, &str)], also: &[&str]) -> Value {
    let alternative = |(wanted, kind): &(&str, &str)| {
        let others = names.iter().map(|(name, _)| *name).chain(also.iter().copied()).filter(|name| name != wanted);
        let mut properties: serde_json::Map<String, Value> =
            others.map(|name| (name.to_owned(), json!({"type": "null"}))).collect();
        properties.insert((*wanted).to_owned(), json!({"type": kind}));
        json!({"required": [wanted], "properties": properties})
    };
    names.iter().map(alternative).collect()
}

fn inputs() -> Value {
    let filter = json!({"anyOf": [{"$ref": "#/components/schemas/Filter"}, {"type": "null"}], "type": null});
    let text = |most: usize| json!({"pattern": "\\S", "minLength": 1, "maxLength": most});
    let short = json!({"maxLength": MAX_METADATA_CHARS});
    let of = |format: &str| json!({"type": "string", "format": format});
    let time = json!({"type": null, "anyOf": [of("date-time"), of("date"), {"type": "null"}]});
    let id = json!({"minLength": 1, "maxLength": MAX_ID_BYTES});
    let whole = json!({"type": ["integer", "null"], "minimum": 0, "maximum": u32::MAX});
    let of_chunk = json!({"properties": {"page_number": whole, "chunk_index": whole, "created_at": time}});
    let metadata = json!({"properties": {"author": short, "document_type": short, "source_url": short, "created_at": time,
        "title": text(MAX_METADATA_CHARS), "tags": {"items": short}}});
    let chunk = json!({"properties": {"id": id, "text": text(MAX_CHUNK_CHARS), "metadata": of_chunk}});
    let either = one_of(&[("ids", "array"), ("filter", "object")], &[]);
    let selection = json!({"anyOf": either, "properties": {"filter": filter}});
    let filtered = json!({"properties": {"filter": filter}});
    let near = [("text", "string"), ("embedding", "array"), ("chunk_id", "string"), ("positive", "array")];
    let mut near = one_of(&near, &["negative"]);
    // Only positive examples go with negative ones.
    near[3]["properties"]["negative"] = json!({"type": ["array", "null"]});
    let component = json!({"minimum": -MAX_COMPONENT, "maximum": MAX_COMPONENT});
    let document = json!({"anyOf": one_of(&[("text", "string"), ("chunks", "array")], &[]),
        "properties": {"id": id, "text": text(MAX_DOCUMENT_CHARS)}});
    json!({
        "AliasesInput": {"properties": {"aliases": {"propertyNames": {"pattern": "\\S", "maxLength": 255}, "maxProperties": 100}}},
        "Embedding": {"minItems": 1, "maxItems": MAX_DIMENSION, "items": component},
        "QueryInput": {"anyOf": near, "properties": {"filter": filter, "text": text(MAX_QUERY_CHARS), "positive": {"minItems": 1}}},
        "FacetsInput": filtered, "CountInput": filtered, "ScrollInput": filtered, "ChunkScrollInput": filtered,
        "SelectionInput": selection,
        "DocumentInput": document, "DocumentMetadataInput": metadata, "DocumentMetadataChange": metadata,
        "ChunkInput": chunk, "PlacedChunkInput": chunk, "ChunkChange": chunk,
    })
}
