//! What is refused, with which code and at which place.

use super::*;
use crate::{
    error::{Code, Error},
    model::limits::{MAX_FILTER_CONDITIONS, MAX_FILTER_DEPTH, MAX_IN_VALUES, MAX_TEXT_ATTRIBUTE_CHARS},
};

fn refusal(filter: &Json) -> Error {
    match bind(filter) {
        Err(error) => error,
        Ok(bound) => panic!("{filter} was taken as {bound:?}"),
    }
}

#[test]
fn codes_and_places() {
    use Code::{InvalidValue, LimitExceeded, UnknownField, UnknownOperator, WrongType};
    for (filter, code, place) in [
        // The form.
        (json!([]), WrongType, "filter"),
        (json!(null), WrongType, "filter"),
        (json!("kw = 1"), WrongType, "filter"),
        (json!({"$and": {}}), WrongType, "filter.$and"),
        (json!({"$and": []}), InvalidValue, "filter.$and"),
        (json!({"$or": []}), InvalidValue, "filter.$or"),
        (json!({"$or": [{}, 3]}), WrongType, "filter.$or[1]"),
        (json!({"$not": []}), WrongType, "filter.$not"),
        (json!({"$not": {"$or": [{}, {"int": null}]}}), WrongType, "filter.$not.$or[1].int"),
        (json!({"kw": {}}), InvalidValue, "filter.kw"),
        (json!({"kw": null}), WrongType, "filter.kw"),
        (json!({"kw": ["a"]}), WrongType, "filter.kw"),
        (json!({"kw": {"$eq": null}}), WrongType, "filter.kw.$eq"),
        (json!({"kw": {"$ne": ["a"]}}), WrongType, "filter.kw.$ne"),
        (json!({"kw": {"$gt": {"a": 1}}}), WrongType, "filter.kw.$gt"),
        (json!({"kw": {"$in": "a"}}), WrongType, "filter.kw.$in"),
        (json!({"kw": {"$in": ["a", null]}}), WrongType, "filter.kw.$in[1]"),
        (json!({"kw": {"$nin": [["a"]]}}), WrongType, "filter.kw.$nin[0]"),
        (json!({"kw": {"$exists": 1}}), WrongType, "filter.kw.$exists"),
        (json!({"kw": {"$not": "a"}}), WrongType, "filter.kw.$not"),
        (json!({"kw": {"$not": {}}}), InvalidValue, "filter.kw.$not"),
        // Operators that do not exist, or not there.
        (json!({"$and": [{}, {"int": {"$near": 1}}]}), UnknownOperator, "filter.$and[1].int.$near"),
        (json!({"$nor": [{}]}), UnknownOperator, "filter.$nor"),
        (json!({"$gt": 1}), UnknownOperator, "filter.$gt"),
        (json!({"$": 1}), UnknownOperator, "filter.$"),
        (json!({"int": {"$and": [{"$gt": 1}]}}), UnknownOperator, "filter.int.$and"),
        (json!({"int": {"gt": 1}}), UnknownOperator, "filter.int.gt"),
        (json!({"int": {"$not": {"$GT": 1}}}), UnknownOperator, "filter.int.$not.$GT"),
        // Fields that do not exist.
        (json!({"color": "red"}), UnknownField, "filter.color"),
        (json!({"": "red"}), UnknownField, "filter."),
        (json!({"$or": [{"kw": "a"}, {"$not": {"color": {"$exists": false}}}]}), UnknownField, "filter.$or[1].$not.color"),
        // Operands of the wrong type.
        (json!({"kw": 1}), WrongType, "filter.kw"),
        (json!({"kw": {"$eq": true}}), WrongType, "filter.kw.$eq"),
        (json!({"kw": {"$in": ["a", 1]}}), WrongType, "filter.kw.$in[1]"),
        (json!({"kw": {"$contains": 1}}), WrongType, "filter.kw.$contains"),
        (json!({"kw": {"$prefix": 1}}), WrongType, "filter.kw.$prefix"),
        (json!({"txt": 1}), WrongType, "filter.txt"),
        (json!({"int": "2000"}), WrongType, "filter.int"),
        (json!({"int": {"$ne": "2000"}}), WrongType, "filter.int.$ne"),
        (json!({"int": {"$gt": false}}), WrongType, "filter.int.$gt"),
        (json!({"int": {"$contains": "2"}}), WrongType, "filter.int.$contains"),
        (json!({"flt": {"$lte": "1.0"}}), WrongType, "filter.flt.$lte"),
        (json!({"flt": {"$nin": [1, 2, "3"]}}), WrongType, "filter.flt.$nin[2]"),
        (json!({"bool": 1}), WrongType, "filter.bool"),
        (json!({"bool": {"$in": ["true"]}}), WrongType, "filter.bool.$in[0]"),
        (json!({"ts": 1700000000}), WrongType, "filter.ts"),
        (json!({"ts": {"$gt": "yesterday"}}), WrongType, "filter.ts.$gt"),
        (json!({"page_number": "7"}), WrongType, "filter.page_number"),
        (json!({"int": {"$not": {"$not": {"$gt": "1"}}}}), WrongType, "filter.int.$not.$not.$gt"),
        // Operators that the type does not take.
        (json!({"txt": {"$gt": "a"}}), WrongType, "filter.txt.$gt"),
        (json!({"title": {"$lte": "a"}}), WrongType, "filter.title.$lte"),
        (json!({"bool": {"$gt": true}}), WrongType, "filter.bool.$gt"),
        (json!({"bool": {"$prefix": "t"}}), WrongType, "filter.bool.$prefix"),
        (json!({"int": {"$prefix": "2"}}), WrongType, "filter.int.$prefix"),
        (json!({"ts": {"$prefix": "2026"}}), WrongType, "filter.ts.$prefix"),
        (json!({"page_number": {"$contains": 7}}), WrongType, "filter.page_number.$contains"),
        (json!({"created_at": {"$contains": "2026-11-20"}}), WrongType, "filter.created_at.$contains"),
        // Limits.
        (json!({"txt": "x".repeat(MAX_TEXT_ATTRIBUTE_CHARS + 1)}), LimitExceeded, "filter.txt"),
        (json!({"kw": {"$prefix": "x".repeat(MAX_TEXT_ATTRIBUTE_CHARS + 1)}}), LimitExceeded, "filter.kw.$prefix"),
        (json!({"int": {"$in": vec![1; MAX_IN_VALUES + 1]}}), LimitExceeded, "filter.int.$in"),
    ] {
        let error = refusal(&filter);
        assert_eq!((error.code, error.field.as_deref()), (code, Some(place)), "{filter}: {error}");
        assert!(!error.detail.is_empty());
        if code == WrongType {
            assert!(error.expected.is_some() && error.received.is_some(), "{filter}: {error:?}");
        }
    }
}

