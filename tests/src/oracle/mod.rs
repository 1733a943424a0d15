//! A naive model of the database: maps, and a loop over everything for a query.

mod filter;
mod library;

use std::collections::{BTreeMap, BTreeSet};

use vecino_engine::{
    command::{Command, LibraryDraft},
    model::IndexType,
};

pub use library::OracleLibrary;

/// Libraries as a user thinks of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Oracle {
    /// By id.
    pub libraries: BTreeMap<String, OracleLibrary>,
    /// Other names, with the ids of the libraries to which they lead.
    pub aliases: BTreeMap<String, String>,
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
    /// Does what a command means, unless it is refused. If it happens, it is the write `seq`.
    pub fn apply(&mut self, command: &Command, seq: u64) -> Outcome {
        self.try_apply(command.clone(), seq).unwrap_or(Outcome::Refused)
    }

    /// `None` when it is refused; then nothing has changed.
    fn try_apply(&mut self, command: Command, seq: u64) -> Option<Outcome> {
        match command {
            Command::CreateLibrary(draft) => self.create(draft, seq),
            Command::CopyLibrary { library, id, name, .. } => self.copy(&library, id, name, seq),
            Command::SetAliases { aliases } => self.set_aliases(aliases, seq),
            command => {
                let id = self.find(about(&command))?;
                let outcome = self.change(&id, command, seq)?;
                if outcome == Outcome::Done {
                    self.wrote(&id, seq);
                }
                Some(outcome)
            }
        }
    }

    fn change(&mut self, id: &str, command: Command, seq: u64) -> Option<Outcome> {
        match command {
            Command::DeleteLibrary { .. } => {
                self.aliases.retain(|_, of| of != id);
                self.libraries.remove(id).map(|_| Outcome::Done)
            }
            Command::UpdateLibrary { name, description, index, .. } => self.update(id, name, description, index.index_type),
            Command::ReplaceLibrary { source, .. } => self.replace(id, &source),
            Command::IfUnchanged { seq: known, command, .. } => {
                (self.libraries.get(id)?.seq == known).then_some(())?;
                self.try_apply(*command, seq)
            }
            command => self.libraries.get_mut(id)?.apply(command),
        }
    }

    /// Notes that the write `seq` was about the library of this id.
    pub fn wrote(&mut self, library: &str, seq: u64) {
        self.libraries.get_mut(library).into_iter().for_each(|library| library.seq = seq);
    }

    /// The id of a library that is named by its id, its name or an alias.
    fn find(&self, name: &str) -> Option<String> {
        let by_name = || self.libraries.iter().find(|(_, library)| library.name == name).map(|(id, _)| id);
        let known = self.libraries.get_key_value(name).map(|(id, _)| id);
        known.or_else(by_name).or_else(|| self.aliases.get(name)).cloned()
    }

    fn is_free(&self, name: &str) -> Option<()> {
        self.find(name).is_none().then_some(())
    }

    fn create(&mut self, draft: LibraryDraft, seq: u64) -> Option<Outcome> {
        self.is_free(&draft.id).and(self.is_free(&draft.name))?;
        let library = OracleLibrary {
            name: draft.name,
            description: draft.description,
            metric: draft.metric,
            index_type: draft.index.index_type.unwrap_or(IndexType::Auto),
            dimension: draft.dimension,
            strict: draft.strict_schema,
            fields: draft.fields.into_iter().collect(),
            documents: BTreeMap::new(),
            seq,
        };
        self.libraries.insert(draft.id, library);
        Some(Outcome::Done)
    }

    fn update(
        &mut self,
        id: &str,
        name: Option<String>,
        description: Option<String>,
        index_type: Option<IndexType>,
    ) -> Option<Outcome> {
        let name = name.filter(|name| *name != self.libraries[id].name);
        name.iter().try_for_each(|name| self.is_free(name))?;
        let known = self.libraries.get_mut(id)?;
        known.name = name.unwrap_or_else(|| known.name.clone());
        if let Some(text) = description {
            known.description = (!text.is_empty()).then_some(text);
        }
        known.index_type = index_type.unwrap_or(known.index_type);
        Some(Outcome::Done)
    }

    fn replace(&mut self, id: &str, source: &str) -> Option<Outcome> {
        let source = self.find(source).filter(|source| source != id)?;
        let contents = self.libraries[&source].clone();
        let known = self.libraries.get_mut(id)?;
        *known = OracleLibrary { name: std::mem::take(&mut known.name), ..contents };
        Some(Outcome::Done)
    }

    fn copy(&mut self, library: &str, id: String, name: String, seq: u64) -> Option<Outcome> {
        let source = self.libraries[&self.find(library)?].clone();
        self.is_free(&id).and(self.is_free(&name))?;
        self.libraries.insert(id, OracleLibrary { name, seq, ..source });
        Some(Outcome::Done)
    }

    fn set_aliases(&mut self, aliases: Vec<(String, Option<String>)>, seq: u64) -> Option<Outcome> {
        let mut set = Vec::new();
        for (alias, library) in aliases {
            let known = self.aliases.contains_key(&alias);
            (known || library.is_some() && self.find(&alias).is_none()).then_some(())?;
            set.push((alias, library.map(|library| self.find(&library).ok_or(())).transpose().ok()?));
        }
        let mut changed = BTreeSet::new();
        for (alias, library) in set.iter().cloned() {
            changed.extend(self.aliases.remove(&alias));
            changed.extend(library.clone());
            self.aliases.extend(library.map(|library| (alias, library)));
        }
        changed.iter().for_each(|id| self.wrote(id, seq));
        Some(if set.is_empty() { Outcome::Nothing } else { Outcome::Done })
    }
}

/// The library that a command is about, as it names it; none where it is about several.
fn about(command: &Command) -> &str {
    match command {
        Command::CreateLibrary(draft) => &draft.id,
        Command::UpdateLibrary { library, .. }
        | Command::DeleteLibrary { library }
        | Command::PutDocuments { library, .. }
        | Command::UpdateDocument { library, .. }
        | Command::DeleteDocuments { library, .. }
        | Command::AddChunks { library, .. }
        | Command::UpdateChunk { library, .. }
        | Command::DeleteChunks { library, .. }
        | Command::ChooseIndex { library, .. }
        | Command::CutIndex { library }
        | Command::PutChunks { library, .. }
        | Command::DeleteMatching { library, .. }
        | Command::IfUnchanged { library, .. }
        | Command::ChangeSchema { library, .. }
        | Command::ReplaceLibrary { library, .. }
        | Command::CopyLibrary { library, .. } => library,
        Command::SetAliases { .. } => "",
    }
}
