//! A library in a tab: the file is opened in place and searched.

use vecino_engine::{Code, Error, blob::Blob, library::Library as Inner, pool::Sequential, snapshot};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::convert;

/// An open library, read-only. Call `free()` to give its memory back before the garbage collector does.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Library {
    inner: Inner,
}

#[wasm_bindgen]
impl Library {
    /// Opens the bytes of a `.vecino` file. They are copied once and checked to the last byte; `name` stands in errors.
    ///
    /// `precision` is what the file has unless told: `"int8"` leaves float rows unused, as in a file that has none, and
    /// `"float32"` refuses such a file.
    ///
    /// @throws {VecinoError} `damaged`, `unsupported_version`, `limit_exceeded` (no memory), `wrong_type`
    pub fn open(
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] bytes: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "string")] name: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "\"float32\" | \"int8\"")] precision: &JsValue,
    ) -> Result<Library, JsValue> {
        convert::call(|| {
            let blob = Blob::new(convert::aligned(bytes, "bytes")?);
            let name = if name.is_undefined() { "snapshot".to_owned() } else { convert::text(name, "name")? };
            let precision = if precision.is_undefined() { None } else { Some(convert::precision(precision)?) };
            let inner = snapshot::open_as(&name, &blob, precision)?.library;
            Ok(Self { inner })
        })
    }

    /// `"float32"`, or `"int8"` where float rows are missing or unused.
    #[wasm_bindgen(getter, unchecked_return_type = "\"float32\" | \"int8\"")]
    pub fn precision(&self) -> String {
        self.inner.precision().as_str().to_owned()
    }

    /// Name, contract, schema and counts: what the server says of a library.
    #[wasm_bindgen(unchecked_return_type = "LibraryInfo")]
    pub fn info(&self) -> Result<JsValue, JsValue> {
        convert::to_js(&self.inner.view())
    }

    /// Answers a query, as the server does: the same ids, in the same order, with the same bits of every score.
    ///
    /// @throws {VecinoError} what is wrong with the query; `field` names the place, such as `filter.$and[1].year.$gt`
    #[wasm_bindgen(unchecked_return_type = "Answer")]
    pub fn query(&self, #[wasm_bindgen(unchecked_param_type = "Query")] query: &JsValue) -> Result<JsValue, JsValue> {
        let answer = convert::call(|| self.inner.query(&convert::query(query)?, &Sequential))?;
        convert::to_js(&answer)
    }

    /// A chunk by its id, with its vector.
    ///
    /// @throws {VecinoError} `chunk_not_found`
    #[wasm_bindgen(unchecked_return_type = "Chunk")]
    pub fn chunk(&self, #[wasm_bindgen(unchecked_param_type = "string")] id: &JsValue) -> Result<JsValue, JsValue> {
        let view = convert::call(|| {
            let id = convert::text(id, "id")?;
            let view = self.inner.slot(&id).and_then(|slot| self.inner.chunk_view(slot, true));
            view.ok_or_else(|| not_found(Code::ChunkNotFound, "chunk", &id))
        })?;
        convert::to_js(&view)
    }

    /// A document by its id, with the ids of its chunks.
    ///
    /// @throws {VecinoError} `document_not_found`
    #[wasm_bindgen(unchecked_return_type = "Document")]
    pub fn document(&self, #[wasm_bindgen(unchecked_param_type = "string")] id: &JsValue) -> Result<JsValue, JsValue> {
        let view = convert::call(|| {
            let id = convert::text(id, "id")?;
            let view = self.inner.document(&id).map(|entry| self.inner.document_view(entry));
            view.ok_or_else(|| not_found(Code::DocumentNotFound, "document", &id))
        })?;
        convert::to_js(&view)
    }
}

fn not_found(code: Code, what: &str, id: &str) -> Error {
    let shown: String = id.chars().take(255).collect();
    Error::new(code, format!("the library has no {what} '{shown}'"))
}
