//! Imports, exports, jobs, and writes that are sent twice.

use serde_json::{Value, json};
use tempfile::tempdir;
use ureq::http::Request;

use super::{Reply, Server, reply, with_words};

const WORDS: &str = "/v1/libraries/words";
const LINES: &str = "application/x-ndjson";

fn import(server: &Server, path: &str, lines: &str) -> Reply {
    server.send_raw("POST", path, LINES, lines.as_bytes())
}

fn line(id: &str, text: &str) -> String {
    json!({"id": id, "metadata": {"title": "T"}, "chunks": [{"text": text}]}).to_string()
}

#[test]
fn a_library_goes_out_and_comes_in_again() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let batch: Vec<Value> = (0..1_200)
        .map(|at| json!({"id": format!("d{at:04}"), "metadata": {"title": "T"}, "text": format!("a dog {at}")}))
        .collect();
    for part in batch.chunks(600) {
        server.post(&format!("{WORDS}/documents:batch"), &json!({"documents": part})).ok();
    }
    let exported = server.get(&format!("{WORDS}/export?embedding=true"));
    assert_eq!((&*exported.headers["content-type"], &*exported.headers["x-vecino-seq"]), (LINES, "6"));
    let text = String::from_utf8(exported.bytes).unwrap();
    assert_eq!(text.lines().count(), 1_203);

    server.post("/v1/libraries", &json!({"name": "again", "metadata": {"embedding_model": "static-minilm-256"}})).ok();
    let imported = import(&server, "/v1/libraries/again/import", &text).ok();
    assert_eq!((&imported["lines"], &imported["written"], &imported["chunks"]), (&json!(1_203), &json!(1_203), &json!(1_203)));
    let without = |library: &str| String::from_utf8(server.get(&format!("/v1/libraries/{library}/export")).bytes).unwrap();
    assert_eq!(without("again"), without("words"));
    assert_eq!(import(&server, "/v1/libraries/again/import?on_conflict=skip", &text).ok()["skipped"], 1_203);
    let jobs = server.get("/v1/jobs").ok();
    let job = &jobs["jobs"][1];
    assert_eq!((&job["kind"], &job["state"], &job["done"]), (&json!("import"), &json!("done"), &json!(1_203)));
    assert_eq!(job["result"]["written"], 1_203);

    let id = job["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/v1/jobs/{id}")).ok(), *job);
    let events = server.get(&format!("/v1/jobs/{id}/events"));
    assert_eq!(events.headers["content-type"], "text/event-stream");
    let events = String::from_utf8(events.bytes).unwrap();
    let data = events.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(data).unwrap(), *job);
    assert_eq!(server.post(&format!("/v1/jobs/{id}/cancel"), &Value::Null).ok()["state"], "done");
    server.get("/v1/jobs/none").problem(404, "job_not_found");
}

