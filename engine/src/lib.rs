//! The Vecino engine: a vector database that does no I/O.

pub mod distance;
pub mod embed;
