//! What is asked: a command names the wish, [`plan`](crate::plan) turns it into a record or refuses it.
//!
//! A command is complete when it is built: the host has already made the ids, read the clock and embedded the texts.

use crate::{
    distance::Metric,
    filter::Filter,
    model::{EmbeddingModel, FieldType, IndexParams, IndexType, RawAttributes, Timestamp},
};

/// A wish to change the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Create a library.
    CreateLibrary(LibraryDraft),
    /// Rename a library, describe it anew, or choose its index.
    UpdateLibrary {
        /// Its id.
        library: String,
        /// Another name.
        name: Option<String>,
        /// Another description; an empty one removes it.
        description: Option<String>,
        /// What to change of the index.
        index: IndexDraft,
    },
    /// Delete a library with all that is in it.
    DeleteLibrary {
        /// Its id.
        library: String,
    },
    /// Write documents whole: all of them or none.
    PutDocuments {
        /// The library's id.
        library: String,
        /// The documents.
        documents: Vec<DocumentDraft>,
        /// What to do with a document that exists.
        on_conflict: OnConflict,
        /// The model that made the embeddings, where the host made any.
        embedded_by: Option<EmbeddingModel>,
        /// The time of the write.
        now: Timestamp,
    },
    /// Change metadata and attributes of a document.
    UpdateDocument {
        /// The library's id.
        library: String,
        /// The document's id.
        document: String,
        /// What to change.
        patch: DocumentPatch,
    },
    /// Delete documents with their chunks: all of them or none.
    DeleteDocuments {
        /// The library's id.
        library: String,
        /// The documents' ids.
        documents: Vec<String>,
    },
    /// Add chunks to a document: all of them or none.
    AddChunks {
        /// The library's id.
        library: String,
        /// The document's id.
        document: String,
        /// The chunks.
        chunks: Vec<ChunkDraft>,
        /// The model that made the embeddings, where the host made any.
        embedded_by: Option<EmbeddingModel>,
        /// The time of the write.
        now: Timestamp,
    },
    /// Change a chunk.
    UpdateChunk {
        /// The library's id.
        library: String,
        /// The chunk's id.
        chunk: String,
        /// What to change.
        patch: ChunkPatch,
        /// The model that made the embedding, where the host made it.
        embedded_by: Option<EmbeddingModel>,
    },
    /// Delete chunks: all of them or none.
    DeleteChunks {
        /// The library's id.
        library: String,
        /// The chunks' ids.
        chunks: Vec<String>,
    },
    /// Choose the index of a library.
    ChooseIndex {
        /// The library's id.
        library: String,
        /// What to change of it.
        index: IndexDraft,
        /// Whether to build it anew even if nothing about it changes.
        rebuild: bool,
    },
    /// Have the index take in what has changed. Changes nothing where nothing waits.
    CutIndex {
        /// The library's id.
        library: String,
    },
    /// Write chunks of any documents that exist: all of them or none.
    PutChunks {
        /// The library's id.
        library: String,
        /// The chunks.
        chunks: Vec<PlacedChunk>,
        /// What to do with a chunk that exists.
        on_conflict: OnConflict,
        /// The model that made the embeddings, where the host made any.
        embedded_by: Option<EmbeddingModel>,
        /// The time of the write.
        now: Timestamp,
    },
    /// Delete what a filter lets through, at most
    /// [`MAX_DELETED_AT_ONCE`](crate::model::limits::MAX_DELETED_AT_ONCE) of them.
    DeleteMatching {
        /// The library's id.
        library: String,
        /// What is deleted.
        kind: Kind,
        /// Which of them.
        filter: Filter,
    },
    /// A command that holds only while nobody has changed the library since.
    IfUnchanged {
        /// The library's id.
        library: String,
        /// The sequence of the last write that changed the library, as the user knows it.
        seq: u64,
        /// What to do then.
        command: Box<Command>,
    },
    /// Change the attribute fields of a library.
    ChangeSchema {
        /// The library's id.
        library: String,
        /// The change.
        change: SchemaChange,
    },
    /// Make a copy of a library.
    CopyLibrary {
        /// The library's id.
        library: String,
        /// The id of the copy.
        id: String,
        /// The name of the copy.
        name: String,
        /// The time of the write.
        now: Timestamp,
    },
    /// Put the contents of one library in place of those of another, with fields, contract, description and index. The other one
    /// keeps its id, its name, its aliases and the time at which it was made.
    ReplaceLibrary {
        /// The library whose contents go.
        library: String,
        /// The library whose contents are taken. It stays as it is.
        source: String,
    },
    /// Set aliases, all at once: each leads to a library, or to none any more.
    SetAliases {
        /// Aliases, and the libraries by id or name.
        aliases: Vec<(String, Option<String>)>,
    },
}

