//! The test kit: stand-ins for the world outside the engine, and a naive model to compare it with.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

pub mod faulty;
pub mod oracle;

use std::sync::atomic::{AtomicI64, Ordering};

use vecino_engine::{
    command::{ChunkDraft, DocumentDraft},
    host::Host,
    model::Timestamp,
};

/// A host whose clock ticks once a call and whose ids count up.
#[derive(Debug, Default)]
pub struct FakeHost {
    ticks: AtomicI64,
}

impl Host for FakeHost {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + self.ticks.fetch_add(1_000_000, Ordering::Relaxed))
    }

    fn new_id(&self) -> String {
        format!("id-{:08}", self.ticks.fetch_add(1, Ordering::Relaxed))
    }
}

/// A chunk with a text and a vector, and nothing else.
pub fn chunk(id: &str, text: &str, embedding: &[f32]) -> ChunkDraft {
    ChunkDraft { id: id.to_owned(), text: text.to_owned(), embedding: embedding.to_vec(), ..ChunkDraft::default() }
}

/// A document with a title and chunks, and nothing else.
pub fn document(id: &str, chunks: Vec<ChunkDraft>) -> DocumentDraft {
    DocumentDraft { id: id.to_owned(), title: format!("Title of {id}"), chunks, ..DocumentDraft::default() }
}
