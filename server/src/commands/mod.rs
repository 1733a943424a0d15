//! What the program does once and then ends.

pub mod check;
pub mod export;
pub mod import;
pub mod query;
