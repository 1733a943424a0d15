//! Nothing that a page hands in ends the module: it gets an `Error` that says what is wrong.

use js_sys::{Function, Uint8Array};
use serde_json::{Value as Json, json};
use vecino_engine::distance::Metric;
use vecino_wasm::Library;
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{DIMENSION, file, get, js, open, query, set, thrown, town, vector};

fn refused(library: &Library, query: &JsValue) -> (String, String) {
    thrown(&library.query(query).unwrap_err())
}

#[wasm_bindgen_test]
fn refuses_what_is_wrong_with_a_query() {
    let library = open(&file(&town(Metric::Cosine))).unwrap();
    let embedding = vector(0, DIMENSION);
    let cases: [(Json, &str, &str); 17] = [
        (json!({ "K": 3 }), "unknown_field", "K"),
        (json!({ "k": 0 }), "invalid_value", "k"),
        (json!({ "k": -1 }), "invalid_value", "k"),
        (json!({ "k": 2.5 }), "invalid_value", "k"),
        (json!({ "k": 1e300 }), "invalid_value", "k"),
        (json!({ "k": "10" }), "wrong_type", "k"),
        (json!({ "explain": 1 }), "wrong_type", "explain"),
        (json!({ "include": "text" }), "wrong_type", "include"),
        (json!({ "include": ["text", 5] }), "wrong_type", "include[1]"),
        (json!({ "include": ["score"] }), "invalid_value", "include[0]"),
        (json!({ "filter": 5 }), "wrong_type", "filter"),
        (json!({ "filter": { "year": { "$near": 1 } } }), "unknown_operator", "filter.year.$near"),
        (json!({ "filter": { "yaer": 1 } }), "unknown_field", "filter.yaer"),
        (json!({ "filter": { "$and": [{}, { "year": { "$gt": "x" } }] } }), "wrong_type", "filter.$and[1].year.$gt"),
        (json!({ "filter": { "year": null } }), "wrong_type", "filter.year"),
        (json!({ "filter": [] }), "wrong_type", "filter"),
        (json!({ "filter": { "$or": [] } }), "invalid_value", "filter.$or"),
    ];
    for (rest, code, field) in cases {
        assert_eq!(refused(&library, &query(&embedding, &rest)), (code.into(), field.into()), "{rest}");
    }
    for absent in [JsValue::NULL, JsValue::UNDEFINED] {
        let fine = query(&embedding, &json!({}));
        for name in ["k", "filter", "include", "explain"] {
            set(&fine, name, &absent);
        }
        assert!(library.query(&fine).is_ok());
    }
}

#[wasm_bindgen_test]
fn refuses_what_is_no_vector() {
    let library = open(&file(&town(Metric::Cosine))).unwrap();
    let mut broken = vector(0, DIMENSION);
    broken[5] = f32::NAN;
    assert_eq!(refused(&library, &query(&broken, &json!({}))).0, "not_finite");
    broken[5] = f32::NEG_INFINITY;
    assert_eq!(refused(&library, &query(&broken, &json!({}))).0, "not_finite");
    assert_eq!(refused(&library, &query(&[0.0; DIMENSION], &json!({}))).0, "zero_vector");

    let short = library.query(&query(&[1.0; 36], &json!({}))).unwrap_err();
    assert_eq!(thrown(&short), ("wrong_dimension".into(), "embedding".into()));
    assert_eq!(get(&short, "expected").as_f64(), Some(37.0));
    assert_eq!(get(&short, "received").as_f64(), Some(36.0));

    for (embedding, code, field) in [
        (json!(null), "wrong_type", "embedding"),
        (json!("1, 2, 3"), "wrong_type", "embedding"),
        (json!({ "length": 37 }), "wrong_type", "embedding"),
        (json!([1.0, null]), "wrong_type", "embedding[1]"),
        (json!([1.0, "2"]), "wrong_type", "embedding[1]"),
        (json!([]), "invalid_value", "embedding"),
        (json!([1e39]), "wrong_dimension", "embedding"),
    ] {
        let asked = js(&json!({ "embedding": embedding }));
        assert_eq!(refused(&library, &asked), (code.into(), field.into()), "{embedding}");
    }
    let sparse = js(&json!({}));
    set(&sparse, "embedding", &Function::new_no_args("return new Array(4294967295)").call0(&JsValue::NULL).unwrap());
    assert_eq!(refused(&library, &sparse), ("limit_exceeded".into(), "embedding".into()));
}

