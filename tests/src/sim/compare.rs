//! Whether a state is the one that it should be.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vecino_engine::{filter::Filter, library::Library, model::FieldType, pool::Sequential, query::Query, snapshot, state::State};

use crate::oracle::{Oracle, OracleLibrary};

/// Hits that are asked for.
const K: usize = 7;

/// The bytes of all libraries.
pub(super) fn bytes(state: &State) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for holding in state.holdings() {
        let library = holding.library().map_err(|error| error.to_string())?;
        snapshot::write(library, &mut all).map_err(|error| error.to_string())?;
    }
    Ok(all)
}

/// Whether a state holds what the model holds, and answers as it does.
pub(super) fn same(state: &State, oracle: &Oracle) -> Result<(), String> {
    ensure(state.holdings().count() == oracle.libraries.len(), || "another number of libraries".to_owned())?;
    let aliases = state.aliases().map(|(alias, id)| (alias, id.as_str()));
    ensure(aliases.eq(oracle.aliases.iter().map(|(alias, id)| (&**alias, &**id))), || "other aliases".to_owned())?;
    for (id, expected) in &oracle.libraries {
        let library = state.library(id).map_err(|error| error.to_string())?;
        holds(library, expected).map_err(|what| format!("{id}: {what}"))?;
        for filter in [None, Some(json!({"number": {"$lt": 4}})), Some(json!({"colour": "red"}))] {
            answers(library, expected, filter.as_ref()).map_err(|what| format!("{id}, filter {filter:?}: {what}"))?;
        }
    }
    Ok(())
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn holds(library: &Library, expected: &OracleLibrary) -> Result<(), String> {
    let info = library.info();
    ensure(*info.name == *expected.name, || format!("the name is {}", info.name))?;
    ensure(info.description.as_deref() == expected.description.as_deref(), || "another description".to_owned())?;
    ensure(info.contract.dimension.map(|d| d as usize) == expected.dimension, || "another dimension".to_owned())?;
    let fields: BTreeMap<&str, FieldType> = library.fields().named().map(|(_, field)| (&*field.name, field.kind)).collect();
    ensure(fields.into_iter().eq(expected.fields.iter().map(|(name, kind)| (&**name, *kind))), || "other fields".to_owned())?;
    ensure(info.index.index_type == expected.index_type, || "another index".to_owned())?;
    ensure(library.seq() == expected.seq, || format!("its last write is {}", library.seq()))?;
    ensure(library.document_count() == expected.documents.len(), || "another number of documents".to_owned())?;
    ensure(library.chunk_count() == expected.chunks().count(), || "another number of chunks".to_owned())?;
    for document in expected.documents.values() {
        let id = &document.id;
        let entry = library.document(id).ok_or_else(|| format!("no document {id}"))?;
        let metadata = &entry.document.metadata;
        ensure(*metadata.title == *document.title, || format!("{id} has the title {}", metadata.title))?;
        ensure(metadata.tags.iter().map(|tag| &**tag).eq(&document.tags), || format!("{id} has other tags"))?;
        let attributes = library.fields().to_json(&entry.document.attributes);
        ensure(attributes.iter().eq(&document.attributes), || format!("{id} has other attributes"))?;
        let chunks = entry.chunks.iter().filter_map(|slot| library.chunk_at(*slot)).map(|chunk| chunk.id.as_str());
        ensure(chunks.eq(document.chunks.iter().map(|chunk| &*chunk.id)), || format!("{id} has other chunks"))?;
    }
    for chunk in expected.chunks() {
        let found = library.chunk(&chunk.id).ok_or_else(|| format!("no chunk {}", chunk.id))?;
        ensure(*found.text == *chunk.text, || format!("{} has another text", chunk.id))?;
        let attributes = library.fields().to_json(&found.attributes);
        ensure(attributes.iter().eq(&chunk.attributes), || format!("{} has other attributes", chunk.id))?;
        ensure(found.embedding == expected.stored(&chunk.embedding), || format!("{} has another vector", chunk.id))?;
    }
    Ok(())
}

fn answers(library: &Library, expected: &OracleLibrary, filter: Option<&Value>) -> Result<(), String> {
    let filter = filter.map(Filter::from_json).transpose().map_err(|error| error.to_string())?;
    let matching = expected.matching(filter.as_ref().unwrap_or(&Filter::default()));
    let embedding = [1.0, 0.5, -1.0].into_iter().cycle().take(expected.dimension.unwrap_or(3)).collect();
    let query = Query { embedding, k: K, filter, explain: true, ..Query::default() };
    let (answer, matching) = match (library.query(&query, &Sequential), matching) {
        (Ok(answer), Some(matching)) => (answer, matching),
        (Err(_), None) => return Ok(()),
        (answer, matching) => return Err(format!("{answer:?}, for the model {} chunks", matching.map_or(0, |all| all.len()))),
    };
    let all = expected.nearest(&query.embedding, &matching);
    ensure(answer.returned == all.len().min(K), || format!("{} hits, {} match", answer.returned, all.len()))?;
    ensure(answer.exhausted == (all.len() <= K), || "it is wrong about whether there are more".to_owned())?;
    let metric = expected.metric;
    let distances = all.iter().take(K).map(|(key, _)| f64::from(metric.distance(*key)));
    ensure(answer.hits.iter().map(|hit| hit.distance).eq(distances), || "other distances".to_owned())?;
    let key = |id: &str| all.iter().find(|(_, known)| known == id).map(|(key, _)| *key);
    let found: Option<Vec<(f32, u32)>> = answer.hits.iter().map(|hit| Some((key(&hit.id)?, library.slot(&hit.id)?))).collect();
    let found = found.ok_or("a hit that should not be there")?;
    ensure(found.is_sorted_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).is_lt()), || "another order".to_owned())?;
    let explain = answer.explain.ok_or("no explanation")?;
    ensure(explain.matching == all.len(), || format!("it explains {} matches of {}", explain.matching, all.len()))?;
    ensure(explain.fewer_because.is_some() == (all.len() < K), || "it explains fewer hits wrongly".to_owned())
}
