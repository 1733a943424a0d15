//! The nouns: library > document > chunk, their ids and their metadata.
//!
//! A **library** holds documents whose chunks can be compared: one dimension, one metric, one embedding model (its
//! [`Contract`]). A **document** has fixed metadata and free, typed attributes. A **chunk** is a text with an embedding; it
//! belongs to one document and inherits the document's attributes in filters and hits unless it sets its own.

mod chunk;
mod document;
mod fixed;
mod id;
mod library;
pub mod limits;
mod time;
mod value;

pub use chunk::{Chunk, ChunkMetadata};
pub use document::{Document, DocumentMetadata};
pub use fixed::FixedField;
pub use id::Id;
pub use library::{Contract, DEFAULT_TARGET_RECALL, EmbeddingModel, IndexParams, IndexSettings, IndexType, LibraryInfo};
pub use time::Timestamp;
pub use value::{Attributes, Field, FieldId, FieldType, Fields, RawAttributes, Scalar, Value, check_field_name, shown};
pub(crate) use value::{Read, kind_of};
