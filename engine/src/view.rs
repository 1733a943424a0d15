//! The nouns as users see them, in JSON: the same from the server and in a tab.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::{
    calibrate::{Curve, shown},
    library::{ChunkEntry, DocumentEntry, Library},
    model::{EmbeddingModel, Field, FieldId, IndexParams},
    shelf::Summary,
};

/// A library.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LibraryView {
    /// Stable under renaming.
    pub id: String,
    /// Unique among libraries.
    pub name: String,
    /// What the user said of it, and the contract.
    pub metadata: LibraryMetadataView,
    /// `cosine`, `euclidean` or `dot`.
    pub metric: String,
    /// The attribute fields: declared ones, and those that came with documents.
    pub schema: SchemaView,
    /// Other names that lead to it.
    pub aliases: Vec<String>,
    /// How many documents it holds.
    pub documents: usize,
    /// How many chunks it holds.
    pub chunks: usize,
    /// Sequence of the last write that changed it.
    pub seq: u64,
}

/// The metadata of a library.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename = "LibraryMetadata")]
pub struct LibraryMetadataView {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// `auto`, `flat`, `kd_tree`, `lsh`, `ivf` or `hnsw`.
    pub index_type: String,
    /// How the index is built, where the defaults were not wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_params: Option<IndexParams>,
    /// The share of the true nearest chunks that answers hold on average.
    pub target_recall: f64,
    /// Length of every vector; absent until it is fixed by the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_dimension: Option<u32>,
    /// The model that turns text into vectors; absent where users bring the vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_model: Option<String>,
    /// SHA-256 of that model, where it is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_model_sha256: Option<String>,
}

/// The attribute fields of a library.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SchemaView {
    /// Whether attributes of other names are refused.
    pub strict: bool,
    /// Names and types: `keyword`, `integer`, `float`, `boolean`, `timestamp` or `text`.
    pub fields: std::collections::BTreeMap<String, String>,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DocumentView {
    /// Unique within the library.
    pub id: String,
    /// The fixed metadata.
    pub metadata: DocumentMetadataView,
    /// The free, typed attributes.
    pub attributes: Map<String, Json>,
    /// Ids of its chunks, in order.
    pub chunks: Vec<String>,
}

/// The fixed metadata of a document.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DocumentMetadataView {
    /// What it is called.
    pub title: String,
    /// Who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_type: Option<String>,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// Labels.
    pub tags: Vec<String>,
}

/// A chunk.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChunkView {
    /// Unique within the library.
    pub id: String,
    /// The document that it belongs to.
    pub document_id: String,
    /// The text.
    pub text: String,
    /// The fixed metadata.
    pub metadata: ChunkMetadataView,
    /// Attributes of its own; those of the document are with the document.
    pub attributes: Map<String, Json>,
    /// The vector as it is stored: of unit length under cosine. On request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
}

/// The fixed metadata of a chunk.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChunkMetadataView {
    /// RFC 3339.
    pub created_at: String,
    /// The page of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_number: Option<u32>,
    /// The position in the document.
    pub chunk_index: u32,
}

/// What a hit tells of its chunk and its document.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct HitMetadataView {
    /// The document's metadata.
    #[serde(flatten)]
    pub document: DocumentMetadataView,
    /// The page of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_number: Option<u32>,
    /// The position in the document.
    pub chunk_index: u32,
}

/// The index of a library.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename = "Index")]
pub struct IndexView {
    /// The type that was asked for, perhaps `auto`.
    pub index_type: String,
    /// How it is built, where the defaults were not wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_params: Option<IndexParams>,
    /// The share of the true nearest chunks that answers hold on average.
    pub target_recall: f64,
    /// The type that serves queries now.
    pub serving: String,
    /// The type that will serve them when all waiting work is done.
    pub next: String,
    /// Chunks in the library.
    pub chunks: usize,
    /// Chunks, and freed places of chunks, that the index has not taken in yet: queries compare them one by one.
    pub unlinked: usize,
    /// Pieces of work that wait to be done in the background.
    pub waiting: usize,
    /// Bytes of links and lists; vectors and their codes are not counted.
    pub bytes: usize,
    /// Sequence of the last write that the index has taken in; 0 for a flat one, which needs not.
    pub index_seq: u64,
    /// Sequence of the last write to the library.
    pub seq: u64,
}

/// How good the answers of a library are, measured by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename = "Quality")]
pub struct QualityView {
    /// The type of the index that serves queries.
    pub index: String,
    /// Whether every answer is exact.
    pub exact: bool,
    /// The share of the true nearest chunks that answers shall hold.
    pub target_recall: f64,
    /// The least effort that reached it without a filter; absent where the answers are exact, and before the first measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<u32>,
    /// The recall that was measured for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_recall: Option<f64>,
    /// Sequence of the last write that the measured index knew of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_at_seq: Option<u64>,
    /// Chunks in the index then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_chunks: Option<u32>,
    /// Chunks whose ten nearest were looked for, at each effort and under each filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<u32>,
    /// Recall by effort: without a filter, then for filters that let ever fewer chunks through.
    pub curves: Vec<Curve>,
}

