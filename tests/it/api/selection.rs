//! Several items at once, and conditions.

use serde_json::{Value, json};
use tempfile::tempdir;

use super::{Server, with_words};

const WORDS: &str = "/v1/libraries/words";

fn post(server: &Server, path: &str, body: &Value) -> Value {
    server.post(&format!("{WORDS}/{path}"), body).ok()
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[test]
fn chunks_of_several_documents_are_written_at_once() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let batch = json!({"chunks": [
        {"document_id": "cars", "id": "a", "text": "a red car", "metadata": {"color": "red"}},
        {"document_id": "food", "id": "b", "text": "a green pear"},
        {"document_id": "cars", "id": "c", "text": "a blue car", "attributes": {"color": "blue"}},
    ]});
    let written = post(&server, "chunks:batch", &batch);
    assert_eq!(written, json!({"written": 3, "skipped": 0, "chunks": ["a", "b", "c"], "seq": 5}));
    let index = |id: &str| server.get(&format!("{WORDS}/chunks/{id}")).ok()["metadata"]["chunk_index"].clone();
    assert_eq!((index("a"), index("b"), index("c")), (json!(1), json!(1), json!(2)));

    server.post(&format!("{WORDS}/chunks:batch"), &batch).problem(409, "chunk_exists");
    let one = |id: &str, document: &str| json!({"document_id": document, "id": id, "text": "a new car"});
    let skipping = json!({"chunks": [one("a", "cars"), one("d", "cars")], "on_conflict": "skip"});
    assert_eq!(post(&server, "chunks:batch", &skipping)["skipped"], 1);
    let replacing = json!({"chunks": [one("a", "cars")], "on_conflict": "replace"});
    assert_eq!(post(&server, "chunks:batch", &replacing)["written"], 1);
    let replaced = server.get(&format!("{WORDS}/chunks/a")).ok();
    assert_eq!((&replaced["text"], &replaced["attributes"], index("a")), (&json!("a new car"), &json!({}), json!(1)));

    let before = server.contents();
    let refused = |body: Value, status, code, field: &str| {
        let reply = server.post(&format!("{WORDS}/chunks:batch"), &body);
        assert_eq!(reply.problem(status, code)["field"], field);
    };
    refused(json!({"chunks": [one("x", "cars"), one("y", "none")]}), 404, "document_not_found", "chunks[1].document_id");
    refused(json!({"chunks": [one("a", "food")], "on_conflict": "replace"}), 409, "invalid_value", "chunks[0].document_id");
    refused(json!({"chunks": [one("x", "cars"), one("x", "cars")]}), 409, "chunk_exists", "chunks[1].id");
    let typed = json!({"chunks": [{"document_id": "cars", "text": "t", "metadata": {"color": 5}}]});
    refused(typed, 409, "wrong_type", "chunks[0].metadata.color");
    assert_eq!(server.contents(), before);
}

#[test]
fn a_chunk_is_put() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let path = format!("{WORDS}/chunks/new");
    let put = server.send("PUT", &path, &json!({"document_id": "cars", "text": "a truck", "attributes": {"wheels": 6}})).ok();
    assert_eq!((&put["id"], &put["attributes"], &put["seq"]), (&json!("new"), &json!({"wheels": 6}), &json!(5)));
    let put = server.send("PUT", &path, &json!({"document_id": "cars", "id": "new", "text": "a bus"})).ok();
    assert_eq!((&put["text"], &put["attributes"]), (&json!("a bus"), &json!({})));
    let reply = server.send("PUT", &path, &json!({"document_id": "cars", "id": "old", "text": "a bus"}));
    assert_eq!(reply.problem(409, "invalid_value")["field"], "id");
    let reply = server.send("PUT", &path, &json!({"document_id": "food", "text": "a bus"}));
    let problem = reply.problem(409, "invalid_value");
    assert_eq!((&problem["field"], &problem["expected"]), (&json!("document_id"), &json!("cars")));
    assert_eq!(
        server.send("PUT", &path, &json!({"document_id": "cars", "text": " "})).problem(400, "empty_text")["field"],
        "text"
    );
}

