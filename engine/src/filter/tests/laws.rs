//! Random rows and filters: the engine agrees with the oracle, and the laws of logic hold.

use proptest::{prelude::*, sample::select};

use super::{oracle::passes, *};

const STRINGS: &[&str] = &["", "a", "ab", "abc", "b", "B", "é", "ba", "\u{10000}", "\u{ffff}"];
const TIMES: &[&str] = &[
    "2026-11-20",
    "2026-11-20T00:00:00Z",
    "2026-11-20T02:00:00+02:00",
    "2026-11-20T00:00:00.000001Z",
    "1969-12-31",
    "9999-12-31T23:59:59Z",
];
const EDGE: i64 = 1 << 53;

fn strings() -> BoxedStrategy<Json> {
    select(STRINGS).prop_map(Json::from).boxed()
}

fn times() -> BoxedStrategy<Json> {
    select(TIMES).prop_map(Json::from).boxed()
}

fn integers() -> BoxedStrategy<Json> {
    let edges = select(vec![EDGE - 1, EDGE, EDGE + 1, EDGE + 2, EDGE + 3, -EDGE - 1, i64::MAX, i64::MAX - 1, i64::MIN]);
    prop_oneof![3 => (-3_i64..=3).boxed(), 1 => edges.boxed()].prop_map(Json::from).boxed()
}

fn floats() -> BoxedStrategy<Json> {
    let two = 2.0_f64;
    let edges = select(vec![
        -0.0,
        two.powi(53),
        two.powi(53) + 2.0,
        two.powi(53) + 4.0,
        -two.powi(53),
        two.powi(63),
        -two.powi(63),
        -two.powi(63) - 2048.0,
        two.powi(64),
        two.powi(80),
        -two.powi(80),
    ]);
    prop_oneof![3 => (-12_i32..=12).prop_map(|quarters| f64::from(quarters) / 4.0).boxed(), 1 => edges.boxed()]
        .prop_map(Json::from)
        .boxed()
}

/// Any number that a filter may hold.
fn numbers() -> BoxedStrategy<Json> {
    let large = select(vec![u64::MAX, u64::MAX - 1, 1 << 63]).prop_map(Json::from);
    prop_oneof![8 => integers(), 8 => floats(), 1 => large].boxed()
}

fn booleans() -> BoxedStrategy<Json> {
    any::<bool>().prop_map(Json::from).boxed()
}

/// The value of a field in a row, which may be missing or a list.
fn value(scalars: BoxedStrategy<Json>) -> BoxedStrategy<Option<Json>> {
    let list = prop::collection::vec(scalars.clone(), 0..4).prop_map(Json::from);
    prop_oneof![1 => Just(None), 2 => scalars.prop_map(Some), 2 => list.prop_map(Some)].boxed()
}

fn row() -> impl Strategy<Value = Json> {
    let tags = prop::collection::vec(strings(), 0..3).prop_map(Json::from);
    let attributes = (
        value(strings()),
        value(integers()),
        value(floats()),
        value(booleans()),
        value(times()),
        value(strings()),
        prop::option::of(tags),
    );
    let fixed = (prop::option::of(strings()), prop::option::of(-3_i64..3), prop::option::of(times()));
    (attributes, fixed).prop_map(|((kw, int, flt, boolean, ts, txt, tags), (title, page_number, created_at))| {
        let mut row = json!({
            "kw": kw, "int": int, "flt": flt, "bool": boolean, "ts": ts, "txt": txt, "tags": tags, "title": title,
            "page_number": page_number, "created_at": created_at,
        });
        row.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        row
    })
}

/// An object of operators that the field takes.
fn operators(name: &'static str) -> BoxedStrategy<Json> {
    let operands = match name {
        "int" | "flt" | "page_number" => numbers(),
        "bool" => booleans(),
        "ts" | "created_at" => times(),
        _ => strings(),
    };
    let kind = FixedField::find(name).map_or_else(|| fields().find(name).unwrap().1, FixedField::kind);
    let no_contains = matches!(name, "page_number" | "created_at");
    let taken: Vec<&str> = Operator::ALL
        .iter()
        .filter(|operator| operator.kinds().contains(&kind) && !(no_contains && **operator == Operator::Contains))
        .map(|operator| operator.as_str())
        .collect();
    let one = select(taken).prop_flat_map(move |operator| {
        let operand = match operator {
            "$in" | "$nin" => prop::collection::vec(operands.clone(), 0..5).prop_map(Json::from).boxed(),
            "$exists" => booleans(),
            _ => operands.clone(),
        };
        operand.prop_map(move |operand| (operator.to_owned(), operand))
    });
    let object = |entries: BoxedStrategy<(String, Json)>| {
        prop::collection::vec(entries, 1..3).prop_map(|entries| Json::Object(entries.into_iter().collect())).boxed()
    };
    object(one.prop_recursive(2, 4, 2, move |inner| object(inner.boxed()).prop_map(|inner| ("$not".to_owned(), inner))).boxed())
}

