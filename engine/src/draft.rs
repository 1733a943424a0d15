//! Documents that are there, as drafts: what would have to be asked for to have them once more.

use crate::{
    command::{ChunkDraft, DocumentDraft},
    library::{DocumentEntry, Library},
    model::{Attributes, Chunk, RawAttributes},
    record::DocumentPut,
};

/// A document with all its chunks, as it could have been asked for. Its vectors keep their bits.
pub fn of(library: &Library, entry: &DocumentEntry) -> DocumentDraft {
    let chunk = |slot: &u32| library.chunk(library.chunk_at(*slot)?.id.as_str());
    let put = DocumentPut { document: entry.document.clone(), chunks: entry.chunks.iter().filter_map(chunk).collect() };
    document(put, &mut |attributes| library.fields().to_json(attributes).into_iter().collect())
}

/// A document as it could have been asked for.
pub(crate) fn document(put: DocumentPut, raw: &mut impl FnMut(&Attributes) -> RawAttributes) -> DocumentDraft {
    let metadata = put.document.metadata;
    DocumentDraft {
        id: put.document.id.to_string(),
        title: metadata.title.into(),
        author: metadata.author.map(Into::into),
        created_at: Some(metadata.created_at),
        document_type: metadata.document_type.map(Into::into),
        source_url: metadata.source_url.map(Into::into),
        tags: metadata.tags.into_iter().map(Into::into).collect(),
        attributes: raw(&put.document.attributes),
        chunks: put.chunks.into_iter().map(|chunk| draft(chunk, raw)).collect(),
    }
}

/// A chunk as it could have been asked for.
pub(crate) fn draft(chunk: Chunk, raw: &mut impl FnMut(&Attributes) -> RawAttributes) -> ChunkDraft {
    ChunkDraft {
        id: chunk.id.to_string(),
        text: chunk.text.into(),
        embedding: chunk.embedding,
        stored: true,
        created_at: Some(chunk.metadata.created_at),
        page_number: chunk.metadata.page_number,
        chunk_index: Some(chunk.metadata.chunk_index),
        attributes: raw(&chunk.attributes),
    }
}
