//! Chunks.

use serde::{Deserialize, Serialize};

use super::{Attributes, Id, Timestamp};

/// The fixed metadata of a chunk. Its source document is known from where it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkMetadata {
    /// When it was made; the time of the write when the user gave none.
    pub created_at: Timestamp,
    /// The page of the source document, from 0 or 1 as the user counts.
    pub page_number: Option<u32>,
    /// The position within the document; counted from 0 when the user gave none.
    pub chunk_index: u32,
}

/// A chunk as it is written: everything that the log holds of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Unique within the library.
    pub id: Id,
    /// The text, 1 to 10,000 characters.
    pub text: Box<str>,
    /// The fixed metadata.
    pub metadata: ChunkMetadata,
    /// The free, typed attributes.
    pub attributes: Attributes,
    /// The vector as it is stored: of unit length under the cosine metric.
    pub embedding: Vec<f32>,
}
