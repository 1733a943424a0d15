//! Every limit of the product, in one table.
//!
//! Limits keep a single request from taking the whole machine. They are checked in [`plan`](crate::plan), before anything is
//! written, and an [`Error`](crate::Error) names the field, the limit and what was received.

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $ty:ty = $value:expr;)+) => {
        $($(#[doc = $doc])+ pub const $name: $ty = $value;)+

        /// The table: each limit's name, value and meaning, in the order of this file.
        pub const ALL: &[(&str, u64, &str)] = &[
            $((stringify!($name), $name as u64, concat!($($doc),+)),)+
        ];
    };
}

limits! {
    /// Bytes of an id of a library, a document or a chunk.
    MAX_ID_BYTES: usize = 255;
    /// Bytes of a library's name.
    MAX_NAME_BYTES: usize = 255;
    /// Characters of a library's description.
    MAX_DESCRIPTION_CHARS: usize = 10_000;
    /// Dimensions of a vector.
    MAX_DIMENSION: usize = 16_384;
    /// Magnitude of one component of a vector; larger ones could overflow a sum of squares.
    MAX_COMPONENT: f32 = 1e16;
    /// Characters of the text of a chunk.
    MAX_CHUNK_CHARS: usize = 10_000;
    /// Characters of the text of a query.
    MAX_QUERY_CHARS: usize = 10_000;
    /// Characters of the text of a document that is to be split into chunks.
    MAX_DOCUMENT_CHARS: usize = 1_000_000;
    /// Characters of a title, an author, a document type or a source address.
    MAX_METADATA_CHARS: usize = 2_000;
    /// Tags of a document.
    MAX_TAGS: usize = 64;
    /// Documents in one batch.
    MAX_DOCUMENTS_PER_BATCH: usize = 1_000;
    /// Chunks in one request, over all its documents.
    MAX_CHUNKS_PER_BATCH: usize = 10_000;
    /// Floats in one request, over all its vectors (64 MiB).
    MAX_FLOATS_PER_BATCH: usize = 1 << 24;
    /// Documents or chunks that one request names by their ids.
    MAX_IDS_PER_REQUEST: usize = 10_000;
    /// Documents or chunks that a deletion by filter takes out in one step; a job takes the steps after the first.
    MAX_DELETED_AT_ONCE: usize = 100_000;
    /// Chunks in one library.
    MAX_CHUNKS_PER_LIBRARY: usize = 1 << 31;
    /// Aliases that one request sets.
    MAX_ALIASES_PER_REQUEST: usize = 100;
    /// Attributes of one document or chunk.
    MAX_ATTRIBUTES: usize = 64;
    /// Attribute fields in one library, those that were dropped counted too.
    MAX_FIELDS: usize = 1_024;
    /// Bytes of an attribute's name.
    MAX_FIELD_NAME_BYTES: usize = 128;
    /// Bytes of a keyword; a longer string is a text.
    MAX_KEYWORD_BYTES: usize = 1_024;
    /// Characters of a text attribute.
    MAX_TEXT_ATTRIBUTE_CHARS: usize = 10_000;
    /// Values in one attribute that holds a list.
    MAX_LIST_VALUES: usize = 256;
    /// Hits of one query.
    MAX_K: usize = 10_000;
    /// Effort of one query: `ef`, `nprobe` or candidates.
    MAX_EFFORT: usize = 1_000_000;
    /// Examples of a recommendation, positive and negative ones together.
    MAX_EXAMPLES: usize = 100;
    /// Hits of each document in an answer that is grouped.
    MAX_GROUP_SIZE: usize = 100;
    /// Queries in one request.
    MAX_QUERIES_PER_BATCH: usize = 100;
    /// Hits of all queries of one request together.
    MAX_HITS_PER_BATCH: usize = 10_000;
    /// Fields whose values one request counts.
    MAX_FACETS: usize = 16;
    /// Values that are told of each counted field.
    MAX_FACET_VALUES: usize = 1_000;
    /// Depth of a filter.
    MAX_FILTER_DEPTH: usize = 16;
    /// Conditions in a filter.
    MAX_FILTER_CONDITIONS: usize = 256;
    /// Values in one `$in` or `$nin`.
    MAX_IN_VALUES: usize = 4_096;
    /// Items on one page of a listing.
    MAX_PAGE: usize = 1_000;
    /// Bytes of one record in the log.
    MAX_RECORD_BYTES: usize = 1 << 28;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_the_values_that_are_checked() {
        let value = |name: &str| ALL.iter().find(|(listed, ..)| *listed == name).map(|(_, value, _)| *value);
        assert_eq!(value("MAX_CHUNKS_PER_LIBRARY"), Some(MAX_CHUNKS_PER_LIBRARY as u64));
        assert_eq!(value("MAX_CHUNKS_PER_LIBRARY"), Some(1 << 31));
        assert_eq!(value("MAX_RECORD_BYTES"), Some(1 << 28));
        assert!(ALL.iter().all(|(_, value, _)| (1..=1 << 54).contains(value)), "{ALL:?}");
    }
}
