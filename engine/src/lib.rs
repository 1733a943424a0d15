//! The Vecino engine: a vector database that does no I/O.

pub mod distance;
pub mod embed;
pub mod top_k;
