//! What is about the server as a whole: its description, its files, its headers, many clients at once, and how it starts.

use std::{net::TcpListener, thread};

use serde_json::{Value, json};
use tempfile::tempdir;
use ureq::http::Request;
use vecino_engine::snapshot;

use super::{Server, outcome, refused, reply, with_words};
use crate::program::vecino;

#[test]
fn the_api_describes_itself() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path());
    let health = server.get("/healthz").ok();
    assert_eq!(health, json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}));
    let description = server.get("/openapi.json").ok();
    assert_eq!(description["openapi"], "3.1.0");
    let schemas = description["components"]["schemas"].as_object().unwrap();
    let mut operations = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations += 1;
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path} {status}");
                if status.starts_with(['4', '5']) {
                    let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(schema, "#/components/schemas/Problem", "{method} {path} {status}");
                }
            }
        }
    }
    assert!(operations > 45, "{operations}");
    for reference in references(&description) {
        assert!(schemas.contains_key(reference.trim_start_matches("#/components/schemas/")), "{reference} leads nowhere");
    }
    let limits = server.get("/v1/limits").ok();
    let limit =
        |name: &str| limits["limits"].as_array().unwrap().iter().find(|limit| limit["name"] == name).unwrap()["value"].clone();
    assert_eq!((limit("max_chunk_chars"), limit("max_body_bytes")), (json!(10_000), json!(64 << 20)));
    assert_eq!(limit("max_chunks_per_library"), json!(1_u64 << 31));
    // What null does not remove is not said to take it.
    let kind = |schema: &str, field: &str| schemas[schema]["properties"][field]["type"].clone();
    assert_eq!((kind("LibraryChange", "name"), kind("ChunkChange", "text")), (json!("string"), json!("string")));
    assert_eq!(kind("LibraryMetadataChange", "description"), json!(["string", "null"]));
    assert_eq!(schemas["QueryInput"]["properties"]["k"]["minimum"], 1);
    assert!(!description.to_string().contains("\"type\":null"), "a schema without a type");
    assert!(!description["paths"].to_string().contains("\"parameters\":null"), "a place for parameters without any");
    assert_eq!(schemas["ChunkInput"]["properties"]["metadata"]["properties"]["created_at"]["anyOf"][0]["format"], "date-time");
    let nullable = |of: &str| schemas[of]["properties"]["created_at"].to_string().contains("null");
    assert!(
        nullable("DocumentMetadataInput") && !nullable("DocumentMetadataChange"),
        "null is refused where it would change a time"
    );
}

/// Every example of the description is a request that is done.
#[test]
fn the_examples_are_true() {
    let folder = tempdir().unwrap();
    let key = "the key of an administrator";
    let server = Server::start_with(folder.path(), &["--api-key", key]);
    let ask = |method: &str, path: &str, kind: &str, body: &str| {
        let request = Request::builder().method(method).uri(format!("{}{path}", server.url()));
        let request = request.header("x-api-key", key).header("content-type", kind).body(body.to_owned()).unwrap();
        reply(server.agent.run(request))
    };
    let post = |path: &str, body: &Value| ask("POST", path, "application/json", &body.to_string()).ok();
    let description = server.get_with("/openapi.json", &[("x-api-key", key)]).ok();
    let mut sent = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(contents) = operation["requestBody"]["content"].as_object() else { continue };
            for (kind, content) in contents.iter().filter(|(kind, _)| *kind == "application/json") {
                let libraries = server.get_with("/v1/libraries", &[("x-api-key", key)]).ok();
                for library in libraries["libraries"].as_array().unwrap() {
                    ask("DELETE", &format!("/v1/libraries/{}", library["id"].as_str().unwrap()), kind, "");
                }
                post("/v1/libraries", &json!({"name": "books"}));
                let chunk = json!({"id": "alice-1", "text": "Alice was beginning to get very tired."});
                let alice =
                    json!({"id": "alice", "metadata": {"title": "Alice"}, "attributes": {"year": 1865}, "chunks": [chunk]});
                post("/v1/libraries/books/documents", &alice);
                let job = post("/v1/snapshots", &json!({"library": "books"}));
                let events = format!("/v1/jobs/{}/events", job["id"].as_str().unwrap());
                server.get_with(&events, &[("x-api-key", key)]);
                let snapshots = server.get_with("/v1/snapshots", &[("x-api-key", key)]).ok();
                let mut address = path.replace("{snapshot}", snapshots["snapshots"][0]["id"].as_str().unwrap());
                for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "path") {
                    let example = parameter["example"].as_str().unwrap_or_default();
                    address = address.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), example);
                }
                let body = content["example"].as_str().map_or_else(|| content["example"].to_string(), str::to_owned);
                let reply = ask(&method.to_uppercase(), &address, kind, &body);
                assert!((200..300).contains(&reply.status), "{method} {address} {body}: {}", reply.json);
                assert!(operation["responses"].get(reply.status.to_string()).is_some(), "{method} {path} {}", reply.status);
                sent += 1;
            }
        }
    }
    assert!(sent > 30, "{sent}");
}