#[test]
fn several_are_got_counted_and_deleted() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let got = post(&server, "documents:get", &json!({"ids": ["food", "none", "cars"]}));
    assert_eq!((ids(&got["documents"]), &got["missing"]), (vec!["food", "cars"], &json!(["none"])));
    let chunk = got["documents"][0]["chunks"][0].clone();
    let got = post(&server, "chunks:get", &json!({"ids": [chunk, "none"], "embedding": true}));
    assert_eq!(got["chunks"][0]["embedding"].as_array().unwrap().len(), 256);
    assert_eq!(got["missing"], json!(["none"]));

    let filter = json!({"filter": {"year": {"$gte": 2002}}});
    assert_eq!(post(&server, "documents:count", &filter), json!({"count": 2, "seq": 4}));
    assert_eq!(post(&server, "chunks:count", &filter)["count"], 2);
    assert_eq!(post(&server, "documents:count", &json!({}))["count"], 3);
    let of_chunks = json!({"filter": {"$or": [{"year": 1}, {"text": {"$contains": "car"}}]}});
    let reply = server.post(&format!("{WORDS}/documents:count"), &of_chunks);
    assert_eq!(reply.problem(409, "unknown_field")["field"], "filter.text");
    let by_id = json!({"filter": {"document_id": {"$in": ["cars", "none"]}}});
    assert_eq!(post(&server, "documents:count", &by_id)["count"], 1);

    let before = server.contents();
    let delete = format!("{WORDS}/documents:delete");
    server.post(&delete, &json!({"ids": ["cars", "none"]})).problem(404, "document_not_found");
    server.post(&delete, &json!({})).problem(400, "missing_field");
    server.post(&delete, &json!({"ids": [], "filter": {}})).problem(400, "invalid_value");
    let many: Vec<String> = (0..10_001).map(|id| id.to_string()).collect();
    let reply = server.post(&delete, &json!({"ids": many}));
    let problem = reply.problem(400, "limit_exceeded");
    assert_eq!((&problem["expected"], &problem["received"]), (&json!(10_000), &json!(10_001)));
    assert_eq!(server.contents(), before);

    assert_eq!(post(&server, "documents:delete", &json!({"ids": []})), json!({"deleted": 0, "seq": 4}));
    assert_eq!(post(&server, "documents:delete", &json!({"ids": ["cars", "cars"]})), json!({"deleted": 1, "seq": 5}));
    assert_eq!(post(&server, "chunks:delete", &json!({"filter": {"year": 2003}})), json!({"deleted": 1, "seq": 6}));
    assert_eq!(server.get(&format!("{WORDS}/documents/food")).ok()["chunks"], json!([]));
    assert_eq!(post(&server, "documents:delete", &json!({"filter": {"year": 2003}}))["deleted"], 1);
    assert_eq!(post(&server, "documents:delete", &json!({"filter": {}}))["deleted"], 1);
    assert_eq!(post(&server, "documents:count", &json!({}))["count"], 0);
}

