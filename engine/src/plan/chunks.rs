//! Plans for chunks: their texts, their vectors, and the contract.

use std::collections::{BTreeMap, BTreeSet};

use super::{check_chars, chunk_not_found, document_not_found, fields::FieldReader};
use crate::{
    command::{ChunkDraft, ChunkPatch, OnConflict, PlacedChunk},
    distance::{Metric, dot, normalise},
    error::{Code, Error, Result},
    library::{ChunkEntry, Library},
    model::{
        Chunk, ChunkMetadata, Contract, EmbeddingModel, Id, Timestamp,
        limits::{
            MAX_CHUNK_CHARS, MAX_CHUNKS_PER_BATCH, MAX_CHUNKS_PER_LIBRARY, MAX_COMPONENT, MAX_DIMENSION, MAX_FLOATS_PER_BATCH,
        },
    },
    plan::Plan,
    record::{ChunksOf, Record},
};

/// How far the squared length of a stored vector may be from 1, after as many roundings as there are dimensions.
const STORED_LENGTH_ERROR: f32 = 1e-3;

pub(super) fn add(
    library: &Library,
    document: &str,
    drafts: Vec<ChunkDraft>,
    embedded_by: Option<EmbeddingModel>,
    now: Timestamp,
) -> Result<Plan> {
    let entry = library.document(document).ok_or_else(|| document_not_found(document))?;
    let mut reader = ChunkReader::new(library, embedded_by)?;
    let mut fields = FieldReader::new(library);
    let chunks = reader.read(&mut fields, drafts, entry.next_index, now, &|_| false)?;
    Ok(Plan::of_many(chunks.len(), || Record::ChunksPut {
        library: library.info.id.clone(),
        contract: reader.into_contract(),
        fields: fields.into_added(),
        document: entry.document.id.clone(),
        chunks,
    }))
}

/// Chunks of several documents. What a chunk is silent about it takes from the one that it replaces, or from its place: a new one
/// comes after the last of its document.
pub(super) fn put(
    library: &Library,
    placed: Vec<PlacedChunk>,
    on_conflict: OnConflict,
    embedded_by: Option<EmbeddingModel>,
    now: Timestamp,
) -> Result<Plan> {
    let mut reader = ChunkReader::new(library, embedded_by)?;
    let mut fields = FieldReader::new(library);
    let mut documents: BTreeMap<Id, (u32, Vec<Chunk>)> = BTreeMap::new();
    let mut skipped = 0;
    for (number, PlacedChunk { document, chunk }) in placed.into_iter().enumerate() {
        let place = |error: Error| error.within(format_args!("chunks[{number}]"));
        let entry = library.document(&document).ok_or_else(|| place(document_not_found(&document).field("document_id")))?;
        let old = library.slot(&chunk.id).and_then(|slot| library.chunk_at(slot));
        match (old, on_conflict) {
            (Some(_), OnConflict::Skip) => {
                skipped += 1;
                continue;
            }
            (Some(old), OnConflict::Replace) => stays(library, old, &document).map_err(place)?,
            _ => {}
        }
        let (next, chunks) = documents.entry(entry.document.id.clone()).or_insert_with(|| (entry.next_index, Vec::new()));
        let index = old.map_or(*next, |old| old.metadata.chunk_index);
        let replaces = on_conflict == OnConflict::Replace;
        chunks.push(reader.chunk(&mut fields, chunk, index, now, &|_| replaces).map_err(place)?);
        *next = next.saturating_add(u32::from(old.is_none()));
    }
    let documents: Vec<ChunksOf> = documents.into_iter().map(|(document, (_, chunks))| ChunksOf { document, chunks }).collect();
    let affected = documents.iter().map(|put| put.chunks.len()).sum();
    let plan = Plan::of_many(affected, || Record::ChunkBatchPut {
        library: library.info.id.clone(),
        contract: reader.into_contract(),
        fields: fields.into_added(),
        documents,
    });
    Ok(Plan { skipped, ..plan })
}

/// Refuses to move a chunk from one document to another.
fn stays(library: &Library, old: &ChunkEntry, document: &str) -> Result<()> {
    let own = library.document_at(old.document).map_or("", |entry| entry.document.id.as_str());
    if own == document {
        return Ok(());
    }
    let detail = format!("the chunk '{}' belongs to the document '{own}', and chunks do not move", old.id);
    Err(Error::new(Code::InvalidValue, detail).field("document_id").numbers(own, document).unfit())
}

