//! Random commands, most of them sound and some not.

use serde_json::json;
use vecino_engine::{
    command::{
        ChunkDraft, ChunkPatch, Command, DocumentDraft, DocumentPatch, IndexDraft, Kind, LibraryDraft, OnConflict, PlacedChunk,
        SchemaChange,
    },
    distance::Metric,
    filter::Filter,
    model::{FieldType, IndexType, RawAttributes, Timestamp},
};

use crate::{
    chunk, document,
    oracle::{Oracle, OracleLibrary},
    rng::Rng,
};

const DIMENSION: usize = 3;
const LIBRARIES: usize = 3;
const DOCUMENTS: usize = 6;
const FIELDS: [&str; 4] = ["number", "colour", "size", "shade"];

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
        let id = format!("library-{}", self.rng.below(LIBRARIES));
        let Some(known) = oracle.libraries.get(&id).filter(|_| !self.rng.once_in(100)) else {
            return match self.rng.below(8) {
                0 => self.within(id, &OracleLibrary::default()),
                1 => Command::DeleteLibrary { library: id },
                2 | 3 => self.copy(id),
                _ => self.create(id),
            };
        };
        let library = match self.rng.below(20) {
            0 => known.name.clone(),
            1 => self.alias(),
            _ => id,
        };
        match self.rng.below(50) {
            0 if known.dimension.is_none() || self.rng.once_in(4) => self.create(library),
            0 => Command::DeleteLibrary { library },
            1 | 2 => Command::UpdateLibrary {
                library,
                name: self.rng.once_in(2).then(|| self.name()),
                description: self.rng.once_in(2).then(|| self.some_of(&["", "words", "other words"])),
                index: IndexDraft {
                    index_type: self.rng.once_in(4).then(|| *self.rng.pick(&IndexType::ALL)),
                    ..IndexDraft::default()
                },
            },
            3 if self.rng.once_in(2) => self.copy(library),
            3 => Command::ReplaceLibrary { library, source: format!("library-{}", self.rng.below(LIBRARIES)) },
            4 | 5 => Command::SetAliases { aliases: (0..1 + self.rng.below(2)).map(|_| self.lead()).collect() },
            6..=8 => {
                let seq = known.seq + u64::from(self.rng.once_in(3));
                let command = Box::new(self.within(library.clone(), known));
                Command::IfUnchanged { library, seq, command }
            }
            _ => self.within(library, known),
        }
    }

    /// A command about what is in a library.
    fn within(&mut self, library: String, known: &OracleLibrary) -> Command {
        match self.rng.below(42) {
            0 => {
                let index = IndexDraft { index_type: Some(*self.rng.pick(&IndexType::ALL)), ..IndexDraft::default() };
                Command::ChooseIndex { library, index, rebuild: self.rng.once_in(3) }
            }
            1 => Command::CutIndex { library },
            2 | 3 => Command::ChangeSchema { library, change: self.schema_change() },
            4..=16 => self.put(library),
            17..=20 => Command::UpdateDocument { library, document: self.document(), patch: self.document_patch() },
            21..=23 => {
                let documents = (0..self.rng.below(3)).map(|_| self.document()).collect();
                Command::DeleteDocuments { library, documents }
            }
            24..=28 => {
                let chunks = self.chunks(4);
                Command::AddChunks { library, document: self.document(), chunks, embedded_by: None, now: self.now() }
            }
            29..=33 => {
                Command::UpdateChunk { library, chunk: self.known_chunk(known).1, patch: self.chunk_patch(), embedded_by: None }
            }
            34..=36 => self.place(library, known),
            37 => {
                let kind = *self.rng.pick(&[Kind::Documents, Kind::Chunks]);
                Command::DeleteMatching { library, kind, filter: self.filter() }
            }
            _ => {
                let chunks = (0..1 + self.rng.below(2)).map(|_| self.known_chunk(known).1).collect();
                Command::DeleteChunks { library, chunks }
            }
        }
    }

    fn create(&mut self, id: String) -> Command {
        let fields = [("number".to_owned(), FieldType::Integer), ("colour".to_owned(), FieldType::Keyword)];
        let strict = self.rng.once_in(4);
        Command::CreateLibrary(LibraryDraft {
            name: self.name(),
            id,
            description: self.rng.once_in(2).then(|| "words".to_owned()),
            metric: *self.rng.pick(&Metric::ALL),
            dimension: self.rng.once_in(2).then_some(DIMENSION),
            index: IndexDraft { index_type: Some(*self.rng.pick(&IndexType::ALL)), ..IndexDraft::default() },
            fields: if strict { fields.to_vec() } else { Vec::new() },
            strict_schema: strict,
            now: self.now(),
            ..LibraryDraft::default()
        })
    }

    /// A copy of any library.
    fn copy(&mut self, id: String) -> Command {
        let library = format!("library-{}", self.rng.below(LIBRARIES));
        Command::CopyLibrary { library, id, name: self.name(), now: self.now() }
    }

    fn put(&mut self, library: String) -> Command {
        let documents = (0..1 + self.rng.below(3)).map(|_| self.new_document()).collect();
        Command::PutDocuments { library, documents, on_conflict: self.on_conflict(), embedded_by: None, now: self.now() }
    }

    fn on_conflict(&mut self) -> OnConflict {
        *self.rng.pick(&[OnConflict::Replace, OnConflict::Replace, OnConflict::Skip, OnConflict::Refuse])
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

    /// Chunks for documents, known ones among them, mostly in the document where they are.
    fn place(&mut self, library: String, known: &OracleLibrary) -> Command {
        let mut chunks = Vec::new();
        for chunk in self.chunks(4) {
            let (document, id) = if self.rng.once_in(2) { (self.document(), chunk.id.clone()) } else { self.known_chunk(known) };
            let document = if self.rng.once_in(12) { self.document() } else { document };
            chunks.push(PlacedChunk { document, chunk: ChunkDraft { id, ..chunk } });
        }
        Command::PutChunks { library, chunks, on_conflict: self.on_conflict(), embedded_by: None, now: self.now() }
    }

    fn schema_change(&mut self) -> SchemaChange {
        let name = self.some_of(&FIELDS);
        match self.rng.below(3) {
            0 => SchemaChange::Add { name, kind: *self.rng.pick(&[FieldType::Integer, FieldType::Keyword]) },
            1 => SchemaChange::Rename { name, to: self.some_of(&FIELDS) },
            _ => SchemaChange::Drop { name },
        }
    }

    fn filter(&mut self) -> Filter {
        let json = match self.rng.below(6) {
            0 => json!({}),
            1 => json!({"tags": {"$contains": self.some_of(&["a", "c"])}}),
            2 | 3 => json!({"number": {"$lt": self.rng.below(4)}}),
            _ => json!({"colour": self.some_of(&["red", "green"])}),
        };
        Filter::from_json(&json).unwrap()
    }

    fn chunk_patch(&mut self) -> ChunkPatch {
        let (text, embedding) = match self.rng.below(6) {
            0 => (Some("a text without a vector".to_owned()), None),
            1 | 2 => (Some(format!("text {}", self.made)), Some(self.vector())),
            _ => (None, Some(self.vector())),
        };
        ChunkPatch { text, embedding, attributes: self.attributes(), ..ChunkPatch::default() }
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

    /// A chunk and its document.
    fn known_chunk(&mut self, known: &OracleLibrary) -> (String, String) {
        let pairs =
            known.documents.values().flat_map(|document| document.chunks.iter().map(move |chunk| (&document.id, &chunk.id)));
        let pairs: Vec<(&String, &String)> = pairs.collect();
        if pairs.is_empty() || self.rng.once_in(12) {
            return (self.document(), "unknown".to_owned());
        }
        let (document, chunk) = *self.rng.pick(&pairs);
        (document.clone(), chunk.clone())
    }

    fn name(&mut self) -> String {
        if self.rng.once_in(12) { self.alias() } else { format!("Name {}", self.rng.below(2 * LIBRARIES)) }
    }

    fn alias(&mut self) -> String {
        format!("alias-{}", self.rng.below(LIBRARIES))
    }

    /// An alias, and to what it leads.
    fn lead(&mut self) -> (String, Option<String>) {
        let alias = if self.rng.once_in(12) { self.name() } else { self.alias() };
        let library = match self.rng.below(6) {
            0 => None,
            1 => Some(self.name()),
            _ => Some(format!("library-{}", self.rng.below(LIBRARIES))),
        };
        (alias, library)
    }

    fn some_of(&mut self, words: &[&str]) -> String {
        (*self.rng.pick(words)).to_owned()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + self.made as i64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::oracle::Outcome;

    #[test]
    fn every_command_happens_and_is_refused() {
        let (mut commands, mut oracle) = (Commands::new(Rng::new(1)), Oracle::default());
        let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
        for seq in 1..20_000 {
            let command = commands.next(&oracle);
            let outcome = oracle.apply(&command, seq);
            let shown = format!("{command:?}");
            let name = shown.split([' ', '(']).next().unwrap_or_default().to_owned();
            let [done, refused] = counts.entry(name).or_default();
            *done += usize::from(matches!(outcome, Outcome::Done | Outcome::Unseen));
            *refused += usize::from(outcome == Outcome::Refused);
        }
        assert_eq!(counts.len(), 18, "{counts:?}");
        assert!(counts.values().all(|[done, refused]| *done > 20 && *refused > 0), "{counts:?}");
    }
}
