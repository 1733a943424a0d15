//! Chunks.

use serde::Serialize;
use utoipa::ToSchema;
use vecino_engine::{
    Error, Result,
    command::{ChunkDraft, ChunkPatch, Command, OnConflict, PlacedChunk},
    db::Written,
    library::Library,
    model::shown,
    plan::{chunk_not_found, document_not_found},
    state::State,
    view::ChunkView,
};

use super::{Listed, Page, Service, WriteOptions, embedding::Waiting, libraries::Deleted};
use crate::host::in_place;

/// A chunk to be written.
#[derive(Clone, Debug)]
pub struct NewChunk {
    /// The chunk.
    pub draft: ChunkDraft,
    /// Whether its vector is made here.
    pub embed: bool,
    /// Names of attributes that the user gave among the metadata.
    pub from_metadata: Vec<String>,
}

/// A change of a chunk.
#[derive(Clone, Debug)]
pub struct ChangedChunk {
    /// The change.
    pub patch: ChunkPatch,
    /// Names of attributes that the user gave among the metadata.
    pub from_metadata: Vec<String>,
}

/// An error about an attribute, said of the place where the user gave it: `metadata.x` for `attributes.x`. `prefix` stands
/// before it.
pub(super) fn where_given(mut error: Error, prefix: &str, from_metadata: &[String]) -> Error {
    let name = error.field.as_deref().and_then(|field| field.strip_prefix(prefix)?.strip_prefix("attributes."));
    if let Some(name) = name.filter(|name| from_metadata.iter().any(|given| shown(given) == *name)) {
        error.field = Some(format!("{prefix}metadata.{name}"));
    }
    error
}

/// What adding chunks answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChunksWritten {
    /// Ids of the new chunks, in order.
    pub chunks: Vec<String>,
    /// Sequence of the write.
    pub seq: u64,
}

/// What writing a batch of chunks answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChunkBatchWritten {
    /// Chunks written.
    pub written: usize,
    /// Chunks left out because they exist already.
    pub skipped: usize,
    /// Ids of the chunks of the request, in order.
    pub chunks: Vec<String>,
    /// Sequence of the write, or of the last one when nothing was written.
    pub seq: u64,
}

/// What changing a chunk answers.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ChunkUpdated {
    /// The chunk from now on.
    #[serde(flatten)]
    pub chunk: ChunkView,
    /// Sequence of the write.
    pub seq: u64,
}

/// The same, of a request with a list of chunks.
fn at_chunk(error: Error, from_metadata: &[Vec<String>]) -> Error {
    let chunks = from_metadata.iter().enumerate();
    chunks.fold(error, |error, (at, names)| where_given(error, &format!("chunks[{at}]."), names))
}

impl Service {
    /// Adds chunks to a document: all or none.
    ///
    /// # Errors
    /// What is wrong with any of them, with its place in the request.
    pub async fn add_chunks(
        &self,
        library: &str,
        document: &str,
        mut chunks: Vec<NewChunk>,
        options: WriteOptions,
    ) -> Result<ChunksWritten> {
        let title = self.with_library(library, |library| {
            let entry = library.document(document).ok_or_else(|| document_not_found(document))?;
            Ok(entry.document.metadata.title.clone())
        })?;
        let given: Vec<Vec<String>> = chunks.iter_mut().map(|chunk| std::mem::take(&mut chunk.from_metadata)).collect();
        let (chunks, embedded_by) = self.embed_chunks(library, &title, chunks)?;
        let ids = chunks.iter().map(|chunk| chunk.id.clone()).collect();
        let command = Command::AddChunks {
            library: library.to_owned(),
            document: document.to_owned(),
            chunks,
            embedded_by,
            now: self.now(),
        };
        let seen = |_: &State, written: Written| ChunksWritten { chunks: ids, seq: written.seq };
        self.write(options, library, command, seen).await.map_err(|error| at_chunk(error, &given))
    }

