//! The index of a library over HTTP: it is built beside everything else, and survives a crash.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::tempdir;
use vecino_tests::rng::Rng;

use super::Server;

const POINTS: &str = "/v1/libraries/points";

fn vector(rng: &mut Rng) -> Vec<f32> {
    (0..10).map(|_| rng.below(2_001) as f32 / 1_000.0 - 1.0).collect()
}

fn put(server: &Server, rng: &mut Rng, document: usize, chunks: usize) {
    let chunks: Vec<Value> =
        (0..chunks).map(|number| json!({"id": format!("{document}-{number}"), "text": "t", "embedding": vector(rng)})).collect();
    let body = json!({"id": format!("d{document}"), "metadata": {"title": "t"}, "chunks": chunks});
    assert_eq!(server.post(&format!("{POINTS}/documents"), &body).status, 201);
}

fn nearest(server: &Server, rng: &mut Rng, more: &Value) -> (Vec<String>, Value) {
    let mut body = json!({"embedding": vector(rng), "k": 10, "explain": true, "include": []});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = server.post(&format!("{POINTS}/query"), &body).ok();
    let ids = answer["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect();
    (ids, answer["explain"].clone())
}

/// Waits until an index of this type serves and knows all but a few chunks.
fn settled(server: &Server, index: &str) -> Value {
    let begun = Instant::now();
    loop {
        let state = server.get(&format!("{POINTS}/index")).ok();
        if state["serving"] == index && state["waiting"] == 0 && state["unlinked"].as_u64().unwrap() < 256 {
            return state;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{state}");
        sleep(Duration::from_millis(20));
    }
}

/// Asks until at least two queries have been sampled.
fn sampled(server: &Server, rng: &mut Rng) {
    let begun = Instant::now();
    loop {
        (0..64).for_each(|_| drop(nearest(server, rng, &json!({}))));
        let live = server.get(&format!("{POINTS}/quality")).ok()["live"].clone();
        if live["queries"].as_u64() >= Some(2) {
            let recall = live["recall"].as_f64().unwrap();
            assert!((0.6..=1.0).contains(&recall), "{live}");
            let metrics = server.get("/metrics");
            let text = String::from_utf8(metrics.bytes).unwrap();
            assert!(text.contains("vecino_live_recall_queries "), "{text}");
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{live}");
    }
}

#[test]
fn an_index_is_built_chosen_measured_and_kept() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path());
    let body = json!({"name": "points", "metadata": {"index_type": "hnsw", "index_params": {"m": 12}, "target_recall": 0.9}});
    let created = server.post("/v1/libraries", &body).ok();
    assert_eq!(created["metadata"]["index_params"]["m"], 12);
    let mut rng = Rng::new(3);
    (0..12).for_each(|document| put(&server, &mut rng, document, 100));
    let state = settled(&server, "hnsw");
    // What was left over was taken in by itself, when writing had ended.
    assert_eq!((&state["chunks"], &state["target_recall"]), (&json!(1_200), &json!(0.9)));
    let quality = server.get(&format!("{POINTS}/quality")).ok();
    assert!(quality["measured_recall"].as_f64().unwrap() >= 0.9 && quality["curves"].as_array().unwrap().len() == 4, "{quality}");
    assert_eq!(quality.get("live"), None, "nobody has asked yet");
    for (wish, effort) in [(json!({}), &quality["effort"]), (json!({"ef": 50}), &json!(50)), (json!({"nprobe": 60}), &json!(60))]
    {
        let explain = nearest(&server, &mut rng, &wish).1;
        assert_eq!((&explain["strategy"], &explain["effort"]), (&json!("index"), effort), "{wish}: {explain}");
    }
    sampled(&server, &mut rng);
    let (exact, explain) = nearest(&server, &mut Rng::new(8), &json!({"target_recall": 1}));
    assert_eq!((exact.len(), &explain["strategy"]), (10, &json!("exact_scan")));

    let index = format!("{POINTS}/index");
    let reply = server.send("PUT", &index, &json!({"index_type": "kd_tree"}));
    let job = reply.headers["location"].clone();
    assert_eq!((reply.status, format!("/v1/jobs/{}", reply.json["job"].as_str().unwrap())), (202, job.clone()));
    let chosen = reply.ok();
    assert_eq!((&chosen["index_type"], &chosen["next"]), (&json!("kd_tree"), &json!("kd_tree")));
    // The events end when it is built.
    server.get(&format!("{job}/events"));
    let job = server.get(&job).ok();
    assert_eq!((&job["kind"], &job["state"], &job["done"]), (&json!("index"), &json!("done"), &json!(1_200)));
    assert_eq!((&job["result"]["serving"], &job["result"]["waiting"]), (&json!("kd_tree"), &json!(0)));
    let same = server.send("PUT", &index, &json!({"index_type": "kd_tree"}));
    assert_eq!((same.status, same.json.get("job")), (200, None));
    assert_eq!(nearest(&server, &mut Rng::new(8), &json!({})).0, exact);
    let quality = server.get(&format!("{POINTS}/quality")).ok();
    assert_eq!((&quality["exact"], quality.get("live")), (&json!(true), None));

    // A crash loses neither the choice nor a chunk.
    put(&server, &mut rng, 100, 300);
    server.kill();
    let server = Server::start(folder.path());
    let state = settled(&server, "kd_tree");
    assert_eq!(state["chunks"], 1_500);
    let exact = nearest(&server, &mut Rng::new(9), &json!({"target_recall": 1})).0;
    assert_eq!(nearest(&server, &mut Rng::new(9), &json!({})).0, exact);
    // Nor does an orderly end while an index is being built.
    server.send("PUT", &index, &json!({"index_type": "hnsw", "rebuild": true})).ok();
    assert!(server.stop().success());
    let server = Server::start(folder.path());
    settled(&server, "hnsw");
    assert_eq!(nearest(&server, &mut Rng::new(9), &json!({"target_recall": 1})).0, exact);
}

#[test]
fn what_no_index_can_be_is_refused() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path());
    server.post("/v1/libraries", &json!({"name": "points"})).ok();
    let index = format!("{POINTS}/index");
    for (body, field, expected) in [
        (json!({"index_params": {"m": 1}}), "index_params.m", json!(2)),
        (json!({"index_params": {"tables": 65}}), "index_params.tables", json!(64)),
        (json!({"target_recall": 0}), "target_recall", json!("above 0, at most 1")),
        (json!({"target_recall": 1.5}), "target_recall", json!("above 0, at most 1")),
    ] {
        let reply = server.send("PUT", &index, &body);
        let problem = reply.problem(400, "invalid_value");
        assert_eq!((&problem["field"], &problem["expected"]), (&json!(field), &expected), "{body}");
    }
    for body in [json!({"effort": 0}), json!({"ef": 1_000_001}), json!({"ef": 5, "nprobe": 5})] {
        let mut query = json!({"embedding": [1.0]});
        query.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        server.post(&format!("{POINTS}/query"), &query).problem(400, "invalid_value");
    }
    let state = server.get(&index).ok();
    assert_eq!((&state["index_type"], &state["serving"], &state["seq"]), (&json!("auto"), &json!("flat"), &json!(1)));
}
