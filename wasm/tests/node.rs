//! Placeholder.
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn adds() {
    assert_eq!(vecino_wasm::add(1, 2), 3);
}
