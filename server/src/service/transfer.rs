//! A library as lines of JSON.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value as Json};
use vecino_engine::{
    Result,
    library::{DocumentEntry, Library},
    shelf::Holding,
    state::State,
    view::{ChunkMetadataView, DocumentMetadataView},
};

use super::Service;

/// Bytes of lines that are made at once.
const PART_BYTES: usize = 64 * 1024;

/// The contents of a library, read from one state.
#[derive(Debug)]
pub struct Export {
    state: Arc<State>,
    library: String,
    with_embedding: bool,
    after: Option<String>,
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
        Ok(Export { state, library, with_embedding, after: None, ended: false })
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
        let after = self.after.take();
        let mut last = None;
        let mut documents = library.documents_after(after.as_deref());
        while lines.len() < PART_BYTES {
            let Some(entry) = documents.next() else {
                self.ended = true;
                break;
            };
            if let Err(error) = serde_json::to_writer(&mut lines, &line(library, entry, self.with_embedding)) {
                return Some(Err(error));
            }
            lines.push(b'\n');
            last = Some(entry.document.id.to_string());
        }
        self.after = last;
        (!lines.is_empty()).then_some(Ok(lines))
    }
}

fn line<'a>(library: &Library, entry: &'a DocumentEntry, with_embedding: bool) -> Line<'a> {
    let view = library.document_view(entry);
    let chunk = |slot: &u32| {
        let view = library.chunk_view(*slot, with_embedding)?;
        Some(Chunk {
            id: view.id,
            text: view.text,
            metadata: view.metadata,
            attributes: view.attributes,
            embedding: view.embedding,
        })
    };
    Line {
        id: entry.document.id.as_str(),
        metadata: view.metadata,
        attributes: view.attributes,
        chunks: entry.chunks.iter().filter_map(chunk).collect(),
    }
}
