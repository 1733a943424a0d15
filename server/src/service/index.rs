//! The index of a library.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::{Value as Json, json};
use utoipa::ToSchema;
use vecino_engine::{
    Result,
    command::{Command, IndexDraft},
    view::{IndexView, QualityView},
};

use super::{
    Service, WriteOptions,
    jobs::{JobView, Running, Stop},
};
use crate::live_recall::LiveRecall;

/// How long it may take until a job hears that it is cancelled.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

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

    /// Begins a job that ends when all work for an index that waits now is done; `None` when too many run already. It only watches:
    /// what was chosen stands in the log, and is built whether somebody watches or not.
    pub fn watch_index(self: &Arc<Self>, library: &str) -> Option<JobView> {
        let name = library.to_owned();
        self.start_job("index", Some(library), |service, running| async move { service.until_built(&running, &name).await })
    }

    async fn until_built(&self, running: &Running, library: &str) -> Result<Json, Stop> {
        let mut published = self.store.watch();
        loop {
            let view = published.borrow_and_update().library(library).map(|library| library.index_view())?;
            running.progress(view.chunks.saturating_sub(view.unlinked) as u64, Some(view.chunks as u64))?;
            if view.waiting == 0 {
                return Ok(json!(view));
            }
            // Whether it has changed or not.
            let _ = tokio::time::timeout(LOOK_AGAIN, published.changed()).await;
        }
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
