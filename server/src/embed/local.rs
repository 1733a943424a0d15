//! The model that ships with the server.

use std::{borrow::Cow, fmt};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use vecino_engine::{
    Result,
    embed::{ModelError, StaticModel},
    model::EmbeddingModel,
};

use super::Embedder;

static BYTES: &[u8] = include_bytes!("../../../models/static-minilm-256-int4.bin");

/// The static model, from the bytes within the program.
pub struct StaticEmbedder {
    model: StaticModel,
    identity: EmbeddingModel,
}

impl StaticEmbedder {
    /// The file from which the model is read.
    pub const FILE: &str = "static-minilm-256-int4.bin";

    /// Reads the model; takes some milliseconds.
    ///
    /// # Errors
    /// When the program itself is damaged.
    pub fn load() -> Result<Self, ModelError> {
        let model = StaticModel::from_bytes(Cow::Borrowed(BYTES))?;
        let identity = EmbeddingModel { name: model.name().into(), fingerprint: model.fingerprint().into() };
        Ok(Self { model, identity })
    }

    /// The file's bytes, for those who embed elsewhere with the same model.
    pub fn bytes() -> &'static [u8] {
        BYTES
    }
}

impl fmt::Debug for StaticEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StaticEmbedder").field(&self.identity).finish()
    }
}

impl Embedder for StaticEmbedder {
    fn model(&self) -> &EmbeddingModel {
        &self.identity
    }

    fn dimension(&self) -> usize {
        self.model.dimension()
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.model.count_tokens(text)
    }

    fn embed(&self, texts: &[String]) -> Result<Vec<Option<Vec<f32>>>> {
        // A few short texts are done before another thread has woken up.
        const MANY: usize = 16;
        Ok(if texts.len() < MANY {
            texts.iter().map(|text| self.model.embed(text)).collect()
        } else {
            texts.par_iter().map(|text| self.model.embed(text)).collect()
        })
    }
}
