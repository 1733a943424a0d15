//! Snapshots that are kept: taken, listed, downloaded, uploaded, restored and deleted.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::tempdir;
use vecino_engine::snapshot;

use super::{Reply, Server, files, with_words};

const SNAPSHOTS: &str = "/v1/snapshots";
const BYTES: &str = "application/octet-stream";

/// The job that an answer names, when it has ended.
fn ended(server: &Server, reply: &Reply) -> Value {
    assert_eq!(reply.status, 202, "{}", reply.json);
    let path = &reply.headers["location"];
    assert_eq!(*path, format!("/v1/jobs/{}", reply.json["id"].as_str().unwrap()));
    // The events go on until the end.
    assert_eq!(server.get(&format!("{path}/events")).status, 200);
    server.get(path).ok()
}

/// What came of the job.
fn result(server: &Server, reply: &Reply) -> Value {
    let job = ended(server, reply);
    assert_eq!(job["state"], "done", "{job}");
    job["result"].clone()
}

fn take(server: &Server, library: &str) -> Value {
    result(server, &server.post(SNAPSHOTS, &json!({"library": library})))
}

fn restore(server: &Server, snapshot: &Value, input: &Value) -> Reply {
    server.post(&format!("{SNAPSHOTS}/{}/restore", snapshot["id"].as_str().unwrap()), input)
}

/// Every document and chunk, with all digits of the vectors.
fn lines(server: &Server, library: &str) -> String {
    let reply = server.get(&format!("/v1/libraries/{library}/export?embedding=true"));
    assert_eq!(reply.status, 200, "{}", reply.json);
    String::from_utf8(reply.bytes).unwrap()
}

#[test]
fn a_library_becomes_what_it_was() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let before = (server.get("/v1/libraries/words").ok(), lines(&server, "words"));
    let taken = take(&server, "words");
    assert_eq!((&taken["name"], &taken["documents"], &taken["seq"]), (&json!("words"), &json!(3), &before.0["seq"]));
    assert_eq!(server.get(SNAPSHOTS).ok(), json!({"snapshots": [taken]}));

    server.delete("/v1/libraries/words/documents/animals").ok();
    server.post("/v1/libraries/words/fields", &json!({"name": "more", "type": "text"})).ok();
    server.send("PATCH", "/v1/libraries/words", &json!({"metadata": {"description": "Changed", "index_type": "lsh"}})).ok();
    server.send("PUT", "/v1/aliases/current", &json!({"library": "words"})).ok();
    let restored = result(&server, &restore(&server, &taken, &json!({})));
    assert_eq!((&restored["library"], &restored["documents"]), (&before.0["id"], &json!(3)));
    assert_eq!(lines(&server, "current"), before.1);
    let mut after = server.get("/v1/libraries/words").ok();
    assert!(after["seq"].as_u64() > before.0["seq"].as_u64());
    assert_eq!(after["aliases"], json!(["current"]));
    (after["seq"], after["aliases"]) = (before.0["seq"].clone(), json!([]));
    assert_eq!(after, before.0);
    let list = server.get("/v1/libraries").ok();
    assert_eq!(list["libraries"].as_array().unwrap().len(), 1, "nothing is left of the work: {list}");

    // What is restored lasts like everything else, and so do snapshots.
    server.kill();
    let server = Server::start(folder.path());
    assert_eq!(lines(&server, "words"), before.1);
    assert_eq!(server.get(&format!("{SNAPSHOTS}/{}", taken["id"].as_str().unwrap())).ok(), taken);
}

#[test]
fn a_library_comes_again_or_once_more() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let (id, before) = (server.get("/v1/libraries/words").ok()["id"].clone(), lines(&server, "words"));
    let taken = take(&server, "words");
    let twin = result(&server, &restore(&server, &taken, &json!({"name": "twin"})));
    assert_ne!(twin["library"], id);
    assert_eq!(lines(&server, "twin"), before);
    restore(&server, &taken, &json!({"name": "twin"})).problem(409, "library_exists");
    server.delete("/v1/libraries/words").ok();
    let again = result(&server, &restore(&server, &taken, &json!({})));
    assert_eq!(again["library"], id);
    assert_eq!(lines(&server, "words"), before);
    // Another library has taken the name.
    server.delete("/v1/libraries/words").ok();
    server.post("/v1/libraries", &json!({"name": "words"})).ok();
    assert_eq!(restore(&server, &taken, &json!({})).problem(409, "library_exists")["field"], "name");
}