#[test]
fn details_help() {
    let detail = |filter| refusal(&filter).detail;
    for operator in Operator::ALL {
        assert!(detail(json!({"int": {"$near": 1}})).contains(operator.as_str()));
        assert!(detail(json!({"$near": 1})).contains(operator.as_str()));
    }
    assert!(detail(json!({"$near": 1})).contains("$and $or $not"));
    assert!(detail(json!({"$gt": 1})).contains("within a field"));
    assert!(detail(json!({"kw": ["a", "b"]})).contains("$in"));
    assert!(detail(json!({"kw": null})).contains("$exists"));

    let error = refusal(&json!({"bool": {"$gt": true}}));
    assert_eq!((error.expected, error.received), (Some(json!("$eq $ne $in $nin $exists $contains")), Some(json!("$gt"))));
    let error = refusal(&json!({"int": "2000"}));
    assert_eq!((error.expected, error.received), (Some(json!("integer")), Some(json!("string"))));
}

#[test]
fn an_unknown_field_lists_what_there_is() {
    let error = refusal(&json!({"color": 1}));
    let listed = error.expected.unwrap().as_array().unwrap().len();
    assert_eq!(listed, fields().list().len() + FixedField::ALL.len());
    assert!(error.detail.contains("kw, int, flt") && error.detail.contains("tags") && !error.detail.contains("more"));

    let many: Fields = (0..30).map(|at| Field { name: format!("f{at}").into(), kind: FieldType::Integer }).collect();
    let error = Filter::from_json(&json!({"color": 1})).unwrap().bind(&many).unwrap_err();
    assert_eq!(error.expected.unwrap().as_array().unwrap().len(), 20);
    assert!(error.detail.ends_with("f19 and 21 more"), "{}", error.detail);
}

#[test]
fn errors_repeat_only_a_part_of_a_long_name() {
    for name in ["é".repeat(100_000), format!("${}", "é".repeat(100_000))] {
        for filter in [json!({ name.as_str(): 1 }), json!({ "int": { name.as_str(): 1 } })] {
            let error = refusal(&filter);
            assert!(error.field.unwrap().len() < 200 && error.detail.len() < 600);
        }
    }
}

/// A filter of so many levels.
fn nested(levels: usize, wrap: impl Fn(Json) -> Json) -> Json {
    (1..levels).fold(json!({"int": 1}), |inner, _| wrap(inner))
}

#[test]
fn depth_is_limited() {
    let wraps: [fn(Json) -> Json; 3] =
        [|inner| json!({"$and": [inner]}), |inner| json!({"$or": [{"kw": "a"}, inner]}), |inner| json!({ "$not": inner })];
    for wrap in wraps {
        assert!(bind(&nested(MAX_FILTER_DEPTH, wrap)).is_ok());
        let error = refusal(&nested(MAX_FILTER_DEPTH + 1, wrap));
        assert_eq!((error.code, error.expected), (Code::LimitExceeded, Some(json!(MAX_FILTER_DEPTH))));
    }
    let in_field = |levels| json!({"int": (1..levels).fold(json!({"$gt": 1}), |inner, _| json!({"$not": inner}))});
    assert!(bind(&in_field(MAX_FILTER_DEPTH)).is_ok());
    assert_eq!(refusal(&in_field(MAX_FILTER_DEPTH + 1)).code, Code::LimitExceeded);
    assert_eq!(refusal(&json!({ "$not": in_field(MAX_FILTER_DEPTH) })).code, Code::LimitExceeded);
}

#[test]
fn conditions_are_limited() {
    let with = |count: usize, condition: Json| json!({"$or": vec![condition; count]});
    for condition in [json!({}), json!({"int": 1}), json!({"int": {"$not": {"$gt": 1}}})] {
        assert!(bind(&with(MAX_FILTER_CONDITIONS, condition.clone())).is_ok());
        let error = refusal(&with(MAX_FILTER_CONDITIONS + 1, condition));
        assert_eq!((error.code, error.received), (Code::LimitExceeded, Some(json!(MAX_FILTER_CONDITIONS + 1))));
        assert!(error.field.unwrap().starts_with("filter.$or[256]"));
    }
    let two = json!({"int": {"$gt": 1, "$lt": 2}});
    assert!(bind(&with(MAX_FILTER_CONDITIONS / 2, two.clone())).is_ok());
    assert_eq!(refusal(&with(MAX_FILTER_CONDITIONS / 2 + 1, two)).code, Code::LimitExceeded);
    assert!(bind(&json!({"int": {"$in": vec![1; MAX_IN_VALUES]}})).is_ok());
}
