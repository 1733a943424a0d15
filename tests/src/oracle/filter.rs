//! The few forms of filters that the model knows.

use std::collections::BTreeMap;

use serde_json::Value;
use vecino_engine::{
    command::{ChunkDraft, DocumentDraft},
    filter::Filter,
    model::FieldType,
};

/// Says of a chunk with its document, or of a document alone, whether it passes.
pub(super) type Passes = Box<dyn Fn(&DocumentDraft, Option<&ChunkDraft>) -> bool>;

/// Reads `{}`, `{"tags": {"$contains": tag}}`, `{field: {"$lt": number}}` and `{field: word}`. `None` when it does not fit the fields.
pub(super) fn read(filter: &Filter, fields: &BTreeMap<String, FieldType>) -> Option<Passes> {
    let Value::Object(json) = filter.to_json() else { return None };
    let Some((name, condition)) = json.into_iter().next() else { return Some(Box::new(|_, _| true)) };
    if let Some(tag) = condition["$contains"].as_str().map(str::to_owned) {
        return Some(Box::new(move |document, _| document.tags.contains(&tag)));
    }
    let (kind, limit) = (*fields.get(&name)?, condition["$lt"].as_i64());
    let wanted = if limit.is_some() { FieldType::Integer } else { FieldType::Keyword };
    (kind == wanted).then_some(())?;
    Some(Box::new(move |document, chunk| {
        let own = chunk.and_then(|chunk| chunk.attributes.get(&name));
        let value = own.or_else(|| document.attributes.get(&name));
        value.is_some_and(|value| limit.map_or(*value == condition, |limit| value.as_i64().is_some_and(|n| n < limit)))
    }))
}
