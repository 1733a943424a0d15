//! One library in memory: its documents, its chunks by slot, and what is derived from them.
//!
//! The `put` and `remove` functions here are the only ones that change a library. They are called by
//! [`State::apply`](crate::state::State::apply) with records that [`plan`](crate::plan) has checked, and cannot fail; what a
//! sound record never asks for (a chunk of a document that is not there) changes nothing.
//!
//! A library is a persistent value: a clone takes microseconds whatever its size, since both sides share what neither has
//! changed. So readers, snapshots and index builds each hold a version of their own while writes go on.

use std::{collections::BTreeSet, sync::Arc};

use imbl::{OrdMap, Vector};

use crate::{
    codes::Codes,
    filter::{Posting, Postings},
    indexing::Indexing,
    model::{Attributes, Chunk, ChunkMetadata, Contract, Document, DocumentMetadata, Field, FieldId, Fields, Id, LibraryInfo},
    record::DocumentPut,
    shelf::Summary,
    slots::SlotSet,
    texts::Texts,
    vectors::Vectors,
};

/// A document and the slots of its chunks, in order.
#[derive(Clone, Debug)]
pub struct DocumentEntry {
    /// The document.
    pub document: Document,
    /// Slots of its chunks in the order in which they were given.
    pub chunks: Vector<u32>,
    /// One past the highest `chunk_index` that a chunk of it ever had.
    pub next_index: u32,
}

/// What a library holds of a chunk beside its text and its vector.
#[derive(Clone, Debug)]
pub struct ChunkEntry {
    /// The chunk's id.
    pub id: Id,
    /// Place of its document, for [`Library::document_at`].
    pub document: u32,
    /// The fixed metadata.
    pub metadata: ChunkMetadata,
    /// Attributes of its own.
    pub attributes: Attributes,
}

/// A library in memory. See the [module](self).
#[derive(Clone, Debug)]
pub struct Library {
    pub(crate) info: Arc<LibraryInfo>,
    pub(crate) fields: Arc<Fields>,
    pub(crate) documents: Vector<Option<Arc<DocumentEntry>>>,
    pub(crate) document_places: Arc<SlotSet>,
    pub(crate) document_ids: OrdMap<Id, u32>,
    pub(crate) chunks: Vector<Option<Arc<ChunkEntry>>>,
    pub(crate) live: Arc<SlotSet>,
    pub(crate) chunk_ids: OrdMap<Id, u32>,
    pub(crate) texts: Texts,
    pub(crate) vectors: Vectors,
    pub(crate) codes: Codes,
    pub(crate) indexing: Indexing,
    pub(crate) postings: Option<Arc<Postings>>,
    /// Slots whose metadata the postings do not know as it is now.
    pub(crate) unposted: Arc<SlotSet>,
    pub(crate) posting: Option<Posting>,
    pub(crate) seq: u64,
    pub(crate) aliases: Arc<BTreeSet<Box<str>>>,
}

impl Library {
    /// An empty library.
    pub(crate) fn new(info: LibraryInfo, fields: Vec<Field>, seq: u64) -> Self {
        let dimension = info.contract.dimension.unwrap_or(0);
        Self {
            info: Arc::new(info),
            fields: Arc::new(fields.into_iter().collect()),
            documents: Vector::new(),
            document_places: Arc::default(),
            document_ids: OrdMap::new(),
            chunks: Vector::new(),
            live: Arc::default(),
            chunk_ids: OrdMap::new(),
            texts: Texts::default(),
            vectors: Vectors::new(dimension as usize),
            codes: Codes::new(dimension as usize),
            indexing: Indexing::default(),
            postings: None,
            unposted: Arc::default(),
            posting: None,
            seq,
            aliases: Arc::default(),
        }
    }

    /// Name, contract and the rest of what is known of the library as a whole.
    pub fn info(&self) -> &LibraryInfo {
        &self.info
    }

