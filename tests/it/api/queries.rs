//! Queries that say in other ways what is wanted, and facets.

use serde_json::{Value, json};
use tempfile::tempdir;

use super::Server;

const PLANE: &str = "/v1/libraries/plane";

/// A library of points in the plane: three documents with the points 0..30 on a line, ten of each in turn.
fn with_plane(folder: &std::path::Path) -> Server {
    let server = Server::start(folder);
    server.post("/v1/libraries", &json!({"name": "plane", "metric": "euclidean"})).ok();
    let documents: Vec<Value> = ["a", "b", "c"]
        .iter()
        .enumerate()
        .map(|(at, id)| {
            let point = |number: usize| {
                json!({"id": format!("p{number:02}"), "text": format!("point {number}"), "embedding": [number, 0],
                    "attributes": {"even": number.is_multiple_of(2), "kinds": [if number < 15 { "low" } else { "high" }, "point"]}})
            };
            let points: Vec<Value> = (0..30).filter(|number| number % 3 == at).map(point).collect();
            json!({"id": id, "metadata": {"title": id, "tags": ["t", id]}, "chunks": points})
        })
        .collect();
    server.post(&format!("{PLANE}/documents:batch"), &json!({"documents": documents})).ok();
    server
}

fn found(answer: &Value) -> Vec<&str> {
    answer["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap()).collect()
}

#[test]
fn more_like_a_chunk_or_like_examples() {
    let folder = tempdir().unwrap();
    let server = with_plane(folder.path());
    let query = |body: Value| server.post(&format!("{PLANE}/query"), &body).ok();
    let answer = query(json!({"chunk_id": "p10", "k": 3}));
    assert_eq!(found(&answer).len(), 3);
    assert_eq!(answer["requested"], 3);
    assert!(!found(&answer).contains(&"p10"));
    assert_eq!(found(&query(json!({"chunk_id": "p00", "k": 2}))), ["p01", "p02"]);
    assert_eq!(query(json!({"chunk_id": "p00", "k": 29}))["exhausted"], true);
    assert_eq!(query(json!({"chunk_id": "p00", "k": 28}))["exhausted"], false);
    assert_eq!(found(&query(json!({"chunk_id": "p00", "k": 2, "filter": {"even": true}}))), ["p02", "p04"]);
    // The average of 10 and 12 is 11; away from 8 by 3 it is 14.
    assert_eq!(found(&query(json!({"positive": ["p10", [12, 0]], "k": 1}))), ["p11"]);
    assert_eq!(found(&query(json!({"positive": ["p10", [12, 0]], "negative": ["p08"], "k": 1}))), ["p14"]);
    assert_eq!(found(&query(json!({"positive": ["p10", "p12"], "negative": ["p08", "p14"], "k": 1}))), ["p11"]);

    // As floats of 32 bits in base64: 10 and 0.
    assert_eq!(found(&query(json!({"embedding": "AAAgQQAAAAA=", "k": 1}))), ["p10"]);

    let both = json!({"queries": [{"embedding": "AAAgQQAAAAA=", "k": 1}, {"embedding": [12, 0], "k": 1}]});
    let answers = server.post(&format!("{PLANE}/query:batch"), &both).ok();
    assert_eq!([0, 1].map(|at| found(&answers["answers"][at])[0].to_owned()), ["p10", "p12"]);

    // Scores are 1 / (1 + distance): those within 2 have at least a third.
    let answer = query(json!({"embedding": [10, 0], "k": 30, "min_score": 0.33, "explain": true}));
    assert_eq!((answer["returned"].as_u64(), answer["exhausted"].as_bool()), (Some(5), Some(true)));
    assert!(answer["explain"]["fewer_because"].as_str().unwrap().contains("only 5"), "{answer}");
    assert_eq!(query(json!({"embedding": [10, 0], "k": 2, "min_score": 0.33}))["exhausted"], false);
    assert_eq!(query(json!({"embedding": [10, 0], "min_score": 2}))["returned"], 0);

    let refused = |body: Value, status, code, field: &str| {
        assert_eq!(server.post(&format!("{PLANE}/query"), &body).problem(status, code)["field"], field);
    };
    refused(json!({"chunk_id": "none"}), 404, "chunk_not_found", "chunk_id");
    refused(json!({"chunk_id": "p00", "embedding": [1, 2]}), 400, "invalid_value", "text");
    refused(json!({"embedding": [1, 2], "negative": []}), 400, "invalid_value", "text");
    refused(json!({"negative": ["p00"]}), 400, "missing_field", "text");
    refused(json!({"positive": []}), 400, "invalid_value", "positive");
    refused(json!({"positive": ["p00"], "negative": ["p01", "none"]}), 404, "chunk_not_found", "negative[1]");
    refused(json!({"positive": ["p00", [1]]}), 409, "wrong_dimension", "positive[1]");
    refused(json!({"positive": ["p00", 5]}), 400, "wrong_type", "positive[1]");
    refused(json!({"positive": vec!["p00"; 101]}), 400, "limit_exceeded", "positive");
    // Far more than there are, but for the chunk itself.
    assert_eq!(query(json!({"chunk_id": "p00", "k": 10_000}))["returned"], 29);
}

#[test]
fn several_queries_at_once() {
    let folder = tempdir().unwrap();
    let server = with_plane(folder.path());
    let path = format!("{PLANE}/query:batch");
    let answers = server.post(&path, &json!({"queries": [{"embedding": [3, 0], "k": 1}, {"chunk_id": "p00", "k": 1}]})).ok();
    let found: Vec<&str> = answers["answers"].as_array().unwrap().iter().flat_map(found).collect();
    assert_eq!(found, ["p03", "p01"]);
    assert_eq!(server.post(&path, &json!({"queries": []})).ok()["answers"], json!([]));
    let refused = |body: Value, status, code, field: &str| {
        assert_eq!(server.post(&path, &body).problem(status, code)["field"], field);
    };
    refused(json!({"queries": [{"embedding": [3, 0]}, {"embedding": [3]}]}), 409, "wrong_dimension", "queries[1].embedding");
    refused(json!({"queries": [{"embedding": [3, 0], "top": 1}]}), 400, "unknown_field", "queries[0].top");
    refused(json!({"queries": [{}]}), 400, "missing_field", "queries[0].text");
    refused(json!({"queries": vec![json!({"chunk_id": "p00", "k": 1}); 101]}), 400, "limit_exceeded", "queries");
    // More hits than the library has chunks do not count.
    let many = |k: u32| json!({"queries": vec![json!({"embedding": [3, 0], "k": k, "include": []}); 100]});
    server.post(&path, &many(10_000)).ok();
    let chunks: Vec<Value> = (30..101).map(|_| json!({"document_id": "a", "text": "more", "embedding": [1, 1]})).collect();
    server.post(&format!("{PLANE}/chunks:batch"), &json!({"chunks": chunks})).ok();
    server.post(&path, &many(100)).ok();
    refused(many(101), 409, "limit_exceeded", "queries");
}

#[test]
fn answers_by_document() {
    let folder = tempdir().unwrap();
    let server = with_plane(folder.path());
    let path = format!("{PLANE}/query:groups");
    let answer = server.post(&path, &json!({"query": {"embedding": [10.2, 0], "k": 2}, "size": 2})).ok();
    let groups: Vec<(&str, Vec<&str>)> =
        answer["groups"].as_array().unwrap().iter().map(|group| (group["document_id"].as_str().unwrap(), found(group))).collect();
    assert_eq!(groups, [("b", vec!["p10", "p13"]), ("c", vec!["p11", "p08"])]);
    assert_eq!((&answer["returned"], &answer["exhausted"]), (&json!(2), &json!(false)));
    let all =
        server.post(&path, &json!({"query": {"embedding": [10.2, 0], "k": 9, "filter": {"document_id": {"$ne": "b"}}}})).ok();
    assert_eq!((&all["returned"], &all["exhausted"]), (&json!(2), &json!(true)));
    let near = server.post(&path, &json!({"query": {"chunk_id": "p10", "min_score": 0.4}})).ok();
    assert_eq!(near["groups"].as_array().unwrap().iter().map(|group| found(group).len()).sum::<usize>(), 2);
    let refused = |body: Value, status, code, field: &str| {
        assert_eq!(server.post(&path, &body).problem(status, code)["field"], field);
    };
    refused(json!({"query": {"embedding": [1, 2]}, "size": 0}), 400, "invalid_value", "size");
    refused(json!({"query": {"embedding": [1, 2]}, "size": 101}), 400, "invalid_value", "size");
    refused(json!({"query": {"embedding": [1]}}), 409, "wrong_dimension", "query.embedding");
    refused(json!({"query": {"embedding": [1, 2], "k": 0}}), 400, "invalid_value", "query.k");
    refused(json!({}), 400, "missing_field", "query");
}

#[test]
fn many_chunks_of_one_document_do_not_hide_the_others() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path());
    server.post("/v1/libraries", &json!({"name": "plane", "metric": "euclidean"})).ok();
    for (id, count, x) in [("crowd", 9_990, 0), ("crowd2", 20, 0), ("one", 1, 5), ("other", 1, 9)] {
        let chunks: Vec<Value> = (0..count).map(|at| json!({"text": "t", "embedding": [x, at]})).collect();
        let document = json!({"id": id, "metadata": {"title": id}, "chunks": chunks});
        server.post(&format!("{PLANE}/documents"), &document).ok();
    }
    let answer =
        server.post(&format!("{PLANE}/query:groups"), &json!({"query": {"embedding": [0, 9_989], "k": 4}, "size": 1})).ok();
    let ids: Vec<&Value> = answer["groups"].as_array().unwrap().iter().map(|group| &group["document_id"]).collect();
    assert_eq!(ids, ["crowd", "crowd2", "one", "other"]);
    assert_eq!(answer["exhausted"], true);
}