#[test]
fn scrolling_is_in_order_and_stable() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let chunk = |number: usize| {
        let mut chunk = json!({"document_id": "cars", "id": format!("c{number:02}"), "text": "a car"});
        if number % 5 != 4 {
            chunk["attributes"] = json!({"rank": number % 3});
        }
        chunk
    };
    post(&server, "chunks:batch", &json!({"chunks": (0..20).map(chunk).collect::<Vec<_>>()}));
    let scroll = |body: &Value, pages: &mut usize| {
        let (mut body, mut all) = (body.clone(), Vec::new());
        loop {
            let part = post(&server, "chunks:scroll", &body);
            all.extend(ids(&part["chunks"]).iter().map(|id| (*id).to_owned()));
            *pages += 1;
            let Some(next) = part.get("next_cursor") else { return all };
            body["cursor"] = next.clone();
        }
    };
    let numbers = |all: &[String]| all.iter().map(|id| id[1..].parse::<usize>().unwrap()).collect::<Vec<_>>();
    for (direction, limit) in [("ascending", 3), ("descending", 1), ("ascending", 100)] {
        let mut pages = 0;
        let order = json!({"field": "rank", "direction": direction});
        let all =
            scroll(&json!({"filter": {"id": {"$prefix": "c"}, "text": "a car"}, "order_by": order, "limit": limit}), &mut pages);
        let mut expected: Vec<usize> = (0..20).collect();
        let rank = |number: usize| if direction == "ascending" { number % 3 } else { 2 - number % 3 };
        expected.sort_by_key(|number| (number % 5 == 4, if number % 5 == 4 { 0 } else { rank(*number) }, *number));
        assert_eq!(numbers(&all), expected, "{direction}");
        assert_eq!(pages, 20_usize.div_ceil(limit));
    }
    // What is written meanwhile does not shift the rest.
    let body = json!({"filter": {"id": {"$prefix": "c"}}, "order_by": {"field": "rank"}, "limit": 10});
    let first = post(&server, "chunks:scroll", &body);
    server.delete(&format!("{WORDS}/chunks/c00")).ok();
    post(
        &server,
        "chunks:batch",
        &json!({"chunks": [{"document_id": "cars", "id": "c0", "text": "a car", "attributes": {"rank": 0}}]}),
    );
    let mut rest = body.clone();
    rest["cursor"] = first["next_cursor"].clone();
    let mut seen = ids(&first["chunks"]).iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    seen.extend(scroll(&rest, &mut 0));
    seen.sort_unstable();
    assert_eq!(seen, (0..20).map(|number| format!("c{number:02}")).collect::<Vec<_>>());

    let documents =
        post(&server, "documents:scroll", &json!({"order_by": {"field": "year", "direction": "descending"}, "limit": 2}));
    assert_eq!(ids(&documents["documents"]), ["food", "cars"]);
    let refused = |path: &str, body: Value, status, code, field: &str| {
        let reply = server.post(&format!("{WORDS}/{path}"), &body);
        assert_eq!(reply.problem(status, code)["field"], field);
    };
    let other = json!({"cursor": first["next_cursor"], "order_by": {"field": "title"}});
    refused("chunks:scroll", json!({"cursor": first["next_cursor"]}), 409, "invalid_value", "cursor");
    refused("chunks:scroll", other, 409, "invalid_value", "cursor");
    refused("chunks:scroll", json!({"cursor": "!"}), 409, "wrong_cursor", "cursor");
    refused("chunks:scroll", json!({"limit": 0}), 400, "invalid_value", "limit");
    refused("chunks:scroll", json!({"order_by": {"field": "text"}}), 400, "invalid_value", "order_by.field");
    refused("chunks:scroll", json!({"order_by": {"field": "colour"}}), 409, "unknown_field", "order_by.field");
    refused("documents:scroll", json!({"order_by": {"field": "page_number"}}), 409, "unknown_field", "order_by.field");
}

#[test]
fn conditions_hold_or_nothing_is_done() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let document = json!({"metadata": {"title": "T"}, "chunks": []});
    let before = server.contents();
    for (method, path) in [
        ("PUT", "documents/new?if_seq=3"),
        ("POST", "documents:delete?if_seq=3"),
        ("PATCH", "documents/cars?if_seq=3"),
        ("POST", "chunks:batch?if_seq=3"),
        ("POST", "documents:batch?if_seq=3"),
    ] {
        let body = match path.split(['?', ':', '/']).nth(1) {
            Some("new") => document.clone(),
            Some("delete") => json!({"ids": ["cars"]}),
            Some("cars") => json!({"attributes": {"year": 5}}),
            _ if path.starts_with("chunks") => json!({"chunks": [{"document_id": "cars", "text": "t"}]}),
            _ => json!({"documents": [document]}),
        };
        let reply = server.send(method, &format!("{WORDS}/{path}"), &body);
        let problem = reply.problem(409, "changed");
        assert_eq!(
            (&problem["field"], &problem["expected"], &problem["received"]),
            (&json!("if_seq"), &json!(3), &json!(4)),
            "{path}"
        );
    }
    server.delete(&format!("{WORDS}?if_seq=3")).problem(409, "changed");
    server.delete(&format!("{WORDS}/documents/cars?if_seq=0")).problem(409, "changed");
    assert_eq!(server.contents(), before);
    assert_eq!(server.send("PUT", &format!("{WORDS}/documents/new?if_seq=4"), &document).ok()["seq"], 5);
    assert_eq!(server.get(&format!("{WORDS}?min_seq=5")).ok()["seq"], 5);
    server.get(&format!("{WORDS}?min_seq=x")).problem(400, "wrong_type");
}
