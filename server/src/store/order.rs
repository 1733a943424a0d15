//! A write on its way through the queue.

use serde::Deserialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;
use vecino_engine::{Code, Error, Result, command::Command, db::Written, state::State};

/// When a write is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// When it is on the disk: it outlives a power cut.
    #[default]
    Synced,
    /// When the operating system has it: it outlives a crash of this program at once, and a power cut within
    /// [`LOGGED_DELAY`](super::LOGGED_DELAY). Readers see it before that.
    Logged,
}

/// A write that waits, whatever it is to answer.
pub(super) trait Order: Send {
    /// The command; only the first call gets it.
    fn command(&mut self) -> Option<Command>;

    fn durability(&self) -> Durability;

    /// Shows the state right after the write.
    fn planned(&mut self, state: &State, written: Written);

    /// The end of it: what was planned is durable (or logged), or why not.
    fn answer(self: Box<Self>, result: Result<()>);
}

/// A write whose answer is what `seen` makes of the state right after it.
pub(super) struct Write<T, F> {
    pub(super) command: Option<Command>,
    pub(super) durability: Durability,
    pub(super) seen: Option<F>,
    pub(super) value: Option<T>,
    pub(super) answer: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&State, Written) -> T + Send> Order for Write<T, F> {
    fn command(&mut self) -> Option<Command> {
        self.command.take()
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn planned(&mut self, state: &State, written: Written) {
        self.value = self.seen.take().map(|seen| seen(state, written));
    }

    fn answer(self: Box<Self>, result: Result<()>) {
        let Self { value, answer, .. } = *self;
        // Nobody may wait any more.
        let _ = answer.send(result.and_then(|()| value.ok_or_else(interrupted)));
    }
}

/// The error for a write whose end nobody knows.
pub(super) fn interrupted() -> Error {
    Error::new(Code::Storage, "an earlier operation failed half way inside the server; restart it to go on from its files")
}

/// Whether a command makes room.
pub(super) fn deletes(command: &Command) -> bool {
    match command {
        Command::DeleteLibrary { .. }
        | Command::DeleteDocuments { .. }
        | Command::DeleteChunks { .. }
        | Command::DeleteMatching { .. } => true,
        Command::IfUnchanged { command, .. } => deletes(command),
        _ => false,
    }
}

/// About how many bytes a command takes, in memory as in the log.
pub(super) fn weight(command: &Command) -> usize {
    const EACH: usize = 256;
    match command {
        Command::PutDocuments { documents, .. } => {
            let of = |document: &vecino_engine::command::DocumentDraft| EACH + chunks(&document.chunks);
            EACH + documents.iter().map(of).sum::<usize>()
        }
        Command::AddChunks { chunks: drafts, .. } => EACH + chunks(drafts),
        Command::PutChunks { chunks: placed, .. } => EACH + placed.iter().map(|placed| 64 + chunk(&placed.chunk)).sum::<usize>(),
        Command::IfUnchanged { command, .. } => weight(command),
        Command::DeleteDocuments { documents: ids, .. } | Command::DeleteChunks { chunks: ids, .. } => {
            EACH + ids.iter().map(|id| id.len() + 16).sum::<usize>()
        }
        _ => 4 * EACH,
    }
}

fn chunks(drafts: &[vecino_engine::command::ChunkDraft]) -> usize {
    drafts.iter().map(chunk).sum()
}

fn chunk(draft: &vecino_engine::command::ChunkDraft) -> usize {
    256 + draft.text.len() + 4 * draft.embedding.len()
}
