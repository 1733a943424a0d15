//! Every refusal lives here: a pure function from the state and a command to a record.
//!
//! A plan changes nothing. What it returns can be written to the log and then applied, and neither can fail for a reason that
//! lies in the command.

mod chunks;
mod deletions;
mod documents;
mod fields;
mod index;
mod schema;

pub(crate) use chunks::check_vector;
pub(crate) use index::check_target_recall;

use crate::{
    command::{Command, IndexDraft, LibraryDraft},
    error::{Code, Error, Result},
    model::{
        Contract, Field, Id, IndexSettings, LibraryInfo, Timestamp, check_field_name,
        limits::{MAX_ALIASES_PER_REQUEST, MAX_DESCRIPTION_CHARS, MAX_DIMENSION, MAX_FIELDS, MAX_METADATA_CHARS, MAX_NAME_BYTES},
        shown,
    },
    record::Record,
    state::State,
};

/// What comes of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What would happen; `None` when nothing has to change.
    pub record: Option<Record>,
    /// Documents or chunks left out because they exist already.
    pub skipped: usize,
    /// Documents or chunks that are written or deleted.
    pub affected: usize,
}

impl Plan {
    /// The plan of a record that changes one thing.
    fn of(record: Record) -> Self {
        Self { record: Some(record), skipped: 0, affected: 1 }
    }

    /// The plan of a record that changes so many things; of none, where there is nothing to change.
    fn of_many(affected: usize, record: impl FnOnce() -> Record) -> Self {
        Self { record: (affected > 0).then(record), skipped: 0, affected }
    }
}

impl State {
    /// Checks a command against the state, and opens the libraries that it is about. Cost: that of reading the command.
    ///
    /// # Errors
    /// All that a user can do wrong, with the field and the numbers; those of [`Holding::library`](crate::shelf::Holding::library).
    pub fn plan(&self, command: Command) -> Result<Plan> {
        let plan = self.check(command)?;
        plan.record.as_ref().map_or(Ok(()), |record| self.open_for(record))?;
        Ok(plan)
    }

    fn check(&self, command: Command) -> Result<Plan> {
        match command {
            Command::CreateLibrary(draft) => self.create_library(draft).map(Plan::of),
            Command::UpdateLibrary { library, name, description, index } => {
                self.update_library(&library, name.as_deref(), description.as_deref(), &index).map(Plan::of)
            }
            Command::DeleteLibrary { library } => {
                let holding = self.find(&library).ok_or_else(|| library_not_found(&library))?;
                Ok(Plan::of(Record::LibraryDeleted { library: holding.id().clone() }))
            }
            Command::PutDocuments { library, documents, on_conflict, embedded_by, now } => {
                documents::put(self.library(&library)?, documents, on_conflict, embedded_by, now)
            }
            Command::UpdateDocument { library, document, patch } => {
                documents::update(self.library(&library)?, &document, patch).map(Plan::of)
            }
            Command::DeleteDocuments { library, documents } => deletions::documents(self.library(&library)?, documents),
            Command::ChooseIndex { library, index, rebuild } => index::choose(self.library(&library)?, &index, rebuild),
            Command::CutIndex { library } => Ok(index::cut(self.library(&library)?)),
            Command::AddChunks { library, document, chunks, embedded_by, now } => {
                chunks::add(self.library(&library)?, &document, chunks, embedded_by, now)
            }
            Command::UpdateChunk { library, chunk, patch, embedded_by } => {
                chunks::update(self.library(&library)?, &chunk, patch, embedded_by).map(Plan::of)
            }
            Command::DeleteChunks { library, chunks } => deletions::chunks(self.library(&library)?, chunks),
            Command::PutChunks { library, chunks, on_conflict, embedded_by, now } => {
                chunks::put(self.library(&library)?, chunks, on_conflict, embedded_by, now)
            }
            Command::DeleteMatching { library, kind, filter } => deletions::matching(self.library(&library)?, kind, &filter),
            Command::IfUnchanged { library, seq, command } => {
                let known = self.library(&library)?;
                if known.seq() != seq {
                    return Err(changed(seq, known.seq()));
                }
                self.check(*command)
            }
            Command::ChangeSchema { library, change } => schema::change(self.library(&library)?, change).map(Plan::of),
            Command::CopyLibrary { library, id, name, now } => self.copy_library(&library, &id, &name, now).map(Plan::of),
            Command::ReplaceLibrary { library, source } => self.replace_library(&library, &source).map(Plan::of),
            Command::SetAliases { aliases } => self.set_aliases(aliases),
        }
    }

    fn create_library(&self, draft: LibraryDraft) -> Result<Record> {
        let id = Id::new(&draft.id)?;
        if self.find(&draft.id).is_some() {
            return Err(library_exists(&draft.id, "id"));
        }
        let name = self.free_name(&draft.name)?;
        let description = draft.description.as_deref().map(check_description).transpose()?.flatten();
        let dimension = draft.dimension.map(check_dimension).transpose()?;
        if let Some(model) = &draft.embedding_model {
            check_chars("metadata.embedding_model", &model.name, MAX_METADATA_CHARS)?;
        }
        if draft.fields.len() > MAX_FIELDS {
            return Err(Error::limit("fields of a library", MAX_FIELDS, draft.fields.len()).field("schema.fields"));
        }
        let fields = draft
            .fields
            .into_iter()
            .map(|(name, kind)| {
                check_field_name(&name).map_err(|error| error.within("schema.fields"))?;
                Ok(Field { name: name.into(), kind })
            })
            .collect::<Result<_>>()?;
        let contract = Contract { metric: draft.metric, dimension, embedding_model: draft.embedding_model };
        Ok(Record::LibraryCreated {
            info: LibraryInfo {
                id,
                name,
                description,
                created_at: draft.now,
                index: index::settings(IndexSettings::default(), &draft.index).map_err(|error| error.within("metadata"))?,
                contract,
                strict_schema: draft.strict_schema,
            },
            fields,
        })
    }

