//! Documents.

use serde::Serialize;
use utoipa::ToSchema;
use vecino_engine::{
    Code, Error, Result,
    command::{ChunkDraft, Command, DocumentDraft, DocumentPatch, OnConflict},
    db::Written,
    library::Library,
    model::{
        EmbeddingModel,
        limits::{MAX_CHUNKS_PER_BATCH, MAX_DOCUMENT_CHARS},
    },
    plan::document_not_found,
    state::State,
    view::DocumentView,
};

use super::{
    Listed, Page, Service, WriteOptions,
    chunks::{NewChunk, where_given},
    embedding::Waiting,
    libraries::Deleted,
    split::split,
};
use crate::host::in_place;

/// A document to be written.
#[derive(Clone, Debug)]
pub struct NewDocument {
    /// The document; its chunks are in `content`.
    pub draft: DocumentDraft,
    /// What it says.
    pub content: Content,
}

/// What a document says.
#[derive(Clone, Debug)]
pub enum Content {
    /// A text that is split here.
    Text(String),
    /// Chunks that somebody has made.
    Chunks(Vec<NewChunk>),
}

/// What writing a document answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DocumentWritten {
    /// The document's id.
    pub id: String,
    /// Ids of its chunks, in order.
    pub chunks: Vec<String>,
    /// Sequence of the write, or of the last one when nothing was written.
    pub seq: u64,
    /// Whether it existed already and was kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub skipped: bool,
    /// Whether there was none of this id.
    #[serde(skip)]
    pub created: bool,
}

/// What writing a batch of documents answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BatchWritten {
    /// Documents written.
    pub written: usize,
    /// Documents left out because they exist already.
    pub skipped: usize,
    /// Chunks written.
    pub chunks: usize,
    /// Sequence of the write, or of the last one when nothing was written.
    pub seq: u64,
}

/// What changing a document answers.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DocumentUpdated {
    /// The document from now on.
    #[serde(flatten)]
    pub document: DocumentView,
    /// Sequence of the write.
    pub seq: u64,
}

/// A batch with its vectors, and where each of its documents stood in the request.
struct Prepared {
    drafts: Vec<DocumentDraft>,
    origins: Vec<Origin>,
    model: Option<EmbeddingModel>,
    /// Documents that exist already and are to be kept.
    skipped: usize,
}

struct Origin {
    number: usize,
    from_text: bool,
    /// Of each chunk, the names of attributes that the user gave among the metadata.
    from_metadata: Vec<Vec<String>>,
}

impl Origin {
    fn of(number: usize, document: &mut NewDocument) -> Self {
        match &mut document.content {
            Content::Text(_) => Self { number, from_text: true, from_metadata: Vec::new() },
            Content::Chunks(chunks) => {
                let names = |chunk: &mut NewChunk| std::mem::take(&mut chunk.from_metadata);
                Self { number, from_text: false, from_metadata: chunks.iter_mut().map(names).collect() }
            }
        }
    }
}

impl Service {
    /// Writes one document, or keeps the one that is there if `on_conflict` says so.
    ///
    /// # Errors
    /// What is wrong with it; [`Code::DocumentExists`] under [`OnConflict::Refuse`].
    pub async fn put_document(
        &self,
        library: &str,
        document: NewDocument,
        on_conflict: OnConflict,
        options: WriteOptions,
    ) -> Result<DocumentWritten> {
        let (name, id) = (library.to_owned(), document.draft.id.clone());
        let existed = self.with_library(library, |library| Ok(library.document(&id).is_some()))?;
        let seen = move |state: &State, written: Written, count: usize, _: usize| {
            let library = state.library(&name)?;
            let entry = library.document(&id).ok_or_else(|| document_not_found(&id))?;
            let view = library.document_view(entry);
            let skipped = count == 0;
            Ok(DocumentWritten { id: view.id, chunks: view.chunks, seq: written.seq, skipped, created: !existed })
        };
        self.put(library, vec![document], on_conflict, options, seen).await.map_err(alone)?
    }

    /// Writes documents: all or none.
    ///
    /// # Errors
    /// What is wrong with any of them, with its place in the request.
    pub async fn put_documents(
        &self,
        library: &str,
        documents: Vec<NewDocument>,
        on_conflict: OnConflict,
        options: WriteOptions,
    ) -> Result<BatchWritten> {
        let total = documents.len();
        let seen = move |_: &State, written: Written, count: usize, chunks: usize| BatchWritten {
            written: count,
            skipped: total - count,
            chunks,
            seq: written.seq,
        };
        self.put(library, documents, on_conflict, options, seen).await
    }

