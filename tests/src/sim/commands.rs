//! Random commands, most of them sound and some not.

use serde_json::json;
use vecino_engine::{
    command::{ChunkDraft, ChunkPatch, Command, DocumentDraft, DocumentPatch, IndexDraft, LibraryDraft, OnConflict},
    distance::Metric,
    model::{FieldType, IndexType, RawAttributes, Timestamp},
};

use crate::{chunk, document, oracle::Oracle, rng::Rng};

const DIMENSION: usize = 3;
const LIBRARIES: usize = 3;
const DOCUMENTS: usize = 6;

/// Makes commands that fit what a model holds, more often than not.
#[derive(Debug)]
pub(super) struct Commands {
    pub(super) rng: Rng,
    made: u64,
}

impl Commands {
    pub(super) fn new(rng: Rng) -> Self {
        Self { rng, made: 0 }
    }

    /// The next command.
    pub(super) fn next(&mut self, oracle: &Oracle) -> Command {
        self.made += 1;
        let library = format!("library-{}", self.rng.below(LIBRARIES));
        if !oracle.libraries.contains_key(&library) && !self.rng.once_in(8) {
            return self.create(library);
        }
        match self.rng.below(40) {
            0 if self.rng.once_in(2) || oracle.libraries.get(&library).is_none_or(|known| known.dimension.is_none()) => {
                self.create(library)
            }
            0 => {
                let index = IndexDraft { index_type: Some(*self.rng.pick(&IndexType::ALL)), ..IndexDraft::default() };
                Command::ChooseIndex { library, index, rebuild: self.rng.once_in(3) }
            }
            39 => Command::CutIndex { library },
            1 => Command::DeleteLibrary { library },
            2 | 3 => Command::UpdateLibrary {
                library,
                name: self.rng.once_in(2).then(|| format!("Name {}", self.rng.below(2 * LIBRARIES))),
                description: self.rng.once_in(2).then(|| self.some_of(&["", "words", "other words"])),
                index: IndexDraft {
                    index_type: self.rng.once_in(4).then(|| *self.rng.pick(&IndexType::ALL)),
                    ..IndexDraft::default()
                },
            },
            4..=17 => self.put(library),
            18..=21 => Command::UpdateDocument { library, document: self.document(), patch: self.document_patch() },
            22..=24 => {
                let documents = (0..self.rng.below(3)).map(|_| self.document()).collect();
                Command::DeleteDocuments { library, documents }
            }
            25..=29 => {
                let chunks = self.chunks(4);
                Command::AddChunks { library, document: self.document(), chunks, embedded_by: None, now: self.now() }
            }
            30..=34 => {
                let chunk = self.known_chunk(oracle, &library);
                let (text, embedding) = match self.rng.below(6) {
                    0 => (Some("a text without a vector".to_owned()), None),
                    1 | 2 => (Some(format!("text {}", self.made)), Some(self.vector())),
                    _ => (None, Some(self.vector())),
                };
                let patch = ChunkPatch { text, embedding, attributes: self.attributes(), ..ChunkPatch::default() };
                Command::UpdateChunk { library, chunk, patch, embedded_by: None }
            }
            _ => {
                let chunks = (0..1 + self.rng.below(2)).map(|_| self.known_chunk(oracle, &library)).collect();
                Command::DeleteChunks { library, chunks }
            }
        }
    }

    fn create(&mut self, id: String) -> Command {
        let fields = [("number".to_owned(), FieldType::Integer), ("colour".to_owned(), FieldType::Keyword)];
        let strict = self.rng.once_in(4);
        Command::CreateLibrary(LibraryDraft {
            name: format!("Name {}", self.rng.below(2 * LIBRARIES)),
            id,
            description: self.rng.once_in(2).then(|| "words".to_owned()),
            metric: *self.rng.pick(&Metric::ALL),
            dimension: self.rng.once_in(2).then_some(DIMENSION),
            fields: if strict { fields.to_vec() } else { Vec::new() },
            strict_schema: strict,
            now: self.now(),
            ..LibraryDraft::default()
        })
    }

    fn put(&mut self, library: String) -> Command {
        let documents = (0..1 + self.rng.below(3)).map(|_| self.new_document()).collect();
        let on_conflict = *self.rng.pick(&[OnConflict::Replace, OnConflict::Replace, OnConflict::Skip, OnConflict::Refuse]);
        Command::PutDocuments { library, documents, on_conflict, embedded_by: None, now: self.now() }
    }

    fn new_document(&mut self) -> DocumentDraft {
        let (id, chunks) = (self.document(), self.chunks(5));
        DocumentDraft { attributes: self.attributes(), tags: vec![self.some_of(&["a", "b"])], ..document(&id, chunks) }
    }

    fn chunks(&mut self, below: usize) -> Vec<ChunkDraft> {
        (0..self.rng.below(below))
            .map(|number| {
                // Ids come again, so that some are taken; large texts reach over sectors and pages.
                let id = if self.rng.once_in(30) { "chunk".to_owned() } else { format!("chunk-{}-{number}", self.made) };
                let length = if self.rng.once_in(20) { self.rng.below(9_000) } else { self.rng.below(60) };
                let text = format!("text {}", "\0x".repeat(length / 2));
                let vector = self.vector();
                ChunkDraft { attributes: self.attributes(), ..chunk(&id, &text, &vector) }
            })
            .collect()
    }

    fn document_patch(&mut self) -> DocumentPatch {
        DocumentPatch {
            title: self.rng.once_in(2).then(|| format!("Title {}", self.made)),
            tags: self.rng.once_in(2).then(|| vec!["c".to_owned()]),
            attributes: self.attributes(),
            ..DocumentPatch::default()
        }
    }

    fn attributes(&mut self) -> RawAttributes {
        let mut all = RawAttributes::new();
        if self.rng.once_in(2) {
            all.insert("number".into(), json!(self.rng.below(8)));
        }
        match self.rng.below(30) {
            0 => drop(all.insert("undeclared".into(), json!(true))),
            1 => drop(all.insert("number".into(), json!(null))),
            2..=9 => drop(all.insert("colour".into(), json!(self.some_of(&["red", "green"])))),
            _ => {}
        }
        all
    }

    /// Few distinct values, so that there are ties; never zero; sometimes too long.
    fn vector(&mut self) -> Vec<f32> {
        let length = if self.rng.once_in(60) { DIMENSION + 1 } else { DIMENSION };
        (0..length).map(|at| if at == 0 { 1.0 + self.rng.below(3) as f32 } else { self.rng.below(5) as f32 - 2.0 }).collect()
    }

    fn document(&mut self) -> String {
        format!("document-{}", self.rng.below(DOCUMENTS))
    }

    fn known_chunk(&mut self, oracle: &Oracle, library: &str) -> String {
        let known: Vec<&str> =
            oracle.libraries.get(library).map(|library| library.chunks().map(|chunk| &*chunk.id).collect()).unwrap_or_default();
        if known.is_empty() || self.rng.once_in(12) { "unknown".to_owned() } else { (*self.rng.pick(&known)).to_owned() }
    }

    fn some_of(&mut self, words: &[&str]) -> String {
        (*self.rng.pick(words)).to_owned()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + self.made as i64)
    }
}
