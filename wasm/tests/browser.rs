//! The module in a dedicated worker of a browser, where the page has it.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use wasm_bindgen_test::wasm_bindgen_test_configure;

mod cases;

wasm_bindgen_test_configure!(run_in_dedicated_worker);
