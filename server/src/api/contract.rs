//! What the derived description cannot say of inputs: which fields go together, the form of filters, of vectors and of times.

use serde_json::{Value, json};
use vecino_engine::model::{
    FixedField,
    limits::{
        MAX_ALIASES_PER_REQUEST, MAX_CHUNK_CHARS, MAX_COMPONENT, MAX_DESCRIPTION_CHARS, MAX_DIMENSION, MAX_DOCUMENT_CHARS,
        MAX_FIELD_NAME_BYTES, MAX_FIELDS, MAX_ID_BYTES, MAX_METADATA_CHARS, MAX_NAME_BYTES, MAX_QUERY_CHARS, MAX_TAGS,
    },
};

use super::page::CURSOR;

/// Completes the description.
pub(super) fn complete(description: &mut Value) {
    if let Some(schemas) = description["components"]["schemas"].as_object_mut() {
        schemas.insert("Filter".to_owned(), filter());
        schemas.insert("FilterOperators".to_owned(), operators());
    }
    for more in [libraries(), contents(), questions()] {
        merge(&mut description["components"]["schemas"], more);
    }
    each(description, &mut |entries| {
        let schema = match (entries.get("in").and_then(Value::as_str), entries.get("name").and_then(Value::as_str)) {
            (Some("query"), Some("cursor")) => json!({"pattern": CURSOR}),
            (Some("path"), Some("alias")) => json!({"pattern": "\\S", "minLength": 1, "maxLength": MAX_NAME_BYTES}),
            (Some("path"), _) => json!({"minLength": 1, "maxLength": MAX_ID_BYTES}),
            _ => return,
        };
        merge(&mut entries["schema"], schema);
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

/// One of these fields is there, of one of the types named behind it, and the others are not.
fn one_of(names: &[(&str, &str)], also: &[&str]) -> Value {
    let alternative = |(wanted, kind): &(&str, &str)| {
        let others = names.iter().map(|(name, _)| *name).chain(also.iter().copied()).filter(|name| name != wanted);
        let mut properties: serde_json::Map<String, Value> =
            others.map(|name| (name.to_owned(), json!({"type": "null"}))).collect();
        properties.insert((*wanted).to_owned(), json!({"type": kind.split(' ').collect::<Value>()}));
        json!({"required": [wanted], "properties": properties})
    };
    names.iter().map(alternative).collect()
}

/// At most one of these fields is there.
fn at_most_one(names: &[&str]) -> Value {
    let alternative = |left: &&str| {
        let others = names.iter().filter(|name| *name != left);
        json!({"properties": others.map(|name| ((*name).to_owned(), json!({"type": "null"}))).collect::<serde_json::Map<_, _>>()})
    };
    json!({"anyOf": names.iter().map(alternative).collect::<Value>()})
}

/// The name of an attribute: none of the fixed fields, and no operator.
fn attribute_name() -> Value {
    let fixed: Vec<&str> = FixedField::ALL.iter().map(|field| field.as_str()).collect();
    json!({"pattern": "^[^$]", "maxLength": MAX_FIELD_NAME_BYTES, "not": {"enum": fixed}})
}

/// Attributes; `among` are fixed keys that stand among them. How many there may be is left to the table of limits.
fn attributes(among: &[&str]) -> Value {
    let list = |kind: &str| json!({"type": "array", "items": {"type": kind}});
    let single = json!({"type": ["string", "number", "boolean", "null"]});
    let reserved = |field: &&str| !among.contains(field);
    let fixed: Vec<&str> = FixedField::ALL.iter().map(|field| field.as_str()).filter(reserved).collect();
    json!({"type": "object",
        "additionalProperties": {"anyOf": [single, list("string"), list("number"), list("boolean")]},
        "propertyNames": merged(attribute_name(), json!({"not": {"enum": fixed}}))})
}

fn merged(mut one: Value, more: Value) -> Value {
    merge(&mut one, more);
    one
}

/// What goes for libraries.
fn libraries() -> Value {
    let name = json!({"pattern": "\\S", "minLength": 1, "maxLength": MAX_NAME_BYTES});
    let description = json!({"properties": {"description": {"maxLength": MAX_DESCRIPTION_CHARS}}});
    let metadata = json!({"properties": {"embedding_model": {"maxLength": MAX_METADATA_CHARS}}});
    let range = |least: u32, most: u32| json!({"minimum": least, "maximum": most});
    let named = json!({"properties": {"name": name}});
    json!({
        "LibraryInput": named, "LibraryChange": named, "CopyInput": named, "RestoreInput": named,
        "LibraryMetadataInput": merged(description.clone(), metadata), "LibraryMetadataChange": description,
        "SchemaInput": {"properties": {"fields": {"propertyNames": attribute_name(), "maxProperties": MAX_FIELDS}}},
        "FieldInput": {"properties": {"name": attribute_name()}}, "FieldChange": {"properties": {"name": attribute_name()}},
        "IndexParams": {"properties": {"m": range(2, 128), "ef_construction": range(1, 4_096), "lists": range(1, 65_536),
            "tables": range(1, 64)}},
        "AliasesInput": {"properties": {"aliases": {"propertyNames": name, "maxProperties": MAX_ALIASES_PER_REQUEST}}},
        "KeyInput": {"anyOf": [
            {"properties": {"role": {"enum": ["read", "write"]}}},
            {"properties": {"role": {"const": "admin"}, "libraries": {"type": "null"}}},
        ]},
        "TokenInput": {"properties": {"role": {"$ref": null, "type": "string", "enum": ["read", "write"]}}},
    })
}

/// What goes for documents and chunks.
fn contents() -> Value {
    let text = |most: usize| json!({"pattern": "\\S", "minLength": 1, "maxLength": most});
    let short = json!({"maxLength": MAX_METADATA_CHARS});
    let of = |format: &str| json!({"type": "string", "format": format});
    let time = json!({"type": null, "anyOf": [of("date-time"), of("date"), {"type": "null"}]});
    let another_time = json!({"type": null, "anyOf": [of("date-time"), of("date")]});
    let id = json!({"minLength": 1, "maxLength": MAX_ID_BYTES});
    let whole = json!({"type": ["integer", "null"], "minimum": 0, "maximum": u32::MAX});
    let fixed = ["page_number", "chunk_index", "created_at"];
    let of_chunk = json!({"properties": {"page_number": whole, "chunk_index": whole, "created_at": time}});
    let of_chunk = merged(attributes(&fixed), of_chunk);
    // The time at which a chunk was made stays.
    let changed = merged(of_chunk.clone(), json!({"properties": {"created_at": null}}));
    let changed = merged(changed, json!({"properties": {"created_at": {"type": "null"}}}));
    let metadata = json!({"properties": {"author": short, "document_type": short, "source_url": short, "created_at": time,
        "title": text(MAX_METADATA_CHARS), "tags": {"maxItems": MAX_TAGS, "items": short}}});
    let metadata_change = merged(metadata.clone(), json!({"properties": {"created_at": another_time}}));
    let chunk =
        json!({"properties": {"id": id, "text": text(MAX_CHUNK_CHARS), "metadata": of_chunk, "attributes": attributes(&[])}});
    let change = json!({"properties": {"text": text(MAX_CHUNK_CHARS), "metadata": changed, "attributes": attributes(&[])}});
    let document = json!({"anyOf": one_of(&[("text", "string"), ("chunks", "array")], &[]),
        "properties": {"id": id, "text": text(MAX_DOCUMENT_CHARS), "attributes": attributes(&[])}});
    json!({
        "DocumentInput": document, "DocumentMetadataInput": metadata, "DocumentMetadataChange": metadata_change,
        "DocumentChange": {"properties": {"attributes": attributes(&[])}},
        "ChunkInput": chunk, "PlacedChunkInput": chunk, "ChunkChange": change,
    })
}

/// Floats of 32 bits in base64: three are 16 characters; one or two at the end are filled up. Those that match are below 2^33 in
/// magnitude, and never infinite or NaN: the three upper bits of each exponent are `100` at most. (Larger ones are taken, too, up to
/// [`MAX_COMPONENT`], but that a pattern cannot tell.)
fn floats_in_base64() -> String {
    let any = "[A-Za-z0-9+/]";
    // The characters that hold these bits, at the end of each float: after the sign and before two others; the last three; or the
    // last one and, where it is 1, the first of the next character.
    let first = format!("{any}{{4}}[A-Tg-z]");
    let second = format!("{any}{{4}}[A-EI-MQ-UYZa-cg-ko-sw-z04-8]");
    let third = format!("{any}{{4}}([ACEGIKMOQSUWYacegikmoqsuwy02468+]{any}|[BDFHJLNPRTVXZbdfhjlnprtvxz13579/][A-P])");
    let three = format!("{first}{second}{third}");
    format!("^({three})*({three}|{first}[AQgw]==|{first}{second}[AEIMQUYcgkosw048]=)$")
}

/// What goes for what is asked.
fn questions() -> Value {
    let filter = json!({"anyOf": [{"$ref": "#/components/schemas/Filter"}, {"type": "null"}], "type": null});
    let either = one_of(&[("ids", "array"), ("filter", "object")], &[]);
    let selection = json!({"anyOf": either, "properties": {"filter": filter}});
    let filtered = json!({"properties": {"filter": filter}});
    let near = [("text", "string"), ("embedding", "array string"), ("chunk_id", "string"), ("positive", "array")];
    let mut near = one_of(&near, &["negative"]);
    // Only positive examples go with negative ones.
    near[3]["properties"]["negative"] = json!({"type": ["array", "null"]});
    let component = json!({"minimum": -MAX_COMPONENT, "maximum": MAX_COMPONENT});
    let items = merged(component, json!({"type": "number"}));
    let vector = json!({"type": "array", "minItems": 1, "maxItems": MAX_DIMENSION, "items": items});
    let base64 = json!({"type": "string", "contentEncoding": "base64", "pattern": floats_in_base64(),
        "maxLength": (MAX_DIMENSION * 4).div_ceil(3) * 4});
    let text = json!({"pattern": "\\S", "minLength": 1, "maxLength": MAX_QUERY_CHARS});
    json!({
        "Embedding": {"type": null, "items": null, "anyOf": [vector, base64]},
        "ExampleForm": {"oneOf": [{"type": "string"}, vector]},
        "QueryInput": {"anyOf": near, "allOf": [at_most_one(&["effort", "ef", "nprobe"])],
            "properties": {"filter": filter, "text": text, "positive": {"minItems": 1}}},
        "FacetsInput": filtered, "CountInput": filtered, "ScrollInput": filtered, "ChunkScrollInput": filtered,
        "SelectionInput": selection,
        "OrderInput": {"properties": {"field": {"not": {"const": "text"}}}},
    })
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, string::string_regex};

    use super::*;
    use crate::api::input::Embedding;

    fn looks_like_floats() -> impl Strategy<Value = String> {
        let pattern = floats_in_base64();
        let between_anchors = &pattern[1..pattern.len() - 1];
        string_regex(between_anchors).unwrap()
    }

    proptest! {
        #[test]
        fn what_looks_like_floats_in_base64_is_a_vector(text in looks_like_floats()) {
            let vector: Vec<f32> = Embedding::of_base64(&text).unwrap().into();
            prop_assert!(!vector.is_empty() && vector.iter().all(|number| number.abs() < 2_f32.powi(33)), "{vector:?}");
        }
    }
}