    /// The attribute fields.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Other names that lead to it, in their order.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        self.aliases.iter().map(|alias| &**alias)
    }

    /// What is said of it where it is not opened. Cheap.
    pub fn summary(&self) -> Summary {
        let quality = self.index_state().quality;
        Summary {
            info: Arc::clone(&self.info),
            fields: Arc::clone(&self.fields),
            aliases: Arc::clone(&self.aliases),
            documents: self.document_count(),
            chunks: self.chunk_count(),
            seq: self.seq,
            measured_recall: quality
                .and_then(|quality| quality.effort(self.info.index.target_recall, 1.0))
                .map(|point| point.recall),
        }
    }

    /// Sequence of the last record that changed this library.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// How many documents there are.
    pub fn document_count(&self) -> usize {
        self.document_ids.len()
    }

    /// How many chunks there are.
    pub fn chunk_count(&self) -> usize {
        self.live.len()
    }

    /// The slots in use.
    pub fn live(&self) -> &SlotSet {
        &self.live
    }

    /// The vectors by slot.
    pub fn vectors(&self) -> &Vectors {
        &self.vectors
    }

    /// The codes of the vectors by slot.
    pub fn codes(&self) -> &Codes {
        &self.codes
    }

    /// Finds a document. Cost: O(log n).
    pub fn document(&self, id: &str) -> Option<&DocumentEntry> {
        self.document_at(*self.document_ids.get(id)?)
    }

    /// The document at a place, as a [`ChunkEntry`] names it.
    pub fn document_at(&self, place: u32) -> Option<&DocumentEntry> {
        self.documents.get(place as usize)?.as_deref()
    }

    /// Finds the slot of a chunk. Cost: O(log n).
    pub fn slot(&self, id: &str) -> Option<u32> {
        self.chunk_ids.get(id).copied()
    }

    /// The chunk in a slot.
    pub fn chunk_at(&self, slot: u32) -> Option<&ChunkEntry> {
        self.chunks.get(slot as usize)?.as_deref()
    }

    /// The text of the chunk in a slot.
    pub fn text_at(&self, slot: u32) -> &str {
        self.texts.get(slot)
    }

    /// A chunk as it was written.
    pub fn chunk(&self, id: &str) -> Option<Chunk> {
        let slot = self.slot(id)?;
        let entry = self.chunk_at(slot)?.clone();
        Some(Chunk {
            id: entry.id,
            text: self.texts.get(slot).into(),
            metadata: entry.metadata,
            attributes: entry.attributes,
            embedding: self.row_of(slot).into_owned(),
        })
    }

    /// Documents in the order of their ids, those after `after`. Stable under writes: an id is never passed over or seen twice.
    pub fn documents_after(&self, after: Option<&str>) -> impl Iterator<Item = &DocumentEntry> {
        following(&self.document_ids, after).filter_map(|place| self.document_at(place))
    }

    /// Slots of chunks in the order of the chunks' ids, those after `after`.
    pub fn chunks_after(&self, after: Option<&str>) -> impl Iterator<Item = u32> {
        following(&self.chunk_ids, after)
    }

    pub(crate) fn fix_contract(&mut self, contract: Option<Contract>) {
        if let Some(contract) = contract {
            let dimension = contract.dimension.unwrap_or(0) as usize;
            if self.vectors.dimension() != dimension && self.vectors.rows() == 0 {
                self.vectors = Vectors::new(dimension);
                self.codes = Codes::new(dimension);
            }
            Arc::make_mut(&mut self.info).contract = contract;
        }
    }

    pub(crate) fn add_fields(&mut self, fields: Vec<Field>) {
        if !fields.is_empty() {
            Arc::make_mut(&mut self.fields).extend(fields);
        }
    }

    /// Has these fields from now on; values of the dropped one go. Cost: without a dropped one, nothing; else one pass over all
    /// documents and chunks.
    pub(crate) fn change_schema(&mut self, fields: Vec<Field>, dropped: Option<FieldId>) {
        self.fields = Arc::new(fields.into_iter().collect());
        let Some(dropped) = dropped else { return };
        (self.postings, self.unposted, self.posting) = (None, Arc::default(), None);
        let has = |attributes: &Attributes| attributes.iter().any(|(field, _)| *field == dropped);
        for place in 0..self.documents.len() {
            if self.document_at(place as u32).is_some_and(|entry| has(&entry.document.attributes))
                && let Some(entry) = self.document_mut(place as u32)
            {
                entry.document.attributes.retain(|(field, _)| *field != dropped);
            }
        }
        for slot in 0..self.chunks.len() {
            if self.chunk_at(slot as u32).is_some_and(|entry| has(&entry.attributes))
                && let Some(entry) = self.chunks.get_mut(slot).and_then(Option::as_mut)
            {
                Arc::make_mut(entry).attributes.retain(|(field, _)| *field != dropped);
            }
        }
    }

    /// Adds a document that is not there.
    pub(crate) fn put_document(&mut self, put: DocumentPut) {
        let place = Arc::make_mut(&mut self.document_places).insert_lowest();
        self.document_ids.insert(put.document.id.clone(), place);
        let entry = DocumentEntry { document: put.document, chunks: Vector::new(), next_index: 0 };
        put_at(&mut self.documents, place, entry);
        self.put_chunks(place, put.chunks);
    }

    pub(crate) fn update_document(&mut self, id: &str, metadata: DocumentMetadata, attributes: Attributes) {
        let place = self.document_ids.get(id).copied();
        if let Some(entry) = place.and_then(|place| self.document_mut(place)) {
            entry.document.metadata = metadata;
            entry.document.attributes = attributes;
            for slot in entry.chunks.clone() {
                self.touch_metadata(slot);
            }
        }
    }

    pub(crate) fn remove_document(&mut self, id: &str) {
        let Some(place) = self.document_ids.remove(id) else { return };
        Arc::make_mut(&mut self.document_places).remove(place);
        if let Some(entry) = self.documents.get_mut(place as usize).and_then(Option::take) {
            for slot in &entry.chunks {
                self.free(*slot);
            }
        }
    }

    /// Adds or replaces chunks of the document at `place`.
    pub(crate) fn put_chunks(&mut self, place: u32, chunks: Vec<Chunk>) {
        for chunk in chunks {
            let known = self.slot(chunk.id.as_str());
            let slot = known.unwrap_or_else(|| Arc::make_mut(&mut self.live).insert_lowest());
            if let Some(entry) = self.document_mut(place) {
                if known.is_none() {
                    entry.chunks.push_back(slot);
                }
                entry.next_index = entry.next_index.max(chunk.metadata.chunk_index.saturating_add(1));
            }
            if known.is_none() {
                self.chunk_ids.insert(chunk.id.clone(), slot);
            }
            self.vectors.set(slot, &chunk.embedding);
            self.codes.set(slot, &chunk.embedding);
            self.texts.set(slot, chunk.text);
            self.indexing.touch(slot);
            self.touch_metadata(slot);
            let entry = ChunkEntry { id: chunk.id, document: place, metadata: chunk.metadata, attributes: chunk.attributes };
            put_at(&mut self.chunks, slot, entry);
        }
    }

    pub(crate) fn remove_chunk(&mut self, id: &str) {
        let Some(slot) = self.slot(id) else { return };
        let place = self.chunk_at(slot).map(|chunk| chunk.document);
        if let Some(entry) = place.and_then(|place| self.document_mut(place))
            && let Some(at) = entry.chunks.iter().position(|other| *other == slot)
        {
            entry.chunks.remove(at);
        }
        self.free(slot);
    }

    fn document_mut(&mut self, place: u32) -> Option<&mut DocumentEntry> {
        self.documents.get_mut(place as usize)?.as_mut().map(Arc::make_mut)
    }

    fn free(&mut self, slot: u32) {
        if let Some(chunk) = self.chunks.get_mut(slot as usize).and_then(Option::take) {
            self.chunk_ids.remove(chunk.id.as_str());
            self.texts.set(slot, "".into());
            self.vectors.clear(slot);
            self.codes.clear(slot);
            self.indexing.touch(slot);
            Arc::make_mut(&mut self.live).remove(slot);
            self.touch_metadata(slot);
        }
    }
}

fn put_at<T>(entries: &mut Vector<Option<Arc<T>>>, place: u32, entry: T) {
    while entries.len() <= place as usize {
        entries.push_back(None);
    }
    entries.set(place as usize, Some(Arc::new(entry)));
}

fn following<'a>(ids: &'a OrdMap<Id, u32>, after: Option<&str>) -> impl Iterator<Item = u32> + 'a {
    use std::ops::Bound::{Excluded, Unbounded};
    ids.range::<_, str>((after.map_or(Unbounded, Excluded), Unbounded)).map(|(_, place)| *place)
}
