//! A library of the model.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vecino_engine::{
    command::{ChunkDraft, Command, DocumentDraft, Kind, OnConflict, SchemaChange},
    distance::{Metric, normalise},
    filter::Filter,
    model::{FieldType, IndexType, RawAttributes},
};

use super::{Outcome, filter};

/// A library of the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OracleLibrary {
    /// Its name.
    pub name: String,
    /// What people say of it.
    pub description: Option<String>,
    /// Its metric.
    pub metric: Metric,
    /// The index that was asked for.
    pub index_type: IndexType,
    /// The length of its vectors, once it is fixed.
    pub dimension: Option<usize>,
    /// Whether only declared attributes are taken.
    pub strict: bool,
    /// The attribute fields.
    pub fields: BTreeMap<String, FieldType>,
    /// Documents with their chunks, by id.
    pub documents: BTreeMap<String, DocumentDraft>,
    /// The last write that was about it.
    pub seq: u64,
}

impl OracleLibrary {
    /// All chunks.
    pub fn chunks(&self) -> impl Iterator<Item = &ChunkDraft> {
        self.documents.values().flat_map(|document| &document.chunks)
    }

    /// A command that is about this library alone. `None` when it is refused.
    pub(super) fn apply(&mut self, command: Command) -> Option<Outcome> {
        match command {
            Command::CutIndex { .. } => Some(Outcome::Unseen),
            Command::ChooseIndex { index, rebuild, .. } => {
                let old = self.index_type;
                self.index_type = index.index_type.unwrap_or(old);
                Some(if rebuild || self.index_type != old { Outcome::Done } else { Outcome::Nothing })
            }
            Command::ChangeSchema { change, .. } => self.change_schema(change),
            Command::PutDocuments { documents, on_conflict, .. } => self.put(documents, on_conflict),
            Command::UpdateDocument { document, patch, .. } => {
                self.documents.contains_key(&document).then_some(())?;
                self.take_fields(&[&patch.attributes])?;
                let known = self.documents.get_mut(&document)?;
                known.title = patch.title.unwrap_or_else(|| known.title.clone());
                known.tags = patch.tags.unwrap_or_else(|| known.tags.clone());
                lay_over(&mut known.attributes, patch.attributes);
                Some(Outcome::Done)
            }
            Command::DeleteDocuments { documents, .. } => {
                documents.iter().all(|id| self.documents.contains_key(id)).then_some(())?;
                documents.iter().for_each(|id| drop(self.documents.remove(id)));
                Some(if documents.is_empty() { Outcome::Nothing } else { Outcome::Done })
            }
            Command::AddChunks { document, chunks, .. } => self.add(&document, chunks),
            Command::UpdateChunk { chunk, patch, .. } => {
                self.chunks().any(|known| known.id == chunk).then_some(())?;
                if let Some(vector) = &patch.embedding {
                    self.fits(self.dimension, vector)?;
                }
                (patch.text.is_none() || patch.embedding.is_some()).then_some(())?;
                self.take_fields(&[&patch.attributes])?;
                let mut all = self.documents.values_mut().flat_map(|document| &mut document.chunks);
                let found = all.find(|known| known.id == chunk)?;
                found.text = patch.text.unwrap_or_else(|| found.text.clone());
                found.embedding = patch.embedding.unwrap_or_else(|| found.embedding.clone());
                lay_over(&mut found.attributes, patch.attributes);
                Some(Outcome::Done)
            }
            Command::DeleteChunks { chunks, .. } => {
                chunks.iter().all(|id| self.chunks().any(|chunk| chunk.id == *id)).then_some(())?;
                Some(self.drop_chunks(|_, chunk| chunks.contains(&chunk.id)))
            }
            Command::PutChunks { chunks, on_conflict, .. } => {
                self.place(chunks.into_iter().map(|placed| (placed.document, placed.chunk)).collect(), on_conflict)
            }
            Command::DeleteMatching { kind, filter, .. } => self.delete_matching(kind, &filter),
            other => panic!("{other:?} is not about one library alone"),
        }
    }

