//! Whole documents, each with one vector: what passages are compared with.

use std::{fs::File, io::BufReader, path::Path};

use anyhow::{Context as _, Result};
use vecino_engine::{distance::Metric, top_k::TopK};
use vecino_server::{
    commands::{
        document::Document,
        lines::{Lines, MAX_LINE_BYTES},
    },
    embed::{Embedder as _, StaticEmbedder},
};

/// Documents by one vector each.
pub(crate) struct Whole {
    embedder: StaticEmbedder,
    documents: Vec<(String, Vec<f32>)>,
}

impl Whole {
    /// Embeds each document of a corpus: its title, a blank and its text. Those without a known word are never found.
    pub(crate) fn read(corpus: &Path) -> Result<Self> {
        let embedder = StaticEmbedder::load()?;
        let shown = corpus.display();
        let file = File::open(corpus).with_context(|| format!("cannot open {shown}"))?;
        let mut lines = Lines::new(BufReader::new(file), MAX_LINE_BYTES);
        let mut documents = Vec::new();
        while let Some(line) = lines.next_line()? {
            let content = line.content.unwrap_or_default();
            // What cannot be imported is left out here, too.
            let Ok(document) = Document::read(&content) else { continue };
            let text = document.text.unwrap_or_default();
            let title = document.metadata.title;
            // A title that was made from the text adds nothing.
            let given = serde_json::from_slice::<serde_json::Value>(&content)?["title"].as_str() == Some(&title);
            let text = if given { format!("{title} {text}") } else { text };
            if let Some(vector) = embedder.embed(&[text])?.pop().flatten() {
                documents.push((document.id, vector));
            }
        }
        Ok(Self { embedder, documents })
    }

    /// The ids of the `k` documents nearest to a text.
    pub(crate) fn search(&self, text: &str, k: usize) -> Result<Vec<String>> {
        let Some(query) = self.embedder.embed(&[text.to_owned()])?.pop().flatten() else { return Ok(Vec::new()) };
        let mut nearest = TopK::new(k, self.documents.len());
        for (slot, (_, vector)) in (0_u32..).zip(&self.documents) {
            nearest.push(Metric::Cosine.key(&query, vector), slot);
        }
        Ok(nearest.into_sorted_vec().into_iter().map(|(_, slot)| self.documents[slot as usize].0.clone()).collect())
    }
}
