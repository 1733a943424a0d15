//! Plans for deletions: by ids, which must all exist, and by a filter.

use super::{Plan, chunk_not_found, document_not_found};
use crate::{
    command::Kind,
    error::{Error, Result},
    filter::Filter,
    library::Library,
    model::{
        Id,
        limits::{MAX_DELETED_AT_ONCE, MAX_IDS_PER_REQUEST},
    },
    record::Record,
};

pub(super) fn documents(library: &Library, ids: Vec<String>) -> Result<Plan> {
    let find = |id: &str| library.document(id).map(|entry| &entry.document.id);
    all_known(ids, "documents", find, document_not_found).map(|ids| deleted(library, Kind::Documents, ids))
}

pub(super) fn chunks(library: &Library, ids: Vec<String>) -> Result<Plan> {
    let find = |id: &str| library.chunk_at(library.slot(id)?).map(|entry| &entry.id);
    all_known(ids, "chunks", find, chunk_not_found).map(|ids| deleted(library, Kind::Chunks, ids))
}

pub(super) fn matching(library: &Library, kind: Kind, filter: &Filter) -> Result<Plan> {
    let ids = match kind {
        Kind::Documents => {
            let filter = filter.bind_to_documents(library.fields())?;
            let found = library.documents_after(None).filter(|entry| library.document_matches(entry, &filter));
            found.map(|entry| entry.document.id.clone()).take(MAX_DELETED_AT_ONCE).collect()
        }
        Kind::Chunks => {
            let slots = library.matching(&filter.bind(library.fields())?);
            let ids = slots.iter().filter_map(|slot| library.chunk_at(slot).map(|entry| entry.id.clone()));
            ids.take(MAX_DELETED_AT_ONCE).collect()
        }
    };
    Ok(deleted(library, kind, ids))
}

fn deleted(library: &Library, kind: Kind, ids: Vec<Id>) -> Plan {
    let library = library.info.id.clone();
    Plan::of_many(ids.len(), || match kind {
        Kind::Documents => Record::DocumentsDeleted { library, documents: ids },
        Kind::Chunks => Record::ChunksDeleted { library, chunks: ids },
    })
}

/// Ids that must all exist; one that is named twice counts once.
fn all_known<'a>(
    ids: Vec<String>,
    what: &str,
    find: impl Fn(&str) -> Option<&'a Id>,
    missing: fn(&str) -> Error,
) -> Result<Vec<Id>> {
    if ids.len() > MAX_IDS_PER_REQUEST {
        return Err(Error::limit(&format!("{what} named in one request"), MAX_IDS_PER_REQUEST, ids.len()).field("ids"));
    }
    let mut known: Vec<Id> = ids.into_iter().map(|id| find(&id).cloned().ok_or_else(|| missing(&id))).collect::<Result<_>>()?;
    known.sort_unstable();
    known.dedup();
    Ok(known)
}
