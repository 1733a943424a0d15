//! Everything is created, read, updated, deleted and listed.

use serde_json::{Value, json};
use tempfile::tempdir;

use super::{Server, with_words};

const WORDS: &str = "/v1/libraries/words";

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[test]
fn a_library_lives() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path());
    let body = json!({
        "name": "first/one", "metric": "euclidean", "schema": {"fields": {"year": "integer"}},
        "metadata": {"description": "About", "index_type": "flat", "embedding_dimension": 3}
    });
    let reply = server.post("/v1/libraries", &body);
    assert_eq!(reply.status, 201);
    let created = reply.ok();
    assert_eq!((&created["seq"], &created["metric"]), (&json!(1), &json!("euclidean")));
    assert_eq!(created["schema"], json!({"strict": true, "fields": {"year": "integer"}}));
    assert_eq!(created["metadata"]["embedding_dimension"], 3);
    let id = created["id"].as_str().unwrap();
    for name in [id, "first%2Fone"] {
        assert_eq!(server.get(&format!("/v1/libraries/{name}")).ok(), created);
    }
    let path = format!("/v1/libraries/{id}");
    server.post("/v1/libraries", &json!({"name": "first/one"})).problem(409, "library_exists");
    let renamed = server.send("PATCH", &path, &json!({"name": "second", "metadata": {"description": null}})).ok();
    assert_eq!((&renamed["name"], &renamed["seq"]), (&json!("second"), &json!(2)));
    assert_eq!(renamed["metadata"].get("description"), None);
    assert_eq!(server.get("/v1/libraries/second").ok(), renamed);
    server.get("/v1/libraries/first%2Fone").problem(404, "library_not_found");
    assert_eq!(server.delete(&path).ok(), json!({"seq": 3}));
    server.get(&path).problem(404, "library_not_found");
    assert_eq!(server.get("/v1/libraries").ok(), json!({"libraries": []}));
}

#[test]
fn a_library_is_written_anew() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path());
    let path = "/v1/libraries/own";
    let count = || server.get("/v1/libraries:count").ok();
    assert_eq!(count(), json!({"count": 0, "seq": 0}));
    let first = json!({"name": "first", "metric": "dot", "metadata": {"description": "About", "index_type": "lsh", "target_recall": 0.5}});
    let reply = server.send("PUT", path, &first);
    assert_eq!((reply.status, &reply.json["id"]), (201, &json!("own")));
    let document = json!({"id": "d", "metadata": {"title": "T"}, "chunks": [{"text": "x", "embedding": [1.0, 2.0]}]});
    server.post(&format!("{path}/documents"), &document).ok();

    // What is silent about the rest goes back to how libraries begin; the contract and the contents stay.
    let reply = server.send("PUT", path, &json!({"name": "second"}));
    assert_eq!(reply.status, 200);
    let now = reply.ok();
    assert_eq!((&now["name"], &now["metric"], &now["documents"]), (&json!("second"), &json!("dot"), &json!(1)));
    assert_eq!(now["metadata"].get("description"), None);
    assert_eq!((&now["metadata"]["index_type"], &now["metadata"]["target_recall"]), (&json!("auto"), &json!(0.95)));
    assert_eq!(now["seq"], 3, "it is one write");
    assert_eq!(count(), json!({"count": 1, "seq": 3}));
    let same = json!({"name": "second", "id": "own", "metric": "dot", "metadata": {"embedding_dimension": 2}});
    server.send("PUT", path, &same).ok();
    for (body, field) in [
        (json!({"name": "x", "metric": "cosine"}), "metric"),
        (json!({"name": "x", "metadata": {"embedding_dimension": 3}}), "metadata.embedding_dimension"),
        (json!({"name": "x", "metadata": {"embedding_model": "m"}}), "metadata.embedding_model"),
        (json!({"name": "x", "schema": {"fields": {"year": "integer"}}}), "schema"),
    ] {
        assert_eq!(server.send("PUT", path, &body).problem(409, "invalid_value")["field"], field);
    }
    let body = json!({"name": "x", "metadata": {"target_recall": 2}});
    assert_eq!(server.send("PUT", path, &body).problem(400, "invalid_value")["field"], "metadata.target_recall");
    server.send("PUT", &format!("{path}?if_seq=1"), &json!({"name": "x"})).problem(409, "changed");

    // PATCH leaves what it does not name.
    let change = json!({"metadata": {"index_type": "ivf", "index_params": {"lists": 7}}});
    let changed = server.send("PATCH", path, &change).ok();
    assert_eq!((&changed["name"], &changed["metadata"]["index_type"]), (&json!("second"), &json!("ivf")));
    assert_eq!(changed["metadata"]["index_params"]["lists"], 7);
    server.kill();
    assert_eq!(Server::start(folder.path()).get(path).ok(), changed);
}