impl Library {
    /// The index as users see it.
    pub fn index_view(&self) -> IndexView {
        let settings = self.info().index;
        let state = self.index_state();
        IndexView {
            index_type: settings.index_type.as_str().to_owned(),
            index_params: (settings.params != IndexParams::default()).then_some(settings.params),
            target_recall: shown(settings.target_recall),
            serving: state.serving.as_str().to_owned(),
            next: state.asked.as_str().to_owned(),
            chunks: self.chunk_count(),
            unlinked: state.unlinked,
            waiting: state.waiting,
            bytes: state.memory,
            index_seq: state.seq,
            seq: self.seq(),
        }
    }

    /// The measured quality as users see it.
    pub fn quality_view(&self) -> QualityView {
        let target_recall = self.info().index.target_recall;
        let state = self.index_state();
        let point = state.quality.and_then(|quality| quality.effort(target_recall, 1.0));
        QualityView {
            index: state.serving.as_str().to_owned(),
            exact: !state.serving.is_approximate() || target_recall >= 1.0,
            target_recall: shown(target_recall),
            effort: point.map(|point| point.effort),
            measured_recall: point.map(|point| shown(point.recall)),
            measured_at_seq: state.quality.map(|quality| quality.seq),
            measured_chunks: state.quality.map(|quality| quality.chunks),
            probes: state.quality.map(|quality| quality.probes),
            curves: state.quality.map_or_else(Vec::new, |quality| quality.curves.clone()),
        }
    }

    /// The library as users see it.
    pub fn view(&self) -> LibraryView {
        self.summary().view()
    }

    /// A document as users see it.
    pub fn document_view(&self, entry: &DocumentEntry) -> DocumentView {
        let chunk_id = |slot: &u32| self.chunk_at(*slot).map(|chunk| chunk.id.to_string());
        DocumentView {
            id: entry.document.id.to_string(),
            metadata: metadata_view(entry),
            attributes: self.fields().to_json(&entry.document.attributes),
            chunks: entry.chunks.iter().filter_map(chunk_id).collect(),
        }
    }

    /// The chunk in a slot as users see it.
    pub fn chunk_view(&self, slot: u32, with_embedding: bool) -> Option<ChunkView> {
        let entry = self.chunk_at(slot)?;
        Some(ChunkView {
            id: entry.id.to_string(),
            document_id: self.document_at(entry.document)?.document.id.to_string(),
            text: self.text_at(slot).to_owned(),
            metadata: ChunkMetadataView {
                created_at: entry.metadata.created_at.to_string(),
                page_number: entry.metadata.page_number,
                chunk_index: entry.metadata.chunk_index,
            },
            attributes: self.fields().to_json(&entry.attributes),
            embedding: with_embedding.then(|| self.row_of(slot).into_owned()),
        })
    }

    pub(crate) fn hit_metadata(&self, chunk: &ChunkEntry, document: &DocumentEntry) -> HitMetadataView {
        HitMetadataView {
            document: metadata_view(document),
            page_number: chunk.metadata.page_number,
            chunk_index: chunk.metadata.chunk_index,
        }
    }

    /// The attributes of a document, with those of the chunk laid over them.
    pub(crate) fn hit_attributes(&self, chunk: &ChunkEntry, document: &DocumentEntry) -> Map<String, Json> {
        let mut all = self.fields().to_json(&document.document.attributes);
        all.extend(self.fields().to_json(&chunk.attributes));
        all
    }
}

impl Summary {
    /// The library as users see it.
    pub fn view(&self) -> LibraryView {
        let info = &self.info;
        let model = info.contract.embedding_model.as_ref();
        let fingerprint = |model: &EmbeddingModel| (!model.fingerprint.is_empty()).then(|| model.fingerprint.to_string());
        let field = |(_, field): (FieldId, &Field)| (field.name.to_string(), field.kind.as_str().to_owned());
        LibraryView {
            id: info.id.to_string(),
            name: info.name.to_string(),
            metadata: LibraryMetadataView {
                description: info.description.as_deref().map(str::to_owned),
                created_at: info.created_at.to_string(),
                index_type: info.index.index_type.as_str().to_owned(),
                index_params: (info.index.params != IndexParams::default()).then_some(info.index.params),
                target_recall: shown(info.index.target_recall),
                embedding_dimension: info.contract.dimension,
                embedding_model: model.map(|model| model.name.to_string()),
                embedding_model_sha256: model.and_then(fingerprint),
            },
            metric: info.contract.metric.as_str().to_owned(),
            schema: SchemaView { strict: info.strict_schema, fields: self.fields.named().map(field).collect() },
            aliases: self.aliases.iter().map(ToString::to_string).collect(),
            documents: self.documents,
            chunks: self.chunks,
            seq: self.seq,
        }
    }
}

fn metadata_view(entry: &DocumentEntry) -> DocumentMetadataView {
    let metadata = &entry.document.metadata;
    let text = |value: &Option<Box<str>>| value.as_deref().map(str::to_owned);
    DocumentMetadataView {
        title: metadata.title.to_string(),
        author: text(&metadata.author),
        created_at: metadata.created_at.to_string(),
        document_type: text(&metadata.document_type),
        source_url: text(&metadata.source_url),
        tags: metadata.tags.iter().map(ToString::to_string).collect(),
    }
}
