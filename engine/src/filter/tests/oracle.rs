//! The oracle: the documented meaning, written again over JSON in the plainest way, for small rows and legal filters.

use std::cmp::Ordering;

use super::*;

/// Whether the row passes.
pub(super) fn passes(filter: &Json, row: &Json) -> bool {
    filter.as_object().unwrap().iter().all(|(key, inner)| match key.as_str() {
        "$and" => inner.as_array().unwrap().iter().all(|filter| passes(filter, row)),
        "$or" => inner.as_array().unwrap().iter().any(|filter| passes(filter, row)),
        "$not" => !passes(inner, row),
        name => {
            let is_time = matches!(name, "ts" | "created_at");
            match inner {
                Json::Object(_) => conditions(inner, row.get(name), is_time),
                plain => conditions(&json!({ "$eq": plain }), row.get(name), is_time),
            }
        }
    })
}

fn conditions(operators: &Json, value: Option<&Json>, is_time: bool) -> bool {
    operators.as_object().unwrap().iter().all(|(operator, operand)| {
        let values: Vec<&Json> = match value {
            None => vec![],
            Some(Json::Array(items)) => items.iter().collect(),
            Some(single) => vec![single],
        };
        let is_list = value.is_some_and(Json::is_array);
        let equals = |value: &Json, operand: &Json| order(value, operand, is_time) == Ordering::Equal;
        let any = |test: &dyn Fn(&Json) -> bool| values.iter().any(|value| test(value));
        match operator.as_str() {
            "$eq" => any(&|value| equals(value, operand)),
            "$ne" => !any(&|value| equals(value, operand)),
            "$gt" => any(&|value| order(value, operand, is_time).is_gt()),
            "$gte" => any(&|value| order(value, operand, is_time).is_ge()),
            "$lt" => any(&|value| order(value, operand, is_time).is_lt()),
            "$lte" => any(&|value| order(value, operand, is_time).is_le()),
            "$in" => any(&|value| operand.as_array().unwrap().iter().any(|operand| equals(value, operand))),
            "$nin" => !any(&|value| operand.as_array().unwrap().iter().any(|operand| equals(value, operand))),
            "$exists" => values.is_empty() != operand.as_bool().unwrap(),
            "$contains" => any(&|value| match (value, operand) {
                (Json::String(text), Json::String(part)) if !is_list && !is_time => text.contains(part.as_str()),
                _ => equals(value, operand),
            }),
            "$prefix" => any(&|value| value.as_str().unwrap().starts_with(operand.as_str().unwrap())),
            "$not" => !conditions(operand, value, is_time),
            other => panic!("{other}"),
        }
    })
}

fn order(left: &Json, right: &Json, is_time: bool) -> Ordering {
    match (left, right) {
        (Json::String(left), Json::String(right)) if is_time => {
            Timestamp::parse(left).unwrap().cmp(&Timestamp::parse(right).unwrap())
        }
        (Json::String(left), Json::String(right)) => left.bytes().cmp(right.bytes()),
        (Json::Bool(left), Json::Bool(right)) => left.cmp(right),
        (Json::Number(left), Json::Number(right)) => quarters(left).cmp(&quarters(right)),
        (left, right) => panic!("{left} and {right} cannot be compared"),
    }
}

/// The number times four, exactly: the tests use only quarters below 2^120.
fn quarters(number: &serde_json::Number) -> i128 {
    let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
    whole.map_or_else(
        || {
            let value = number.as_f64().unwrap() * 4.0;
            assert!(value.fract() == 0.0 && value.abs() < 1e36);
            value as i128
        },
        |whole| whole * 4,
    )
}
