//! The index of a library.

use vecino_engine::{
    Result,
    command::{Command, IndexDraft},
    view::{IndexView, QualityView},
};

use super::{Service, WriteOptions};

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
    pub async fn choose_index(
        &self,
        library: &str,
        index: IndexDraft,
        rebuild: bool,
        options: WriteOptions,
    ) -> Result<IndexView> {
        let name = library.to_owned();
        let command = Command::ChooseIndex { library: name.clone(), index, rebuild };
        self.write(options, library, command, move |state, _| Ok(state.library(&name)?.index_view())).await?
    }

    /// How good the answers are.
    ///
    /// # Errors
    /// [`Code::LibraryNotFound`](vecino_engine::Code::LibraryNotFound).
    pub fn quality(&self, library: &str) -> Result<QualityView> {
        self.with_library(library, |library| Ok(library.quality_view()))
    }
}
