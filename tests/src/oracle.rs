//! A naive model of the database: maps, and a loop over everything for a query.

use std::collections::BTreeMap;

use vecino_engine::{
    command::{ChunkDraft, Command, DocumentDraft},
    distance::{Metric, normalise},
};

/// Libraries as a user thinks of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Oracle {
    /// By id.
    pub libraries: BTreeMap<String, OracleLibrary>,
}

/// A library of the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OracleLibrary {
    /// Its metric.
    pub metric: Metric,
    /// Documents with their chunks, by id.
    pub documents: BTreeMap<String, DocumentDraft>,
}

impl Oracle {
    /// Does what a command that was accepted means.
    pub fn apply(&mut self, command: &Command) {
        match command.clone() {
            Command::CreateLibrary(draft) => {
                let library = OracleLibrary { metric: draft.metric, documents: BTreeMap::new() };
                self.libraries.insert(draft.id, library);
            }
            Command::DeleteLibrary { library } => drop(self.libraries.remove(&library)),
            Command::PutDocuments { library, documents, .. } => {
                for document in documents {
                    self.documents(&library).insert(document.id.clone(), document);
                }
            }
            Command::DeleteDocuments { library, documents } => {
                for id in documents {
                    self.documents(&library).remove(&id);
                }
            }
            Command::AddChunks { library, document, chunks, .. } => {
                self.documents(&library).get_mut(&document).unwrap().chunks.extend(chunks);
            }
            Command::DeleteChunks { library, chunks } => {
                for document in self.documents(&library).values_mut() {
                    document.chunks.retain(|chunk| !chunks.contains(&chunk.id));
                }
            }
            Command::UpdateChunk { library, chunk, patch, .. } => {
                let mut all = self.documents(&library).values_mut().flat_map(|document| &mut document.chunks);
                let found = all.find(|known| known.id == chunk).unwrap();
                found.text = patch.text.unwrap_or_else(|| found.text.clone());
                found.embedding = patch.embedding.unwrap_or_else(|| found.embedding.clone());
            }
            other => panic!("the model does not know {other:?}"),
        }
    }

    fn documents(&mut self, library: &str) -> &mut BTreeMap<String, DocumentDraft> {
        &mut self.libraries.get_mut(library).unwrap().documents
    }
}

impl OracleLibrary {
    /// All chunks.
    pub fn chunks(&self) -> impl Iterator<Item = &ChunkDraft> {
        self.documents.values().flat_map(|document| &document.chunks)
    }

    /// Distances of all chunks that `keep` lets through, nearest first, with ids.
    pub fn nearest(&self, query: &[f32], keep: impl Fn(&DocumentDraft, &ChunkDraft) -> bool) -> Vec<(f32, String)> {
        let stored = |vector: &[f32]| {
            let mut vector = vector.to_vec();
            if self.metric == Metric::Cosine {
                normalise(&mut vector).unwrap();
            }
            vector
        };
        let query = stored(query);
        let mut all: Vec<(f32, String)> = Vec::new();
        for document in self.documents.values() {
            for chunk in document.chunks.iter().filter(|chunk| keep(document, chunk)) {
                all.push((self.metric.key(&query, &stored(&chunk.embedding)), chunk.id.clone()));
            }
        }
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        all
    }
}
