//! What happened: the only thing that is logged and replicated.
//!
//! A [`Record`] is the outcome of [`plan`](crate::plan): complete, typed and already checked, so that
//! [`State::apply`](crate::state::State::apply) cannot fail and gives the same state on every machine. Variants and their fields
//! are only ever added at the end; the bytes are [postcard](https://postcard.jamesmunns.com/wire-format).

use serde::{Deserialize, Serialize};

use crate::model::{Attributes, Chunk, Contract, Document, DocumentMetadata, Field, FieldId, Id, IndexSettings, LibraryInfo};

/// One change of the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A library came to be, with the fields of its schema.
    LibraryCreated {
        /// The library.
        info: LibraryInfo,
        /// Declared fields.
        fields: Vec<Field>,
    },
    /// A library got another name or description.
    LibraryUpdated {
        /// Which library.
        library: Id,
        /// The name from now on.
        name: Box<str>,
        /// The description from now on.
        description: Option<Box<str>>,
    },
    /// A library went, with all that is in it.
    LibraryDeleted {
        /// Which library.
        library: Id,
    },
    /// Documents were written whole. One that existed is replaced with all its chunks.
    DocumentsPut {
        /// Which library.
        library: Id,
        /// The contract, where this record fixed a part of it.
        contract: Option<Contract>,
        /// Fields seen for the first time.
        fields: Vec<Field>,
        /// The documents.
        documents: Vec<DocumentPut>,
    },
    /// A document's metadata and attributes changed; its chunks stay.
    DocumentUpdated {
        /// Which library.
        library: Id,
        /// Fields seen for the first time.
        fields: Vec<Field>,
        /// Which document.
        document: Id,
        /// The metadata from now on.
        metadata: DocumentMetadata,
        /// The attributes from now on.
        attributes: Attributes,
    },
    /// Documents went, with their chunks.
    DocumentsDeleted {
        /// Which library.
        library: Id,
        /// Which documents.
        documents: Vec<Id>,
    },
    /// Chunks of one document were written. One that existed is replaced in its place; others are added at the end.
    ChunksPut {
        /// Which library.
        library: Id,
        /// The contract, where this record fixed a part of it.
        contract: Option<Contract>,
        /// Fields seen for the first time.
        fields: Vec<Field>,
        /// Which document.
        document: Id,
        /// The chunks.
        chunks: Vec<Chunk>,
    },
    /// Chunks went.
    ChunksDeleted {
        /// Which library.
        library: Id,
        /// Which chunks.
        chunks: Vec<Id>,
    },
    /// A library is to be served by another index, or its index is to be built anew.
    IndexChosen {
        /// Which library.
        library: Id,
        /// The index from now on.
        settings: IndexSettings,
        /// Whether it is built anew even if nothing about it has changed.
        rebuild: bool,
    },
    /// The index is to take in what has changed. Written by hosts when a library has come to rest; see [`indexing`](crate::indexing).
    IndexCut {
        /// Which library.
        library: Id,
    },
    /// Chunks of several documents were written, as by [`Record::ChunksPut`] for each.
    ChunkBatchPut {
        /// Which library.
        library: Id,
        /// The contract, where this record fixed a part of it.
        contract: Option<Contract>,
        /// Fields seen for the first time.
        fields: Vec<Field>,
        /// The chunks by document.
        documents: Vec<ChunksOf>,
    },
    /// The attribute fields of a library changed.
    SchemaChanged {
        /// Which library.
        library: Id,
        /// All fields from now on, by their ids. A field that was dropped has an empty name.
        fields: Vec<Field>,
        /// The field that was dropped by this record: its values go.
        dropped: Option<FieldId>,
    },
    /// A library came to be as a copy of another, or became one: then it kept its aliases.
    LibraryCopied {
        /// Which library was copied.
        source: Id,
        /// The copy.
        info: LibraryInfo,
    },
    /// Aliases were set: each leads to a library, or to none any more.
    AliasesSet {
        /// The aliases.
        aliases: Vec<(Box<str>, Option<Id>)>,
    },
    /// A library got another name or description, and another index at once.
    LibraryChanged {
        /// Which library.
        library: Id,
        /// The name from now on.
        name: Box<str>,
        /// The description from now on.
        description: Option<Box<str>>,
        /// The index from now on.
        settings: IndexSettings,
    },
}

/// Chunks of one document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChunksOf {
    /// Which document.
    pub document: Id,
    /// The chunks.
    pub chunks: Vec<Chunk>,
}

/// A document with all its chunks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentPut {
    /// The document.
    pub document: Document,
    /// Its chunks in order.
    pub chunks: Vec<Chunk>,
}

impl Record {
    /// The library that the record changes or makes; none where it is about several.
    pub fn library(&self) -> Option<&Id> {
        Some(match self {
            Self::AliasesSet { .. } => return None,
            Self::LibraryCreated { info, .. } | Self::LibraryCopied { info, .. } => &info.id,
            Self::LibraryUpdated { library, .. }
            | Self::LibraryChanged { library, .. }
            | Self::LibraryDeleted { library }
            | Self::DocumentsPut { library, .. }
            | Self::DocumentUpdated { library, .. }
            | Self::DocumentsDeleted { library, .. }
            | Self::ChunksPut { library, .. }
            | Self::ChunksDeleted { library, .. }
            | Self::ChunkBatchPut { library, .. }
            | Self::SchemaChanged { library, .. }
            | Self::IndexChosen { library, .. }
            | Self::IndexCut { library } => library,
        })
    }
}
