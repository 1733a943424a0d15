//! Libraries from snapshots.
//!
//! What a snapshot holds is written to the log like everything else: in batches, into a library of its own that nobody asks for
//! yet. When it is whole, one record puts it where it belongs. So nobody sees half of it, and a crash leaves the old library as it
//! was, with the unfinished one beside it.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use vecino_engine::{
    Code, Error, Result,
    blob::Blob,
    command::{ChunkDraft, Command, DocumentDraft, IndexDraft, LibraryDraft, OnConflict},
    draft,
    library::Library,
    model::limits::MAX_CHUNKS_PER_BATCH,
    snapshot,
};

use super::{
    Service,
    jobs::{Running, Stop},
};
use crate::store::Durability;

/// Documents, and about how many bytes, that are written at once.
const BATCH_DOCUMENTS: usize = 500;
const BATCH_BYTES: usize = 4 << 20;

/// Where a snapshot goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A new library of this name.
    New(String),
    /// The library that it was taken of: in its place if it is there.
    Own,
}

impl Service {
    /// Refuses a restoration that cannot end well.
    ///
    /// # Errors
    /// [`Code::LibraryExists`] when another library has the name, or what is wrong with the name.
    pub fn check_target(&self, view: &super::snapshots::SnapshotView, target: &Target) -> Result<()> {
        self.store.read(|state| {
            let (id, name) = match target {
                Target::New(name) => (self.new_id(), name.clone()),
                Target::Own if state.find(&view.library).is_some_and(|known| known.id().as_str() == view.library) => {
                    return Ok(());
                }
                Target::Own => (view.library.clone(), view.name.clone()),
            };
            // Only asked, never done.
            state.plan(Command::CreateLibrary(LibraryDraft { id, name, ..LibraryDraft::default() })).map(drop)
        })
    }

    /// Makes a library from the file of a snapshot.
    ///
    /// # Errors
    /// [`Stop::Cancelled`], or why it cannot go on. There is no new library then, and an old one is as it was.
    pub async fn restore(self: Arc<Self>, job: Arc<Running>, file: Blob, target: Target) -> Result<Json, Stop> {
        let opened = tokio::task::spawn_blocking(move || snapshot::open("the snapshot", &file)).await;
        let snapshot = opened.map_err(|error| Error::new(Code::Storage, error.to_string()))??.library;
        let working = self.new_id();
        self.write_synced(Command::CreateLibrary(draft_of(&snapshot, &working, self.now()))).await?;
        let done = self.fill(&job, &snapshot, &working).await;
        let placed = match done {
            Ok(()) => self.place_restored(&snapshot, &working, target).await.map_err(Stop::from),
            Err(stop) => Err(stop),
        };
        let removed = self.write_synced(Command::DeleteLibrary { library: working }).await;
        let library = placed?;
        let seq = removed?;
        Ok(json!({"library": library, "documents": snapshot.document_count(), "chunks": snapshot.chunk_count(), "seq": seq}))
    }

    async fn write_synced(&self, command: Command) -> Result<u64> {
        self.store.write(command, Durability::Synced, |_, written| written.seq).await
    }

    /// Writes all documents into the working library.
    async fn fill(&self, job: &Running, snapshot: &Library, working: &str) -> Result<(), Stop> {
        let total = Some(snapshot.document_count() as u64);
        let mut batch = Batch::default();
        let mut done = 0;
        for entry in snapshot.documents_after(None) {
            let mut document = draft::of(snapshot, entry);
            let mut rest =
                if document.chunks.len() > BATCH_DOCUMENTS { document.chunks.split_off(BATCH_DOCUMENTS) } else { Vec::new() };
            if batch.is_full(&document) {
                self.put_batch(working, &mut batch).await?;
                job.progress(done, total)?;
            }
            let id = document.id.clone();
            batch.add(document);
            done += 1;
            while !rest.is_empty() {
                self.put_batch(working, &mut batch).await?;
                job.progress(done, total)?;
                let later = rest.split_off(rest.len().min(BATCH_DOCUMENTS));
                let chunks = std::mem::replace(&mut rest, later);
                let (library, document) = (working.to_owned(), id.clone());
                let command = Command::AddChunks { library, document, chunks, embedded_by: None, now: self.now() };
                self.store.write(command, Durability::Logged, |_, _| ()).await?;
            }
        }
        self.put_batch(working, &mut batch).await?;
        job.progress(done, total)
    }

    async fn put_batch(&self, working: &str, batch: &mut Batch) -> Result<()> {
        let documents = std::mem::take(batch).documents;
        if documents.is_empty() {
            return Ok(());
        }
        let (library, on_conflict, now) = (working.to_owned(), OnConflict::Refuse, self.now());
        let command = Command::PutDocuments { library, documents, on_conflict, embedded_by: None, now };
        // The record that puts the library in its place is synced, and with it all before.
        self.store.write(command, Durability::Logged, |_, _| ()).await
    }

    /// Puts the working library where it belongs; the id of the library that it is now.
    async fn place_restored(&self, snapshot: &Library, working: &str, target: Target) -> Result<String> {
        let own = snapshot.info().id.to_string();
        let there = self.library_id(&own)?.is_some_and(|id| id == own);
        let source = working.to_owned();
        let (id, command) = match target {
            Target::Own if there => (own.clone(), Command::ReplaceLibrary { library: own, source }),
            Target::Own => {
                let name = snapshot.info().name.to_string();
                (own.clone(), Command::CopyLibrary { library: source, id: own, name, now: snapshot.info().created_at })
            }
            Target::New(name) => {
                let id = self.new_id();
                (id.clone(), Command::CopyLibrary { library: source, id, name, now: self.now() })
            }
        };
        self.write_synced(command).await?;
        Ok(id)
    }
}

/// Documents that are written at once.
#[derive(Default)]
struct Batch {
    documents: Vec<DocumentDraft>,
    chunks: usize,
    bytes: usize,
}

impl Batch {
    /// Whether another document would be too much.
    fn is_full(&self, next: &DocumentDraft) -> bool {
        self.documents.len() >= BATCH_DOCUMENTS
            || self.bytes >= BATCH_BYTES
            || self.chunks + next.chunks.len() > MAX_CHUNKS_PER_BATCH
    }

    fn add(&mut self, document: DocumentDraft) {
        let bytes = |chunk: &ChunkDraft| chunk.text.len() + 4 * chunk.embedding.len();
        self.bytes += document.chunks.iter().map(bytes).sum::<usize>();
        self.chunks += document.chunks.len();
        self.documents.push(document);
    }
}

/// The library into which a snapshot is written.
fn draft_of(snapshot: &Library, id: &str, now: vecino_engine::model::Timestamp) -> LibraryDraft {
    let info = snapshot.info();
    let settings = info.index;
    LibraryDraft {
        id: id.to_owned(),
        name: format!("restoring-{id}"),
        description: info.description.as_deref().map(str::to_owned),
        metric: info.contract.metric,
        index: IndexDraft {
            index_type: Some(settings.index_type),
            params: Some(settings.params),
            target_recall: Some(settings.target_recall),
        },
        dimension: info.contract.dimension.map(|dimension| dimension as usize),
        embedding_model: info.contract.embedding_model.clone(),
        fields: snapshot.fields().named().map(|(_, field)| (field.name.to_string(), field.kind)).collect(),
        strict_schema: info.strict_schema,
        now,
    }
}
