//! One binary for all tests that need more than one crate, or the tree itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod damage;
mod embedding;
mod filters;
mod hnsw;
mod model;
mod refusals;
mod tidy;
mod tokenizer;