#[test]
fn a_document_lives() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let body = json!({
        "id": "a b/c", "attributes": {"year": 1999, "kind": ["x", "y"]},
        "metadata": {"title": "T", "author": "A", "created_at": "2020-01-02", "document_type": "note", "source_url": "u", "tags": ["t"]},
        "chunks": [{"id": "c0", "text": "A red apple", "metadata": {"page_number": 7, "color": "red"}}, {"text": "A green pear"}]
    });
    let documents = format!("{WORDS}/documents");
    let path = format!("{documents}/a%20b%2Fc");
    let reply = server.post(&documents, &body);
    assert_eq!(reply.status, 201);
    let written = reply.ok();
    assert_eq!((&written["id"], &written["seq"]), (&json!("a b/c"), &json!(5)));
    let seen = server.get(&path).ok();
    assert_eq!(seen["chunks"], written["chunks"]);
    assert_eq!(seen["attributes"], json!({"year": 1999, "kind": ["x", "y"]}));
    let metadata = json!({
        "title": "T", "author": "A", "created_at": "2020-01-02T00:00:00Z", "document_type": "note", "source_url": "u", "tags": ["t"]
    });
    assert_eq!(seen["metadata"], metadata);

    server.post(&documents, &body).problem(409, "document_exists");
    let kept = server.post(&format!("{documents}?on_conflict=skip"), &body);
    assert_eq!((kept.status, &kept.json["chunks"], &kept.json["skipped"]), (200, &written["chunks"], &json!(true)));
    let change = json!({"metadata": {"title": "U", "author": null, "tags": null}, "attributes": {"year": null, "kind": "z"}});
    let changed = server.send("PATCH", &path, &change).ok();
    assert_eq!((&changed["metadata"]["title"], changed["metadata"].get("author")), (&json!("U"), None));
    assert_eq!((&changed["metadata"]["tags"], &changed["attributes"]), (&json!([]), &json!({"kind": "z"})));
    assert_eq!(changed["chunks"], written["chunks"]);

    let anew = json!({"metadata": {"title": "V"}, "chunks": [{"id": "c0", "text": "A blue plum"}]});
    let replaced = server.send("PUT", &path, &anew);
    assert_eq!((replaced.status, &replaced.json["chunks"]), (200, &json!(["c0"])));
    assert_eq!(server.get(&path).ok()["attributes"], json!({}));
    let fresh = server.send("PUT", &format!("{documents}/new"), &json!({"metadata": {"title": "N"}, "chunks": []}));
    assert_eq!((fresh.status, &fresh.json["chunks"]), (201, &json!([])));
    let replaced = server.post(&format!("{documents}?on_conflict=replace"), &body);
    assert_eq!((replaced.status, replaced.json["chunks"].as_array().unwrap().len()), (201, 2));

    assert_eq!(ids(&server.get(&documents).ok()["documents"]), ["a b/c", "animals", "cars", "food", "new"]);
    server.delete(&path).ok();
    server.get(&path).problem(404, "document_not_found");
    server.delete(&path).problem(404, "document_not_found");
    server.get(&format!("{WORDS}/chunks/c0")).problem(404, "chunk_not_found");
}

