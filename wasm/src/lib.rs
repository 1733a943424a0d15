//! The engine in a browser tab.
//!
//! [`Library`] opens the snapshot file of a library and answers queries, [`Model`] turns text into vectors. Nothing here
//! decides anything: a call converts what JavaScript hands in, asks the engine, and converts the answer, so that a tab gives
//! the answers of the server to the last bit. Every refusal of the engine becomes a JavaScript `Error` (see [`convert`]).

pub mod convert;
pub mod library;
pub mod model;

pub use library::Library;
pub use model::Model;

use wasm_bindgen::prelude::wasm_bindgen;

/// The types that the JSON of answers has; the classes are described by wasm-bindgen itself.
#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.d.ts");

/// The version of this package.
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