    fn update_library(&self, id: &str, name: Option<&str>, description: Option<&str>, index: &IndexDraft) -> Result<Record> {
        let info = &self.library(id)?.info;
        let name = match name {
            Some(name) if name != &*info.name => self.free_name(name)?,
            _ => info.name.clone(),
        };
        let description = match description {
            Some(text) => check_description(text)?,
            None => info.description.clone(),
        };
        let settings = index::settings(info.index, index).map_err(|error| error.within("metadata"))?;
        let library = info.id.clone();
        Ok(if settings == info.index {
            Record::LibraryUpdated { library, name, description }
        } else {
            Record::LibraryChanged { library, name, description, settings }
        })
    }

    fn copy_library(&self, source: &str, id: &str, name: &str, now: Timestamp) -> Result<Record> {
        let source = &self.library(source)?.info;
        if self.find(id).is_some() {
            return Err(library_exists(id, "id"));
        }
        let info = LibraryInfo { id: Id::new(id)?, name: self.free_name(name)?, created_at: now, ..(**source).clone() };
        Ok(Record::LibraryCopied { source: source.id.clone(), info })
    }

    fn replace_library(&self, library: &str, source: &str) -> Result<Record> {
        let (old, source) = (&self.library(library)?.info, &self.library(source)?.info);
        if old.id == source.id {
            return Err(Error::new(Code::InvalidValue, "a library cannot take its own place").field("source"));
        }
        let info = LibraryInfo { id: old.id.clone(), name: old.name.clone(), created_at: old.created_at, ..(**source).clone() };
        Ok(Record::LibraryCopied { source: source.id.clone(), info })
    }

    /// An alias may take the place of an alias, not of a library's id or name.
    fn set_aliases(&self, aliases: Vec<(String, Option<String>)>) -> Result<Plan> {
        if aliases.len() > MAX_ALIASES_PER_REQUEST {
            return Err(Error::limit("aliases in one request", MAX_ALIASES_PER_REQUEST, aliases.len()).field("aliases"));
        }
        let mut set = Vec::with_capacity(aliases.len());
        for (alias, library) in aliases {
            let place = |error: Error| error.within(format_args!("aliases.{}", shown(&alias)));
            let known = self.aliases().any(|(other, _)| other == alias);
            let library = match library {
                Some(library) => {
                    if !known {
                        self.free_name(&alias).map_err(|error| place(Error { field: None, ..error }))?;
                    }
                    let found = self.find(&library).ok_or_else(|| place(Error { field: None, ..library_not_found(&library) }))?;
                    Some(found.id().clone())
                }
                None if known => None,
                None => {
                    let detail = format!("there is no alias '{}'", shown(&alias));
                    return Err(place(Error::new(Code::AliasNotFound, detail)));
                }
            };
            set.push((alias.into(), library));
        }
        Ok(Plan::of_many(set.len(), || Record::AliasesSet { aliases: set }))
    }

    fn free_name(&self, name: &str) -> Result<Box<str>> {
        if name.trim().is_empty() {
            return Err(Error::new(Code::EmptyText, "a library needs a name").field("name"));
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(Error::limit("bytes of a library's name", MAX_NAME_BYTES, name.len()).field("name"));
        }
        if self.find(name).is_some() {
            return Err(library_exists(name, "name"));
        }
        Ok(name.into())
    }
}

fn library_exists(name: &str, field: &str) -> Error {
    Error::new(Code::LibraryExists, format!("there is a library with the id or the name '{name}' already")).field(field)
}

/// The error for a library that does not exist.
pub fn library_not_found(id: &str) -> Error {
    Error::new(Code::LibraryNotFound, format!("there is no library with the id or the name '{id}'")).field("library")
}

/// The error for a document that does not exist.
pub fn document_not_found(id: &str) -> Error {
    Error::new(Code::DocumentNotFound, format!("there is no document '{id}' in this library")).field("document")
}

/// The error for a chunk that does not exist.
pub fn chunk_not_found(id: &str) -> Error {
    Error::new(Code::ChunkNotFound, format!("there is no chunk '{id}' in this library")).field("chunk")
}

fn changed(expected: u64, received: u64) -> Error {
    let detail = format!("the library was changed by the write {received}; the request is meant for it as of {expected}");
    Error::new(Code::Changed, detail).field("if_seq").numbers(expected, received)
}

fn check_description(text: &str) -> Result<Option<Box<str>>> {
    check_chars("metadata.description", text, MAX_DESCRIPTION_CHARS)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

fn check_dimension(dimension: usize) -> Result<u32> {
    if dimension == 0 || dimension > MAX_DIMENSION {
        let detail = format!("the dimension of a library is 1 to {MAX_DIMENSION}, received {dimension}");
        return Err(Error::new(Code::InvalidValue, detail)
            .field("metadata.embedding_dimension")
            .numbers(MAX_DIMENSION, dimension));
    }
    Ok(dimension as u32)
}

/// Refuses a text of more than `limit` characters.
fn check_chars(field: &str, text: &str, limit: usize) -> Result<()> {
    // A text has no more characters than bytes, so most are not counted.
    let chars = if text.len() > limit { text.chars().count() } else { 0 };
    if chars > limit { Err(Error::limit("characters", limit, chars).field(field)) } else { Ok(()) }
}