#[test]
fn a_long_text_is_split_into_passages_that_are_found() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let mut text = "The weather was fine and the road was long. ".repeat(60);
    text.push_str("\n\nA violin is a wooden string instrument that is played with a bow.");
    let written = server.post(&format!("{WORDS}/documents"), &json!({"metadata": {"title": "Notes"}, "text": text})).ok();
    assert!(written["chunks"].as_array().unwrap().len() > 2);
    let answer = server.post(&format!("{WORDS}/query"), &json!({"text": "music instruments", "k": 1})).ok();
    assert!(answer["hits"][0]["text"].as_str().unwrap().contains("violin"), "{answer}");
    assert_eq!(answer["hits"][0]["document_id"], written["id"]);
}

#[test]
fn a_chunk_lives() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let of_cars = format!("{WORDS}/documents/cars/chunks");
    let chunks = json!({"chunks": [
        {"id": "wheel", "text": "A wheel is round", "metadata": {"page_number": 2, "part": true}, "attributes": {"size": 3}},
        {"id": "ahead", "text": "A lamp shines ahead", "metadata": {"chunk_index": 0, "created_at": "2021-05-06T07:08:09Z"}}
    ]});
    let reply = server.post(&of_cars, &chunks);
    assert_eq!((reply.status, &reply.json), (201, &json!({"chunks": ["wheel", "ahead"], "seq": 5})));
    let wheel = server.get(&format!("{WORDS}/chunks/wheel")).ok();
    assert_eq!((&wheel["document_id"], &wheel["attributes"]), (&json!("cars"), &json!({"part": true, "size": 3})));
    assert_eq!((&wheel["metadata"]["page_number"], &wheel["metadata"]["chunk_index"]), (&json!(2), &json!(1)));
    assert_eq!(wheel.get("embedding"), None);

    let path = format!("{WORDS}/chunks/wheel?embedding=true");
    let before = server.get(&path).ok()["embedding"].clone();
    assert_eq!(before.as_array().unwrap().len(), 256);
    let change = json!({"text": "A tyre is made of rubber", "metadata": {"page_number": 3, "part": null, "new": 1.5}});
    let changed = server.send("PATCH", &format!("{WORDS}/chunks/wheel"), &change).ok();
    assert_eq!((&changed["text"], &changed["seq"]), (&json!("A tyre is made of rubber"), &json!(6)));
    assert_eq!(changed["attributes"], json!({"size": 3, "new": 1.5}));
    assert_ne!(server.get(&path).ok()["embedding"], before, "another text, another vector");
    // As if it had been written with this text at once: title and all.
    let same = json!({"chunks": [{"id": "same", "text": "A tyre is made of rubber"}]});
    server.post(&of_cars, &same).ok();
    assert_eq!(server.get(&format!("{WORDS}/chunks/same?embedding=true")).ok()["embedding"], server.get(&path).ok()["embedding"]);

    // Ordered by index, then id; the first chunk of the text has index 0 as `ahead` has.
    let listed = server.get(&format!("{of_cars}?limit=2")).ok();
    assert_eq!(ids(&listed["chunks"])[1], "ahead");
    let rest = server.get(&format!("{of_cars}?cursor={}", listed["next_cursor"].as_str().unwrap())).ok();
    assert_eq!((ids(&rest["chunks"]), rest.get("next_cursor")), (vec!["wheel", "same"], None));

    server.delete(&format!("{WORDS}/chunks/wheel")).ok();
    server.get(&format!("{WORDS}/chunks/wheel")).problem(404, "chunk_not_found");
}