    /// `seen` gets the state, what was written, how many documents and how many chunks that were.
    async fn put<T: Send + 'static>(
        &self,
        library: &str,
        documents: Vec<NewDocument>,
        on_conflict: OnConflict,
        options: WriteOptions,
        seen: impl FnOnce(&State, Written, usize, usize) -> T + Send + 'static,
    ) -> Result<T> {
        let busy = documents.iter().any(|document| document.content.wants_vectors());
        let prepare = || self.prepare(library, documents, on_conflict);
        let prepared = if busy { in_place(prepare) } else { prepare() }?;
        let Prepared { drafts, origins, model, skipped } = prepared;
        tracing::debug!(documents = drafts.len(), skipped, "documents are prepared");
        // The first chunk of each tells whether it was written or, at the last moment, skipped.
        let first = |draft: &DocumentDraft| draft.chunks.first().map(|chunk| (chunk.id.clone(), draft.chunks.len()));
        let (total, sizes): (usize, Vec<_>) = (drafts.len(), drafts.iter().filter_map(first).collect());
        let name = library.to_owned();
        let command = Command::PutDocuments {
            library: library.to_owned(),
            documents: drafts,
            on_conflict,
            embedded_by: model,
            now: self.now(),
        };
        let seen = move |state: &State, written: Written| {
            let there = |id: &str| state.library(&name).is_ok_and(|library| library.slot(id).is_some());
            let chunks = sizes.iter().filter(|(id, _)| there(id)).map(|(_, chunks)| chunks).sum();
            seen(state, written, total - written.skipped, chunks)
        };
        self.write(options, library, command, seen).await.map_err(|error| at_origin(error, &origins))
    }

    /// Leaves out what exists and is to be kept, splits texts and embeds what wants it.
    fn prepare(&self, library: &str, documents: Vec<NewDocument>, on_conflict: OnConflict) -> Result<Prepared> {
        let total = documents.len();
        let documents: Vec<(usize, NewDocument)> = self.with_library(library, |library| {
            let kept = |draft: &DocumentDraft| on_conflict == OnConflict::Skip && library.document(&draft.id).is_some();
            Ok(documents.into_iter().enumerate().filter(|(_, document)| !kept(&document.draft)).collect())
        })?;
        let mut prepared = Prepared {
            skipped: total - documents.len(),
            drafts: Vec::with_capacity(documents.len()),
            origins: Vec::with_capacity(documents.len()),
            model: None,
        };
        if documents.iter().any(|(_, document)| document.content.wants_vectors()) {
            prepared.model = Some(self.check_embeddable(library)?);
        }
        let mut waiting = Waiting::default();
        let mut chunks = 0;
        for (number, mut document) in documents {
            prepared.origins.push(Origin::of(number, &mut document));
            let draft = self.draft(number, prepared.drafts.len(), document, &mut waiting);
            let draft = draft.map_err(|error| error.within(format_args!("documents[{number}]")))?;
            chunks += draft.chunks.len();
            if chunks > MAX_CHUNKS_PER_BATCH {
                return Err(Error::limit("chunks in one request", MAX_CHUNKS_PER_BATCH, chunks));
            }
            prepared.drafts.push(draft);
        }
        waiting.embed(self, &mut |document, chunk, vector| {
            if let Some(draft) = prepared.drafts.get_mut(document).and_then(|draft| draft.chunks.get_mut(chunk)) {
                draft.embedding = vector;
            }
        })?;
        Ok(prepared)
    }

    /// A document with its chunks, as yet without the vectors that are made here. `number` is its place in the request,
    /// `place` in what is made of it.
    fn draft(&self, number: usize, place: usize, document: NewDocument, waiting: &mut Waiting) -> Result<DocumentDraft> {
        let NewDocument { mut draft, content } = document;
        let title = draft.title.clone();
        let title = if content.wants_vectors() { self.title(&title) } else { None };
        match content {
            Content::Text(text) => {
                for (chunk, passage) in self.passages(&text)?.into_iter().enumerate() {
                    waiting.add(place, chunk, format!("documents[{number}].text"), title, &passage);
                    draft.chunks.push(ChunkDraft { id: self.new_id(), text: passage, ..ChunkDraft::default() });
                }
            }
            Content::Chunks(chunks) => {
                for (at, chunk) in chunks.into_iter().enumerate() {
                    if chunk.embed {
                        let field = format!("documents[{number}].chunks[{at}].text");
                        waiting.add(place, at, field, title, &chunk.draft.text);
                    }
                    draft.chunks.push(chunk.draft);
                }
            }
        }
        Ok(draft)
    }

    /// The passages of a text, of a size that can be embedded.
    fn passages(&self, text: &str) -> Result<Vec<String>> {
        if text.trim().is_empty() {
            return Err(Error::new(Code::EmptyText, "the text of a document is empty; give chunks: [] for none").field("text"));
        }
        let chars = if text.len() > MAX_DOCUMENT_CHARS { text.chars().count() } else { 0 };
        if chars > MAX_DOCUMENT_CHARS {
            return Err(Error::limit("characters of the text of a document", MAX_DOCUMENT_CHARS, chars).field("text"));
        }
        let passages = split(text, &self.split, &|text| self.embedder.count_tokens(text));
        let passages = passages.map_err(|error| Error::new(Code::InvalidValue, error.to_string()).field("text"))?;
        Ok(passages.into_iter().filter_map(|passage| text.get(passage.range).map(str::to_owned)).collect())
    }

    /// Documents in the order of their ids.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`].
    pub fn documents(&self, library: &str, page: &Page) -> Result<Listed<DocumentView>> {
        self.with_library(library, |library| {
            let documents = library.documents_after(page.after.as_deref());
            Ok(page.take(documents, |entry| entry.document.id.to_string(), |entry| Some(library.document_view(entry))))
        })
    }

    /// A document.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`], [`Code::DocumentNotFound`].
    pub fn document(&self, library: &str, id: &str) -> Result<DocumentView> {
        self.with_library(library, |library| document_view(library, id))
    }

    /// Changes metadata and attributes of a document. Its chunks stay as they are, with their vectors.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`], [`Code::DocumentNotFound`], or what is wrong with the values.
    pub async fn update_document(
        &self,
        library: &str,
        id: &str,
        patch: DocumentPatch,
        options: WriteOptions,
    ) -> Result<DocumentUpdated> {
        let (name, id) = (library.to_owned(), id.to_owned());
        let command = Command::UpdateDocument { library: name.clone(), document: id.clone(), patch };
        let seen = move |state: &State, written: Written| {
            Ok(DocumentUpdated { document: document_view(state.library(&name)?, &id)?, seq: written.seq })
        };
        self.write(options, library, command, seen).await?
    }

    /// Deletes a document with its chunks.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`], [`Code::DocumentNotFound`].
    pub async fn delete_document(&self, library: &str, id: &str, options: WriteOptions) -> Result<Deleted> {
        let command = Command::DeleteDocuments { library: library.to_owned(), documents: vec![id.to_owned()] };
        self.write(options, library, command, |_, written| Deleted { seq: written.seq }).await
    }
}

