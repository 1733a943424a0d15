//! What is wrong is refused with the place and the numbers, and changes nothing.

use serde_json::{Value, json};
use tempfile::tempdir;

use super::{Server, files, with_words};

/// A request that must be refused: method, path, body, then status, code, field, expected, received (null: not looked at).
type Case = (&'static str, &'static str, String, u16, &'static str, Value, Value, Value);

fn case(method: &'static str, path: &'static str, body: &Value, status: u16, code: &'static str, field: &str) -> Case {
    let field = if field.is_empty() { Value::Null } else { json!(field) };
    (method, path, body.to_string(), status, code, field, Value::Null, Value::Null)
}

fn raw(path: &'static str, body: &str, code: &'static str, field: &str) -> Case {
    let mut case = case("POST", path, &Value::Null, 400, code, field);
    case.2 = body.to_owned();
    case
}

fn numbers(mut case: Case, expected: impl Into<Value>, received: impl Into<Value>) -> Case {
    (case.6, case.7) = (expected.into(), received.into());
    case
}

/// Sends every case; after each, contents and files are as before.
fn check(cases: Vec<Case>) {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let before = (server.contents(), files(folder.path()));
    for (method, path, body, status, code, field, expected, received) in cases {
        let shown: String = body.chars().take(200).collect();
        let reply = match method {
            "GET" => server.get(path),
            "DELETE" => server.delete(path),
            _ => server.send_raw(method, path, "application/json", body.as_bytes()),
        };
        println!("{method} {path} {shown}");
        let problem = reply.problem(status, code);
        assert_eq!(problem.get("field").unwrap_or(&Value::Null), &field, "{problem}");
        for (name, wanted) in [("expected", expected), ("received", received)] {
            assert!(wanted.is_null() || problem[name] == wanted, "{name}: {problem}");
        }
        assert!((server.contents(), files(folder.path())) == before, "{method} {path} {shown} changed something");
    }
    // The server is still able to write: the comparison above is one that can fail.
    server.post("/v1/libraries", &json!({"name": "more"})).ok();
    assert!((server.contents(), files(folder.path())) != before);
}

const LIBRARIES: &str = "/v1/libraries";
const DOCUMENTS: &str = "/v1/libraries/words/documents";
const QUERY: &str = "/v1/libraries/words/query";

fn document(chunk: &Value) -> Value {
    json!({"metadata": {"title": "T"}, "chunks": [chunk]})
}

#[test]
fn vectors() {
    let with = |embedding: Value| document(&json!({"text": "word", "embedding": embedding}));
    let mut large = vec![0.0; 256];
    large[3] = 2e16;
    let embedding = "chunks[0].embedding";
    check(vec![
        numbers(case("POST", DOCUMENTS, &with(json!([1, 2, 3])), 409, "wrong_dimension", embedding), 256, 3),
        numbers(case("POST", QUERY, &json!({"embedding": vec![1; 257]}), 409, "wrong_dimension", "embedding"), 256, 257),
        case("POST", DOCUMENTS, &with(json!([])), 400, "invalid_value", embedding),
        case("POST", DOCUMENTS, &with(json!(vec![0; 256])), 409, "zero_vector", embedding),
        case("POST", DOCUMENTS, &with(json!(large)), 400, "not_finite", embedding),
        case("POST", DOCUMENTS, &with(json!([1, null])), 400, "wrong_type", "chunks[0].embedding[1]"),
        // In base64: no such thing, five bytes, nothing, a float too few, some that are no numbers.
        case("POST", DOCUMENTS, &with(json!("0.5, 0.5")), 400, "invalid_value", embedding),
        case("POST", QUERY, &json!({"embedding": "AAAAAAA="}), 400, "invalid_value", "embedding"),
        case("POST", QUERY, &json!({"embedding": ""}), 400, "invalid_value", "embedding"),
        numbers(case("POST", QUERY, &json!({"embedding": "AACAPwAAgD8="}), 409, "wrong_dimension", "embedding"), 256, 2),
        case("POST", DOCUMENTS, &with(json!("AADAfwAAwH8AAMB/".repeat(85) + "AADAfw==")), 400, "not_finite", embedding),
        raw(QUERY, r#"{"embedding": [1, NaN]}"#, "bad_json", ""),
        raw(QUERY, r#"{"embedding": [1, Infinity]}"#, "bad_json", ""),
        raw(QUERY, r#"{"embedding": [1, 2, 1e999]}"#, "not_finite", "embedding[2]"),
        numbers(raw(QUERY, r#"{"embedding": [-1e39]}"#, "not_finite", "embedding[0]"), "finite number", "-1e39"),
        raw(
            "/v1/libraries/words/documents:batch",
            r#"{"documents": [{"metadata": {"title": "T"}, "chunks": [{"text": "a", "embedding": [1, 1e39]}]}]}"#,
            "not_finite",
            "documents[0].chunks[0].embedding[1]",
        ),
        numbers(
            case(
                "POST",
                LIBRARIES,
                &json!({"name": "n", "metadata": {"embedding_model": "static-minilm-256", "embedding_dimension": 384}}),
                409,
                "wrong_dimension",
                "metadata.embedding_dimension",
            ),
            256,
            384,
        ),
        numbers(
            case(
                "PATCH",
                "/v1/libraries/words/documents/cars",
                &json!({"metadata": {"embedding": []}}),
                400,
                "unknown_field",
                "metadata.embedding",
            ),
            Value::Null,
            Value::Null,
        ),
    ]);
}

#[test]
fn texts() {
    let long = "é".repeat(10_001);
    let limit = |path, body: &Value, field| numbers(case("POST", path, body, 400, "limit_exceeded", field), 10_000, 10_001);
    check(vec![
        limit(DOCUMENTS, &document(&json!({"text": long})), "chunks[0].text"),
        limit(QUERY, &json!({"text": long}), "text"),
        limit("/v1/libraries/words/documents/cars/chunks", &json!({"chunks": [{"text": "a"}, {"text": long}]}), "chunks[1].text"),
        case("POST", DOCUMENTS, &document(&json!({"text": ""})), 400, "empty_text", "chunks[0].text"),
        case("POST", DOCUMENTS, &document(&json!({"text": " \n"})), 400, "empty_text", "chunks[0].text"),
        case("POST", DOCUMENTS, &json!({"metadata": {"title": "T"}, "text": " "}), 400, "empty_text", "text"),
        case("POST", DOCUMENTS, &json!({"metadata": {"title": " "}, "text": "word"}), 400, "empty_text", "metadata.title"),
        case("POST", QUERY, &json!({"text": "  "}), 400, "empty_text", "text"),
        case("POST", LIBRARIES, &json!({"name": ""}), 400, "empty_text", "name"),
        numbers(
            case(
                "POST",
                DOCUMENTS,
                &json!({"metadata": {"title": "T"}, "text": "a ".repeat(500_001)}),
                400,
                "limit_exceeded",
                "text",
            ),
            1_000_000,
            1_000_002,
        ),
        numbers(case("POST", LIBRARIES, &json!({"name": "n".repeat(256)}), 400, "limit_exceeded", "name"), 255, 256),
        // No word that the model knows, neither in the title nor in the text.
        case("POST", QUERY, &json!({"text": "\u{10ffff}"}), 409, "invalid_value", "text"),
        case(
            "POST",
            DOCUMENTS,
            &json!({"metadata": {"title": "\u{10ffff}"}, "text": "\u{10fffe}"}),
            409,
            "invalid_value",
            "text",
        ),
    ]);
}

#[test]
fn json() {
    check(vec![
        raw(QUERY, r#"{"text": "a""#, "bad_json", ""),
        raw(QUERY, "", "bad_json", ""),
        raw(QUERY, r#"{"text": "a"} x"#, "bad_json", ""),
        raw(QUERY, r#"{"text": "\ud800"}"#, "bad_json", ""),
        raw(QUERY, "[]", "wrong_type", ""),
        raw(LIBRARIES, r#"["name"]"#, "wrong_type", ""),
        raw(LIBRARIES, r#"{"name": "n", "metadata": ["d"]}"#, "wrong_type", "metadata"),
        raw(DOCUMENTS, r#"{"metadata": {"title": "T"}, "chunks": [["a"]]}"#, "wrong_type", "chunks[0]"),
        raw(QUERY, "{}", "missing_field", "text"),
        raw(QUERY, r#"{"text": "a", "text": "b"}"#, "invalid_value", "text"),
        case("POST", QUERY, &json!({"text": "a", "embedding": [1]}), 400, "invalid_value", "text"),
        case("POST", QUERY, &json!({"text": "a", "top_k": 3}), 400, "unknown_field", "top_k"),
        numbers(case("POST", QUERY, &json!({"text": 5}), 400, "wrong_type", "text"), "a string", Value::Null),
        case("POST", QUERY, &json!({"text": "a", "k": "3"}), 400, "wrong_type", "k"),
        case("POST", QUERY, &json!({"text": "a", "k": 1.5}), 400, "wrong_type", "k"),
        case("POST", QUERY, &json!({"text": "a", "k": -1}), 400, "invalid_value", "k"),
        numbers(case("POST", QUERY, &json!({"text": "a", "k": 0}), 400, "invalid_value", "k"), 10_000, 0),
        numbers(case("POST", QUERY, &json!({"text": "a", "k": 10_001}), 400, "invalid_value", "k"), 10_000, 10_001),
        numbers(case("POST", QUERY, &json!({"text": "a", "mode": "hybrid"}), 400, "invalid_value", "mode"), "vector", "hybrid"),
        case("POST", QUERY, &json!({"text": "a", "include": ["text", "score"]}), 400, "invalid_value", "include[1]"),
        case("POST", LIBRARIES, &json!({"metadata": {}}), 400, "missing_field", "name"),
        case("POST", LIBRARIES, &json!({"name": "n", "metric": "l2"}), 400, "invalid_value", "metric"),
        case(
            "POST",
            LIBRARIES,
            &json!({"name": "n", "metadata": {"index_type": "magic"}}),
            400,
            "invalid_value",
            "metadata.index_type",
        ),
        case("POST", LIBRARIES, &json!({"name": "n", "metadata": {"dims": 3}}), 400, "unknown_field", "metadata.dims"),
        case(
            "POST",
            LIBRARIES,
            &json!({"name": "n", "schema": {"fields": {"a": "int"}}}),
            400,
            "invalid_value",
            "schema.fields.a",
        ),
        case("POST", DOCUMENTS, &json!({"metadata": {"title": "T"}}), 400, "missing_field", "text"),
        case("POST", DOCUMENTS, &json!({"text": "a"}), 400, "missing_field", "metadata"),
        case("POST", DOCUMENTS, &json!({"metadata": {"name": "T"}, "text": "a"}), 400, "unknown_field", "metadata.name"),
        case(
            "POST",
            DOCUMENTS,
            &json!({"metadata": {"title": "T", "tags": [1]}, "text": "a"}),
            400,
            "wrong_type",
            "metadata.tags[0]",
        ),
        case(
            "POST",
            DOCUMENTS,
            &json!({"metadata": {"title": "T", "created_at": "now"}, "text": "a"}),
            400,
            "wrong_type",
            "metadata.created_at",
        ),
        case("POST", DOCUMENTS, &document(&json!({"text": "a", "vector": []})), 400, "unknown_field", "chunks[0].vector"),
        case(
            "POST",
            DOCUMENTS,
            &document(&json!({"text": "a", "metadata": {"page_number": "1"}})),
            400,
            "wrong_type",
            "chunks[0].metadata.page_number",
        ),
        case(
            "POST",
            DOCUMENTS,
            &document(&json!({"text": "a", "metadata": {"title": "t"}})),
            400,
            "invalid_value",
            "chunks[0].metadata.title",
        ),
        case(
            "POST",
            DOCUMENTS,
            &json!({"metadata": {"title": "T"}, "text": "a", "attributes": {"year": "old"}}),
            409,
            "wrong_type",
            "attributes.year",
        ),
        case(
            "PATCH",
            "/v1/libraries/words/chunks/none",
            &json!({"metadata": {"page_number": 1.5}}),
            400,
            "invalid_value",
            "metadata.page_number",
        ),
        case("POST", DOCUMENTS, &json!({"id": "", "metadata": {"title": "T"}, "text": "a"}), 400, "invalid_value", "id"),
        case(
            "PUT",
            "/v1/libraries/words/documents/cars",
            &json!({"id": "x", "metadata": {"title": "T"}, "text": "a"}),
            409,
            "invalid_value",
            "id",
        ),
    ]);
}

#[test]
fn filters() {
    let refused =
        |filter: Value, status, code, field| case("POST", QUERY, &json!({"text": "a", "filter": filter}), status, code, field);
    // Right for another library, and wrong for any.
    let unfit = |filter, code, field| refused(filter, 409, code, field);
    let filter = |filter, code, field| refused(filter, 400, code, field);
    check(vec![
        numbers(unfit(json!({"year": {"$gt": "x"}}), "wrong_type", "filter.year.$gt"), "integer", "string"),
        unfit(json!({"$and": [{"year": 1}, {"year": {"$in": [1, "b"]}}]}), "wrong_type", "filter.$and[1].year.$in[1]"),
        unfit(json!({"colour": "red"}), "unknown_field", "filter.colour"),
        filter(json!({"year": {"$near": 1}}), "unknown_operator", "filter.year.$near"),
        filter(json!({"$xor": []}), "unknown_operator", "filter.$xor"),
        filter(json!({"$or": []}), "invalid_value", "filter.$or"),
        filter(json!([]), "wrong_type", "filter"),
    ]);
}

#[test]
fn addresses() {
    let nothing = Value::Null;
    let text = json!({"text": "a"});
    check(vec![
        case("POST", "/v1/libraries/nowhere/query", &text, 404, "library_not_found", "library"),
        case(
            "POST",
            "/v1/libraries/nowhere/documents",
            &json!({"metadata": {"title": "T"}, "text": "a"}),
            404,
            "library_not_found",
            "library",
        ),
        case("GET", "/v1/libraries/nowhere", &nothing, 404, "library_not_found", "library"),
        case("GET", "/v1/libraries/nowhere/snapshot", &nothing, 404, "library_not_found", "library"),
        case("DELETE", "/v1/libraries/nowhere", &nothing, 404, "library_not_found", "library"),
        case("GET", "/v1/libraries/words/documents/none", &nothing, 404, "document_not_found", "document"),
        case("POST", "/v1/libraries/words/documents/none/chunks", &json!({"chunks": []}), 404, "document_not_found", "document"),
        case("DELETE", "/v1/libraries/words/chunks/none", &nothing, 404, "chunk_not_found", "chunk"),
        case("PATCH", "/v1/libraries/words/chunks/none", &text, 404, "chunk_not_found", "chunk"),
        case("GET", "/v1/nothing", &nothing, 404, "not_found", ""),
        case("GET", "/nothing.html", &nothing, 404, "not_found", ""),
        case("GET", "/%2e%2e/Cargo.toml", &nothing, 404, "not_found", ""),
        case("DELETE", "/healthz", &nothing, 405, "method_not_allowed", ""),
        case("PUT", LIBRARIES, &nothing, 405, "method_not_allowed", ""),
        case("GET", "/v1/libraries/%ff", &nothing, 400, "bad_request", ""),
        case("GET", "/v1/libraries?limit=0", &nothing, 400, "invalid_value", "limit"),
        numbers(case("GET", "/v1/libraries?limit=1001", &nothing, 400, "invalid_value", "limit"), 1_000, 1_001),
        case("GET", "/v1/libraries?limit=many", &nothing, 400, "wrong_type", "limit"),
        case("GET", "/v1/libraries?page=2", &nothing, 400, "unknown_field", "page"),
        case("GET", "/v1/libraries/words/chunks?cursor=%21", &nothing, 400, "invalid_value", "cursor"),
        case("POST", "/v1/libraries/words/documents?on_conflict=maybe", &nothing, 400, "invalid_value", "on_conflict"),
    ]);
}

#[test]
fn bodies() {
    let folder = tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--max-body-bytes", "1KiB"]);
    let body = json!({"name": "n", "metadata": {"description": "x".repeat(1_024)}}).to_string();
    server.send_raw("POST", LIBRARIES, "application/json", body.as_bytes()).problem(413, "payload_too_large");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let reply = server.send_raw("POST", LIBRARIES, kind, br#"{"name": "n"}"#);
        assert_eq!(reply.problem(415, "unsupported_media_type")["received"], kind);
    }
    assert_eq!(server.contents(), json!([[]]));
    assert_eq!(server.send_raw("POST", LIBRARIES, "application/json; charset=utf-8", br#"{"name": "n"}"#).status, 201);
}

#[test]
fn what_stands_twice_or_would_be_ignored() {
    let named = |name: &str| document(&json!({"text": "word", "metadata": {name: 1}}));
    let long = "é".repeat(65);
    check(vec![
        raw(QUERY, r#"{"text": "car", "filter": {"id": "a", "id": "b"}}"#, "invalid_value", "filter.id"),
        raw(QUERY, r#"{"text": "car", "filter": {"id": {"$gt": "a", "$gt": "b"}}}"#, "invalid_value", "filter.id.$gt"),
        raw(
            DOCUMENTS,
            r#"{"metadata": {"title": "T"}, "attributes": {"a": 1, "a": 2}, "chunks": []}"#,
            "invalid_value",
            "attributes.a",
        ),
        raw(
            DOCUMENTS,
            r#"{"metadata": {"title": "T"}, "chunks": [{"text": "a", "metadata": {"page_number": 1, "page_number": 2}}]}"#,
            "invalid_value",
            "chunks[0].metadata.page_number",
        ),
        case("POST", DOCUMENTS, &named(&long), 400, "limit_exceeded", &format!("chunks[0].metadata.{}...", "é".repeat(64))),
        case("POST", "/v1/libraries/words/query?k=3", &json!({"text": "car"}), 400, "unknown_field", "k"),
        case(
            "POST",
            "/v1/libraries/words/documents:batch?on_conflict=skip",
            &json!({"documents": []}),
            400,
            "unknown_field",
            "on_conflict",
        ),
        case(
            "PUT",
            "/v1/libraries/words/documents/cars?on_conflict=skip",
            &json!({"metadata": {"title": "T"}, "text": "word"}),
            400,
            "unknown_field",
            "on_conflict",
        ),
        case("PATCH", "/v1/libraries/words?name=x", &json!({}), 400, "unknown_field", "name"),
    ]);
}