#[test]
fn a_batch_is_written_whole_or_skipped_in_part() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let path = format!("{WORDS}/documents:batch");
    let document =
        |id: &str| json!({"id": id, "metadata": {"title": "T"}, "chunks": [{"text": "one word"}, {"text": "two words"}]});
    let both = |policy: &str| json!({"documents": [document("cars"), document("new")], "on_conflict": policy});
    let before = server.contents();
    let refused = server.post(&path, &both("refuse"));
    assert_eq!(refused.problem(409, "document_exists")["field"], "documents[0].id");
    assert_eq!(server.contents(), before);
    let skipped = server.post(&path, &both("skip")).ok();
    assert_eq!(skipped, json!({"written": 1, "skipped": 1, "chunks": 2, "seq": 5}));
    assert_eq!(server.get(&format!("{WORDS}/documents/cars")).ok()["metadata"]["title"], "Cars");
    assert_eq!(server.post(&path, &both("skip")).ok(), json!({"written": 0, "skipped": 2, "chunks": 0, "seq": 5}));
    let replaced = server.post(&path, &both("replace")).ok();
    assert_eq!(replaced, json!({"written": 2, "skipped": 0, "chunks": 4, "seq": 6}));
    assert_eq!(server.get(&format!("{WORDS}/documents/cars")).ok()["metadata"]["title"], "T");

    // A fault after a skipped document is named by its place in the request.
    let mut broken = both("skip");
    broken["documents"][1] = json!({"id": "x", "metadata": {"title": "T"}, "chunks": [{"text": "w"}, {"text": " "}]});
    let reply = server.post(&path, &broken);
    assert_eq!(reply.problem(400, "empty_text")["field"], "documents[1].chunks[1].text");
}

#[test]
fn a_query_answers_by_text_and_by_vector() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let query = |body: Value| server.post(&format!("{WORDS}/query"), &body).ok();
    let answer = query(json!({"text": "puppy", "k": 2, "explain": true}));
    assert_eq!((&answer["hits"][0]["document_id"], &answer["returned"]), (&json!("animals"), &json!(2)));
    assert_eq!((&answer["requested"], &answer["exhausted"], &answer["metric"]), (&json!(2), &json!(false), &json!("cosine")));
    assert_eq!((&answer["seq"], &answer["explain"]["visited"]), (&json!(4), &json!(3)));
    assert!(answer["took_ms"].as_f64().unwrap() > 0.0);
    let hit = &answer["hits"][0];
    assert!(hit["score"].as_f64() > answer["hits"][1]["score"].as_f64());
    assert_eq!((&hit["attributes"], &hit["metadata"]["title"]), (&json!({"year": 2001}), &json!("Animals")));

    let filtered = query(json!({"text": "puppy", "filter": {"year": {"$gt": 2001}}, "include": []}));
    let hits = filtered["hits"].as_array().unwrap();
    assert_eq!((hits.len(), &filtered["exhausted"]), (2, &json!(true)));
    assert!(hits.iter().all(|hit| hit["document_id"] != "animals" && hit.get("text").is_none() && hit.get("metadata").is_none()));

    let stored = query(json!({"text": "puppy", "k": 1, "include": ["embedding"]}))["hits"][0].clone();
    let same = query(json!({"embedding": stored["embedding"], "k": 1}));
    assert_eq!(same["hits"][0]["id"], stored["id"]);
    assert!(same["hits"][0]["score"].as_f64().unwrap() > 0.999_999);
}

