//! An example of every body and every place in an address, for the description. A test sends them all.

use serde_json::{Value, json};

/// Adds the examples to the description.
pub(super) fn add(description: &mut Value) {
    let bodies = bodies();
    let paths = description["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in paths.flat_map(|item| item.as_object_mut().into_iter().flat_map(|item| item.values_mut())) {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            if parameter["in"] == "path"
                && let Some(example) = place(parameter["name"].as_str().unwrap_or_default())
            {
                parameter["example"] = json!(example);
            }
        }
        let contents = operation.get_mut("requestBody").and_then(|body| body.get_mut("content")).and_then(Value::as_object_mut);
        for content in contents.into_iter().flat_map(|contents| contents.values_mut()) {
            let schema = content["schema"]["$ref"].as_str().and_then(|path| path.rsplit('/').next());
            if let Some(example) = schema.and_then(|schema| bodies.get(schema)) {
                content["example"] = example.clone();
            }
        }
    }
}

fn place(name: &str) -> Option<&'static str> {
    Some(match name {
        "library" => "books",
        "document" => "alice",
        "chunk" => "alice-1",
        "alias" => "current",
        "field" => "year",
        _ => return None,
    })
}

fn bodies() -> Value {
    let old = json!({"year": {"$lt": 1900}});
    let document = json!({
        "metadata": {"title": "Alice's Adventures in Wonderland", "author": "Lewis Carroll", "created_at": "1865-11-26", "tags": ["novel"]},
        "attributes": {"year": 1865},
        "text": "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do.",
    });
    let query = json!({"text": "a girl is bored", "k": 5, "filter": old});
    let like = json!({"chunk_id": "alice-1", "k": 5, "include": ["metadata"]});
    let chunk = json!({"text": "Down, down, down. Would the fall never come to an end?", "metadata": {"page_number": 3}});
    let placed = json!({"document_id": "alice", "text": "Down, down, down. Would the fall never come to an end?"});
    let order = json!({"field": "year", "direction": "descending"});
    json!({
        "LibraryInput": {"name": "films", "metadata": {"description": "What we saw", "embedding_model": "static-minilm-256"}},
        "LibraryChange": {"name": "novels", "metadata": {"description": "What we read"}},
        "CopyInput": {"name": "books-for-trying"},
        "FieldInput": {"name": "rating", "type": "float"},
        "FieldChange": {"name": "published"},
        "IndexInput": {"index_type": "hnsw", "target_recall": 0.98},
        "AliasInput": {"library": "books"},
        "AliasesInput": {"aliases": {"current": "books"}},
        "DocumentInput": document,
        "DocumentChange": {"metadata": {"author": "Charles Dodgson"}, "attributes": {"rating": 4.5}},
        "BatchInput": {"documents": [document], "on_conflict": "replace"},
        "IdsInput": {"ids": ["alice"]},
        "SelectionInput": {"filter": old},
        "CountInput": {"filter": old},
        "ScrollInput": {"filter": old, "order_by": order, "limit": 10},
        "ChunksInput": {"chunks": [chunk]},
        "ChunkBatchInput": {"chunks": [placed], "on_conflict": "replace"},
        "PlacedChunkInput": placed,
        "ChunkChange": {"metadata": {"page_number": 4}},
        "ChunkIdsInput": {"ids": ["alice-1"], "embedding": true},
        "ChunkScrollInput": {"filter": old, "order_by": order, "limit": 10},
        "QueryInput": query,
        "QueryBatchInput": {"queries": [query, like]},
        "GroupsInput": {"query": query, "size": 2},
        "FacetsInput": {"fields": ["year", "tags"], "limit": 10},
        "SnapshotInput": {"library": "books"},
        "RestoreInput": {"name": "books-as-they-were"},
        "KeyInput": {"name": "shop", "role": "read", "libraries": ["books"]},
        "TokenInput": {"role": "read", "libraries": ["books"], "ttl_seconds": 600},
    })
}
