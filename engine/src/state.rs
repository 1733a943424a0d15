//! The state: all libraries, as a function of the log.

use std::sync::Arc;

use imbl::OrdMap;

use crate::{
    error::Result,
    filter::{PostingsDone, PostingsJob},
    indexing::{IndexDone, IndexJob, Occasion},
    library::Library,
    model::{Id, IndexSettings},
    plan::library_not_found,
    record::Record,
    shelf::Holding,
    snapshot::InPlace,
};

/// All libraries, in memory or on a [shelf](crate::shelf). Equal logs give equal states, on every machine. A clone is cheap, as
/// that of a [`Library`] is.
#[derive(Clone, Debug, Default)]
pub struct State {
    libraries: OrdMap<Id, Holding>,
    names: OrdMap<Box<str>, Id>,
    aliases: OrdMap<Box<str>, Id>,
    seq: u64,
}

impl State {
    /// The state after the record `seq`, with these libraries.
    pub fn new(libraries: impl IntoIterator<Item = Library>, seq: u64) -> Self {
        Self::of(libraries.into_iter().map(|library| Holding::in_memory(Arc::new(library))), seq)
    }

    pub(crate) fn of(holdings: impl IntoIterator<Item = Holding>, seq: u64) -> Self {
        let mut state = Self { seq, ..Self::default() };
        for holding in holdings {
            let summary = holding.summary();
            state.names.insert(summary.info.name.clone(), summary.info.id.clone());
            for alias in &*summary.aliases {
                state.aliases.insert(alias.clone(), summary.info.id.clone());
            }
            state.libraries.insert(summary.info.id.clone(), holding);
        }
        state
    }

    /// Sequence of the last record applied, 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// All libraries in the order of their ids, whether in memory or not.
    pub fn holdings(&self) -> impl Iterator<Item = &Holding> {
        self.libraries.values()
    }

