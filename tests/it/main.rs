//! Tests of the whole, in one program.

// Helpers outside `#[test]` functions may fail a test, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod embedding;
mod tokenizer;