    fn put(&mut self, mut drafts: Vec<DocumentDraft>, on_conflict: OnConflict) -> Option<Outcome> {
        let ids: BTreeSet<String> = drafts.iter().map(|draft| draft.id.clone()).collect();
        (ids.len() == drafts.len()).then_some(())?;
        let mut kept = self.documents.clone();
        match on_conflict {
            OnConflict::Refuse => ids.iter().all(|id| !kept.contains_key(id)).then_some(())?,
            OnConflict::Skip => drafts.retain(|draft| !kept.contains_key(&draft.id)),
            OnConflict::Replace => ids.iter().for_each(|id| drop(kept.remove(id))),
        }
        if drafts.is_empty() {
            return Some(Outcome::Nothing);
        }
        let chunks: Vec<&ChunkDraft> = drafts.iter().flat_map(|draft| &draft.chunks).collect();
        let dimension = self.check_chunks(&kept, &chunks)?;
        let attributes: Vec<&RawAttributes> = drafts
            .iter()
            .flat_map(|draft| std::iter::once(&draft.attributes).chain(draft.chunks.iter().map(|c| &c.attributes)))
            .collect();
        self.take_fields(&attributes)?;
        self.dimension = dimension;
        for mut draft in drafts {
            draft.attributes.retain(|_, value| !value.is_null());
            draft.chunks.iter_mut().for_each(without_nulls);
            kept.insert(draft.id.clone(), draft);
        }
        self.documents = kept;
        Some(Outcome::Done)
    }

    fn add(&mut self, document: &str, mut chunks: Vec<ChunkDraft>) -> Option<Outcome> {
        self.documents.contains_key(document).then_some(())?;
        if chunks.is_empty() {
            return Some(Outcome::Nothing);
        }
        let dimension = self.check_chunks(&self.documents, &chunks.iter().collect::<Vec<_>>())?;
        self.take_fields(&chunks.iter().map(|chunk| &chunk.attributes).collect::<Vec<_>>())?;
        self.dimension = dimension;
        chunks.iter_mut().for_each(without_nulls);
        self.documents.get_mut(document)?.chunks.extend(chunks);
        Some(Outcome::Done)
    }

    fn place(&mut self, mut chunks: Vec<(String, ChunkDraft)>, on_conflict: OnConflict) -> Option<Outcome> {
        let mut kept = self.documents.clone();
        chunks.iter().all(|(document, _)| kept.contains_key(document)).then_some(())?;
        let home = |id: &str| self.documents.iter().find(|(_, draft)| draft.chunks.iter().any(|chunk| chunk.id == id));
        let known = |chunk: &ChunkDraft| home(&chunk.id).is_some();
        match on_conflict {
            OnConflict::Refuse => chunks.iter().all(|(_, chunk)| !known(chunk)).then_some(())?,
            OnConflict::Skip => chunks.retain(|(_, chunk)| !known(chunk)),
            OnConflict::Replace => {
                let stays = |(document, chunk): &(String, ChunkDraft)| home(&chunk.id).is_none_or(|(home, _)| home == document);
                chunks.iter().all(stays).then_some(())?;
                let ids: BTreeSet<&String> = chunks.iter().map(|(_, chunk)| &chunk.id).collect();
                kept.values_mut().for_each(|draft| draft.chunks.retain(|chunk| !ids.contains(&chunk.id)));
            }
        }
        if chunks.is_empty() {
            return Some(Outcome::Nothing);
        }
        let dimension = self.check_chunks(&kept, &chunks.iter().map(|(_, chunk)| chunk).collect::<Vec<_>>())?;
        self.take_fields(&chunks.iter().map(|(_, chunk)| &chunk.attributes).collect::<Vec<_>>())?;
        self.dimension = dimension;
        for (document, mut chunk) in chunks {
            without_nulls(&mut chunk);
            let of = self.documents.get_mut(&document)?;
            match of.chunks.iter_mut().find(|known| known.id == chunk.id) {
                Some(known) => *known = chunk,
                None => of.chunks.push(chunk),
            }
        }
        Some(Outcome::Done)
    }

    fn change_schema(&mut self, change: SchemaChange) -> Option<Outcome> {
        match change {
            SchemaChange::Add { name, kind } => {
                (!self.fields.contains_key(&name)).then_some(())?;
                self.fields.insert(name, kind);
            }
            SchemaChange::Rename { name, to } => {
                (name == to || !self.fields.contains_key(&to)).then_some(())?;
                let kind = self.fields.remove(&name)?;
                self.fields.insert(to.clone(), kind);
                for attributes in self.attributes_mut() {
                    if let Some(value) = attributes.remove(&name) {
                        attributes.insert(to.clone(), value);
                    }
                }
            }
            SchemaChange::Drop { name } => {
                self.fields.remove(&name)?;
                self.attributes_mut().for_each(|attributes| drop(attributes.remove(&name)));
            }
        }
        Some(Outcome::Done)
    }