fn references(json: &Value) -> Vec<&str> {
    match json {
        Value::Object(entries) => {
            let own = entries.get("$ref").and_then(Value::as_str);
            own.into_iter().chain(entries.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_library_is_downloaded_once() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let path = "/v1/libraries/words/snapshot";
    let reply = server.get(path);
    assert_eq!((reply.status, &*reply.headers["x-vecino-seq"]), (200, "4"));
    assert!(reply.headers["content-disposition"].contains("words.vecino"));
    let library = snapshot::from_bytes("words", &reply.bytes).unwrap().intact().unwrap();
    assert_eq!((library.info().name.as_ref(), library.document_count()), ("words", 3));
    let tag = reply.headers["etag"].clone();
    assert_eq!(server.get(path).bytes, reply.bytes, "the same contents, the same bytes");
    let again = server.get_with(path, &[("if-none-match", &tag)]);
    assert_eq!((again.status, again.bytes.len()), (304, 0));
    server.delete("/v1/libraries/words/documents/cars").ok();
    let changed = server.get_with(path, &[("if-none-match", &tag)]);
    assert_eq!((changed.status, changed.headers["etag"] == tag), (200, false));
    let small = server.get_with(&format!("{path}?precision=int8"), &[("if-none-match", &changed.headers["etag"])]);
    assert_eq!((small.status, small.bytes.len() < changed.bytes.len()), (200, true), "other bytes have another tag");
    snapshot::from_bytes("words", &small.bytes).unwrap_err();
    let small_tag = &small.headers["etag"];
    assert_eq!(server.get_with(&format!("{path}?precision=int8"), &[("if-none-match", small_tag)]).status, 304);
    server.get(&format!("{path}?precision=int4")).problem(400, "invalid_value");
}

#[test]
fn the_model_and_the_page_are_served() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path());
    let path = "/models/static-minilm-256-int4.bin";
    let model = server.get(path);
    assert_eq!(model.bytes, crate::embedding::FILE);
    assert_eq!(model.headers["content-type"], "application/octet-stream");
    let tag = model.headers["etag"].clone();
    assert_eq!(server.get_with(path, &[("if-none-match", &tag)]).status, 304);
    let named = server.get(&format!("{path}?v={}", tag.trim_matches('"')));
    assert!(named.headers["cache-control"].contains("immutable"));
    server.get("/models/other.bin").problem(404, "not_found");
    let sample = server.get("/sample/passages.jsonl");
    assert_eq!((sample.status, sample.bytes.is_empty()), (200, false));
    let policy = &sample.headers["content-security-policy"];
    assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe-inline"), "{policy}");
    assert_eq!(sample.headers["x-content-type-options"], "nosniff");
}

#[test]
fn a_request_has_an_id() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path());
    assert_eq!(server.get_with("/healthz", &[("x-request-id", "mine-1")]).headers["x-request-id"], "mine-1");
    let (one, two) = (server.get("/healthz"), server.get("/v1/nothing"));
    assert_ne!(one.headers["x-request-id"], two.headers["x-request-id"]);
    let long = server.get_with("/healthz", &[("x-request-id", &"a".repeat(1_000))]);
    assert!(long.headers["x-request-id"].len() < 100);
}

#[test]
fn many_write_and_read_at_once() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let mut seqs: Vec<u64> = thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let server = &server;
                scope.spawn(move || {
                    let write = |number| {
                        let text = format!("Number {number} of writer {writer}");
                        let document = json!({"metadata": {"title": "T"}, "text": text});
                        server.post("/v1/libraries/words/documents", &document).ok()["seq"].as_u64().unwrap()
                    };
                    (0..15).map(write).collect::<Vec<_>>()
                })
            })
            .collect();
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = 0;
                for _ in 0..30 {
                    let answer = server.post("/v1/libraries/words/query", &json!({"text": "number", "k": 1_000})).ok();
                    let seq = answer["seq"].as_u64().unwrap();
                    // Each write adds one document of one chunk; three were there at 4.
                    assert_eq!(answer["returned"].as_u64().unwrap(), seq - 1);
                    assert!(seq >= last, "an answer from the past");
                    last = seq;
                }
            });
        }
        scope.spawn(|| (0..3).for_each(|_| drop(server.post("/v1/checkpoint", &Value::Null).ok())));
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    seqs.sort_unstable();
    assert_eq!(seqs, (5..65).collect::<Vec<_>>(), "every write has a sequence of its own");
    assert_eq!(server.get("/v1/libraries/words").ok()["documents"], 63);
}

#[test]
fn a_large_log_brings_snapshots() {
    let folder = tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--snapshot-after-bytes", "8KiB"]);
    server.post("/v1/libraries", &json!({"name": "words"})).ok();
    for _ in 0..12 {
        let document = json!({"metadata": {"title": "T"}, "text": "some words"});
        server.post("/v1/libraries/words/documents", &document).ok();
    }
    let patience = std::time::Instant::now();
    while !super::files(folder.path()).keys().any(|name| name.ends_with(".vecino")) {
        assert!(patience.elapsed().as_secs() < 20, "{}", server.log());
        thread::sleep(std::time::Duration::from_millis(20));
    }
    let contents = server.contents();
    server.kill();
    assert_eq!(Server::start(folder.path()).contents(), contents);
}

#[test]
fn a_start_that_cannot_be_says_why() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path());
    let before = server.contents();
    let (code, why) = refused(folder.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(why.contains("another process") && why.contains(&folder.path().display().to_string()), "{why}");
    assert_eq!(server.contents(), before);

    let other = tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = vecino();
    let (code, why) = outcome(command.args(["serve", "--listen", &address, "--data-dir"]).arg(other.path()));
    assert!(code == Some(1) && why.contains("in use") && why.lines().count() == 1, "{why}");

    let file = other.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let (code, why) = refused(&file, &[]);
    assert!(code == Some(1) && why.contains("is a file"), "{why}");
    let (code, why) = refused(other.path(), &["--max-body-bytes", "many"]);
    assert!(code == Some(2) && why.contains("size"), "{why}");
    assert_eq!(server.stop().code(), Some(0));
}
