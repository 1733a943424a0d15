//! A library through the JavaScript API gives what the engine gives.

use js_sys::Uint8Array;
use serde_json::json;
use vecino_engine::{
    distance::Metric,
    filter::Filter,
    pool::Sequential,
    query::{Answer, Query},
    snapshot,
};
use vecino_wasm::Library;
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{CHUNKS, DIMENSION, file, get, history, js, json as to_json, list, open, query, thrown, town, vector};

/// Ids and score bits, as JavaScript sees them.
fn ranking(answer: &JsValue) -> Vec<(String, u32, u32)> {
    let float = |hit: &JsValue, name| {
        let number = get(hit, name).as_f64().unwrap();
        assert_eq!(f64::from(number as f32), number, "{name} is a 32-bit float");
        (number as f32).to_bits()
    };
    let hits = list(&get(answer, "hits"));
    hits.iter().map(|hit| (get(hit, "id").as_string().unwrap(), float(hit, "score"), float(hit, "distance"))).collect()
}

fn expected(answer: &Answer) -> Vec<(String, u32, u32)> {
    let bits = |number: f64| (number as f32).to_bits();
    answer.hits.iter().map(|hit| (hit.id.clone(), bits(hit.score), bits(hit.distance))).collect()
}

#[wasm_bindgen_test]
fn answers_with_the_bits_of_the_engine() {
    for metric in [Metric::Cosine, Metric::Dot, Metric::Euclidean] {
        let database = town(metric);
        let library = open(&file(&database)).unwrap();
        for seed in 0..50 {
            let embedding = vector(10_000 + seed, DIMENSION);
            let answer = library.query(&query(&embedding, &json!({ "k": 25 }))).unwrap();
            let asked = Query { embedding, k: 25, ..Query::default() };
            assert_eq!(ranking(&answer), expected(&database.query("town", &asked, &Sequential).unwrap()), "{metric:?} {seed}");
        }
    }
}

#[wasm_bindgen_test]
fn the_same_log_gives_the_same_bytes_and_answers() {
    assert_eq!(history::sum(&Sequential), history::SUM);
}

#[wasm_bindgen_test]
fn opens_without_float_rows() {
    for metric in [Metric::Cosine, Metric::Dot, Metric::Euclidean] {
        let database = town(metric);
        let (whole, engine) = (file(&database), database.state().library("town").unwrap().without_floats());
        let small = snapshot::to_bytes(&engine).unwrap();
        let unused = Library::open(&Uint8Array::from(&whole[..]), &JsValue::UNDEFINED, &"int8".into()).unwrap();
        let missing = open(&small).unwrap();
        assert_eq!([unused.precision(), missing.precision()], ["int8", "int8"]);
        assert_eq!(open(&whole).unwrap().precision(), "float32");
        let error = Library::open(&Uint8Array::from(&small[..]), &"town.vecino".into(), &"float32".into()).unwrap_err();
        assert_eq!(thrown(&error), ("damaged".into(), "town.vecino".into()));
        for seed in 0..20 {
            let asked = Query { embedding: vector(10_000 + seed, DIMENSION), k: 25, ..Query::default() };
            let answers =
                [&unused, &missing].map(|library| library.query(&query(&asked.embedding, &json!({ "k": 25 }))).unwrap());
            let right = expected(&engine.query(&asked, &Sequential).unwrap());
            assert_eq!(answers.each_ref().map(ranking), [right.clone(), right], "{metric:?} {seed}");
        }
    }
}

#[wasm_bindgen_test]
fn answers_with_the_json_of_the_engine() {
    let database = town(Metric::Cosine);
    let library = open(&file(&database)).unwrap();
    let filter = json!({ "year": { "$gte": 1950 }, "tags": "even" });
    let asked = Query {
        embedding: vector(7, DIMENSION),
        k: 300,
        filter: Some(Filter::from_json(&filter).unwrap()),
        explain: true,
        ..Query::default()
    };
    let engine = serde_json::to_value(database.query("town", &asked, &Sequential).unwrap()).unwrap();
    let answer = library.query(&query(&asked.embedding, &json!({ "k": 300, "filter": filter, "explain": true }))).unwrap();
    // Through JavaScript's own parser and printer, as a page would see the server's answer.
    assert_eq!(to_json(&answer), to_json(&js(&engine)));
    assert_eq!(engine["returned"], 100);
    assert_eq!(engine["explain"]["fewer_because"], "only 100 of 400 chunks pass the filter");
}

#[wasm_bindgen_test]
fn takes_a_plain_list_for_a_vector_and_ten_hits_by_default() {
    let database = town(Metric::Cosine);
    let library = open(&file(&database)).unwrap();
    let embedding = vector(99, DIMENSION);
    let typed = library.query(&query(&embedding, &json!({}))).unwrap();
    let plain = library.query(&js(&json!({ "embedding": embedding }))).unwrap();
    assert_eq!(ranking(&typed), ranking(&plain));
    assert_eq!(ranking(&typed).len(), 10);
}

#[wasm_bindgen_test]
fn includes_what_is_asked() {
    let library = open(&file(&town(Metric::Cosine))).unwrap();
    let embedding = vector(1, DIMENSION);
    let bare = to_json(&library.query(&query(&embedding, &json!({ "k": 1, "include": [] }))).unwrap());
    let names: Vec<&String> = bare["hits"][0].as_object().unwrap().keys().collect();
    assert_eq!(names, ["distance", "document_id", "id", "score"]);
    let with = to_json(&library.query(&query(&embedding, &json!({ "k": 1, "include": ["embedding", "text"] }))).unwrap());
    assert_eq!(with["hits"][0]["embedding"].as_array().unwrap().len(), DIMENSION);
    assert_eq!(with["hits"][0]["text"], "Passage 1 – “ünïcode” 𝄞");
    assert_eq!(with["hits"][0].get("metadata"), None);
}

#[wasm_bindgen_test]
fn describes_itself() {
    let library = open(&file(&town(Metric::Euclidean))).unwrap();
    let info = to_json(&library.info().unwrap());
    assert_eq!(info["name"], "Town");
    assert_eq!(info["metric"], "euclidean");
    assert_eq!(info["chunks"], CHUNKS);
    assert_eq!(info["metadata"]["embedding_dimension"], DIMENSION);
    assert_eq!(info["schema"]["fields"], json!({ "year": "integer", "huge": "integer" }));
    assert_eq!(info["seq"], 2);
}

#[wasm_bindgen_test]
fn gives_documents_and_chunks() {
    let library = open(&file(&town(Metric::Cosine))).unwrap();
    let document = to_json(&library.document(&"d3".into()).unwrap());
    assert_eq!((&document["metadata"]["title"], &document["chunks"]), (&json!("Title 3"), &json!(["c3"])));
    let chunk = to_json(&library.chunk(&"c3".into()).unwrap());
    assert_eq!((&chunk["document_id"], &chunk["text"]), (&json!("d3"), &json!("Passage 3 – “ünïcode” 𝄞")));
    assert_eq!(thrown(&library.document(&"c3".into()).unwrap_err()).0, "document_not_found");
    assert_eq!(thrown(&library.chunk(&"d3".into()).unwrap_err()).0, "chunk_not_found");
    assert_eq!(thrown(&library.chunk(&3.into()).unwrap_err()), ("wrong_type".into(), "id".into()));
}
