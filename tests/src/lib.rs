//! The test kit: stand-ins for the world outside the engine, and a naive model to compare it with.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

pub mod crash;
pub mod fixture;
pub mod forge;
pub mod oracle;
pub mod rng;
pub mod sim;

use vecino_engine::command::{ChunkDraft, DocumentDraft};

/// A chunk with a text and a vector, and nothing else.
pub fn chunk(id: &str, text: &str, embedding: &[f32]) -> ChunkDraft {
    ChunkDraft { id: id.to_owned(), text: text.to_owned(), embedding: embedding.to_vec(), ..ChunkDraft::default() }
}

/// A document with a title and chunks, and nothing else.
pub fn document(id: &str, chunks: Vec<ChunkDraft>) -> DocumentDraft {
    DocumentDraft { id: id.to_owned(), title: format!("Title of {id}"), chunks, ..DocumentDraft::default() }
}
