//! Placeholder.
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

#[wasm_bindgen_test]
fn greets() {
    assert_eq!(vecino_wasm::greet("you"), "Hello, you");
}
