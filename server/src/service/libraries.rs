//! Libraries.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use vecino_engine::{
    Code, Error, Result,
    command::{Command, IndexDraft, LibraryDraft, SchemaChange},
    db::Written,
    distance::Metric,
    library::Library,
    model::IndexSettings,
    precision::Precision,
    snapshot,
    state::State,
    view::{IndexView, LibraryView, SchemaView},
};

use super::{Listed, Page, Service, WriteOptions, selection::Counted};
use crate::store::Durability;

/// What a deletion answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Deleted {
    /// Sequence of the write.
    pub seq: u64,
}

/// A library as a file.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The library's name.
    pub name: String,
    /// Sequence of the last write that changed it.
    pub seq: u64,
    /// The bytes of the `.vecino` file; `None` where the caller has them.
    pub bytes: Option<Vec<u8>>,
}

/// How much a library holds.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Statistics {
    /// Documents.
    pub documents: usize,
    /// Chunks.
    pub chunks: usize,
    /// Attribute fields.
    pub fields: usize,
    /// Bytes by part. Ids and metadata are not among them.
    pub bytes: PartBytes,
    /// The index.
    pub index: IndexView,
    /// Sequence of the last write that changed it.
    pub seq: u64,
}

/// Bytes by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PartBytes {
    /// The vectors, places that are free included.
    pub vectors: usize,
    /// The short codes of the vectors.
    pub codes: usize,
    /// The texts of the chunks.
    pub texts: usize,
    /// Links and lists of the index.
    pub index: usize,
}

/// All aliases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Aliases {
    /// Each alias with the id of its library.
    pub aliases: BTreeMap<String, String>,
    /// Sequence of the last write.
    pub seq: u64,
}

fn aliases_of(state: &State) -> Aliases {
    let aliases = state.aliases().map(|(alias, library)| (alias.to_owned(), library.to_string()));
    Aliases { aliases: aliases.collect(), seq: state.seq() }
}

/// Refuses to change what a library's vectors and attributes must fit.
fn check_fixed(library: &Library, draft: &LibraryDraft, metric: Option<Metric>) -> Result<()> {
    let now = library.view();
    let other = |field: &str, now: String, asked: String| {
        let detail = format!(
            "this is fixed for the life of the library: it is {now}, received {asked}; leave it out, or make another library"
        );
        Err(Error::new(Code::InvalidValue, detail).field(field).numbers(now, asked).unfit())
    };
    if let Some(metric) = metric.filter(|metric| metric.as_str() != now.metric) {
        return other("metric", now.metric, metric.as_str().to_owned());
    }
    let shown = |dimension: Option<u32>| dimension.map_or_else(|| "not fixed yet".to_owned(), |dimension| dimension.to_string());
    let dimension = now.metadata.embedding_dimension;
    if let Some(asked) = draft.dimension.filter(|asked| dimension.map(|dimension| dimension as usize) != Some(*asked)) {
        return other("metadata.embedding_dimension", shown(dimension), asked.to_string());
    }
    let model = now.metadata.embedding_model;
    if let Some(asked) = draft.embedding_model.as_ref().filter(|asked| model.as_deref() != Some(&*asked.name)) {
        return other("metadata.embedding_model", model.unwrap_or_else(|| "none yet".to_owned()), asked.name.to_string());
    }
    let fields = draft.fields.iter().map(|(name, kind)| (name.clone(), kind.as_str().to_owned())).collect();
    let given = !draft.fields.is_empty() || draft.strict_schema;
    if given && now.schema != (SchemaView { strict: draft.strict_schema, fields }) {
        let detail = "the schema is changed at /fields, a field at a time; leave it out here, or give it as it is";
        return Err(Error::new(Code::InvalidValue, detail).field("schema").unfit());
    }
    Ok(())
}

impl Service {
    /// Creates a library. The built-in model brings its fingerprint and its dimension.
    ///
    /// # Errors
    /// What is wrong with the draft.
    pub async fn create_library(&self, mut draft: LibraryDraft, options: WriteOptions) -> Result<LibraryView> {
        let own = self.embedder.model();
        if draft.embedding_model.as_ref().is_some_and(|model| model.name == own.name) {
            let expected = self.embedder.dimension();
            if let Some(received) = draft.dimension.filter(|dimension| *dimension != expected) {
                let detail = format!("the model '{}' makes vectors of {expected} numbers, received {received}", own.name);
                return Err(Error::new(Code::WrongDimension, detail)
                    .field("metadata.embedding_dimension")
                    .numbers(expected, received)
                    .unfit());
            }
            draft.dimension = Some(expected);
            draft.embedding_model = Some(own.clone());
        }
        let id = draft.id.clone();
        self.write_library(Command::CreateLibrary(draft), id, options).await
    }

    /// Libraries in the order of their ids, of those whose id is `shown`.
    ///
    /// # Errors
    /// [`Code::Storage`] after a failure inside.
    pub fn libraries(&self, page: &Page, shown: impl Fn(&str) -> bool) -> Result<Listed<LibraryView>> {
        self.store.read(|state| {
            let libraries = state.holdings_after(page.after.as_deref()).filter(|library| shown(library.id().as_str()));
            Ok(page.take(libraries, |library| library.id().to_string(), |library| Some(library.summary().view())))
        })
    }

    /// The id of a library, by id or name.
    ///
    /// # Errors
    /// [`Code::Storage`] after a failure inside.
    pub fn library_id(&self, library: &str) -> Result<Option<String>> {
        self.store.read(|state| Ok(state.find(library).map(|library| library.id().to_string())))
    }

