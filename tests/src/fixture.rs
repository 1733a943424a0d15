//! The files of a release, small and of every kind, and what is in them: made once, and opened for ever after.

use std::path::Path;

use serde_json::{Value, json};
use vecino_engine::{
    command::{Command, DocumentPatch, IndexDraft, LibraryDraft, OnConflict, SchemaChange},
    db::Database,
    distance::Metric,
    library::Library,
    model::{FieldType, IndexType, Timestamp},
    pool::Sequential,
    query::Query,
    state::State,
};
use vecino_server::storage::FileStorage;

use crate::{chunk, document, rng::Rng};

const DIMENSION: usize = 8;

/// Makes a data folder: a library for each index, snapshots of all, and a log behind them.
///
/// # Errors
/// When the folder cannot be written.
pub fn make(folder: &Path) -> vecino_engine::Result<()> {
    let (mut database, _) = Database::open(FileStorage::open(folder)?)?;
    let mut rng = Rng::new(1);
    for (number, index_type) in (0..).zip(IndexType::ALL) {
        database.execute(create(number, index_type))?;
        // From 256 chunks on, an index measures itself.
        let count = if matches!(index_type, IndexType::Lsh | IndexType::Ivf | IndexType::Hnsw) { 280 } else { 40 };
        for batch in 0..count / 20 {
            database.execute(put(&mut rng, index_type.as_str(), batch))?;
        }
        database.execute(Command::CutIndex { library: index_type.as_str().to_owned() })?;
    }
    database.execute(Command::SetAliases { aliases: vec![("current".to_owned(), Some("hnsw".to_owned()))] })?;
    database.settle(&Sequential);
    database.checkpoint()?;
    for index_type in IndexType::ALL {
        database.execute(put(&mut rng, index_type.as_str(), 99))?;
    }
    let library = "flat".to_owned();
    let (name, to) = ("colour".to_owned(), "shade".to_owned());
    let patch = DocumentPatch { title: Some("Another title".to_owned()), ..DocumentPatch::default() };
    for command in [
        Command::ChangeSchema { library: library.clone(), change: SchemaChange::Rename { name, to } },
        Command::UpdateDocument { library: library.clone(), document: "document-0".to_owned(), patch },
        Command::DeleteDocuments { library: library.clone(), documents: vec!["document-1".to_owned()] },
        Command::CopyLibrary { library, id: "copy".to_owned(), name: "Copy".to_owned(), now: Timestamp::MIN },
    ] {
        database.execute(command)?;
    }
    database.close().map(drop)
}

fn create(number: usize, index_type: IndexType) -> Command {
    Command::CreateLibrary(LibraryDraft {
        id: index_type.as_str().to_owned(),
        name: format!("Library {number}"),
        description: Some("of a release".to_owned()),
        metric: Metric::ALL[number % Metric::ALL.len()],
        index: IndexDraft { index_type: Some(index_type), ..IndexDraft::default() },
        fields: vec![("colour".to_owned(), FieldType::Keyword), ("number".to_owned(), FieldType::Integer)],
        ..LibraryDraft::default()
    })
}

fn put(rng: &mut Rng, library: &str, batch: usize) -> Command {
    let chunks = (0..20).map(|number| {
        let vector: Vec<f32> = (0..DIMENSION).map(|_| rng.below(2_001) as f32 / 1_000.0 - 1.0).collect();
        let mut chunk = chunk(&format!("chunk-{batch}-{number}"), &format!("text {number} of {batch}"), &vector);
        chunk.attributes.insert("number".to_owned(), json!(rng.below(10)));
        chunk
    });
    let mut document = document(&format!("document-{batch}"), chunks.collect());
    document.attributes.insert("colour".to_owned(), json!(*rng.pick(&["red", "green"])));
    document.tags = vec!["tag".to_owned()];
    Command::PutDocuments {
        library: library.to_owned(),
        documents: vec![document],
        on_conflict: OnConflict::Refuse,
        embedded_by: None,
        now: Timestamp::from_micros(1_700_000_000_000_000),
    }
}

/// All that a state holds, of the vectors their checksums, and the answer to a query of each library.
///
/// # Errors
/// When a library cannot be asked.
pub fn described(state: &State) -> vecino_engine::Result<Value> {
    let libraries = state.holdings().map(|holding| library(holding.library()?)).collect::<vecino_engine::Result<Vec<_>>>()?;
    Ok(json!({"seq": state.seq(), "libraries": libraries}))
}

fn library(library: &Library) -> vecino_engine::Result<Value> {
    let info = library.info();
    let chunk = |slot: &u32| {
        let chunk = library.chunk_at(*slot).and_then(|chunk| library.chunk(chunk.id.as_str()))?;
        let attributes = library.fields().to_json(&chunk.attributes);
        Some(json!({
            "id": chunk.id.as_str(), "text": chunk.text, "attributes": attributes, "index": chunk.metadata.chunk_index,
            "embedding": format!("{:08x}", chunk.embedding.iter().fold(0, |sum, x| crc32c::crc32c_append(sum, &x.to_le_bytes()))),
        }))
    };
    let document = |entry: &vecino_engine::library::DocumentEntry| {
        let metadata = &entry.document.metadata;
        json!({
            "id": entry.document.id.as_str(), "title": metadata.title, "tags": metadata.tags,
            "created_at": metadata.created_at.to_string(),
            "attributes": library.fields().to_json(&entry.document.attributes),
            "chunks": entry.chunks.iter().filter_map(chunk).collect::<Vec<_>>(),
        })
    };
    let query = Query { embedding: vec![0.5; DIMENSION], target_recall: Some(1.0), ..Query::default() };
    let hits = library.query(&query, &Sequential)?.hits;
    Ok(json!({
        "id": info.id.as_str(), "name": info.name, "description": info.description, "seq": library.seq(),
        "metric": info.contract.metric.as_str(), "dimension": info.contract.dimension,
        "index": info.index.index_type.as_str(), "aliases": library.aliases().collect::<Vec<_>>(),
        "fields": library.fields().named().map(|(_, field)| json!([field.name, field.kind.as_str()])).collect::<Vec<_>>(),
        "documents": library.documents_after(None).map(document).collect::<Vec<_>>(),
        "nearest": hits.iter().map(|hit| json!([hit.id, hit.distance])).collect::<Vec<_>>(),
    }))
}
