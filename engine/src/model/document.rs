//! Documents.

use serde::{Deserialize, Serialize};

use super::{Attributes, Id, Timestamp};

/// The fixed metadata of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentMetadata {
    /// What the document is called.
    pub title: Box<str>,
    /// Who wrote it.
    pub author: Option<Box<str>>,
    /// When it was made; the time of the write when the user gave none.
    pub created_at: Timestamp,
    /// Its kind, such as `article`.
    pub document_type: Option<Box<str>>,
    /// Where it came from.
    pub source_url: Option<Box<str>>,
    /// Free labels.
    pub tags: Vec<Box<str>>,
}

/// A document without its chunks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Unique within the library.
    pub id: Id,
    /// The fixed metadata.
    pub metadata: DocumentMetadata,
    /// The free, typed attributes.
    pub attributes: Attributes,
}