    /// Libraries in the order of their ids, those after `after`.
    pub fn holdings_after(&self, after: Option<&str>) -> impl Iterator<Item = &Holding> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.libraries.range::<_, str>((after.map_or(Unbounded, Excluded), Unbounded)).map(|(_, holding)| holding)
    }

    /// The libraries that are in memory, in the order of their ids.
    pub fn loaded(&self) -> impl Iterator<Item = &Library> {
        self.libraries.values().filter_map(Holding::loaded)
    }

    /// The aliases and the ids of the libraries to which they lead, in the order of the aliases.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &Id)> {
        self.aliases.iter().map(|(alias, id)| (&**alias, id))
    }

    /// Finds a library by its id, its name or an alias, without opening it.
    pub fn find(&self, id_or_name: &str) -> Option<&Holding> {
        let by_name = || self.libraries.get(self.names.get(id_or_name).or_else(|| self.aliases.get(id_or_name))?);
        self.libraries.get(id_or_name).or_else(by_name)
    }

    /// A library by its id, its name or an alias. Cost: that of opening it, if it is shelved.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`](crate::Code::LibraryNotFound), and those of [`Holding::library`].
    pub fn library(&self, id_or_name: &str) -> Result<&Library> {
        self.find(id_or_name).ok_or_else(|| library_not_found(id_or_name))?.library()
    }

    /// Opens the libraries that a record changes, so that it can be applied. Those that do not exist are passed over.
    ///
    /// # Errors
    /// Those of [`Holding::library`].
    pub fn open_for(&self, record: &Record) -> Result<()> {
        let open = |id: &Id| self.libraries.get(id).map_or(Ok(()), |holding| holding.library().map(drop));
        match record {
            Record::LibraryDeleted { .. } => Ok(()),
            Record::LibraryCopied { source, .. } => open(source),
            Record::AliasesSet { aliases } => {
                let leads = aliases.iter().flat_map(|(alias, library)| [self.aliases.get(alias), library.as_ref()]);
                leads.flatten().try_for_each(open)
            }
            within => within.library().map_or(Ok(()), open),
        }
    }

    /// Puts another holding of the same library, as of the same record, into its place.
    pub(crate) fn replace(&mut self, holding: Holding) {
        if let Some(known) = self.libraries.get_mut(&holding.id().clone()) {
            *known = holding;
        }
    }

    /// Puts what an index job made into its library, if it is still waited for.
    pub fn install(&mut self, done: &IndexDone) {
        if let Some(library) = self.library_mut(&done.library) {
            library.install(done);
        }
    }

    /// Lets rows and texts of a library lie in its snapshot.
    pub fn rest_on(&mut self, place: &InPlace) {
        if let Some(library) = self.library_mut(place.library()) {
            library.rest_on(place);
        }
    }

    /// Begins new postings of a library that [wants](Library::wants_postings) them.
    pub fn begin_postings(&mut self, library: &Id) -> Option<PostingsJob> {
        self.library_mut(library).map(Library::begin_postings)
    }

    /// Puts new postings into their library.
    pub fn install_postings(&mut self, done: &PostingsDone) {
        if let Some(library) = self.library_mut(done.library()) {
            library.install_postings(done);
        }
    }

    /// The next piece of work for an index, if any waits: of the first library, in the order of ids, that has some.
    pub fn index_job(&self) -> Option<IndexJob> {
        self.loaded().find_map(Library::index_job)
    }

    fn library_mut(&mut self, id: &Id) -> Option<&mut Library> {
        self.libraries.get_mut(id)?.library_mut()
    }

    /// Makes a record happen. Deterministic, and cannot fail. `seq` is the record's sequence. The libraries that it changes are in
    /// memory: [`plan`](State::plan) has seen to it, or [`State::open_for`].
    pub fn apply(&mut self, seq: u64, record: Record) {
        self.seq = seq;
        match record {
            Record::LibraryCreated { info, fields } => {
                self.names.insert(info.name.clone(), info.id.clone());
                self.insert(Library::new(info, fields, seq));
            }
            Record::LibraryDeleted { library } => {
                if let Some(summary) = self.libraries.remove(&library).map(|holding| holding.summary()) {
                    self.names.remove(&summary.info.name);
                    for alias in &*summary.aliases {
                        self.aliases.remove(alias);
                    }
                }
            }
            Record::LibraryUpdated { library, name, description } => {
                self.set_info(seq, library, name, description, None);
            }
            Record::LibraryChanged { library, name, description, settings } => {
                self.set_info(seq, library, name, description, Some(settings));
            }
            Record::LibraryCopied { source, info } => {
                if let Some(source) = self.libraries.get(&source).and_then(Holding::loaded) {
                    self.names.insert(info.name.clone(), info.id.clone());
                    let old = self.libraries.get(&info.id).map(Holding::summary);
                    let aliases = old.map_or_else(Arc::default, |old| old.aliases);
                    self.insert(Library { info: Arc::new(info), aliases, seq, posting: None, ..source.clone() });
                }
            }
            Record::AliasesSet { aliases } => {
                aliases.into_iter().for_each(|(alias, library)| self.set_alias(seq, alias, library));
            }
            within => {
                let library = within.library().and_then(|library| self.libraries.get_mut(library)?.library_mut());
                if let Some(library) = library {
                    let occasion = library.apply(within);
                    library.seq = seq;
                    library.cut(seq, occasion);
                }
            }
        }
    }
}

impl State {
    fn insert(&mut self, library: Library) {
        self.libraries.insert(library.info.id.clone(), Holding::in_memory(Arc::new(library)));
    }

    fn set_info(
        &mut self,
        seq: u64,
        library: Id,
        name: Box<str>,
        description: Option<Box<str>>,
        settings: Option<IndexSettings>,
    ) {
        let Some(known) = self.libraries.get_mut(&library).and_then(Holding::library_mut) else { return };
        self.names.remove(&known.info.name);
        self.names.insert(name.clone(), library);
        let info = Arc::make_mut(&mut known.info);
        (info.name, info.description) = (name, description);
        known.seq = seq;
        if let Some(settings) = settings {
            info.index = settings;
            known.cut(seq, Occasion::Change);
        }
    }

    fn set_alias(&mut self, seq: u64, alias: Box<str>, library: Option<Id>) {
        let old = self.aliases.remove(&alias);
        if let Some(known) = old.and_then(|old| self.libraries.get_mut(&old)?.library_mut()) {
            Arc::make_mut(&mut known.aliases).remove(&alias);
            known.seq = seq;
        }
        let Some(library) = library else { return };
        if let Some(known) = self.libraries.get_mut(&library).and_then(Holding::library_mut) {
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
            | Record::LibraryChanged { .. }
            | Record::LibraryDeleted { .. }
            | Record::LibraryCopied { .. }
            | Record::AliasesSet { .. } => {}
        }
        Occasion::Change
    }
}
