//! What can be saved of a damaged folder.
//!
//! Snapshots that are whole are taken as they are, and the records after them, up to the first that is missing or damaged. From
//! there on it is not known what came between: so each later record is planned anew, as the wish that it came from, and what
//! does not fit any more is left out. Attributes of fields that came after the gap are left out too, since their numbers cannot
//! be trusted. A library that was created after the gap is whole again.

use std::collections::BTreeMap;

use crate::{
    checkpoint::{self, CHECKPOINT},
    codec,
    command::{ChunkPatch, Command, DocumentPatch, IndexDraft, OnConflict},
    draft::{document, draft},
    error::{Code, Error, Result},
    journal::segments,
    library::Library,
    model::{Attributes, Chunk, EmbeddingModel, Id, IndexSettings, RawAttributes, Timestamp},
    record::{DocumentPut, Record},
    snapshot,
    state::State,
    storage::Storage,
};

/// What was saved.
#[derive(Debug)]
pub struct Salvaged {
    /// The state.
    pub state: State,
    /// Records of the log that are in it.
    pub records: usize,
    /// What is not in it, with file and offset, and what had to be made again.
    pub lost: Vec<Error>,
}

/// Saves what can be saved. Changes nothing.
///
/// # Errors
/// [`Code::Storage`] when a file cannot be read; damage is no error here.
pub fn salvage<S: Storage>(storage: &S) -> Result<Salvaged> {
    let mut names = storage.list()?;
    names.sort_unstable();
    let mut lost = Vec::new();
    let (libraries, seq) = snapshots(storage, &names, &mut lost)?;
    let taken = libraries.iter().map(|library| (library.info().id.clone(), library.seq())).collect();
    let mut replay = Replay {
        state: State::new(libraries, seq.unwrap_or(0)),
        taken,
        known_fields: BTreeMap::new(),
        next: seq.map(|seq| seq + 1),
        records: 0,
        lost,
    };
    for name in segments(&names) {
        let Some(blob) = storage.read(&name)? else { continue };
        let scanned = codec::scan_segment(&name, blob.bytes());
        replay.lost.extend(scanned.damage);
        for (at, seq, record) in scanned.records {
            replay.take(&name, at, seq, record);
        }
    }
    let Replay { state, records, lost, .. } = replay;
    Ok(Salvaged { state, records, lost })
}

/// The libraries of the snapshots that count, and the sequence of the checkpoint; without a checkpoint, all that there are.
fn snapshots<S: Storage>(storage: &S, names: &[String], lost: &mut Vec<Error>) -> Result<(Vec<Library>, Option<u64>)> {
    let checkpoint = match storage.read(CHECKPOINT)? {
        Some(blob) => checkpoint::named(blob.bytes()).map_err(|error| lost.push(error)).ok(),
        None => Some((0, Vec::new())),
    };
    let (seq, files) = match checkpoint {
        Some((seq, files)) => (Some(seq), files),
        None => (None, names.iter().filter(|name| name.ends_with(".vecino")).cloned().collect()),
    };
    let mut libraries: BTreeMap<Id, Library> = BTreeMap::new();
    for file in &files {
        let Some(blob) = storage.read(file)? else {
            lost.push(Error::new(Code::Damaged, format!("the snapshot {file} is missing")).field(file));
            continue;
        };
        match snapshot::open(file, &blob) {
            Ok(snapshot::Opened { library, damage }) => {
                lost.extend(damage);
                let id = library.info().id.clone();
                // Of two, the later one.
                if libraries.get(&id).is_none_or(|known| known.seq() < library.seq()) {
                    libraries.insert(id, library);
                }
            }
            Err(error) => lost.push(error),
        }
    }
    Ok((libraries.into_values().collect(), seq))
}

struct Replay {
    state: State,
    /// The last record that the snapshot of a library holds.
    taken: BTreeMap<Id, u64>,
    /// Of the libraries that were there at a gap, how many fields can be trusted.
    known_fields: BTreeMap<Id, usize>,
    /// The record that comes next if none is missing.
    next: Option<u64>,
    records: usize,
    lost: Vec<Error>,
}

impl Replay {
    fn take(&mut self, file: &str, at: u64, seq: u64, record: Record) {
        let old = record.library().and_then(|id| self.taken.get(id)).is_some_and(|taken| seq <= *taken);
        if old || self.next.is_some_and(|next| seq < next) {
            return;
        }
        if self.next.is_some_and(|next| seq > next) {
            self.gap(file, at, seq);
        }
        self.next = Some(seq + 1);
        match self.replay(seq, record) {
            Ok(()) => self.records += 1,
            Err(why) => self.lost.push(left_out(file, at, seq, &why)),
        }
    }

