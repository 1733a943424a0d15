//! What the program does once and then ends.
//!
//! Lines of a file ([`lines`]) are read as documents ([`document`]) and written in batches ([`feed`]) to a [`target`]: a
//! server ([`client`]) or a folder ([`local`]).

pub mod backup;
pub mod check;
pub mod client;
pub mod document;
pub mod export;
pub mod feed;
pub mod health;
mod hits;
pub mod import;
pub mod lines;
pub mod local;
mod progress;
pub mod query;
pub mod target;