#[test]
fn texts_are_refused_where_the_vectors_are_of_another_kind() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path());
    server.post("/v1/libraries", &json!({"name": "own"})).ok();
    let query = |body: &Value| server.post("/v1/libraries/own/query", body);
    let text = json!({"text": "word"});
    assert_eq!(query(&text).ok()["hits"], json!([]), "an empty library has no hits");
    let mine = json!({"metadata": {"title": "T"}, "chunks": [{"text": "word", "embedding": [1, 0]}]});
    server.post("/v1/libraries/own/documents", &mine).ok();
    assert_eq!(query(&text).problem(409, "embedding_model")["field"], "text");
    let theirs = json!({"metadata": {"title": "T"}, "text": "word"});
    server.post("/v1/libraries/own/documents", &theirs).problem(409, "embedding_model");
    assert_eq!(query(&json!({"embedding": [0.5, 0]})).ok()["hits"][0]["score"], 1.0);

    let other = json!({"name": "other", "metadata": {"embedding_model": "text-embedding-3-small", "embedding_dimension": 2}});
    let other = server.post("/v1/libraries", &other).ok();
    assert_eq!(other["metadata"].get("embedding_model_sha256"), None);
    server.post("/v1/libraries/other/documents", &theirs).problem(409, "embedding_model");
    server.post("/v1/libraries/other/documents", &mine).ok();
    let reply = server.post("/v1/libraries/other/query", &text);
    let problem = reply.problem(409, "embedding_model");
    assert_eq!(problem["expected"], "text-embedding-3-small");
    assert_eq!(problem["received"], "static-minilm-256");
}

#[test]
fn listings_go_on_where_they_stopped() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path());
    server.post("/v1/libraries", &json!({"name": "many"})).ok();
    let documents: Vec<Value> =
        (0..7).map(|number| json!({"id": format!("d{number}"), "metadata": {"title": "T"}, "chunks": []})).collect();
    server.post("/v1/libraries/many/documents:batch", &json!({"documents": documents})).ok();
    let path = "/v1/libraries/many/documents";
    let first = server.get(&format!("{path}?limit=3")).ok();
    assert_eq!(ids(&first["documents"]), ["d0", "d1", "d2"]);
    // What changes in between moves nothing that stays.
    server.delete(&format!("{path}/d2")).ok();
    server.delete(&format!("{path}/d4")).ok();
    server.send("PUT", &format!("{path}/d1a"), &json!({"metadata": {"title": "T"}, "chunks": []})).ok();
    let second = server.get(&format!("{path}?limit=3&cursor={}", first["next_cursor"].as_str().unwrap())).ok();
    assert_eq!(ids(&second["documents"]), ["d3", "d5", "d6"]);
    assert_eq!(second.get("next_cursor"), None);
    for name in ["x1", "x2"] {
        server.post("/v1/libraries", &json!({"name": name})).ok();
    }
    let one = server.get("/v1/libraries?limit=1").ok();
    let rest = server.get(&format!("/v1/libraries?cursor={}", one["next_cursor"].as_str().unwrap())).ok();
    assert_eq!((one["libraries"].as_array().unwrap().len(), rest["libraries"].as_array().unwrap().len()), (1, 2));
}

#[test]
fn whole_numbers_may_be_written_with_a_point() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let answer = server.send_raw("POST", &format!("{WORDS}/query"), "application/json", br#"{"text": "dog", "k": 1.0}"#).ok();
    assert_eq!(answer["requested"], 1);
    let chunk = br#"{"chunks": [{"id": "c", "text": "a dog", "metadata": {"page_number": 3.0, "chunk_index": 2e0}}]}"#;
    server.send_raw("POST", &format!("{WORDS}/documents/animals/chunks"), "application/json", chunk).ok();
    let chunk = server.get(&format!("{WORDS}/chunks/c")).ok();
    assert_eq!((&chunk["metadata"]["page_number"], &chunk["metadata"]["chunk_index"]), (&json!(3), &json!(2)));
    let library = br#"{"name": "three", "metadata": {"embedding_dimension": 3.0, "index_params": {"m": 8.0}}}"#;
    let library = server.send_raw("POST", "/v1/libraries", "application/json", library).ok();
    assert_eq!((&library["metadata"]["embedding_dimension"], &library["metadata"]["index_params"]["m"]), (&json!(3), &json!(8)));
}