    fn replay(&mut self, seq: u64, record: Record) -> Result<(), String> {
        let there = |id: &str| self.state.find(id).is_some();
        match &record {
            Record::LibraryCreated { info, .. } | Record::LibraryCopied { info, .. }
                if (there(info.id.as_str()) || there(&info.name)) && !self.replaces(&record) =>
            {
                return Err(format!("there is a library '{}' already", info.name));
            }
            Record::LibraryCreated { info, .. } => drop(self.known_fields.remove(&info.id)),
            Record::LibraryCopied { source, .. } if !there(source.as_str()) => {
                return Err(format!("the library '{source}' is lost, of which it was a copy"));
            }
            // What is uncertain of the one is uncertain of the other.
            Record::LibraryCopied { source, info } => match self.known_fields.get(source).copied() {
                Some(fields) => drop(self.known_fields.insert(info.id.clone(), fields)),
                None => drop(self.known_fields.remove(&info.id)),
            },
            Record::AliasesSet { aliases } => {
                if let Some((_, Some(id))) = aliases.iter().find(|(_, id)| id.as_ref().is_some_and(|id| !there(id.as_str()))) {
                    return Err(format!("the library '{id}' is lost, to which it leads"));
                }
            }
            _ => {
                let id = record.library().cloned().ok_or("it is about no library")?;
                if !there(id.as_str()) {
                    return Err(format!("its library '{id}' is lost"));
                }
                match (self.known_fields.get(&id).copied(), &record) {
                    (None, _) | (_, Record::IndexChosen { .. } | Record::IndexCut { .. }) => {}
                    // It tells of all fields, so they are known again.
                    (Some(_), Record::SchemaChanged { fields, .. }) => drop(self.known_fields.insert(id, fields.len())),
                    (Some(fields), _) => return self.plan_anew(seq, record, fields),
                }
            }
        }
        self.state.apply(seq, record);
        Ok(())
    }

    /// Whether a record puts a library in place of the one that has its id and its name.
    fn replaces(&self, record: &Record) -> bool {
        let Record::LibraryCopied { info, .. } = record else { return false };
        [info.id.as_str(), &info.name].iter().all(|name| self.state.find(name).is_some_and(|known| *known.id() == info.id))
    }

    /// Records are missing: what is there can be trusted, what comes is uncertain.
    fn gap(&mut self, file: &str, at: u64, seq: u64) {
        let first = self.next.unwrap_or(seq);
        let which = if first + 1 == seq { format!("record {first} is") } else { format!("records {first} to {} are", seq - 1) };
        self.lost.push(Error::new(Code::Damaged, format!("{which} missing before byte {at}")).field(file));
        for library in self.state.loaded() {
            self.known_fields.entry(library.info().id.clone()).or_insert_with(|| library.fields().list().len());
        }
    }

    fn plan_anew(&mut self, seq: u64, record: Record, fields: usize) -> Result<(), String> {
        let mut left_out = Vec::new();
        for command in wishes(&self.state, record, fields, &mut left_out) {
            match self.state.plan(command) {
                Ok(plan) => plan.record.into_iter().for_each(|record| self.state.apply(seq, record)),
                Err(error) => left_out.push(error.detail),
            }
        }
        if left_out.is_empty() { Ok(()) } else { Err(left_out.join("; ")) }
    }
}

fn left_out(file: &str, at: u64, seq: u64, why: &str) -> Error {
    Error::new(Code::Damaged, format!("record {seq} at byte {at} is not saved, or not wholly: {why}")).field(file)
}

