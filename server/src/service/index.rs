//! The index of a library.

use serde::Serialize;
use utoipa::ToSchema;
use vecino_engine::{
    Result,
    command::{Command, IndexDraft},
    view::{IndexView, QualityView},
};

use super::{Service, WriteOptions};
use crate::live_recall::LiveRecall;

/// How good the answers of a library are.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LibraryQuality {
    /// As the library has measured itself: what efforts are chosen by.
    #[serde(flatten)]
    pub measured: QualityView,
    /// As one in 64 queries found it since the server started: it tells, and decides nothing. Absent before the first one, and
    /// where answers are exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveRecall>,
}

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
    pub fn quality(&self, library: &str) -> Result<LibraryQuality> {
        self.with_library(library, |library| {
            let measured = library.quality_view();
            let live = self.sampler.of(&library.info().id).filter(|_| !measured.exact);
            Ok(LibraryQuality { measured, live })
        })
    }
}
