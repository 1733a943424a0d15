//! The fixed fields: metadata that every library has, filterable beside the attributes and under the same flat names.

use super::FieldType;

macro_rules! fixed {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $kind:ident, $owner:literal;)+) => {
        /// A fixed field that filters may name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum FixedField { $($(#[doc = $doc])+ $name,)+ }

        impl FixedField {
            /// Every fixed field.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name in filters.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text,)+ } }

            /// The type of its values.
            pub const fn kind(self) -> FieldType { match self { $(Self::$name => FieldType::$kind,)+ } }

            /// Whether it belongs to the document or to the chunk.
            pub const fn owner(self) -> &'static str { match self { $(Self::$name => $owner,)+ } }
        }
    };
}

fixed! {
    /// The chunk's id.
    Id = "id", Keyword, "chunk";
    /// The id of the chunk's document.
    DocumentId = "document_id", Keyword, "chunk";
    /// The chunk's text.
    Text = "text", Text, "chunk";
    /// The chunk's page.
    PageNumber = "page_number", Integer, "chunk";
    /// The chunk's position in its document.
    ChunkIndex = "chunk_index", Integer, "chunk";
    /// The document's title.
    Title = "title", Text, "document";
    /// The document's author.
    Author = "author", Keyword, "document";
    /// When the document was made.
    CreatedAt = "created_at", Timestamp, "document";
    /// The document's kind.
    DocumentType = "document_type", Keyword, "document";
    /// Where the document came from.
    SourceUrl = "source_url", Keyword, "document";
    /// The document's tags.
    Tags = "tags", Keyword, "document";
}

impl FixedField {
    /// Finds a fixed field by its name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.as_str() == name)
    }

    /// Whether a document has a value of its own for it: its metadata, and its id.
    pub fn is_of_documents(self) -> bool {
        self.owner() == "document" || self == Self::DocumentId
    }
}
