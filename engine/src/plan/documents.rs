//! Plans for documents.

use std::collections::BTreeSet;

use super::{Plan, check_chars, chunks::ChunkReader, document_not_found, fields::FieldReader};
use crate::{
    command::{DocumentDraft, DocumentPatch, OnConflict},
    error::{Code, Error, Result},
    library::Library,
    model::{
        Document, DocumentMetadata, EmbeddingModel, Id, Timestamp,
        limits::{MAX_DOCUMENTS_PER_BATCH, MAX_METADATA_CHARS, MAX_TAGS},
    },
    record::{DocumentPut, Record},
};

pub(super) fn put(
    library: &Library,
    drafts: Vec<DocumentDraft>,
    on_conflict: OnConflict,
    embedded_by: Option<EmbeddingModel>,
    now: Timestamp,
) -> Result<Plan> {
    if drafts.len() > MAX_DOCUMENTS_PER_BATCH {
        return Err(Error::limit("documents in one request", MAX_DOCUMENTS_PER_BATCH, drafts.len()).field("documents"));
    }
    let mut reader = ChunkReader::new(library, embedded_by)?;
    let mut fields = FieldReader::new(library);
    let mut seen = BTreeSet::new();
    let mut documents = Vec::with_capacity(drafts.len());
    let mut skipped = 0;
    let replaced = replaced_documents(library, &drafts, on_conflict);
    for (number, draft) in drafts.into_iter().enumerate() {
        let place = |error: Error| error.within(format_args!("documents[{number}]"));
        let id = Id::new(&draft.id).map_err(place)?;
        if !seen.insert(id.clone()) {
            let detail = format!("the request names the document '{id}' twice");
            return Err(place(Error::new(Code::DocumentExists, detail).field("id")));
        }
        match (library.document(id.as_str()), on_conflict) {
            (Some(_), OnConflict::Refuse) => {
                let detail = format!("there is a document '{id}' in this library already");
                return Err(place(Error::new(Code::DocumentExists, detail).field("id")));
            }
            (Some(_), OnConflict::Skip) => skipped += 1,
            _ => documents.push(read(library, &mut reader, &mut fields, id, draft, now, &replaced).map_err(place)?),
        }
    }
    let plan = Plan::of_many(documents.len(), || Record::DocumentsPut {
        library: library.info.id.clone(),
        contract: reader.into_contract(),
        fields: fields.into_added(),
        documents,
    });
    Ok(Plan { skipped, ..plan })
}

/// Places of the documents that the batch replaces: the ids of their chunks are free for the batch.
fn replaced_documents(library: &Library, drafts: &[DocumentDraft], on_conflict: OnConflict) -> BTreeSet<u32> {
    match on_conflict {
        OnConflict::Replace => drafts.iter().filter_map(|draft| library.document_ids.get(draft.id.as_str()).copied()).collect(),
        OnConflict::Refuse | OnConflict::Skip => BTreeSet::new(),
    }
}

fn read(
    library: &Library,
    reader: &mut ChunkReader<'_>,
    fields: &mut FieldReader<'_>,
    id: Id,
    draft: DocumentDraft,
    now: Timestamp,
    replaced: &BTreeSet<u32>,
) -> Result<DocumentPut> {
    let metadata = DocumentMetadata {
        title: check_title(&draft.title)?,
        author: check_optional("metadata.author", draft.author.as_deref())?,
        created_at: draft.created_at.unwrap_or(now),
        document_type: check_optional("metadata.document_type", draft.document_type.as_deref())?,
        source_url: check_optional("metadata.source_url", draft.source_url.as_deref())?,
        tags: check_tags(draft.tags)?,
    };
    let attributes = fields.read(&Vec::new(), draft.attributes)?;
    // An existing chunk may be named anew when its document is among those that this batch replaces.
    let free = |chunk: &str| {
        library.slot(chunk).and_then(|slot| library.chunk_at(slot)).is_some_and(|entry| replaced.contains(&entry.document))
    };
    let chunks = reader.read(fields, draft.chunks, 0, now, &free)?;
    Ok(DocumentPut { document: Document { id, metadata, attributes }, chunks })
}

pub(super) fn update(library: &Library, id: &str, patch: DocumentPatch) -> Result<Record> {
    let document = library.document(id).ok_or_else(|| document_not_found(id))?.document.clone();
    let mut metadata = document.metadata;
    if let Some(title) = patch.title {
        metadata.title = check_title(&title)?;
    }
    for (field, value, place) in [
        ("metadata.author", patch.author, &mut metadata.author),
        ("metadata.document_type", patch.document_type, &mut metadata.document_type),
        ("metadata.source_url", patch.source_url, &mut metadata.source_url),
    ] {
        if let Some(value) = value {
            *place = check_optional(field, Some(&value))?;
        }
    }
    metadata.created_at = patch.created_at.unwrap_or(metadata.created_at);
    if let Some(tags) = patch.tags {
        metadata.tags = check_tags(tags)?;
    }
    let mut fields = FieldReader::new(library);
    let attributes = fields.read(&document.attributes, patch.attributes)?;
    Ok(Record::DocumentUpdated {
        library: library.info.id.clone(),
        fields: fields.into_added(),
        document: document.id,
        metadata,
        attributes,
    })
}

fn check_title(title: &str) -> Result<Box<str>> {
    if title.trim().is_empty() {
        return Err(Error::new(Code::EmptyText, "a document needs a title").field("metadata.title"));
    }
    check_chars("metadata.title", title, MAX_METADATA_CHARS)?;
    Ok(title.into())
}

/// An empty string is as good as none.
fn check_optional(field: &str, value: Option<&str>) -> Result<Option<Box<str>>> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    check_chars(field, value, MAX_METADATA_CHARS)?;
    Ok(Some(value.into()))
}

fn check_tags(tags: Vec<String>) -> Result<Vec<Box<str>>> {
    if tags.len() > MAX_TAGS {
        return Err(Error::limit("tags of a document", MAX_TAGS, tags.len()).field("metadata.tags"));
    }
    for (number, tag) in tags.iter().enumerate() {
        check_chars(&format!("metadata.tags[{number}]"), tag, MAX_METADATA_CHARS)?;
    }
    Ok(tags.into_iter().map(Into::into).collect())
}
