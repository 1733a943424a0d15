//! Filters from hostile hands.

use serde_json::{Value as Json, json};
use vecino_engine::filter::Filter;

#[test]
fn json_of_any_depth_is_refused_without_a_stack_overflow() {
    let wraps: [fn(Json) -> Json; 5] = [
        |inner| json!({"$and": [inner]}),
        |inner| json!({ "$not": inner }),
        |inner| json!({"int": {"$not": inner}}),
        |inner| json!([inner]),
        |inner| json!({ "int": inner }),
    ];
    for wrap in wraps {
        // To clone or drop such a value recurses, so the macro's help is not used, and it is leaked.
        let mut json = json!({"int": 1});
        for _ in 0..10_000 {
            let mut next = wrap(Json::Null);
            *leaf(&mut next) = std::mem::take(&mut json);
            json = next;
        }
        let taken = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
            let refused = Filter::from_json(&json).is_err();
            std::mem::forget(json);
            refused
        });
        assert!(taken.unwrap().join().unwrap());
    }
}

/// The null within.
fn leaf(json: &mut Json) -> &mut Json {
    match json {
        Json::Object(entries) => leaf(entries.values_mut().next().unwrap()),
        Json::Array(items) => leaf(&mut items[0]),
        other => other,
    }
}