fn field() -> BoxedStrategy<Json> {
    let names = select(vec!["kw", "int", "flt", "bool", "ts", "txt", "tags", "title", "page_number", "created_at"]);
    names.prop_flat_map(|name| operators(name).prop_map(move |operators| json!({ name: operators }))).boxed()
}

fn filter() -> BoxedStrategy<Json> {
    prop_oneof![1 => Just(json!({})), 19 => field()]
        .prop_recursive(3, 12, 3, |inner| {
            let list = prop::collection::vec(inner.clone(), 1..4);
            prop_oneof![
                list.clone().prop_map(|filters| json!({ "$and": filters })),
                list.prop_map(|filters| json!({ "$or": filters })),
                inner.clone().prop_map(|filter| json!({ "$not": filter })),
                (inner.clone(), inner).prop_map(|(mut left, right)| {
                    left.as_object_mut().unwrap().extend(right.as_object().unwrap().clone());
                    left
                }),
            ]
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_oracle(filter in filter(), rows in prop::collection::vec(row(), 8)) {
        let bound = bind(&filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
        for row in &rows {
            prop_assert_eq!(bound.matches(&JsonRow::new(row)), passes(&filter, row), "{} on {}", filter, row);
        }
    }

    #[test]
    fn single_fields_agree_with_the_oracle(filter in field(), rows in prop::collection::vec(row(), 8)) {
        for row in &rows {
            prop_assert_eq!(matches(&filter, row), passes(&filter, row), "{} on {}", filter, row);
        }
    }

    #[test]
    fn de_morgan(left in filter(), right in filter(), row in row()) {
        let holds = |filter: Json| matches(&filter, &row);
        let not = |filter: &Json| json!({ "$not": filter });
        prop_assert_eq!(holds(not(&json!({"$and": [left, right]}))), holds(json!({"$or": [not(&left), not(&right)]})));
        prop_assert_eq!(holds(not(&json!({"$or": [left, right]}))), holds(json!({"$and": [not(&left), not(&right)]})));
        prop_assert_eq!(holds(not(&not(&left))), holds(left.clone()));
        prop_assert_eq!(holds(json!({"$or": [left, not(&left)]})), true);
        prop_assert_eq!(holds(json!({"$and": [left, not(&left)]})), false);
    }

    #[test]
    fn negations_and_synonyms(operand in numbers(), name in select(vec!["int", "flt"]), row in row()) {
        let holds = |operators: Json| matches(&json!({ name: operators }), &row);
        prop_assert_eq!(holds(json!({"$ne": operand})), !holds(json!({"$eq": operand})));
        prop_assert_eq!(holds(json!({"$nin": [operand]})), !holds(json!({"$in": [operand]})));
        prop_assert_eq!(holds(json!({"$in": [operand]})), holds(operand.clone()));
        prop_assert_eq!(holds(json!({"$not": {"$gt": operand}})), !holds(json!({"$gt": operand})));
        prop_assert_eq!(holds(json!({"$gte": operand})), holds(json!({"$gt": operand})) || holds(json!({"$eq": operand})));
        prop_assert_eq!(holds(json!({"$lte": operand})), holds(json!({"$lt": operand})) || holds(json!({"$eq": operand})));
    }

    #[test]
    fn json_is_kept(filter in filter()) {
        let read = Filter::from_json(&filter).unwrap();
        prop_assert_eq!(read.to_json(), filter);
    }

    #[test]
    fn no_json_makes_it_panic(json in anything()) {
        let _ = bind(&json);
    }
}

/// JSON that is nearly a filter.
fn anything() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![strings(), times(), numbers(), booleans(), Just(Json::Null)];
    let keys =
        select(vec!["$and", "$or", "$not", "$eq", "$gt", "$in", "$exists", "$contains", "$prefix", "$x", "kw", "int", "ts"]);
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((keys.clone(), inner), 0..4)
                .prop_map(|entries| entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Json>()),
        ]
    })
}
