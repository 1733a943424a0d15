//! A library as lines of JSON.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value as Json};
use vecino_engine::{
    Result,
    library::{DocumentEntry, Library},
    shelf::Holding,
    state::State,
    view::{ChunkMetadataView, ChunkView, DocumentMetadataView},
};

use super::Service;

/// Bytes of lines that are made at once.
const PART_BYTES: usize = 64 * 1024;

/// Chunks of a document on one line, and about how many bytes they have, unless a single one has more. What is more goes on in
/// further lines, so that lines can be read however large a document is.
const LINE_CHUNKS: usize = 1_000;
const LINE_BYTES: usize = 1 << 20;

/// The contents of a library, read from one state.
#[derive(Debug)]
pub struct Export {
    state: Arc<State>,
    library: String,
    with_embedding: bool,
    /// The last document that is exported whole.
    after: Option<String>,
    /// How many chunks of the one after it are exported.
    chunks: usize,
    ended: bool,
}

/// A document as an import reads it.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    metadata: DocumentMetadataView,
    attributes: Map<String, Json>,
    chunks: Vec<Chunk>,
}

/// More chunks of the document of the line before.
#[derive(Serialize)]
struct More<'a> {
    continues: &'a str,
    chunks: Vec<Chunk>,
}

#[derive(Serialize)]
struct Chunk {
    id: String,
    text: String,
    metadata: ChunkMetadataView,
    attributes: Map<String, Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<Vec<f32>>,
}

impl Service {
    /// The contents of a library, as they are now.
    ///
    /// # Errors
    /// [`vecino_engine::Code::LibraryNotFound`].
    pub fn export(&self, library: &str, with_embedding: bool) -> Result<Export> {
        let state = self.store.opened(library)?;
        let library = state.library(library)?.info().id.to_string();
        Ok(Export { state, library, with_embedding, after: None, chunks: 0, ended: false })
    }
}

impl Export {
    /// Sequence of the last write that changed the library.
    pub fn seq(&self) -> u64 {
        self.state.find(&self.library).map_or(0, Holding::seq)
    }
}

impl Iterator for Export {
    type Item = serde_json::Result<Vec<u8>>;

    /// Some lines more.
    fn next(&mut self) -> Option<Self::Item> {
        let library = self.state.find(&self.library).and_then(Holding::loaded).filter(|_| !self.ended)?;
        let mut lines = Vec::new();
        let after = self.after.clone();
        let mut documents = library.documents_after(after.as_deref()).peekable();
        while lines.len() < PART_BYTES {
            let Some(entry) = documents.peek() else {
                self.ended = true;
                break;
            };
            let chunks = chunks(library, entry, self.chunks, self.with_embedding);
            let exported = self.chunks + chunks.len();
            let written = if self.chunks == 0 {
                let view = library.document_view(entry);
                let (metadata, attributes) = (view.metadata, view.attributes);
                serde_json::to_writer(&mut lines, &Line { id: entry.document.id.as_str(), metadata, attributes, chunks })
            } else {
                serde_json::to_writer(&mut lines, &More { continues: entry.document.id.as_str(), chunks })
            };
            if let Err(error) = written {
                return Some(Err(error));
            }
            lines.push(b'\n');
            if exported < entry.chunks.len() {
                self.chunks = exported;
            } else {
                (self.after, self.chunks) = (Some(entry.document.id.to_string()), 0);
                documents.next();
            }
        }
        (!lines.is_empty()).then_some(Ok(lines))
    }
}

/// The chunks of a document from one on, as many as belong on one line.
fn chunks(library: &Library, entry: &DocumentEntry, from: usize, with_embedding: bool) -> Vec<Chunk> {
    let embedding = if with_embedding { library.vectors().dimension() * 12 } else { 0 };
    let mut bytes = 0;
    let mut chunks = Vec::new();
    for view in entry.chunks.iter().skip(from).filter_map(|slot| library.chunk_view(*slot, with_embedding)) {
        bytes += view.text.len() + embedding;
        if chunks.len() == LINE_CHUNKS || bytes > LINE_BYTES && !chunks.is_empty() {
            break;
        }
        let ChunkView { id, text, metadata, attributes, embedding, .. } = view;
        chunks.push(Chunk { id, text, metadata, attributes, embedding });
    }
    chunks
}
