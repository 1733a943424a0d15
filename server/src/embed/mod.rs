//! Text to vectors.

mod local;

use std::fmt;

use vecino_engine::{Result, model::EmbeddingModel};

pub use local::StaticEmbedder;

/// Something that turns text into vectors.
pub trait Embedder: fmt::Debug + Send + Sync {
    /// Which model it is.
    fn model(&self) -> &EmbeddingModel;

    /// The length of its vectors.
    fn dimension(&self) -> usize;

    /// How many tokens a text has.
    fn count_tokens(&self, text: &str) -> usize;

    /// The vector of each text, in order; `None` for one of which the model knows no word.
    ///
    /// # Errors
    /// When the model cannot be reached.
    fn embed(&self, texts: &[String]) -> Result<Vec<Option<Vec<f32>>>>;
}
