//! The index of a library.

use vecino_engine::{
    Result,
    command::{Command, IndexDraft},
    view::{IndexView, QualityView},
};

use super::{Service, known};

impl Service {
    /// What the index is, and what it waits for.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`](vecino_engine::Code::LibraryNotFound).
    pub fn index(&self, library: &str) -> Result<IndexView> {
        self.with_library(library, |library| Ok(library.index_view()))
    }

    /// Chooses the index. It is built in the background.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`](vecino_engine::Code::LibraryNotFound), or what is wrong with the draft.
    pub fn choose_index(&self, library: &str, index: IndexDraft, rebuild: bool) -> Result<IndexView> {
        let command = Command::ChooseIndex { library: library.to_owned(), index, rebuild };
        self.store.write(command, |state, _| Ok(known(state, library)?.index_view()))?
    }

    /// How good the answers are.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`](vecino_engine::Code::LibraryNotFound).
    pub fn quality(&self, library: &str) -> Result<QualityView> {
        self.with_library(library, |library| Ok(library.quality_view()))
    }
}
