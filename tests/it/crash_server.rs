//! What was acknowledged is there after a crash, and the answers are the same to the last bit.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tempfile::tempdir;
use vecino_engine::{codec, db::Database};
use vecino_server::storage::FileStorage;
use vecino_tests::crash;

use crate::{
    api::{Server, copy, files, with_words},
    program::PROGRAM,
};

const QUESTIONS: [&str; 4] = ["a young dog", "how to drive", "something sweet to eat", "number of the batch"];

/// A batch of documents with text of their own.
fn batch() -> Value {
    let document = |number: usize| {
        let text = format!("Passage {number} of the batch is about birds, boats and bread number {}.", number * 7);
        json!({"id": format!("b{number}"), "metadata": {"title": format!("Title {number}")}, "text": text, "attributes": {"n": number}})
    };
    json!({"documents": (0..200).map(document).collect::<Vec<_>>()})
}

/// All hits of all questions, as they were written.
fn answers(server: &Server) -> Vec<Value> {
    let ask = |text: &&str| {
        let body = json!({"text": text, "k": 1_000, "include": ["text", "metadata", "attributes", "embedding"]});
        let mut answer = server.post("/v1/libraries/words/query", &body).ok();
        answer.as_object_mut().unwrap().remove("took_ms");
        answer
    };
    QUESTIONS.iter().map(ask).collect()
}

/// The state that a copy of the folder holds, as bytes, and what bringing it back took.
fn state_of(folder: &Path) -> (Vec<u8>, usize, usize) {
    let copied = copy(folder);
    let (database, recovery) = Database::open(FileStorage::open(copied.path()).unwrap()).unwrap();
    (database.state_bytes().unwrap(), recovery.snapshots, recovery.replayed)
}

#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let written = server.post("/v1/libraries/words/documents:batch", &batch()).ok();
    assert_eq!((&written["written"], &written["seq"]), (&json!(200), &json!(5)));
    let before = (server.contents(), answers(&server));
    server.kill();
    let server = Server::start(folder.path());
    assert!((server.contents(), answers(&server)) == before);
    assert!(server.log().contains("\"replayed\":5"), "{}", server.log());
    server.kill();
    // And once more, now in order.
    let server = Server::start(folder.path());
    assert!((server.contents(), answers(&server)) == before);
    assert_eq!(server.stop().code(), Some(0));
    assert!(files(folder.path()).contains_key("CLOSED"));
    let server = Server::start(folder.path());
    assert!((server.contents(), answers(&server)) == before);
}

/// The short form of `cargo xtask crash`.
#[test]
fn kills_under_several_writers_lose_nothing() {
    let folder = tempdir().unwrap();
    let options = crash::Options {
        program: PROGRAM.clone(),
        folder: folder.path().to_owned(),
        time: Duration::from_secs(20),
        every: Duration::from_millis(200),
        probability: 0.3,
        writers: 6,
        seed: 1,
        faults: false,
    };
    let tally = crash::run(&options, |_| {}).unwrap_or_else(|what| panic!("{what}"));
    println!("{tally}");
    assert!(tally.kills >= 8 && tally.acknowledged > 100 && tally.open_happened + tally.open_lost > 0, "{tally}");
}

#[test]
fn the_log_and_the_snapshot_hold_the_same_state() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    server.post("/v1/libraries/words/documents:batch", &batch()).ok();
    server.delete("/v1/libraries/words/documents/b7").ok();
    server.send("PATCH", "/v1/libraries/words/documents/b8", &json!({"attributes": {"n": null, "colour": "red"}})).ok();
    let before = (server.contents(), answers(&server));
    let (from_log, snapshots, replayed) = state_of(folder.path());
    assert_eq!((snapshots, replayed), (0, 7));

    assert_eq!(server.post("/v1/checkpoint", &Value::Null).ok(), json!({"seq": 7, "written": 1}));
    assert_eq!(server.post("/v1/checkpoint", &Value::Null).ok(), json!({"seq": 7, "written": 0}));
    assert!((server.contents(), answers(&server)) == before);
    let exported = server.get("/v1/libraries/words/snapshot").bytes;
    server.kill();
    let (from_snapshot, snapshots, replayed) = state_of(folder.path());
    assert_eq!((snapshots, replayed), (1, 0));
    assert!(from_log == from_snapshot, "the log and the snapshot hold different states");
    assert!(from_log == exported, "the download is another state");

    let server = Server::start(folder.path());
    assert!((server.contents(), answers(&server)) == before);
    // Written on top of a mapped snapshot, and back once more.
    server.post("/v1/libraries/words/documents", &json!({"id": "late", "metadata": {"title": "T"}, "text": "late words"})).ok();
    let before = (server.contents(), answers(&server));
    server.kill();
    let server = Server::start(folder.path());
    assert!((server.contents(), answers(&server)) == before);
}

#[test]
fn what_was_never_acknowledged_is_cut_off() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let before = server.contents();
    server.post("/v1/libraries/words/documents:batch", &batch()).ok();
    server.kill();
    // As if the machine had stopped in the middle of the last write.
    let name = files(folder.path()).into_keys().rfind(|name| name.ends_with(".log")).unwrap();
    let path = folder.path().join(name);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..codec::written(&bytes).len() - 1_000]).unwrap();
    let left_over = folder.path().join(".tmp-00000000000000000009-000000.vecino");
    std::fs::write(&left_over, "half").unwrap();
    let server = Server::start(folder.path());
    assert_eq!(server.contents(), before);
    assert!(server.log().contains("WARN") && server.log().contains("cut off"), "{}", server.log());
    assert!(!left_over.exists());
    server.post("/v1/libraries/words/documents:batch", &batch()).ok();
}

/// A log that leads to a device on which there is never room.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_and_reading_goes_on() {
    let folder = tempdir().unwrap();
    with_words(folder.path()).stop();
    let server = Server::start(folder.path());
    let before = (server.contents(), answers(&server));
    let name = files(folder.path()).into_keys().rfind(|name| name.ends_with(".log")).unwrap();
    let (log, aside) = (folder.path().join(&name), folder.path().join("aside"));
    std::fs::rename(&log, &aside).unwrap();
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let document = json!({"metadata": {"title": "T"}, "text": "some words"});
    let reply = server.post("/v1/libraries/words/documents", &document);
    let detail = reply.problem(507, "storage_full")["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("the disk is full") && detail.contains(&name), "{detail}");
    // A device cannot be cut as a file can, so what is at the end of the log now is not known.
    for path in ["/v1/libraries/words/documents", "/v1/checkpoint"] {
        let body = if path.ends_with("snapshots") { &Value::Null } else { &document };
        let detail = server.post(path, body).problem(503, "storage")["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("after a restart") && detail.contains(&name), "{detail}");
    }
    assert!((server.contents(), answers(&server)) == before, "a write that failed shows");
    assert_eq!(server.stop().code(), Some(1), "an end that is not in order");
    std::fs::rename(&aside, &log).unwrap();
    let server = Server::start(folder.path());
    assert!((server.contents(), answers(&server)) == before);
    server.post("/v1/libraries/words/documents", &document).ok();
}
