//! What must hold wherever the module runs: each environment includes these tests.

mod errors;
mod history;
mod kernels;
mod library;
mod model;

pub(crate) use history::vector;
use js_sys::{Array, JSON, Object, Reflect, Uint8Array};
use serde_json::{Value as Json, json};
use vecino_engine::{
    command::{ChunkDraft, Command, DocumentDraft, LibraryDraft, OnConflict},
    db::Database,
    distance::Metric,
    model::{RawAttributes, Timestamp},
    snapshot,
    storage::MemoryStorage,
};
use vecino_wasm::Library;
use wasm_bindgen::{JsCast, JsValue};

pub(crate) const DIMENSION: usize = 37;
pub(crate) const CHUNKS: usize = 400;

fn document(number: usize) -> DocumentDraft {
    let attributes: RawAttributes =
        [("year".to_owned(), json!(1900 + number % 100)), ("huge".to_owned(), json!(i64::MAX - 1))].into();
    let chunk = ChunkDraft {
        id: format!("c{number}"),
        text: format!("Passage {number} – “ünïcode” 𝄞"),
        embedding: vector(number, DIMENSION),
        ..Default::default()
    };
    DocumentDraft {
        id: format!("d{number}"),
        title: format!("Title {number}"),
        tags: vec!["even".to_owned(), "odd".to_owned()].into_iter().skip(number % 2).collect(),
        attributes,
        chunks: vec![chunk],
        ..Default::default()
    }
}

/// A database with one library, `town`.
pub(crate) fn town(metric: Metric) -> Database<MemoryStorage> {
    let now = Timestamp::from_micros(1_700_000_000_000_000);
    let (mut database, _) = Database::open(MemoryStorage::default()).unwrap();
    let draft = LibraryDraft { id: "town".into(), name: "Town".into(), metric, now, ..Default::default() };
    database.execute(Command::CreateLibrary(draft)).unwrap();
    let documents = (0..CHUNKS).map(document).collect();
    let on_conflict = OnConflict::Refuse;
    let put = Command::PutDocuments { library: "town".into(), documents, on_conflict, embedded_by: None, now };
    database.execute(put).unwrap();
    database
}

/// The file of that library.
pub(crate) fn file(database: &Database<MemoryStorage>) -> Vec<u8> {
    snapshot::to_bytes(database.state().library("town").unwrap()).unwrap()
}

pub(crate) fn open(bytes: &[u8]) -> Result<Library, JsValue> {
    Library::open(&Uint8Array::from(bytes), &"town.vecino".into(), &JsValue::UNDEFINED)
}

/// A JavaScript object from JSON.
pub(crate) fn js(json: &Json) -> JsValue {
    JSON::parse(&json.to_string()).unwrap()
}

/// JSON from a JavaScript object.
pub(crate) fn json(js: &JsValue) -> Json {
    serde_json::from_str(&JSON::stringify(js).unwrap().as_string().unwrap()).unwrap()
}

pub(crate) fn get(js: &JsValue, name: &str) -> JsValue {
    Reflect::get(js, &name.into()).unwrap()
}

pub(crate) fn set(js: &JsValue, name: &str, value: &JsValue) {
    assert!(Reflect::set(js, &name.into(), value).unwrap());
}

/// A query as a page makes it: an object with a `Float32Array`.
pub(crate) fn query(embedding: &[f32], rest: &Json) -> JsValue {
    let query = js(rest);
    set(&query, "embedding", &js_sys::Float32Array::from(embedding));
    query
}

/// The elements of a JavaScript list.
pub(crate) fn list(js: &JsValue) -> Vec<JsValue> {
    assert!(Array::is_array(js));
    js.unchecked_ref::<Array>().iter().collect()
}

/// Name, code and field of a thrown error; it must be an `Error` with a message.
pub(crate) fn thrown(error: &JsValue) -> (String, String) {
    assert!(error.is_instance_of::<js_sys::Error>(), "not an Error: {error:?}");
    assert_eq!(get(error, "name").as_string().unwrap(), "VecinoError");
    assert!(!get(error, "message").as_string().unwrap().is_empty());
    let has_field = Object::keys(error.unchecked_ref::<Object>()).iter().any(|key| key == "field");
    let field = get(error, "field").as_string().unwrap_or_default();
    assert_eq!(has_field, !field.is_empty());
    (get(error, "code").as_string().unwrap(), field)
}