#[test]
fn values_are_counted() {
    let folder = tempdir().unwrap();
    let server = with_plane(folder.path());
    let path = format!("{PLANE}/facets");
    let answer = server.post(&path, &json!({"fields": ["kinds", "even", "tags", "page_number"], "limit": 2})).ok();
    assert_eq!(answer["matching"], 30);
    let values = |at: usize| answer["facets"][at]["values"].clone();
    assert_eq!(values(0), json!([{"value": "point", "count": 30}, {"value": "high", "count": 15}]));
    assert_eq!(values(1), json!([{"value": false, "count": 15}, {"value": true, "count": 15}]));
    assert_eq!(values(2), json!([{"value": "t", "count": 30}, {"value": "a", "count": 10}]));
    assert_eq!((values(3), &answer["facets"][3]["missing"]), (json!([]), &json!(30)));
    assert_eq!(answer["facets"][2]["distinct"], 4);
    let filtered = server.post(&path, &json!({"fields": ["even"], "filter": {"kinds": "low", "document_id": "a"}})).ok();
    assert_eq!(filtered["facets"][0]["values"], json!([{"value": true, "count": 3}, {"value": false, "count": 2}]));
    let refused = |body: Value, status, code, field: &str| {
        assert_eq!(server.post(&path, &body).problem(status, code)["field"], field);
    };
    refused(json!({"fields": []}), 400, "invalid_value", "fields");
    refused(json!({"fields": vec!["even"; 17]}), 400, "invalid_value", "fields");
    refused(json!({"fields": ["even", "odd"]}), 409, "unknown_field", "fields[1]");
    refused(json!({"fields": ["even"], "limit": 0}), 400, "invalid_value", "limit");
    refused(json!({"fields": ["even"], "filter": {"odd": 1}}), 409, "unknown_field", "filter.odd");
}
