//! Documents as filters see them.

use crate::{
    filter::{Bound, Cell, Row},
    library::{DocumentEntry, Library},
    model::{DocumentMetadata, FieldId, FixedField, Value},
};

impl Library {
    /// Whether a filter that is [bound to documents](crate::filter::Filter::bind_to_documents) lets a document through.
    pub fn document_matches(&self, entry: &DocumentEntry, filter: &Bound) -> bool {
        filter.matches(&DocumentRow(entry))
    }
}

/// A document with its own fields. It has none of those of chunks.
pub(crate) struct DocumentRow<'a>(pub(crate) &'a DocumentEntry);

impl Row for DocumentRow<'_> {
    fn fixed(&self, field: FixedField) -> Cell<'_> {
        match field {
            FixedField::DocumentId => Cell::Str(self.0.document.id.as_str()),
            _ => metadata_cell(&self.0.document.metadata, field),
        }
    }

    fn attribute(&self, field: FieldId) -> Option<&Value> {
        attribute(&self.0.document.attributes, field)
    }
}

/// A field of a document's metadata; any other one is missing.
pub(crate) fn metadata_cell(metadata: &DocumentMetadata, field: FixedField) -> Cell<'_> {
    match field {
        FixedField::Title => Cell::Str(&metadata.title),
        FixedField::Author => text_cell(metadata.author.as_deref()),
        FixedField::CreatedAt => Cell::Timestamp(metadata.created_at),
        FixedField::DocumentType => text_cell(metadata.document_type.as_deref()),
        FixedField::SourceUrl => text_cell(metadata.source_url.as_deref()),
        FixedField::Tags => Cell::Strs(&metadata.tags),
        FixedField::Id | FixedField::DocumentId | FixedField::Text | FixedField::PageNumber | FixedField::ChunkIndex => {
            Cell::Missing
        }
    }
}

fn text_cell(value: Option<&str>) -> Cell<'_> {
    value.map_or(Cell::Missing, Cell::Str)
}

/// The value of an attribute among those of a document or a chunk.
pub(crate) fn attribute(attributes: &[(FieldId, Value)], field: FieldId) -> Option<&Value> {
    attributes.binary_search_by_key(&field, |(id, _)| *id).ok().map(|at| &attributes[at].1)
}
