//! Texts of documents into vectors, before the store is asked.

use vecino_engine::{
    Code, Error, Result,
    command::{ChunkDraft, Command, OnConflict},
    model::{EmbeddingModel, limits::MAX_CHUNK_CHARS},
};

use super::Service;
use crate::host::in_place;

/// Texts that wait for their vectors, and where each belongs.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    texts: Vec<String>,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    /// Of the document within the request.
    document: usize,
    /// Of the chunk within the document.
    chunk: usize,
    /// What the user knows it as.
    field: String,
}

impl Waiting {
    /// Adds the text of a chunk, with its document's [title](Service::title): with it, it is found better. One that is empty or
    /// too long is left out: the plan refuses it.
    pub(super) fn add(&mut self, document: usize, chunk: usize, field: String, title: Option<&str>, text: &str) {
        if text.trim().is_empty() || (text.len() > MAX_CHUNK_CHARS && text.chars().count() > MAX_CHUNK_CHARS) {
            return;
        }
        self.texts.push(title.map_or_else(|| text.to_owned(), |title| format!("{title}. {text}")));
        self.places.push(Place { document, chunk, field });
    }

    /// Embeds all of them and gives each vector to its place.
    pub(super) fn embed(self, service: &Service, give: &mut dyn FnMut(usize, usize, Vec<f32>)) -> Result<()> {
        let vectors = service.embedder.embed(&self.texts)?;
        for ((text, place), vector) in self.texts.iter().zip(self.places).zip(vectors) {
            let vector = vector.ok_or_else(|| no_known_word(service.embedder.model(), text).field(place.field))?;
            give(place.document, place.chunk, vector);
        }
        Ok(())
    }
}

impl Service {
    /// Refuses early what the plan would refuse anyhow: text for a library that is missing or has vectors of another kind.
    pub(super) fn check_embeddable(&self, library: &str) -> Result<EmbeddingModel> {
        let model = self.embedder.model().clone();
        let command = Command::PutDocuments {
            library: library.to_owned(),
            documents: Vec::new(),
            on_conflict: OnConflict::Refuse,
            embedded_by: Some(model.clone()),
            now: self.now(),
        };
        self.store.read(|state| state.plan(command))?;
        Ok(model)
    }

    /// A title that may stand before the texts of its document: one that says something to the model.
    pub(super) fn title<'a>(&self, title: &'a str) -> Option<&'a str> {
        self.embedder.knows(title).then_some(title)
    }

    /// Embeds the chunks that want it, of one document with this title. The model, if any did.
    pub(super) fn embed_chunks(
        &self,
        library: &str,
        title: &str,
        chunks: Vec<super::chunks::NewChunk>,
    ) -> Result<(Vec<ChunkDraft>, Option<EmbeddingModel>)> {
        if !chunks.iter().any(|chunk| chunk.embed) {
            return Ok((chunks.into_iter().map(|chunk| chunk.draft).collect(), None));
        }
        let model = self.check_embeddable(library)?;
        let mut waiting = Waiting::default();
        let title = self.title(title);
        for (number, chunk) in chunks.iter().enumerate().filter(|(_, chunk)| chunk.embed) {
            waiting.add(0, number, format!("chunks[{number}].text"), title, &chunk.draft.text);
        }
        let mut drafts: Vec<ChunkDraft> = chunks.into_iter().map(|chunk| chunk.draft).collect();
        let mut give = |_, chunk: usize, vector| {
            if let Some(draft) = drafts.get_mut(chunk) {
                draft.embedding = vector;
            }
        };
        in_place(|| waiting.embed(self, &mut give))?;
        Ok((drafts, Some(model)))
    }
}

/// The error for a text without a word that the model knows. The field is the caller's business.
pub(super) fn no_known_word(model: &EmbeddingModel, text: &str) -> Error {
    let shown: String = text.chars().take(40).collect();
    let detail = format!(
        "the embedding model '{}' knows none of the words of the text that begins with '{shown}', so it has no vector; give an embedding",
        model.name
    );
    Error::new(Code::InvalidValue, detail).field("text").unfit()
}