    /// A library by id or name.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`].
    pub fn library(&self, library: &str) -> Result<LibraryView> {
        self.with_library(library, |library| Ok(library.view()))
    }

    /// Renames a library, describes it anew or chooses its index; an empty description removes it.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`], [`Code::LibraryExists`], or what is wrong with the values.
    pub async fn update_library(
        &self,
        library: &str,
        name: Option<String>,
        description: Option<String>,
        index: IndexDraft,
        options: WriteOptions,
    ) -> Result<LibraryView> {
        let id = self.with_library(library, |library| Ok(library.info().id.to_string()))?;
        self.write_library(Command::UpdateLibrary { library: id.clone(), name, description, index }, id, options).await
    }

    /// Gives a library the name, the description and the index of a draft, and what the draft is silent about as for a new
    /// library. What its vectors and attributes must fit stays: a draft that asks for something else there is refused.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`], [`Code::LibraryExists`], or what is wrong with the values.
    pub async fn replace_library(
        &self,
        library: &str,
        draft: LibraryDraft,
        metric: Option<Metric>,
        options: WriteOptions,
    ) -> Result<LibraryView> {
        self.with_library(library, |known| check_fixed(known, &draft, metric))?;
        let (index, default) = (draft.index, IndexSettings::default());
        let index = IndexDraft {
            index_type: index.index_type.or(Some(default.index_type)),
            params: index.params.or(Some(default.params)),
            target_recall: index.target_recall.or(Some(default.target_recall)),
        };
        self.update_library(library, Some(draft.name), Some(draft.description.unwrap_or_default()), index, options).await
    }

    /// How many libraries there are, of those whose id is `shown`.
    ///
    /// # Errors
    /// [`Code::Storage`] after a failure inside.
    pub fn count_libraries(&self, shown: impl Fn(&str) -> bool) -> Result<Counted> {
        self.store.read(|state| {
            let count = state.holdings().filter(|holding| shown(holding.id().as_str())).count();
            Ok(Counted { count, seq: state.seq() })
        })
    }

    /// Deletes a library with all that is in it.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`].
    pub async fn delete_library(&self, library: &str, options: WriteOptions) -> Result<Deleted> {
        let command = Command::DeleteLibrary { library: library.to_owned() };
        self.write(options, library, command, |_, written| Deleted { seq: written.seq }).await
    }

    /// A library as a file, unless the caller has it as of the sequence `known_seq`; without float rows on request.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`].
    pub fn export_library(&self, library: &str, precision: Precision, known_seq: Option<u64>) -> Result<Exported> {
        let known_now = self.with_library(library, |library| Ok((library.info().id.clone(), library.seq())))?;
        let state = if known_seq == Some(known_now.1) { self.store.state() } else { self.store.settled(&known_now.0)? };
        let library = state.library(library)?;
        let bytes = match precision {
            _ if known_seq == Some(library.seq()) => None,
            Precision::Float32 => Some(snapshot::to_bytes(library)?),
            Precision::Int8 => Some(snapshot::to_bytes(&library.without_floats())?),
        };
        Ok(Exported { name: library.info().name.to_string(), seq: library.seq(), bytes })
    }

    /// How much a library holds, and in how many bytes.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`].
    pub fn statistics(&self, library: &str) -> Result<Statistics> {
        self.with_library(library, |library| {
            let index = library.index_view();
            let texts = library.live().iter().map(|slot| library.text_at(slot).len()).sum();
            let vectors = library.vectors().rows() * library.vectors().dimension() * size_of::<f32>();
            let bytes = PartBytes { vectors, codes: library.codes().memory(), texts, index: index.bytes };
            Ok(Statistics {
                documents: library.document_count(),
                chunks: library.chunk_count(),
                fields: library.fields().named().count(),
                bytes,
                index,
                seq: library.seq(),
            })
        })
    }

    /// Changes the attribute fields of a library.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`], [`Code::FieldNotFound`], [`Code::FieldExists`], or what is wrong with the name.
    pub async fn change_schema(&self, library: &str, change: SchemaChange, options: WriteOptions) -> Result<LibraryView> {
        let id = self.with_library(library, |library| Ok(library.info().id.to_string()))?;
        self.write_library(Command::ChangeSchema { library: id.clone(), change }, id, options).await
    }

    /// Copies a library, with everything in it. Takes no time: the two share what neither changes.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`], [`Code::LibraryExists`], or what is wrong with the name or the id.
    pub async fn copy_library(&self, library: &str, id: String, name: String, options: WriteOptions) -> Result<LibraryView> {
        let command = Command::CopyLibrary { library: library.to_owned(), id: id.clone(), name, now: self.now() };
        let seen = move |state: &State, _: Written| state.library(&id).map(Library::view);
        self.write(options, library, command, seen).await?
    }

    /// Sets aliases, all at once, and tells all there are.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`], [`Code::AliasNotFound`], [`Code::LibraryExists`] for an alias that is the name of a library.
    pub async fn set_aliases(&self, aliases: Vec<(String, Option<String>)>, durability: Durability) -> Result<Aliases> {
        self.store.write(Command::SetAliases { aliases }, durability, |state, _| aliases_of(state)).await
    }

    /// All aliases.
    ///
    /// # Errors
    /// [`Code::Storage`] after a failure inside.
    pub fn aliases(&self) -> Result<Aliases> {
        self.store.read(|state| Ok(aliases_of(state)))
    }

    async fn write_library(&self, command: Command, id: String, options: WriteOptions) -> Result<LibraryView> {
        let name = id.clone();
        self.write(options, &id, command, move |state, _| state.library(&name).map(Library::view)).await?
    }
}