/// A change of the attribute fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaChange {
    /// Add a field.
    Add {
        /// Its name.
        name: String,
        /// Its type.
        kind: FieldType,
    },
    /// Give a field another name.
    Rename {
        /// Its name.
        name: String,
        /// Its name from now on.
        to: String,
    },
    /// Take a field away, with all values of documents and chunks.
    Drop {
        /// Its name.
        name: String,
    },
}

/// The index of a library: `None` leaves as it is, or at its default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IndexDraft {
    /// The type.
    pub index_type: Option<IndexType>,
    /// How it is built, all parameters.
    pub params: Option<IndexParams>,
    /// The share of the true neighbours that answers shall hold, above 0 and at most 1.
    pub target_recall: Option<f32>,
}

/// What a library holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Documents, with their chunks.
    Documents,
    /// Chunks.
    Chunks,
}

/// A library to be created.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LibraryDraft {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The metric.
    pub metric: Metric,
    /// The index.
    pub index: IndexDraft,
    /// Length of every vector, where it is known.
    pub dimension: Option<usize>,
    /// The model that will turn text into vectors, where it is known.
    pub embedding_model: Option<EmbeddingModel>,
    /// Declared fields and their types.
    pub fields: Vec<(String, FieldType)>,
    /// Whether attributes outside the declared fields are refused.
    pub strict_schema: bool,
    /// The time of the write.
    pub now: Timestamp,
}

/// What to do when a document or a chunk to be written exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Refuse the whole batch.
    #[default]
    Refuse,
    /// Keep the old one and leave out the new one.
    Skip,
    /// Put the new one in place of the old one; a document with all its chunks.
    Replace,
}

/// A document to be written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DocumentDraft {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub title: String,
    /// Who wrote it.
    pub author: Option<String>,
    /// When it was made; else the time of the write.
    pub created_at: Option<Timestamp>,
    /// Its kind.
    pub document_type: Option<String>,
    /// Where it came from.
    pub source_url: Option<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// Attributes.
    pub attributes: RawAttributes,
    /// Its chunks in order.
    pub chunks: Vec<ChunkDraft>,
}

/// A chunk to be written, and where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlacedChunk {
    /// The id of its document.
    pub document: String,
    /// The chunk.
    pub chunk: ChunkDraft,
}

/// A chunk to be written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkDraft {
    /// Its id.
    pub id: String,
    /// Its text.
    pub text: String,
    /// Its vector.
    pub embedding: Vec<f32>,
    /// Whether the vector comes from a library of the same metric: then it has unit length under cosine already, and its bits are
    /// kept.
    pub stored: bool,
    /// When it was made; else the time of the write.
    pub created_at: Option<Timestamp>,
    /// Its page.
    pub page_number: Option<u32>,
    /// Its position; else counted from the end of the document's chunks.
    pub chunk_index: Option<u32>,
    /// Attributes.
    pub attributes: RawAttributes,
}

/// Changes of a document: `None` leaves as it is. For optional fields, an empty string removes the value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DocumentPatch {
    /// Another title.
    pub title: Option<String>,
    /// Another author.
    pub author: Option<String>,
    /// Another time.
    pub created_at: Option<Timestamp>,
    /// Another kind.
    pub document_type: Option<String>,
    /// Another source.
    pub source_url: Option<String>,
    /// Other tags, all of them.
    pub tags: Option<Vec<String>>,
    /// Attributes to set; null removes one.
    pub attributes: RawAttributes,
}

/// Changes of a chunk: `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkPatch {
    /// Another text. It comes with another embedding.
    pub text: Option<String>,
    /// Another vector.
    pub embedding: Option<Vec<f32>>,
    /// Another page.
    pub page_number: Option<u32>,
    /// Another position.
    pub chunk_index: Option<u32>,
    /// Attributes to set; null removes one.
    pub attributes: RawAttributes,
}
