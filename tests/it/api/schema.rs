//! Fields, copies and aliases.

use serde_json::{Value, json};
use tempfile::tempdir;

use super::{Server, with_words};

const WORDS: &str = "/v1/libraries/words";

fn fields(server: &Server) -> Value {
    server.get(WORDS).ok()["schema"]["fields"].clone()
}

#[test]
fn fields_are_added_renamed_and_dropped() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let added = server.post(&format!("{WORDS}/fields"), &json!({"name": "seen", "type": "timestamp"}));
    assert_eq!((added.status, &added.json["schema"]["fields"]), (201, &json!({"year": "integer", "seen": "timestamp"})));
    let renamed = server.send("PATCH", &format!("{WORDS}/fields/year"), &json!({"name": "written in"})).ok();
    assert_eq!(renamed["schema"]["fields"], json!({"written in": "integer", "seen": "timestamp"}));
    assert_eq!(server.get(&format!("{WORDS}/documents/cars")).ok()["attributes"], json!({"written in": 2002}));
    let chunk = json!({"chunks": [{"document_id": "cars", "id": "c", "text": "a", "attributes": {"seen": "2020-01-01", "written in": 1}}]});
    server.post(&format!("{WORDS}/chunks:batch"), &chunk).ok();
    server.delete(&format!("{WORDS}/fields/written%20in")).ok();

    let check = |server: &Server| {
        assert_eq!(fields(server), json!({"seen": "timestamp"}));
        assert_eq!(server.get(&format!("{WORDS}/documents/cars")).ok()["attributes"], json!({}));
        let attributes = server.get(&format!("{WORDS}/chunks/c")).ok()["attributes"].clone();
        assert_eq!(attributes, json!({"seen": "2020-01-01T00:00:00Z"}));
        let reply = server.post(&format!("{WORDS}/chunks:count"), &json!({"filter": {"written in": 1}}));
        assert!(reply.problem(409, "unknown_field")["expected"][0] == "seen");
    };
    check(&server);
    // A field of the same name is another one, of another type.
    server.send("PATCH", &format!("{WORDS}/documents/food"), &json!({"attributes": {"written in": "June", "place": "x"}})).ok();
    server.delete(&format!("{WORDS}/fields/written%20in")).ok();
    server.delete(&format!("{WORDS}/fields/place")).ok();
    check(&server);
    let before = server.contents();
    server.post(&format!("{WORDS}/fields"), &json!({"name": "seen", "type": "text"})).problem(409, "field_exists");
    server.post(&format!("{WORDS}/fields"), &json!({"name": "title", "type": "text"})).problem(400, "invalid_value");
    server.post(&format!("{WORDS}/fields"), &json!({"name": "new", "type": "int"})).problem(400, "invalid_value");
    server.delete(&format!("{WORDS}/fields/none")).problem(404, "field_not_found");
    server.send("PATCH", &format!("{WORDS}/fields/seen"), &json!({"name": ""})).problem(400, "invalid_value");
    assert_eq!(server.contents(), before);

    // From the log, and from a snapshot.
    server.kill();
    let server = Server::start(folder.path());
    check(&server);
    server.post("/v1/checkpoint", &Value::Null).ok();
    server.kill();
    let server = Server::start(folder.path());
    check(&server);
    assert_eq!(server.contents(), before);
    server.send("PATCH", &format!("{WORDS}/documents/cars"), &json!({"attributes": {"last": 1}})).ok();
    assert_eq!(fields(&server), json!({"seen": "timestamp", "last": "integer"}));
    assert_eq!(server.get(&format!("{WORDS}/documents/cars")).ok()["attributes"], json!({"last": 1}));
}