#[test]
fn a_snapshot_moves_to_another_server() {
    let (folder, other) = (tempdir().unwrap(), tempdir().unwrap());
    let server = with_words(folder.path());
    let before = lines(&server, "words");
    let taken = take(&server, "words");
    let path = format!("{SNAPSHOTS}/{}", taken["id"].as_str().unwrap());
    let file = server.get(&format!("{path}/file"));
    assert_eq!((file.headers["content-type"].as_str(), file.bytes.len() as u64), (BYTES, taken["bytes"].as_u64().unwrap()));
    assert!(file.headers["content-disposition"].contains("words.vecino"));
    assert_eq!(snapshot::from_bytes("words", &file.bytes).unwrap().intact().unwrap().document_count(), 3);

    // Larger than any other body may be.
    let there = Server::start_with(other.path(), &["--max-body-bytes", "1KiB"]);
    let upload = format!("{SNAPSHOTS}:upload");
    let reply = there.send_raw("POST", &upload, BYTES, &file.bytes);
    assert_eq!(reply.status, 201, "{}", reply.json);
    let kept = reply.ok();
    assert_eq!((&kept["library"], &kept["chunks"]), (&taken["library"], &taken["chunks"]));
    assert_eq!(result(&there, &restore(&there, &kept, &json!({})))["library"], taken["library"]);
    assert_eq!(lines(&there, "words"), before);

    let listed = there.get(SNAPSHOTS).ok();
    let mut damaged = file.bytes.clone();
    let last = damaged.len() / 2;
    damaged[last] ^= 1;
    for bad in [&damaged[..], &file.bytes[..last], b"", b"no snapshot"] {
        assert_eq!(there.send_raw("POST", &upload, BYTES, bad).problem(409, "invalid_value")["field"], "body");
    }
    there.post(&upload, &json!({})).problem(415, "unsupported_media_type");
    assert_eq!(there.get(SNAPSHOTS).ok(), listed);
    assert_eq!(
        files(other.path()).keys().filter(|name| name.ends_with(".snapshot")).count(),
        1,
        "what is refused leaves no file"
    );
}

#[test]
fn snapshots_end_when_they_are_told_to() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let taken = take(&server, "words");
    server.delete("/v1/libraries/words").ok();
    let path = format!("{SNAPSHOTS}/{}", taken["id"].as_str().unwrap());
    assert_eq!(server.delete(&path).ok(), taken);
    server.delete(&path).problem(404, "snapshot_not_found");
    for gone in [path.clone(), format!("{path}/file"), format!("{SNAPSHOTS}/..%2Fkeys.json/file")] {
        server.get(&gone).problem(404, "snapshot_not_found");
    }
    restore(&server, &taken, &json!({})).problem(404, "snapshot_not_found");
    server.post(SNAPSHOTS, &json!({"library": "words"})).problem(404, "library_not_found");
    server.post(SNAPSHOTS, &json!({})).problem(400, "missing_field");
    assert!(server.stop().success());
    assert!(files(folder.path()).keys().all(|name| !name.ends_with(".snapshot")));
    // A crash can leave a file that nobody names.
    fs::write(folder.path().join("nobody.snapshot"), "x").unwrap();
    let server = Server::start(folder.path());
    assert_eq!(server.get(SNAPSHOTS).ok(), json!({"snapshots": []}));
    assert!(!files(folder.path()).contains_key("nobody.snapshot"));
}

#[test]
fn what_a_crash_leaves_of_a_restoration_can_be_deleted() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let chunk = |number: usize| json!({"document_id": "many", "text": number.to_string(), "embedding": [number, 1.0]});
    server.post("/v1/libraries", &json!({"name": "pairs"})).ok();
    let document = json!({"id": "many", "metadata": {"title": "Many"}, "chunks": []});
    server.post("/v1/libraries/pairs/documents", &document).ok();
    for thousand in 0..30 {
        let chunks: Vec<Value> = (0..1_000).map(|number| chunk(1_000 * thousand + number)).collect();
        server.post("/v1/libraries/pairs/chunks:batch", &json!({"chunks": chunks})).ok();
    }
    let before = lines(&server, "pairs");
    let taken = take(&server, "pairs");
    assert_eq!(restore(&server, &taken, &json!({})).status, 202);
    let working = |server: &Server| -> Option<String> {
        let all = server.get("/v1/libraries").ok();
        let names = all["libraries"].as_array().unwrap().iter().map(|library| library["name"].as_str().unwrap().to_owned());
        names.into_iter().find(|name| name.starts_with("restoring-"))
    };
    let patience = Instant::now();
    while working(&server).is_none() {
        assert!(patience.elapsed() < Duration::from_secs(20), "it has not begun, or has ended");
    }
    server.kill();
    let server = Server::start(folder.path());
    assert_eq!(lines(&server, "pairs"), before);
    let left = working(&server).expect("it ended too soon to be interrupted");
    server.delete(&format!("/v1/libraries/{left}")).ok();
    assert_eq!((working(&server), lines(&server, "pairs")), (None, before));
}
