//! The embedding model in a tab.

use vecino_engine::{Code, Error, embed::StaticModel};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::convert;

/// A static embedding model: text to vectors, the same bits as on the server.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Model {
    inner: StaticModel,
}

#[wasm_bindgen]
impl Model {
    /// Reads a model from the bytes of its file, which are copied once and checked.
    ///
    /// @throws {VecinoError} `damaged`, `limit_exceeded` (no memory), `wrong_type`
    pub fn load(#[wasm_bindgen(unchecked_param_type = "Uint8Array")] bytes: &JsValue) -> Result<Model, JsValue> {
        convert::call(|| {
            let bytes = convert::bytes(bytes, "bytes")?;
            let damaged = |error| Error::new(Code::Damaged, format!("{error}")).field("model");
            Ok(Self { inner: StaticModel::from_bytes(bytes).map_err(damaged)? })
        })
    }

    /// The family and the dimension, such as `static-minilm-256`.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.inner.name().to_owned()
    }

    /// How many numbers an embedding has.
    #[wasm_bindgen(getter)]
    pub fn dimension(&self) -> usize {
        self.inner.dimension()
    }

    /// The SHA-256 that a library made with this model has as its `embedding_model_sha256`.
    #[wasm_bindgen(getter)]
    pub fn fingerprint(&self) -> String {
        self.inner.fingerprint().to_owned()
    }

    /// The embedding of a text, of length one; undefined when the text has no word that the model knows.
    ///
    /// @throws {VecinoError} `wrong_type`
    pub fn embed(&self, #[wasm_bindgen(unchecked_param_type = "string")] text: &JsValue) -> Result<Option<Vec<f32>>, JsValue> {
        convert::call(|| Ok(self.inner.embed(&convert::text(text, "text")?)))
    }

    /// How many tokens a text has.
    ///
    /// @throws {VecinoError} `wrong_type`
    #[wasm_bindgen(js_name = countTokens)]
    pub fn count_tokens(&self, #[wasm_bindgen(unchecked_param_type = "string")] text: &JsValue) -> Result<usize, JsValue> {
        convert::call(|| Ok(self.inner.count_tokens(&convert::text(text, "text")?)))
    }
}
