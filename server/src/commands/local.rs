//! A data folder of this machine as a target: what a server would do, in this process.

use std::{io, path::Path};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::runtime::{self, Runtime};
use vecino_engine::{
    Code, Error, Result,
    command::{self, ChunkDraft, DocumentDraft, IndexDraft, LibraryDraft},
    distance::Metric,
    filter::Filter,
    model::{IndexType, Timestamp},
    precision::Precision,
    query::Include,
};

use super::{
    client::Failure,
    document::Document,
    target::{OnConflict, Target, Wanted, Written},
};
use crate::{
    embed::StaticEmbedder,
    service::{
        Page, Service, WriteOptions,
        chunks::NewChunk,
        documents::{Content, NewDocument},
        query::{Near, Question},
        split::SplitOptions,
    },
    storage::FileStorage,
    store::StoreOptions,
};

/// A folder that this process has open.
#[derive(Debug)]
pub struct Local {
    service: Service,
    runtime: Runtime,
}

impl Local {
    /// Opens a data folder that exists.
    ///
    /// # Errors
    /// When there is none, when another process has it open, or when it is damaged.
    pub fn open_existing(folder: &Path) -> anyhow::Result<Self> {
        ensure!(folder.is_dir(), "there is no data folder {}; name another one with --data-dir", folder.display());
        Self::open(folder)
    }

    /// Opens a data folder, a new one if it is missing.
    ///
    /// # Errors
    /// When another process has it open, or when it is damaged.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        Self::open_with(folder, SplitOptions::default())
    }

    /// Opens a data folder; texts become passages of another size than usual.
    ///
    /// # Errors
    /// When another process has it open, or when it is damaged.
    pub fn open_with(folder: &Path, split: SplitOptions) -> anyhow::Result<Self> {
        let storage = FileStorage::open(folder).map_err(|error| match error.code {
            Code::Locked => anyhow::anyhow!("{}: stop it, or go through it with --server", error.detail),
            _ => anyhow::anyhow!("{}", error.detail),
        })?;
        let embedder = StaticEmbedder::load().context("the model inside this program is damaged; install it again")?;
        let options = StoreOptions { reserve: storage.usual_reserve(), ..StoreOptions::default() };
        let (service, _) = Service::open(storage, Box::new(embedder), options)
            .with_context(|| format!("cannot open {}; `vecino check` says more", folder.display()))?;
        let runtime = runtime::Builder::new_current_thread().build().context("cannot start a runtime")?;
        Ok(Self { service: service.with_split(split), runtime })
    }

    /// Writes a library as a `.vecino` file, with its float rows or without.
    ///
    /// # Errors
    /// When there is no such library, and those of `out`.
    pub fn export(&self, library: &str, precision: Precision, out: &mut dyn io::Write) -> anyhow::Result<()> {
        let exported = self.service.export_library(library, precision, None)?;
        out.write_all(&exported.bytes.unwrap_or_default())?;
        Ok(())
    }

    fn create(&self, wanted: &Wanted) -> Result<()> {
        let metric = wanted.metric.as_deref().unwrap_or_default();
        let index = wanted.index_type.as_deref().unwrap_or_default();
        let draft = LibraryDraft {
            id: self.service.new_id(),
            name: wanted.library.clone(),
            description: wanted.description.clone(),
            metric: Metric::ALL.into_iter().find(|known| known.as_str() == metric).unwrap_or_default(),
            index: IndexDraft {
                index_type: IndexType::ALL.into_iter().find(|known| known.as_str() == index),
                ..IndexDraft::default()
            },
            now: self.service.now(),
            ..LibraryDraft::default()
        };
        self.runtime.block_on(self.service.create_library(draft, WriteOptions::default())).map(drop)
    }

    fn document(&self, number: usize, document: &Document) -> Result<NewDocument> {
        let Document { id, metadata, text, chunks, attributes } = document.clone();
        let created_at = metadata.created_at.as_deref().map(Timestamp::parse).transpose();
        let draft = DocumentDraft {
            id,
            title: metadata.title,
            author: metadata.author,
            created_at: created_at.map_err(|error| error.field(format!("documents[{number}].metadata.created_at")))?,
            document_type: metadata.document_type,
            source_url: metadata.source_url,
            tags: metadata.tags.unwrap_or_default(),
            attributes: attributes.into_iter().collect(),
            chunks: Vec::new(),
        };
        let new_chunk = |chunk: super::document::Chunk| NewChunk {
            draft: ChunkDraft {
                id: self.service.new_id(),
                text: chunk.text,
                embedding: chunk.embedding,
                ..ChunkDraft::default()
            },
            from_metadata: Vec::new(),
            embed: false,
        };
        let content = match chunks {
            Some(chunks) => Content::Chunks(chunks.into_iter().map(new_chunk).collect()),
            None => Content::Text(text.unwrap_or_default()),
        };
        Ok(NewDocument { draft, content })
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // What was written is on the disk already; this only notes where the log ends.
        let _ = self.service.close();
    }
}