pub(super) fn update(library: &Library, id: &str, patch: ChunkPatch, embedded_by: Option<EmbeddingModel>) -> Result<Record> {
    let mut chunk = library.chunk(id).ok_or_else(|| chunk_not_found(id))?;
    let place = library.slot(id).and_then(|slot| library.chunk_at(slot)).map(|entry| entry.document);
    let document = place.and_then(|place| library.document_at(place)).ok_or_else(|| chunk_not_found(id))?;
    let mut reader = ChunkReader::new(library, embedded_by)?;
    if let Some(text) = patch.text {
        if patch.embedding.is_none() {
            return Err(Error::new(Code::InvalidValue, "another text needs another embedding").field("embedding"));
        }
        chunk.text = check_text(&text)?;
    }
    if let Some(embedding) = patch.embedding {
        chunk.embedding = reader.vector(embedding).map_err(|error| error.within("embedding"))?;
    }
    chunk.metadata.page_number = patch.page_number.or(chunk.metadata.page_number);
    chunk.metadata.chunk_index = patch.chunk_index.unwrap_or(chunk.metadata.chunk_index);
    let mut fields = FieldReader::new(library);
    chunk.attributes = fields.read(&chunk.attributes, patch.attributes)?;
    Ok(Record::ChunksPut {
        library: library.info.id.clone(),
        contract: reader.into_contract(),
        fields: fields.into_added(),
        document: document.document.id.clone(),
        chunks: vec![chunk],
    })
}

/// Reads the chunks of one command: over all its documents, ids are unique and the vectors fit one contract.
pub(super) struct ChunkReader<'a> {
    library: &'a Library,
    contract: Contract,
    ids: BTreeSet<String>,
    floats: usize,
}

impl<'a> ChunkReader<'a> {
    pub(super) fn new(library: &'a Library, embedded_by: Option<EmbeddingModel>) -> Result<Self> {
        let mut contract = library.info.contract.clone();
        if let Some(model) = embedded_by {
            match &contract.embedding_model {
                Some(own) if *own != model => {
                    let detail = format!(
                        "the vectors of this library are made by the model '{}'; those of '{}' cannot be compared with them",
                        own.name, model.name
                    );
                    let error = Error::new(Code::EmbeddingModel, detail).field("embedding");
                    return Err(error.numbers(&*own.name, &*model.name).unfit());
                }
                Some(_) => {}
                None if library.chunk_count() == 0 => contract.embedding_model = Some(model),
                None => {
                    let detail = format!(
                        "the vectors of this library came with its chunks; those of '{}' are no match for them: give an embedding",
                        model.name
                    );
                    return Err(Error::new(Code::EmbeddingModel, detail).field("embedding").unfit());
                }
            }
        }
        Ok(Self { library, contract, ids: BTreeSet::new(), floats: 0 })
    }

    /// The contract, where it is now fixed further than the library's.
    pub(super) fn into_contract(self) -> Option<Contract> {
        (self.contract != self.library.info.contract).then_some(self.contract)
    }

