//! The state: all libraries, as a function of the log.

use std::sync::Arc;

use imbl::OrdMap;

use crate::{
    filter::PostingsDone,
    indexing::{IndexDone, IndexJob, Occasion},
    library::Library,
    model::Id,
    record::Record,
};

/// All libraries. Equal logs give equal states, on every machine. A clone is cheap, as that of a [`Library`] is.
#[derive(Clone, Debug, Default)]
pub struct State {
    libraries: OrdMap<Id, Arc<Library>>,
    names: OrdMap<Box<str>, Id>,
    aliases: OrdMap<Box<str>, Id>,
    seq: u64,
}

impl State {
    /// The state after the record `seq`, holding these libraries.
    pub fn new(libraries: impl IntoIterator<Item = Library>, seq: u64) -> Self {
        let mut state = Self { seq, ..Self::default() };
        for library in libraries {
            state.names.insert(library.info.name.clone(), library.info.id.clone());
            for alias in library.aliases() {
                state.aliases.insert(alias.into(), library.info.id.clone());
            }
            state.libraries.insert(library.info.id.clone(), Arc::new(library));
        }
        state
    }

    /// Sequence of the last record applied, 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// All libraries in the order of their ids.
    pub fn libraries(&self) -> impl Iterator<Item = &Library> {
        self.libraries.values().map(|library| &**library)
    }

    /// Libraries in the order of their ids, those after `after`.
    pub fn libraries_after(&self, after: Option<&str>) -> impl Iterator<Item = &Library> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.libraries.range::<_, str>((after.map_or(Unbounded, Excluded), Unbounded)).map(|(_, library)| &**library)
    }

    /// The aliases and the ids of the libraries to which they lead, in the order of the aliases.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &Id)> {
        self.aliases.iter().map(|(alias, id)| (&**alias, id))
    }

    /// Finds a library by its id, its name or an alias.
    pub fn find(&self, id_or_name: &str) -> Option<&Library> {
        let by_name = || self.libraries.get(self.names.get(id_or_name).or_else(|| self.aliases.get(id_or_name))?);
        self.libraries.get(id_or_name).or_else(by_name).map(|library| &**library)
    }

    /// Puts what an index job made into its library, if it is still waited for.
    pub fn install(&mut self, done: &IndexDone) {
        if let Some(library) = self.libraries.get_mut(&done.library) {
            Arc::make_mut(library).install(done);
        }
    }

    /// Puts new postings into their library.
    pub fn install_postings(&mut self, done: &PostingsDone) {
        if let Some(library) = self.libraries.get_mut(done.library()) {
            Arc::make_mut(library).install_postings(done);
        }
    }

    /// The next piece of work for an index, if any waits: of the first library, in the order of ids, that has some.
    pub fn index_job(&self) -> Option<IndexJob> {
        self.libraries().find_map(Library::index_job)
    }

    /// Makes a record happen. Deterministic, and cannot fail. `seq` is the record's sequence.
    pub fn apply(&mut self, seq: u64, record: Record) {
        self.seq = seq;
        match record {
            Record::LibraryCreated { info, fields } => {
                self.names.insert(info.name.clone(), info.id.clone());
                self.libraries.insert(info.id.clone(), Arc::new(Library::new(info, fields, seq)));
            }
            Record::LibraryDeleted { library } => {
                if let Some(library) = self.libraries.remove(&library) {
                    self.names.remove(&library.info.name);
                    for alias in library.aliases() {
                        self.aliases.remove(alias);
                    }
                }
            }
            Record::LibraryUpdated { library, name, description } => {
                if let Some(known) = self.libraries.get_mut(&library).map(Arc::make_mut) {
                    self.names.remove(&known.info.name);
                    self.names.insert(name.clone(), library);
                    let info = Arc::make_mut(&mut known.info);
                    info.name = name;
                    info.description = description;
                    known.seq = seq;
                }
            }
            Record::LibraryCopied { source, info } => {
                if let Some(source) = self.libraries.get(&source) {
                    self.names.insert(info.name.clone(), info.id.clone());
                    let copy = Library { info: Arc::new(info), aliases: Arc::default(), seq, ..Library::clone(source) };
                    self.libraries.insert(copy.info.id.clone(), Arc::new(copy));
                }
            }
            Record::AliasesSet { aliases } => {
                aliases.into_iter().for_each(|(alias, library)| self.set_alias(seq, alias, library));
            }
            within => {
                let library = within.library().and_then(|library| self.libraries.get_mut(library));
                if let Some(library) = library.map(Arc::make_mut) {
                    let occasion = library.apply(within);
                    library.seq = seq;
                    library.cut(seq, occasion);
                }
            }
        }
    }
}

impl State {
    fn set_alias(&mut self, seq: u64, alias: Box<str>, library: Option<Id>) {
        let old = self.aliases.remove(&alias);
        if let Some(known) = old.and_then(|old| self.libraries.get_mut(&old)).map(Arc::make_mut) {
            Arc::make_mut(&mut known.aliases).remove(&alias);
            known.seq = seq;
        }
        let Some(library) = library else { return };
        if let Some(known) = self.libraries.get_mut(&library).map(Arc::make_mut) {
            Arc::make_mut(&mut known.aliases).insert(alias.clone());
            known.seq = seq;
            self.aliases.insert(alias, library);
        }
    }
}

impl Library {
    /// Makes a record about the contents of this library happen, and says what it means for the index.
    fn apply(&mut self, record: Record) -> Occasion {
        match record {
            Record::DocumentsPut { contract, fields, documents, .. } => {
                self.fix_contract(contract);
                self.add_fields(fields);
                // All old documents go first, since a new one may take over a chunk id of another old one.
                documents.iter().for_each(|put| self.remove_document(put.document.id.as_str()));
                documents.into_iter().for_each(|put| self.put_document(put));
            }
            Record::DocumentUpdated { fields, document, metadata, attributes, .. } => {
                self.add_fields(fields);
                self.update_document(document.as_str(), metadata, attributes);
            }
            Record::DocumentsDeleted { documents, .. } => {
                documents.iter().for_each(|id| self.remove_document(id.as_str()));
            }
            Record::ChunksPut { contract, fields, document, chunks, .. } => {
                self.fix_contract(contract);
                self.add_fields(fields);
                if let Some(place) = self.document_ids.get(&document).copied() {
                    self.put_chunks(place, chunks);
                }
            }
            Record::ChunkBatchPut { contract, fields, documents, .. } => {
                self.fix_contract(contract);
                self.add_fields(fields);
                for put in documents {
                    if let Some(place) = self.document_ids.get(&put.document).copied() {
                        self.put_chunks(place, put.chunks);
                    }
                }
            }
            Record::ChunksDeleted { chunks, .. } => chunks.iter().for_each(|id| self.remove_chunk(id.as_str())),
            Record::IndexChosen { settings, rebuild, .. } => {
                Arc::make_mut(&mut self.info).index = settings;
                return if rebuild { Occasion::Rebuild } else { Occasion::Change };
            }
            Record::IndexCut { .. } => return Occasion::Rest,
            Record::SchemaChanged { fields, dropped, .. } => self.change_schema(fields, dropped),
            Record::LibraryCreated { .. }
            | Record::LibraryUpdated { .. }
            | Record::LibraryDeleted { .. }
            | Record::LibraryCopied { .. }
            | Record::AliasesSet { .. } => {}
        }
        Occasion::Change
    }
}