    fn attributes_mut(&mut self) -> impl Iterator<Item = &mut RawAttributes> {
        self.documents.values_mut().flat_map(|document| {
            std::iter::once(&mut document.attributes).chain(document.chunks.iter_mut().map(|chunk| &mut chunk.attributes))
        })
    }

    fn delete_matching(&mut self, kind: Kind, filter: &Filter) -> Option<Outcome> {
        let passes = filter::read(filter, &self.fields)?;
        if kind == Kind::Chunks {
            return Some(self.drop_chunks(|document, chunk| passes(document, Some(chunk))));
        }
        let before = self.documents.len();
        self.documents.retain(|_, document| !passes(document, None));
        Some(if self.documents.len() == before { Outcome::Nothing } else { Outcome::Done })
    }

    fn drop_chunks(&mut self, goes: impl Fn(&DocumentDraft, &ChunkDraft) -> bool) -> Outcome {
        let before = self.chunks().count();
        for document in self.documents.values_mut() {
            let (head, chunks) = (DocumentDraft { chunks: Vec::new(), ..document.clone() }, &mut document.chunks);
            chunks.retain(|chunk| !goes(&head, chunk));
        }
        if self.chunks().count() == before { Outcome::Nothing } else { Outcome::Done }
    }

    /// The dimension when these chunks join those of `kept`.
    fn check_chunks(&self, kept: &BTreeMap<String, DocumentDraft>, chunks: &[&ChunkDraft]) -> Option<Option<usize>> {
        let mut ids: BTreeSet<&str> = kept.values().flat_map(|document| &document.chunks).map(|chunk| &*chunk.id).collect();
        let mut dimension = self.dimension;
        for chunk in chunks {
            ids.insert(&chunk.id).then_some(())?;
            dimension = self.fits(dimension, &chunk.embedding)?;
        }
        Some(dimension)
    }

    fn fits(&self, dimension: Option<usize>, vector: &[f32]) -> Option<Option<usize>> {
        let dimension = dimension.unwrap_or(vector.len());
        (vector.len() == dimension).then_some(Some(dimension))
    }

    /// Takes the fields of new attributes in.
    fn take_fields(&mut self, all: &[&RawAttributes]) -> Option<()> {
        let mut fields = self.fields.clone();
        for (name, value) in all.iter().flat_map(|attributes| attributes.iter()) {
            (!self.strict || fields.contains_key(name)).then_some(())?;
            let kind = match value {
                Value::Null => continue,
                Value::Bool(_) => FieldType::Boolean,
                Value::Number(_) => FieldType::Integer,
                _ => FieldType::Keyword,
            };
            (*fields.entry(name.clone()).or_insert(kind) == kind).then_some(())?;
        }
        self.fields = fields;
        Some(())
    }

    /// Chunks that a filter lets through; `None` when it is refused.
    pub fn matching(&self, filter: &Filter) -> Option<Vec<&ChunkDraft>> {
        let passes = filter::read(filter, &self.fields)?;
        let pairs = self.documents.values().flat_map(|document| document.chunks.iter().map(move |chunk| (document, chunk)));
        Some(pairs.filter(|(document, chunk)| passes(document, Some(chunk))).map(|(_, chunk)| chunk).collect())
    }

    /// A vector as it is stored.
    pub fn stored(&self, vector: &[f32]) -> Vec<f32> {
        let mut vector = vector.to_vec();
        if self.metric == Metric::Cosine {
            normalise(&mut vector).unwrap();
        }
        vector
    }

    /// Distances of chunks, nearest first, with ids.
    pub fn nearest(&self, query: &[f32], among: &[&ChunkDraft]) -> Vec<(f32, String)> {
        let query = self.stored(query);
        let distance = |chunk: &&ChunkDraft| (self.metric.key(&query, &self.stored(&chunk.embedding)), chunk.id.clone());
        let mut all: Vec<(f32, String)> = among.iter().map(distance).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        all
    }
}

fn without_nulls(chunk: &mut ChunkDraft) {
    chunk.attributes.retain(|_, value| !value.is_null());
}

/// Null takes a value away, another value takes its place.
fn lay_over(base: &mut RawAttributes, changes: RawAttributes) {
    base.extend(changes);
    base.retain(|_, value| !value.is_null());
}
