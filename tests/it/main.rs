//! One binary for all tests that need more than one crate, or the tree itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod api;
mod backup;
mod cli;
mod cli_check;
mod crash_server;
mod damage;
mod damage_server;
mod embedding;
#[cfg(target_os = "linux")]
mod failing_disk;
mod filters;
mod formats;
mod indexing;
mod precision;
mod program;
mod refusals;
mod sim;
mod threads;
mod tidy;
mod tokenizer;