/// What a record came from, in the smallest steps.
fn wishes(state: &State, record: Record, fields: usize, left_out: &mut Vec<String>) -> Vec<Command> {
    let Some(known) = record.library().and_then(|id| state.library(id.as_str()).ok()) else { return Vec::new() };
    let library = known.info().id.to_string();
    let mut raw = |attributes: &Attributes| -> RawAttributes {
        let trusted: Attributes = attributes.iter().filter(|(id, _)| usize::from(id.0) < fields).cloned().collect();
        if trusted.len() < attributes.len() {
            left_out.push("attributes of fields that came after the damage".to_owned());
        }
        known.fields().to_json(&trusted).into_iter().collect()
    };
    match record {
        Record::ChunkBatchPut { contract, documents, .. } => {
            let model = contract.and_then(|contract| contract.embedding_model);
            let each = documents.into_iter().flat_map(|of| of.chunks.into_iter().map(move |chunk| (of.document.clone(), chunk)));
            each.map(|(document, chunk)| put_chunk(known, document.as_str(), chunk, model.clone(), &mut raw)).collect()
        }
        // These are taken as they are.
        Record::LibraryCreated { .. }
        | Record::LibraryCopied { .. }
        | Record::AliasesSet { .. }
        | Record::SchemaChanged { .. }
        | Record::IndexChosen { .. }
        | Record::IndexCut { .. } => Vec::new(),
        Record::LibraryUpdated { name, description, .. } => vec![update(library, name, description, IndexDraft::default())],
        Record::LibraryChanged { name, description, settings, .. } => {
            let IndexSettings { index_type, params, target_recall } = settings;
            let index = IndexDraft { index_type: Some(index_type), params: Some(params), target_recall: Some(target_recall) };
            vec![update(library, name, description, index)]
        }
        Record::LibraryDeleted { .. } => vec![Command::DeleteLibrary { library }],
        Record::DocumentsPut { contract, documents, .. } => {
            let embedded_by = contract.and_then(|contract| contract.embedding_model);
            let put = |put: DocumentPut| Command::PutDocuments {
                library: library.clone(),
                now: put.document.metadata.created_at,
                documents: vec![document(put, &mut raw)],
                on_conflict: OnConflict::Replace,
                embedded_by: embedded_by.clone(),
            };
            documents.into_iter().map(put).collect()
        }
        Record::DocumentUpdated { document, metadata, attributes, .. } => {
            let mut attributes = raw(&attributes);
            if let Some(entry) = known.document(document.as_str()) {
                for name in known.fields().to_json(&entry.document.attributes).into_iter().map(|(name, _)| name) {
                    attributes.entry(name).or_insert(serde_json::Value::Null);
                }
            }
            let text = |text: Option<Box<str>>| Some(text.unwrap_or_default().into());
            let patch = DocumentPatch {
                title: Some(metadata.title.into()),
                author: text(metadata.author),
                created_at: Some(metadata.created_at),
                document_type: text(metadata.document_type),
                source_url: text(metadata.source_url),
                tags: Some(metadata.tags.into_iter().map(Into::into).collect()),
                attributes,
            };
            vec![Command::UpdateDocument { library, document: document.to_string(), patch }]
        }
        Record::DocumentsDeleted { documents, .. } => {
            // What is not there need not be deleted.
            let documents: Vec<String> =
                documents.iter().filter(|id| known.document(id.as_str()).is_some()).map(Id::to_string).collect();
            vec![Command::DeleteDocuments { library, documents }]
        }
        Record::ChunksPut { contract, document, chunks, .. } => {
            let model = contract.and_then(|contract| contract.embedding_model);
            let put = |chunk: Chunk| put_chunk(known, document.as_str(), chunk, model.clone(), &mut raw);
            chunks.into_iter().map(put).collect()
        }
        Record::ChunksDeleted { chunks, .. } => {
            let chunks: Vec<String> = chunks.iter().filter(|id| known.slot(id.as_str()).is_some()).map(Id::to_string).collect();
            vec![Command::DeleteChunks { library, chunks }]
        }
    }
}

fn update(library: String, name: Box<str>, description: Option<Box<str>>, index: IndexDraft) -> Command {
    let description = Some(description.unwrap_or_default().into());
    Command::UpdateLibrary { library, name: Some(name.into()), description, index }
}

fn put_chunk(
    library: &Library,
    document: &str,
    chunk: Chunk,
    embedded_by: Option<EmbeddingModel>,
    raw: &mut impl FnMut(&Attributes) -> RawAttributes,
) -> Command {
    let name = library.info().id.to_string();
    if library.slot(chunk.id.as_str()).is_none() {
        let chunks = vec![draft(chunk, raw)];
        let now = chunks[0].created_at.unwrap_or(Timestamp::MIN);
        return Command::AddChunks { library: name, document: document.to_owned(), chunks, embedded_by, now };
    }
    let patch = ChunkPatch {
        text: Some(chunk.text.into()),
        embedding: Some(chunk.embedding),
        page_number: chunk.metadata.page_number,
        chunk_index: Some(chunk.metadata.chunk_index),
        attributes: raw(&chunk.attributes),
    };
    Command::UpdateChunk { library: name, chunk: chunk.id.to_string(), patch, embedded_by }
}