    /// Reads the chunks of one document. `next` is the index of the first without one; `replaced` says which existing ids the
    /// record makes free.
    pub(super) fn read(
        &mut self,
        fields: &mut FieldReader<'_>,
        drafts: Vec<ChunkDraft>,
        next: u32,
        now: Timestamp,
        replaced: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<Chunk>> {
        let mut chunks = Vec::with_capacity(drafts.len().min(MAX_CHUNKS_PER_BATCH));
        for (number, draft) in drafts.into_iter().enumerate() {
            let place = format!("chunks[{number}]");
            let index = next.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
            chunks.push(self.chunk(fields, draft, index, now, replaced).map_err(|error| error.within(place))?);
        }
        Ok(chunks)
    }

    fn chunk(
        &mut self,
        fields: &mut FieldReader<'_>,
        draft: ChunkDraft,
        index: u32,
        now: Timestamp,
        replaced: &dyn Fn(&str) -> bool,
    ) -> Result<Chunk> {
        let id = Id::new(&draft.id)?;
        if self.library.slot(&draft.id).is_some() && !replaced(&draft.id) {
            return Err(
                Error::new(Code::ChunkExists, format!("there is a chunk '{}' in this library already", draft.id)).field("id")
            );
        }
        if self.ids.len() >= MAX_CHUNKS_PER_BATCH {
            return Err(Error::limit("chunks in one request", MAX_CHUNKS_PER_BATCH, self.ids.len() + 1));
        }
        if self.library.chunk_count() + self.ids.len() >= MAX_CHUNKS_PER_LIBRARY {
            return Err(Error::limit(
                "chunks in a library",
                MAX_CHUNKS_PER_LIBRARY,
                self.library.chunk_count() + self.ids.len() + 1,
            ));
        }
        if !self.ids.insert(draft.id.clone()) {
            return Err(Error::new(Code::ChunkExists, format!("the request names the chunk '{}' twice", draft.id)).field("id"));
        }
        let text = check_text(&draft.text)?;
        let embedding = if draft.stored { self.stored(draft.embedding) } else { self.vector(draft.embedding) };
        let embedding = embedding.map_err(|error| error.within("embedding"))?;
        self.floats += embedding.len();
        if self.floats > MAX_FLOATS_PER_BATCH {
            return Err(
                Error::limit("floats of all vectors in one request", MAX_FLOATS_PER_BATCH, self.floats).field("embedding")
            );
        }
        Ok(Chunk {
            id,
            text,
            metadata: ChunkMetadata {
                created_at: draft.created_at.unwrap_or(now),
                page_number: draft.page_number,
                chunk_index: draft.chunk_index.unwrap_or(index),
            },
            attributes: fields.read(&Vec::new(), draft.attributes)?,
            embedding,
        })
    }

    /// A vector as it is stored. The first one fixes the dimension.
    fn vector(&mut self, vector: Vec<f32>) -> Result<Vec<f32>> {
        if self.contract.dimension.is_none() && (1..=MAX_DIMENSION).contains(&vector.len()) {
            self.contract.dimension = Some(vector.len() as u32);
        }
        check_vector(&self.contract, vector)
    }

    /// A vector that is in stored form already: checked like any other, and kept bit for bit.
    fn stored(&mut self, vector: Vec<f32>) -> Result<Vec<f32>> {
        let squared = dot(&vector, &vector);
        let same = vector.clone();
        self.vector(vector)?;
        if self.contract.metric == Metric::Cosine && (squared - 1.0).abs() > STORED_LENGTH_ERROR {
            let detail = format!("a stored vector has unit length under cosine; the squared length of this one is {squared}");
            return Err(Error::new(Code::InvalidValue, detail).numbers(1.0, f64::from(squared)));
        }
        Ok(same)
    }
}

fn check_text(text: &str) -> Result<Box<str>> {
    if text.trim().is_empty() {
        return Err(Error::new(Code::EmptyText, "the text of a chunk is empty").field("text"));
    }
    check_chars("text", text, MAX_CHUNK_CHARS)?;
    Ok(text.into())
}

/// Checks a vector against a contract and brings it into the stored form: unit length under cosine.
///
/// # Errors
/// [`Code::WrongDimension`], [`Code::NotFinite`], [`Code::ZeroVector`], or [`Code::InvalidValue`] for an empty vector; no field.
pub(crate) fn check_vector(contract: &Contract, mut vector: Vec<f32>) -> Result<Vec<f32>> {
    if vector.is_empty() {
        return Err(Error::new(Code::InvalidValue, "a vector has at least one number"));
    }
    let expected = contract.dimension.map_or(MAX_DIMENSION, |dimension| dimension as usize);
    if vector.len() > expected || contract.dimension.is_some() && vector.len() != expected {
        let detail = format!("expected a vector of {expected} numbers, received {}", vector.len());
        let error = Error::new(Code::WrongDimension, detail).numbers(expected, vector.len());
        return Err(if contract.dimension.is_some() { error.unfit() } else { error });
    }
    // Looks at all of them, several at once, rather than for the first; NaN is not at most anything.
    if !vector.iter().fold(true, |sound, x| sound & (x.abs() <= MAX_COMPONENT)) {
        return Err(unsound(&vector));
    }
    if contract.metric == Metric::Cosine {
        normalise(&mut vector).map_err(|_| {
            let detail = "a vector of (almost) zero length has no direction, and the cosine metric compares directions";
            Error::new(Code::ZeroVector, detail).unfit()
        })?;
    }
    Ok(vector)
}

/// What is wrong with a vector that holds something infinite, too large, or not a number.
fn unsound(vector: &[f32]) -> Error {
    if let Some((at, number)) = vector.iter().enumerate().find(|(_, x)| !x.is_finite()) {
        let detail = format!("number {at} of the vector is {number}; only finite numbers can be compared");
        return Error::new(Code::NotFinite, detail).numbers("finite number", number.to_string());
    }
    let large = vector.iter().enumerate().find(|(_, x)| x.abs() > MAX_COMPONENT);
    let (at, number) = large.map_or((0, 0.0), |(at, number)| (at, *number));
    let detail = format!("number {at} of the vector is {number:e}; at most {MAX_COMPONENT:e} in magnitude");
    Error::new(Code::NotFinite, detail).numbers(f64::from(MAX_COMPONENT), f64::from(number))
}
