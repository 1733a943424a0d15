//! Several items at once: by their ids, or those that a filter lets through.

use serde::Serialize;
use utoipa::ToSchema;
use vecino_engine::{
    Error, Result,
    command::{Command, Kind},
    filter::Filter,
    library::Library,
    model::limits::{MAX_DELETED_AT_ONCE, MAX_IDS_PER_REQUEST},
    scroll::{Part, Scroll},
    view::{ChunkView, DocumentView},
};

use super::{Service, WriteOptions};

/// Which items are meant.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Those of these ids.
    Ids(Vec<String>),
    /// Those that a filter lets through.
    Filter(Filter),
}

/// Items of some ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Gotten<T> {
    /// Those that are there, in the order in which they were asked for.
    pub items: Vec<T>,
    /// Ids of those that are not.
    pub missing: Vec<String>,
}

/// What deleting several items answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ManyDeleted {
    /// How many were deleted.
    pub deleted: usize,
    /// Sequence of the write, or of the last one when nothing was there to be deleted.
    pub seq: u64,
}

/// How many items there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counted {
    /// How many.
    pub count: usize,
    /// Sequence of the last write that changed the library; of all libraries, where these are counted.
    pub seq: u64,
}

impl Service {
    /// Documents by their ids.
    ///
    /// # Errors
    /// [`vecino_engine::Code::LibraryNotFound`], too many ids.
    pub fn get_documents(&self, library: &str, ids: Vec<String>) -> Result<Gotten<DocumentView>> {
        self.get(library, ids, |library, id| library.document(id).map(|entry| library.document_view(entry)))
    }

    /// Chunks by their ids.
    ///
    /// # Errors
    /// As [`Service::get_documents`].
    pub fn get_chunks(&self, library: &str, ids: Vec<String>, with_embedding: bool) -> Result<Gotten<ChunkView>> {
        self.get(library, ids, |library, id| library.chunk_view(library.slot(id)?, with_embedding))
    }

    fn get<T>(&self, library: &str, ids: Vec<String>, find: impl Fn(&Library, &str) -> Option<T>) -> Result<Gotten<T>> {
        if ids.len() > MAX_IDS_PER_REQUEST {
            return Err(Error::limit("ids in one request", MAX_IDS_PER_REQUEST, ids.len()).field("ids"));
        }
        self.with_library(library, |library| {
            let mut gotten = Gotten { items: Vec::with_capacity(ids.len()), missing: Vec::new() };
            for id in ids {
                match find(library, &id) {
                    Some(item) => gotten.items.push(item),
                    None => gotten.missing.push(id),
                }
            }
            Ok(gotten)
        })
    }

    /// Deletes several items: all or none by ids, which must all exist; by a filter, up to [`MAX_DELETED_AT_ONCE`] of them. The
    /// second part of the answer says whether there may be more.
    ///
    /// # Errors
    /// What is not there, or what is wrong with the filter.
    pub async fn delete_many(
        &self,
        library: &str,
        kind: Kind,
        selection: &Selection,
        options: WriteOptions,
    ) -> Result<(ManyDeleted, bool)> {
        let name = library.to_owned();
        let command = match (selection, kind) {
            (Selection::Ids(ids), Kind::Documents) => Command::DeleteDocuments { library: name, documents: ids.clone() },
            (Selection::Ids(ids), Kind::Chunks) => Command::DeleteChunks { library: name, chunks: ids.clone() },
            (Selection::Filter(filter), _) => Command::DeleteMatching { library: name, kind, filter: filter.clone() },
        };
        let by_filter = matches!(selection, Selection::Filter(_));
        self.write(options, library, command, move |_, written| {
            let done = ManyDeleted { deleted: written.affected, seq: written.seq };
            (done, by_filter && written.affected >= MAX_DELETED_AT_ONCE)
        })
        .await
    }

    /// How many items a filter lets through; without one, how many there are.
    ///
    /// # Errors
    /// [`vecino_engine::Code::LibraryNotFound`], or what is wrong with the filter.
    pub fn count(&self, library: &str, kind: Kind, filter: Option<&Filter>) -> Result<Counted> {
        self.with_library(library, |library| {
            let count = match (kind, filter) {
                (Kind::Documents, None) => library.document_count(),
                (Kind::Chunks, None) => library.chunk_count(),
                (Kind::Documents, Some(filter)) => {
                    let filter = filter.bind_to_documents(library.fields())?;
                    library.documents_after(None).filter(|entry| library.document_matches(entry, &filter)).count()
                }
                (Kind::Chunks, Some(filter)) => library.matching(&filter.bind(library.fields())?).len(),
            };
            Ok(Counted { count, seq: library.seq() })
        })
    }

    /// A part of the documents that a filter lets through, in an order.
    ///
    /// # Errors
    /// [`vecino_engine::Code::LibraryNotFound`], and those of [`Library::scroll_documents`].
    pub fn scroll_documents(&self, library: &str, scroll: &Scroll) -> Result<Part<DocumentView>> {
        self.with_library(library, |library| {
            let Part { items, next } = library.scroll_documents(scroll)?;
            Ok(Part { items: items.into_iter().map(|entry| library.document_view(entry)).collect(), next })
        })
    }

    /// A part of the chunks that a filter lets through, in an order.
    ///
    /// # Errors
    /// [`vecino_engine::Code::LibraryNotFound`], and those of [`Library::scroll_chunks`].
    pub fn scroll_chunks(&self, library: &str, scroll: &Scroll, with_embedding: bool) -> Result<Part<ChunkView>> {
        self.with_library(library, |library| {
            let Part { items, next } = library.scroll_chunks(scroll)?;
            Ok(Part { items: items.into_iter().filter_map(|slot| library.chunk_view(slot, with_embedding)).collect(), next })
        })
    }
}
