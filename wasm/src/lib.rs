//! Placeholder.

use wasm_bindgen::prelude::wasm_bindgen;

/// Adds two numbers.
#[wasm_bindgen]
#[must_use]
pub fn add(left: u32, right: u32) -> u32 {
    left.wrapping_add(right)
}

/// Says hello.
#[wasm_bindgen]
#[must_use]
pub fn greet(name: &str) -> String {
    format!("Hello, {name}")
}