#[test]
fn a_large_document_goes_on_in_further_lines() {
    let folder = tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--max-body-bytes", "400KiB"]);
    for library in ["words", "again"] {
        server.post("/v1/libraries", &json!({"name": library})).ok();
    }
    let document = |id: &str| json!({"id": id, "metadata": {"title": "T"}, "chunks": [{"text": "x", "embedding": [1.0, 0.5]}]});
    for id in ["a", "large", "z"] {
        server.post(&format!("{WORDS}/documents"), &document(id)).ok();
    }
    for part in 0..3 {
        let chunk = |at| json!({"id": format!("{part}-{at}"), "text": format!("{at} of {part}"), "embedding": [1.0, at]});
        let chunks: Vec<Value> = (0..500).map(chunk).collect();
        server.post(&format!("{WORDS}/documents/large/chunks"), &json!({"chunks": chunks})).ok();
    }
    let export = |path: &str| String::from_utf8(server.get(&format!("/v1/libraries/{path}")).bytes).unwrap();
    let text = export("words/export?embedding=true");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let about = |line: &Value| line.get("id").or(line.get("continues")).unwrap().as_str().unwrap().to_owned();
    assert_eq!(lines.iter().map(about).collect::<Vec<_>>(), ["a", "large", "large", "z"]);
    assert_eq!(lines.iter().map(|line| line["chunks"].as_array().unwrap().len()).sum::<usize>(), 1_503);

    let into = "/v1/libraries/again/import";
    let imported = import(&server, into, &text).ok();
    assert_eq!([&imported["lines"], &imported["written"], &imported["chunks"]], [4, 3, 1_503]);
    assert!(export("again/export") == export("words/export"), "another document");
    let imported = import(&server, &format!("{into}?on_conflict=replace"), &text).ok();
    assert_eq!([&imported["written"], &imported["chunks"]], [3, 1_503]);
    assert!(export("again/export") == export("words/export"), "another document");
    // What is left out is left out with all its lines.
    server.post("/v1/libraries/again/documents:delete", &json!({"ids": ["large"]})).ok();
    server.post("/v1/libraries/again/documents", &document("large")).ok();
    let imported = import(&server, &format!("{into}?on_conflict=skip"), &text).ok();
    assert_eq!([&imported["lines"], &imported["written"], &imported["skipped"], &imported["chunks"]], [4, 0, 3, 0]);

    let more = |id: &str, text: &str| json!({"continues": id, "chunks": [{"text": text, "embedding": [1.0, 0.5]}]}).to_string();
    let (b, c) = (document("b").to_string(), document("c").to_string());
    let refused = |lines: &[&str], code, number: u64, field: &str| {
        let reply = import(&server, into, &lines.join("\n"));
        let problem: Value = serde_json::from_slice(&reply.bytes).unwrap();
        assert_eq!((&problem["code"], &problem["line"], &problem["field"]), (&json!(code), &json!(number), &json!(field)));
    };
    refused(&[&more("a", "x")], "invalid_value", 1, "continues");
    refused(&[&b, &more("a", "x")], "invalid_value", 2, "continues");
    refused(&[&c, &more("c", "x"), &more("c", " ")], "empty_text", 3, "chunks[0].text");
    refused(&[&more("a", "x").replace("chunks", "chunk")], "unknown_field", 1, "chunk");
    for (id, chunks) in [("b", 1), ("c", 2)] {
        let found = server.get(&format!("/v1/libraries/again/documents/{id}")).ok();
        assert_eq!(found["chunks"].as_array().unwrap().len(), chunks, "{id}");
    }
    // The word may stand elsewhere.
    let tagged =
        json!({"id": "d", "metadata": {"title": "T", "tags": ["continues"]}, "attributes": {"continues": "x"}, "chunks": []});
    assert_eq!(import(&server, into, &tagged.to_string()).ok()["written"], 1);
}

