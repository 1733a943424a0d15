//! The Vecino engine: a vector database that does no I/O.
//!
//! The same engine runs behind the REST server and in a browser tab; the same log of operations gives the same snapshot bytes
//! and the same ranked answers, to the last bit, on every machine. So everything that differs between machines is handed in:
//! bytes that last through [`storage::Storage`], the time and new ids through [`host::Host`], threads through [`pool::Pool`].
//!
//! A write flows through [`command`] → [`plan`] → [`record`] → [`journal`] → [`state`]; a query through [`query`] and
//! [`filter`] to an [`index`] over [`vectors`]. [`db::Database`] puts the parts together for a single owner.

pub mod blob;
pub mod calibrate;
pub mod checkpoint;
pub mod codec;
pub mod codes;
pub mod command;
pub mod db;
pub mod distance;
pub mod draft;
pub mod embed;
pub mod error;
pub mod explain;
pub mod facets;
pub mod filter;
pub mod group;
pub mod host;
pub mod index;
pub mod indexing;
pub mod journal;
pub mod library;
pub mod model;
pub mod near;
pub mod plan;
pub mod pool;
pub mod precision;
pub mod query;
pub mod record;
mod rows;
pub mod salvage;
pub mod scroll;
pub mod shelf;
pub mod slots;
pub mod snapshot;
pub mod state;
pub mod storage;
pub mod texts;
pub mod top_k;
pub mod vectors;
pub mod view;

pub use error::{Code, Error, Result};
