//! Text to vectors, without a network and without a key.
//!
//! **What it is.** A static model: one vector for each of 30,522 word pieces, distilled from the transformer
//! all-MiniLM-L6-v2 (`models/README.md` tells how, and how good it is). The embedding of a text is the sum of its pieces'
//! vectors, scaled to length one. Frequent words have short vectors, so the sum needs no weights.
//!
//! **What it is good at.** Neighbouring vocabulary: *car* and *automobile* have a cosine of 0.75, *doctor* and *physician* of
//! 0.68, *car* and *banana* of 0.08. As a second voice beside the keyword list, at weight 0.3, it finds what exact words miss.
//!
//! **What it is bad at.** Anything that needs word order or context: *dog bites man* and *man bites dog* are one vector, and
//! *heart attack* is nearer to *heart of the city* (0.54) than to *myocardial infarction* (0.33). Alone it ranks worse than
//! BM25. It knows English only. The sum of a long text is a blur: split documents into passages.
//!
//! **What it costs.** 4 MB where the bytes lie and 1 MB beside them; reading it takes 5 ms.
//! Embedding is a table look-up and an addition for each token: 5 million tokens a second on one core, a thousand times the
//! speed of the transformer. It is a pure function, and the same bits come out on every machine: the sums are made in token
//! order, multiply then add, and the tokenizer's tables are frozen.
//!
//! Nothing in the engine calls it: a host embeds text before it gives a command or a query.

mod classes;
mod model;
mod tokenizer;
mod vocabulary;

pub use model::{ModelError, StaticModel};

#[cfg(test)]
mod tests;