#[test]
fn an_import_ends_at_the_line_that_is_wrong() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let path = format!("{WORDS}/import");
    let refused = |lines: &[&str], status, code, number: u64, field: Value| {
        let reply = import(&server, &path, &lines.join("\n"));
        let problem = reply.problem(status, code);
        assert_eq!((&problem["line"], problem.get("field").unwrap_or(&Value::Null)), (&json!(number), &field), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("documents written"), "{problem}");
    };
    let there = |id: &str| server.get(&format!("{WORDS}/documents/{id}")).status == 200;
    refused(&[&line("a", "x"), "", "{", &line("b", "x")], 400, "bad_json", 3, Value::Null);
    assert!(there("a") && !there("b"));
    refused(&[&line("b", "x"), &line("c", " ")], 400, "empty_text", 2, json!("chunks[0].text"));
    assert!(there("b") && !there("c"));
    refused(&[&line("c", "x"), &line("a", "x"), &line("d", "x")], 409, "document_exists", 2, json!("id"));
    assert!(there("c") && !there("d"));
    refused(
        &[r#"{"metadata": {"title": "T"}, "text": "x", "attributes": {"a": 1, "a": 2}}"#],
        400,
        "invalid_value",
        1,
        json!("attributes.a"),
    );
    refused(&[r#"{"metadata": {"title": "T"}}"#], 400, "missing_field", 1, json!("text"));
    // The last of a name counts when it may replace.
    let twice = [line("e", "first"), line("e", "second")].join("\n");
    assert_eq!(import(&server, &format!("{path}?on_conflict=replace"), &twice).ok()["written"], 2);
    assert_eq!(import(&server, &path, "\n \n").ok(), json!({"lines": 0, "written": 0, "skipped": 0, "chunks": 0, "seq": 0}));
    import(&server, "/v1/libraries/none/import", &line("a", "x")).problem(404, "library_not_found");
    server.send_raw("POST", &path, "text/plain", b"{}").problem(415, "unsupported_media_type");
    // One document may take more lines than one.
    let one = format!("{:#}", serde_json::from_str::<Value>(&line("one", "a dog")).unwrap());
    assert!(one.lines().count() > 1);
    assert_eq!(server.send_raw("POST", &path, "application/json", one.as_bytes()).ok()["written"], 1);
    assert_eq!(server.get("/v1/jobs").ok()["jobs"].as_array().unwrap().iter().filter(|job| job["state"] == "failed").count(), 5);
}

#[test]
fn an_import_may_be_larger_than_a_body() {
    let folder = tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--max-body-bytes", "4KiB"]);
    server.post("/v1/libraries", &json!({"name": "words", "metadata": {"embedding_model": "static-minilm-256"}})).ok();
    let lines: Vec<String> = (0..200).map(|at| line(&format!("{at}"), "a dog")).collect();
    assert_eq!(import(&server, &format!("{WORDS}/import"), &lines.join("\n")).ok()["written"], 200);
    let long = line("long", &"dog ".repeat(2_000));
    let reply = import(&server, &format!("{WORDS}/import?on_conflict=skip"), &[lines[0].clone(), long].join("\n"));
    assert_eq!(reply.problem(413, "payload_too_large")["line"], 2);
}

fn with_key(server: &Server, method: &str, path: &str, key: &str, body: &Value) -> Reply {
    let request = Request::builder().method(method).uri(format!("{}{path}", server.url));
    let request = request.header("content-type", "application/json").header("idempotency-key", key);
    reply(server.agent.run(request.body(body.to_string()).unwrap()))
}

#[test]
fn a_write_that_is_sent_twice_is_done_once() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let path = format!("{WORDS}/documents");
    let body = json!({"metadata": {"title": "T"}, "text": "a dog"});
    let first = with_key(&server, "POST", &path, "one", &body);
    let again = with_key(&server, "POST", &path, "one", &body);
    assert_eq!((first.status, &first.json), (201, &again.json));
    assert_eq!((again.status, again.headers.get("idempotency-replayed").map(String::as_str)), (201, Some("true")));
    assert_eq!(first.headers.get("idempotency-replayed"), None);
    assert_eq!(server.get(&path).ok()["documents"].as_array().unwrap().len(), 4);
    with_key(&server, "POST", &path, "two", &body).ok();
    assert_eq!(server.get(&path).ok()["documents"].as_array().unwrap().len(), 5);
    // Another request, and a refusal, which is an answer too.
    let other = json!({"metadata": {"title": "U"}, "text": "a dog"});
    with_key(&server, "POST", &path, "one", &other).problem(409, "key_reused");
    with_key(&server, "DELETE", &path, "one", &body).problem(405, "method_not_allowed");
    with_key(&server, "PATCH", &format!("{path}/none"), "three", &json!({})).problem(404, "document_not_found");
    let again = with_key(&server, "PATCH", &format!("{path}/none"), "three", &json!({}));
    assert_eq!((again.status, &*again.headers["content-type"]), (404, "application/problem+json"));
    with_key(&server, "POST", &path, &"x".repeat(129), &body).problem(400, "bad_request");
}