impl Content {
    fn wants_vectors(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Chunks(chunks) => chunks.iter().any(|chunk| chunk.embed),
        }
    }
}

fn document_view(library: &Library, id: &str) -> Result<DocumentView> {
    library.document(id).map(|entry| library.document_view(entry)).ok_or_else(|| document_not_found(id))
}

/// An error about a document of what was prepared, as one about the document of the request.
fn at_origin(mut error: Error, origins: &[Origin]) -> Error {
    let place = error.field.as_deref().and_then(|field| {
        let (number, rest) = field.strip_prefix("documents[")?.split_once(']')?;
        Some((origins.get(number.parse::<usize>().ok()?)?, rest.to_owned()))
    });
    if let Some((origin, rest)) = place {
        let rest = if origin.from_text && rest.starts_with(".chunks[") { ".text" } else { &rest };
        let document = format!("documents[{}]", origin.number);
        error.field = Some(format!("{document}{rest}"));
        for (at, names) in origin.from_metadata.iter().enumerate() {
            error = where_given(error, &format!("{document}.chunks[{at}]."), names);
        }
    }
    error
}

/// An error about the only document of a request.
fn alone(mut error: Error) -> Error {
    if let Some(rest) = error.field.as_deref().and_then(|field| field.strip_prefix("documents[0].")) {
        error.field = Some(rest.to_owned());
    }
    error
}