#[test]
fn a_copy_goes_its_own_way() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    server.send("PUT", "/v1/aliases/live", &json!({"library": "words"})).ok();
    let reply = server.post(&format!("{WORDS}/copy"), &json!({"name": "copy", "id": "the-copy"}));
    assert_eq!((reply.status, &reply.json["documents"], &reply.json["aliases"]), (201, &json!(3), &json!([])));
    let statistics = server.get("/v1/libraries/copy/stats").ok();
    assert_eq!((&statistics["chunks"], &statistics["fields"]), (&json!(3), &json!(1)));
    assert_eq!((&statistics["bytes"]["vectors"], &statistics["index"]["serving"]), (&json!(3 * 256 * 4), &json!("flat")));
    assert!(statistics["bytes"]["texts"].as_u64().unwrap() > 100, "{statistics}");
    let contents = |library: &str| server.get(&format!("/v1/libraries/{library}/chunks?embedding=true")).ok();
    let before = contents("words");
    assert_eq!(contents("copy"), before);
    server.delete("/v1/libraries/copy/documents/cars").ok();
    assert_eq!(contents("words"), before);
    server.delete("/v1/libraries/words").ok();
    assert_eq!(contents("the-copy")["chunks"].as_array().unwrap().len(), 2);
    assert_eq!(server.get("/v1/aliases").ok()["aliases"], json!({}));
    server.post("/v1/libraries/copy/copy", &json!({"name": "copy"})).problem(409, "library_exists");
    server.post("/v1/libraries/none/copy", &json!({"name": "x"})).problem(404, "library_not_found");
    let before = server.contents();
    server.kill();
    let server = Server::start(folder.path());
    assert_eq!(server.contents(), before);
    assert_eq!(server.post("/v1/libraries/copy/query", &json!({"text": "dog", "k": 1})).ok()["returned"], 1);
}

#[test]
fn aliases_change_places_at_once() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    server.post("/v1/libraries", &json!({"name": "other", "id": "o"})).ok();
    let words = server.get(WORDS).ok()["id"].clone();
    server.post("/v1/aliases", &json!({"aliases": {"blue": "words", "green": "o"}})).ok();
    let swapped = server.post("/v1/aliases", &json!({"aliases": {"blue": "green", "green": "words"}})).ok();
    assert_eq!(swapped["aliases"], json!({"blue": "o", "green": words}));
    assert_eq!(server.get("/v1/libraries/blue").ok()["name"], "other");
    assert_eq!(server.get("/v1/libraries/green").ok()["aliases"], json!(["green"]));
    assert_eq!(server.post("/v1/libraries/green/query", &json!({"text": "dog", "k": 1})).ok()["returned"], 1);

    let before = server.get("/v1/aliases").ok();
    let refused = |body: Value, status, code, field: &str| {
        assert_eq!(server.post("/v1/aliases", &json!({"aliases": body})).problem(status, code)["field"], field);
        assert_eq!(server.get("/v1/aliases").ok(), before);
    };
    refused(json!({"new": "o", "red": "none"}), 404, "library_not_found", "aliases.red");
    refused(json!({"new": "o", "words": "o"}), 409, "library_exists", "aliases.words");
    refused(json!({"new": "o", "red": null}), 404, "alias_not_found", "aliases.red");
    refused(json!({"": "o"}), 400, "empty_text", "aliases.");
    refused(json!({"new": 5}), 400, "wrong_type", "aliases");
    server.post("/v1/libraries", &json!({"name": "blue"})).problem(409, "library_exists");

    for snapshot in [false, true] {
        if snapshot {
            server.post("/v1/checkpoint", &Value::Null).ok();
        }
        let copy = super::copy(folder.path());
        assert_eq!(Server::start(copy.path()).get("/v1/aliases").ok(), before);
    }
    server.delete("/v1/aliases/blue").ok();
    server.get("/v1/libraries/blue").problem(404, "library_not_found");
    server.delete("/v1/aliases/blue").problem(404, "alias_not_found");
    server.delete("/v1/libraries/words").ok();
    assert_eq!(server.get("/v1/aliases").ok()["aliases"], json!({}));
}
