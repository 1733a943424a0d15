//! A naive model of the database: maps, and a loop over everything for a query.

use std::collections::{BTreeMap, BTreeSet};

use vecino_engine::{
    command::{ChunkDraft, Command, DocumentDraft, Kind, LibraryDraft, OnConflict},
    distance::{Metric, normalise},
    filter::Filter,
    model::RawAttributes,
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
    /// Its name.
    pub name: String,
    /// What people say of it.
    pub description: Option<String>,
    /// Its metric.
    pub metric: Metric,
    /// The length of its vectors, once it is fixed.
    pub dimension: Option<usize>,
    /// Whether only declared attributes are taken.
    pub strict: bool,
    /// The attribute fields.
    pub fields: BTreeSet<String>,
    /// Documents with their chunks, by id.
    pub documents: BTreeMap<String, DocumentDraft>,
}

/// What comes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It breaks a rule.
    Refused,
    /// It is fine, and there is nothing to do.
    Nothing,
    /// It has happened.
    Done,
    /// It is fine, changes nothing that a user has written, and may be nothing at all.
    Unseen,
}

impl Oracle {
    /// Does what a command means, unless it is refused.
    pub fn apply(&mut self, command: &Command) -> Outcome {
        self.try_apply(command.clone()).unwrap_or(Outcome::Refused)
    }

    /// `None` when it is refused; then nothing has changed.
    fn try_apply(&mut self, command: Command) -> Option<Outcome> {
        match command {
            Command::ChooseIndex { library, .. } | Command::CutIndex { library } => {
                self.library(&library).map(|_| Outcome::Unseen)
            }
            Command::CreateLibrary(draft) => self.create(draft),
            Command::UpdateLibrary { library, name, description, .. } => self.rename(&library, name, description),
            Command::DeleteLibrary { library } => self.libraries.remove(&self.find(&library)?).map(|_| Outcome::Done),
            Command::PutDocuments { library, documents, on_conflict, .. } => self.library(&library)?.put(documents, on_conflict),
            Command::UpdateDocument { library, document, patch } => {
                let library = self.library(&library)?;
                library.documents.contains_key(&document).then_some(())?;
                library.take_fields(&[&patch.attributes])?;
                let known = library.documents.get_mut(&document)?;
                known.title = patch.title.unwrap_or_else(|| known.title.clone());
                known.tags = patch.tags.unwrap_or_else(|| known.tags.clone());
                lay_over(&mut known.attributes, patch.attributes);
                Some(Outcome::Done)
            }
            Command::DeleteDocuments { library, documents } => {
                let known = &mut self.library(&library)?.documents;
                documents.iter().all(|id| known.contains_key(id)).then_some(())?;
                documents.iter().for_each(|id| drop(known.remove(id)));
                Some(if documents.is_empty() { Outcome::Nothing } else { Outcome::Done })
            }
            Command::AddChunks { library, document, chunks, .. } => self.library(&library)?.add(&document, chunks),
            Command::UpdateChunk { library, chunk, patch, .. } => {
                let library = self.library(&library)?;
                library.chunks().any(|known| known.id == chunk).then_some(())?;
                if let Some(vector) = &patch.embedding {
                    library.fits(library.dimension, vector)?;
                }
                (patch.text.is_none() || patch.embedding.is_some()).then_some(())?;
                library.take_fields(&[&patch.attributes])?;
                let mut all = library.documents.values_mut().flat_map(|document| &mut document.chunks);
                let found = all.find(|known| known.id == chunk)?;
                found.text = patch.text.unwrap_or_else(|| found.text.clone());
                found.embedding = patch.embedding.unwrap_or_else(|| found.embedding.clone());
                lay_over(&mut found.attributes, patch.attributes);
                Some(Outcome::Done)
            }
            Command::DeleteChunks { library, chunks } => {
                let library = self.library(&library)?;
                chunks.iter().all(|id| library.chunks().any(|chunk| chunk.id == *id)).then_some(())?;
                for document in library.documents.values_mut() {
                    document.chunks.retain(|chunk| !chunks.contains(&chunk.id));
                }
                Some(if chunks.is_empty() { Outcome::Nothing } else { Outcome::Done })
            }
            Command::PutChunks { library, chunks, on_conflict, .. } => {
                let library = self.library(&library)?;
                let chunks = chunks.into_iter().map(|placed| (placed.document, placed.chunk)).collect();
                library.place(chunks, on_conflict)
            }
            Command::DeleteMatching { library, kind, filter } => {
                assert_eq!(filter, Filter::default(), "the model knows no filter but the one that lets everything through");
                self.library(&library)?.delete_all(kind)
            }
            other => panic!("the model has no such command: {other:?}"),
        }
    }

    /// The id of a library that is named by its id or its name.
    fn find(&self, id_or_name: &str) -> Option<String> {
        let by_name = || self.libraries.iter().find(|(_, library)| library.name == id_or_name);
        self.libraries.get_key_value(id_or_name).or_else(by_name).map(|(id, _)| id.clone())
    }

    fn library(&mut self, id_or_name: &str) -> Option<&mut OracleLibrary> {
        let id = self.find(id_or_name)?;
        self.libraries.get_mut(&id)
    }

    fn create(&mut self, draft: LibraryDraft) -> Option<Outcome> {
        (self.find(&draft.id).is_none() && self.find(&draft.name).is_none()).then_some(())?;
        let library = OracleLibrary {
            name: draft.name,
            description: draft.description,
            metric: draft.metric,
            dimension: draft.dimension,
            strict: draft.strict_schema,
            fields: draft.fields.into_iter().map(|(name, _)| name).collect(),
            documents: BTreeMap::new(),
        };
        self.libraries.insert(draft.id, library);
        Some(Outcome::Done)
    }

    fn rename(&mut self, library: &str, name: Option<String>, description: Option<String>) -> Option<Outcome> {
        let id = self.find(library)?;
        let taken = name.as_ref().is_some_and(|name| *name != self.libraries[&id].name && self.find(name).is_some());
        (!taken).then_some(())?;
        let known = self.libraries.get_mut(&id)?;
        known.name = name.unwrap_or_else(|| known.name.clone());
        if let Some(text) = description {
            known.description = (!text.is_empty()).then_some(text);
        }
        Some(Outcome::Done)
    }
}

impl OracleLibrary {
    /// All chunks.
    pub fn chunks(&self) -> impl Iterator<Item = &ChunkDraft> {
        self.documents.values().flat_map(|document| &document.chunks)
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

    fn delete_all(&mut self, kind: Kind) -> Option<Outcome> {
        let nothing = match kind {
            Kind::Documents => std::mem::take(&mut self.documents).is_empty(),
            Kind::Chunks => self.documents.values_mut().map(|draft| std::mem::take(&mut draft.chunks).len()).sum::<usize>() == 0,
        };
        Some(if nothing { Outcome::Nothing } else { Outcome::Done })
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
            (!self.strict || fields.contains(name)).then_some(())?;
            if !value.is_null() {
                fields.insert(name.clone());
            }
        }
        self.fields = fields;
        Some(())
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

fn without_nulls(chunk: &mut ChunkDraft) {
    chunk.attributes.retain(|_, value| !value.is_null());
}

/// Null takes a value away, another value takes its place.
fn lay_over(base: &mut RawAttributes, changes: RawAttributes) {
    base.extend(changes);
    base.retain(|_, value| !value.is_null());
}