impl Target for Local {
    fn prepare(&mut self, wanted: &Wanted) -> Result<bool, Failure> {
        match self.service.library(&wanted.library) {
            Ok(view) => {
                let view = serde_json::to_value(view).unwrap_or_default();
                wanted.fits(&view).map(|()| false)
            }
            Err(error) if error.code == Code::LibraryNotFound => self.create(wanted).map(|()| true).map_err(refused),
            Err(error) => Err(refused(error)),
        }
    }

    fn write(&mut self, library: &str, documents: &[&Document], on_conflict: OnConflict) -> Result<Written, Failure> {
        let on_conflict = match on_conflict {
            OnConflict::Skip => command::OnConflict::Skip,
            OnConflict::Replace => command::OnConflict::Replace,
            OnConflict::Refuse => command::OnConflict::Refuse,
        };
        let drafts = documents.iter().enumerate().map(|(number, document)| self.document(number, document));
        let drafts = drafts.collect::<Result<Vec<_>>>().map_err(refused)?;
        let written = self.service.put_documents(library, drafts, on_conflict, WriteOptions::default());
        let done = self.runtime.block_on(written).map_err(refused)?;
        Ok(Written { written: done.written as u64, skipped: done.skipped as u64, chunks: done.chunks as u64, seq: done.seq })
    }

    fn libraries(&mut self, limit: usize) -> Result<Vec<String>, Failure> {
        let found = self.service.libraries(&Page { limit, after: None }, |_| true).map_err(refused)?;
        Ok(found.items.into_iter().map(|library| library.name).collect())
    }

    fn query(&mut self, library: &str, question: &Value) -> Result<Value, Failure> {
        let answer = read_question(question).and_then(|question| self.service.query(library, question)).map_err(refused)?;
        serde_json::to_value(answer).map_err(|error| refused(Error::new(Code::InvalidValue, error.to_string())))
    }
}

fn refused(error: Error) -> Failure {
    Failure::Refused(error.into())
}

/// Reads a question that a command has made: what is not in it is as usual.
fn read_question(body: &Value) -> Result<Question> {
    let wrong = |name: &str| Error::new(Code::WrongType, "has the wrong type").field(name);
    let near = match (body["text"].as_str(), body["embedding"].as_array()) {
        (Some(text), None) => Near::Text(text.to_owned()),
        (None, Some(numbers)) => {
            let numbers = numbers.iter().map(|number| number.as_f64().map(|number| number as f32));
            Near::Embedding(numbers.collect::<Option<_>>().ok_or_else(|| wrong("embedding"))?)
        }
        _ => return Err(wrong("text")),
    };
    let include = body["include"].as_array().map_or_else(Include::default, |names| {
        let has = |name: &str| names.iter().any(|known| known == name);
        Include { text: has("text"), metadata: has("metadata"), attributes: has("attributes"), embedding: has("embedding") }
    });
    Ok(Question {
        min_score: None,
        near,
        k: body["k"].as_u64().map_or(10, |k| k as usize),
        filter: body.get("filter").map(Filter::from_json).transpose()?,
        include,
        target_recall: None,
        effort: None,
        explain: body["explain"] == true,
    })
}