#[wasm_bindgen_test]
fn survives_what_is_no_query_at_all() {
    let library = open(&file(&town(Metric::Cosine))).unwrap();
    for what in [JsValue::NULL, JsValue::UNDEFINED, 5.into(), "query".into(), js(&json!([1, 2]))] {
        assert_eq!(refused(&library, &what), ("wrong_type".into(), "query".into()), "{what:?}");
    }
    let bad_filters = [
        "const cycle = {}; cycle.$not = cycle; return cycle",
        "let deep = {}; for (let i = 0; i < 100000; i += 1) deep = { $not: deep }; return deep",
        "let deep = {}; for (let i = 0; i < 1000; i += 1) deep = { $and: [deep] }; return deep",
        "return { year: 5n }",
        "return () => 5",
        "return Symbol('filter')",
        "return { get year() { throw new Error('no') } }",
        "return { topic: '\\ud800' }",
    ];
    for body in bad_filters {
        let asked = query(&vector(0, DIMENSION), &json!({}));
        set(&asked, "filter", &Function::new_no_args(body).call0(&JsValue::NULL).unwrap());
        assert_eq!(refused(&library, &asked), ("invalid_value".into(), "filter".into()), "{body}");
    }
    let trap = Function::new_no_args("return { get k() { throw new Error('no') }, embedding: [1] }");
    let trap = trap.call0(&JsValue::NULL).unwrap();
    assert!(matches!(refused(&library, &trap).0.as_str(), "invalid_value" | "wrong_dimension"));
    // After all that, it still answers.
    assert!(library.query(&query(&vector(0, DIMENSION), &json!({}))).is_ok());
}

#[wasm_bindgen_test]
fn refuses_what_is_no_file() {
    let good = file(&town(Metric::Cosine));
    assert_eq!(thrown(&open(b"").unwrap_err()).0, "damaged");
    assert_eq!(
        thrown(&open(b"PK\x03\x04 some other file that is long enough to have a header of that size").unwrap_err()).0,
        "damaged"
    );
    assert_eq!(thrown(&open(&good[..good.len() - 1]).unwrap_err()), ("damaged".into(), "town.vecino".into()));
    for at in (0..good.len()).step_by(good.len() / 200) {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        // Padding between the sections belongs to none of them.
        match open(&flipped) {
            Ok(library) => assert_eq!(library.info().map(|info| get(&info, "seq").as_f64()).unwrap(), Some(2.0), "byte {at}"),
            Err(error) => assert!(matches!(thrown(&error).0.as_str(), "damaged" | "unsupported_version"), "byte {at}"),
        }
    }
    for what in [JsValue::NULL, 5.into(), "text".into(), js(&json!([1, 2, 3]))] {
        let error = Library::open(&what, &JsValue::UNDEFINED, &JsValue::UNDEFINED).unwrap_err();
        assert_eq!(thrown(&error), ("wrong_type".into(), "bytes".into()));
    }
    let error = Library::open(&Uint8Array::from(&good[..]), &5.into(), &JsValue::UNDEFINED).unwrap_err();
    assert_eq!(thrown(&error), ("wrong_type".into(), "name".into()));
    for (precision, code) in [(5.into(), "wrong_type"), ("int4".into(), "invalid_value")] {
        let error = Library::open(&Uint8Array::from(&good[..]), &JsValue::UNDEFINED, &precision).unwrap_err();
        assert_eq!(thrown(&error), (code.into(), "precision".into()));
    }
}