    /// Writes chunks of documents that exist: all or none.
    ///
    /// # Errors
    /// What is wrong with any of them, with its place in the request.
    pub async fn put_chunks(
        &self,
        library: &str,
        chunks: Vec<(String, NewChunk)>,
        on_conflict: OnConflict,
        options: WriteOptions,
    ) -> Result<ChunkBatchWritten> {
        let seen = |_: &State, written: Written, ids: Vec<String>| ChunkBatchWritten {
            written: written.affected,
            skipped: written.skipped,
            chunks: ids,
            seq: written.seq,
        };
        self.place(library, chunks, on_conflict, options, seen).await
    }

    /// `seen` gets the state, what was written, and the ids of all chunks of the request.
    async fn place<T: Send + 'static>(
        &self,
        library: &str,
        chunks: Vec<(String, NewChunk)>,
        on_conflict: OnConflict,
        options: WriteOptions,
        seen: impl FnOnce(&State, Written, Vec<String>) -> T + Send + 'static,
    ) -> Result<T> {
        let mut given = Vec::with_capacity(chunks.len());
        let titles = self.with_library(library, |library| {
            let title =
                |id: &str| library.document(id).map_or_else(String::new, |entry| entry.document.metadata.title.to_string());
            Ok(chunks
                .iter()
                .map(|(document, chunk)| if chunk.embed { title(document) } else { String::new() })
                .collect::<Vec<_>>())
        })?;
        let any = chunks.iter().any(|(_, chunk)| chunk.embed);
        let embedded_by = any.then(|| self.check_embeddable(library)).transpose()?;
        let mut waiting = Waiting::default();
        let mut placed = Vec::with_capacity(chunks.len());
        for (number, ((document, chunk), title)) in chunks.into_iter().zip(titles).enumerate() {
            if chunk.embed {
                waiting.add(number, 0, format!("chunks[{number}].text"), self.title(&title), &chunk.draft.text);
            }
            given.push(chunk.from_metadata);
            placed.push(PlacedChunk { document, chunk: chunk.draft });
        }
        if any {
            in_place(|| {
                waiting.embed(self, &mut |number, _, vector| {
                    if let Some(placed) = placed.get_mut(number) {
                        placed.chunk.embedding = vector;
                    }
                })
            })?;
        }
        let ids = placed.iter().map(|placed| placed.chunk.id.clone()).collect();
        let command =
            Command::PutChunks { library: library.to_owned(), chunks: placed, on_conflict, embedded_by, now: self.now() };
        let seen = move |state: &State, written: Written| seen(state, written, ids);
        self.write(options, library, command, seen).await.map_err(|error| at_chunk(error, &given))
    }

    /// Writes one chunk in place of the one of its id, or as a new one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn put_chunk(
        &self,
        library: &str,
        id: String,
        document: String,
        chunk: NewChunk,
        options: WriteOptions,
    ) -> Result<ChunkUpdated> {
        let name = library.to_owned();
        let seen = move |state: &State, written: Written, _: Vec<String>| {
            Ok(ChunkUpdated { chunk: chunk_view(state.library(&name)?, &id, false)?, seq: written.seq })
        };
        self.place(library, vec![(document, chunk)], OnConflict::Replace, options, seen).await.map_err(|mut error| {
            if let Some(rest) = error.field.as_deref().and_then(|field| field.strip_prefix("chunks[0].")) {
                error.field = Some(rest.to_owned());
            }
            error
        })?
    }

    /// The chunks of a library in the order of their ids.
    ///
    /// # Errors
    /// [`vecino_engine::Code::LibraryNotFound`].
    pub fn chunks(&self, library: &str, page: &Page, with_embedding: bool) -> Result<Listed<ChunkView>> {
        self.with_library(library, |library| {
            let id = |slot: &u32| library.chunk_at(*slot).map_or_else(String::new, |chunk| chunk.id.to_string());
            Ok(page.take(library.chunks_after(page.after.as_deref()), id, |slot| library.chunk_view(slot, with_embedding)))
        })
    }

    /// The chunks of a document in the order of their index, those of one index in the order of their ids.
    ///
    /// # Errors
    /// [`vecino_engine::Code::LibraryNotFound`], [`vecino_engine::Code::DocumentNotFound`].
    pub fn document_chunks(&self, library: &str, document: &str, page: &Page, with_embedding: bool) -> Result<Listed<ChunkView>> {
        self.with_library(library, |library| {
            let entry = library.document(document).ok_or_else(|| document_not_found(document))?;
            // The index with leading zeros, so that cursors are ordered as the chunks are.
            let cursor = |slot: &u32| {
                let chunk = library.chunk_at(*slot);
                chunk.map_or_else(String::new, |chunk| format!("{:010} {}", chunk.metadata.chunk_index, chunk.id))
            };
            let mut slots: Vec<(String, u32)> = entry.chunks.iter().map(|slot| (cursor(slot), *slot)).collect();
            slots.retain(|(cursor, _)| page.after.as_ref().is_none_or(|after| cursor > after));
            slots.sort_unstable();
            let view = |(_, slot)| library.chunk_view(slot, with_embedding);
            Ok(page.take(slots.into_iter(), |(cursor, _)| cursor.clone(), view))
        })
    }

    /// A chunk.
    ///
    /// # Errors
    /// [`vecino_engine::Code::LibraryNotFound`], [`vecino_engine::Code::ChunkNotFound`].
    pub fn chunk(&self, library: &str, id: &str, with_embedding: bool) -> Result<ChunkView> {
        self.with_library(library, |library| chunk_view(library, id, with_embedding))
    }

    /// Changes a chunk. Another text without a vector is embedded.
    ///
    /// # Errors
    /// [`vecino_engine::Code::LibraryNotFound`], [`vecino_engine::Code::ChunkNotFound`], or what is wrong with the values.
    pub async fn update_chunk(
        &self,
        library: &str,
        id: &str,
        change: ChangedChunk,
        options: WriteOptions,
    ) -> Result<ChunkUpdated> {
        let ChangedChunk { mut patch, from_metadata } = change;
        let title = self.with_library(library, |library| {
            let chunk = library.slot(id).and_then(|slot| library.chunk_at(slot)).ok_or_else(|| chunk_not_found(id))?;
            Ok(library.document_at(chunk.document).map(|entry| entry.document.metadata.title.clone()).unwrap_or_default())
        })?;
        let mut embedded_by = None;
        if let (Some(text), None) = (&patch.text, &patch.embedding) {
            embedded_by = Some(self.check_embeddable(library)?);
            let mut waiting = Waiting::default();
            waiting.add(0, 0, "text".to_owned(), self.title(&title), text);
            // A text that cannot be embedded is refused by the plan, before its empty vector is.
            patch.embedding = Some(Vec::new());
            in_place(|| waiting.embed(self, &mut |_, _, vector| patch.embedding = Some(vector)))?;
        }
        let (name, id) = (library.to_owned(), id.to_owned());
        let command = Command::UpdateChunk { library: name.clone(), chunk: id.clone(), patch, embedded_by };
        let seen = move |state: &State, written: Written| {
            Ok(ChunkUpdated { chunk: chunk_view(state.library(&name)?, &id, false)?, seq: written.seq })
        };
        self.write(options, library, command, seen).await.map_err(|error| where_given(error, "", &from_metadata))?
    }

    /// Deletes a chunk.
    ///
    /// # Errors
    /// [`vecino_engine::Code::LibraryNotFound`], [`vecino_engine::Code::ChunkNotFound`].
    pub async fn delete_chunk(&self, library: &str, id: &str, options: WriteOptions) -> Result<Deleted> {
        let command = Command::DeleteChunks { library: library.to_owned(), chunks: vec![id.to_owned()] };
        self.write(options, library, command, |_, written| Deleted { seq: written.seq }).await
    }
}

fn chunk_view(library: &Library, id: &str, with_embedding: bool) -> Result<ChunkView> {
    library.slot(id).and_then(|slot| library.chunk_view(slot, with_embedding)).ok_or_else(|| chunk_not_found(id))
}
