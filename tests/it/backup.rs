//! Backups while writing, restored whole and at a record; and what is saved of a damaged folder.

use std::{fs, path::Path, sync::atomic::AtomicBool, sync::atomic::Ordering, thread};

use serde_json::{Value, json};
use tempfile::tempdir;
use vecino_engine::{db::Database, journal};
use vecino_server::storage::FileStorage;

use crate::{
    api::{Server, files, with_words},
    program::run,
};

fn document(id: &str) -> Value {
    json!({"id": id, "metadata": {"title": "T"}, "text": format!("words of {id}"), "attributes": {"name": id}})
}

fn put(server: &Server, id: &str) -> u64 {
    server.post("/v1/libraries/words/documents", &document(id)).ok()["seq"].as_u64().unwrap()
}

/// The libraries of a folder, as bytes.
fn bytes(folder: &Path, at: Option<u64>) -> Vec<u8> {
    let state = journal::state_at(&FileStorage::open_read_only(folder).unwrap(), at).unwrap();
    let mut all = Vec::new();
    for holding in state.holdings() {
        vecino_engine::snapshot::write(holding.library().unwrap(), &mut all).unwrap();
    }
    all
}

#[test]
fn a_backup_while_writing_is_a_state_that_there_was() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("data");
    let server = with_words(&data);
    server.post("/v1/checkpoint", &Value::Null).ok();
    let before = put(&server, "before");
    let stop = AtomicBool::new(false);
    let made = thread::scope(|scope| {
        scope.spawn(|| {
            (0..).take_while(|_| !stop.load(Ordering::Relaxed)).for_each(|n| {
                put(&server, &format!("n{n}"));
            });
        });
        let made = run(folder.path(), &format!("backup a.tar --json --server {}", server.url())).ended(0).json();
        stop.store(true, Ordering::Relaxed);
        made
    });
    let after = put(&server, "after");
    let seq = made["seq"].as_u64().unwrap();
    assert!((before..after).contains(&seq), "{made}");
    server.kill();
    run(folder.path(), "restore a.tar --into all").ended(0);
    assert!(bytes(&folder.path().join("all"), None) == bytes(&data, Some(seq)), "the restored state is another one");
    run(folder.path(), &format!("restore a.tar --into at --at-seq {before}")).ended(0);
    assert!(bytes(&folder.path().join("at"), None) == bytes(&data, Some(before)), "the state at a record is another one");
    // It is a folder like any other.
    let server = Server::start(&folder.path().join("at"));
    assert_eq!(put(&server, "later"), before + 1);
    server.get("/v1/libraries/words/documents/after").problem(404, "document_not_found");
}

#[test]
fn what_is_no_backup_is_refused() {
    let folder = tempdir().unwrap();
    with_words(&folder.path().join("data")).stop();
    run(folder.path(), "backup a.tar --data-dir data").ended(0);
    let said = run(folder.path(), "backup a.tar --data-dir data").ended(1).stderr;
    assert!(said.contains("exists already"), "{said}");
    let said = run(folder.path(), "restore a.tar --into new --at-seq 99").ended(1).stderr;
    assert!(said.contains("0 to 4") && !folder.path().join("new").exists(), "{said}");
    let said = run(folder.path(), "restore a.tar --into data").ended(1).stderr;
    assert!(said.contains("not empty"), "{said}");
    let whole = fs::read(folder.path().join("a.tar")).unwrap();
    for len in [0, 100, 600, whole.len() - 2_000] {
        fs::write(folder.path().join("cut.tar"), &whole[..len]).unwrap();
        let said = run(folder.path(), "restore cut.tar --into new").ended(1).stderr;
        assert!(!folder.path().join("new").exists(), "{len}: {said}");
    }
    run(folder.path(), "restore a.tar --into new").ended(0);
    assert!(bytes(&folder.path().join("new"), None) == bytes(&folder.path().join("data"), None));
}

/// A folder with a checkpoint and nine records after it; the log's bytes and where its frames begin.
fn damaged(folder: &Path, damage: impl Fn(&mut [u8], &[usize])) {
    let server = with_words(folder);
    server.post("/v1/checkpoint", &Value::Null).ok();
    for n in 0..9 {
        put(&server, &format!("d{n}"));
    }
    server.stop();
    let name = files(folder).into_keys().rfind(|name| name.ends_with(".log")).unwrap();
    let mut log = fs::read(folder.join(&name)).unwrap();
    let mut frames = vec![32];
    while let Some(length) = log.get(frames[frames.len() - 1]..).and_then(|rest| rest.first_chunk()) {
        frames.push(frames[frames.len() - 1] + 24 + u32::from_le_bytes(*length) as usize);
    }
    damage(&mut log, &frames);
    fs::write(folder.join(&name), log).unwrap();
}

#[test]
fn each_damage_is_named_and_the_rest_is_saved() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("data");
    damaged(&data, |log, frames| {
        log[frames[2] + 100] ^= 1;
        log[frames[6] + 3] ^= 1;
    });
    let before = files(&data);
    let found = run(folder.path(), "check data --json").ended(1).json();
    let log = found["files"].as_array().unwrap().iter().find(|file| file["problems"] != json!([])).unwrap().clone();
    assert_eq!(log["problems"].as_array().unwrap().len(), 2, "{log}");
    let said = run(folder.path(), "repair data --into new --json").ended(1).json();
    let lost = said["lost"].to_string();
    assert!(lost.contains("record 7 is missing") && lost.contains("record 11 is missing"), "{lost}");
    assert!(files(&data) == before, "the damaged folder was changed");
    assert_eq!(said["documents"], 3 + 9 - 2, "{said}");
    let server = Server::start(&folder.path().join("new"));
    for n in [0, 1, 3, 4, 5, 7, 8] {
        let document = server.get(&format!("/v1/libraries/words/documents/d{n}")).ok();
        assert_eq!(document["attributes"]["name"], format!("d{n}"));
    }
    server.get("/v1/libraries/words/documents/d2").problem(404, "document_not_found");
    put(&server, "later");
}

#[test]
fn a_sound_folder_is_repaired_into_the_same() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("data");
    damaged(&data, |_, _| {});
    let said = run(folder.path(), "repair data --into new --json").ended(0).json();
    assert_eq!(said["lost"], json!([]));
    assert!(bytes(&data, None) == bytes(&folder.path().join("new"), None));
}

#[test]
fn a_damaged_index_is_made_again_with_a_warning() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    server.post("/v1/checkpoint", &Value::Null).ok();
    let before = server.contents();
    server.stop();
    let name = files(folder.path()).into_keys().find(|name| name.ends_with(".vecino")).unwrap();
    let path = folder.path().join(name);
    let mut bytes = fs::read(&path).unwrap();
    let place = |bytes: &[u8], tag: &[u8]| {
        let entry = bytes[64..].chunks(24).find(|entry| entry.starts_with(tag)).unwrap();
        u64::from_le_bytes(*entry[8..].first_chunk().unwrap()) as usize
    };
    for tag in [b"CODE", b"STAT"] {
        let at = place(&bytes, tag);
        bytes[at] ^= 1;
    }
    fs::write(&path, &bytes).unwrap();
    let said = run(folder.path(), "check . --json").ended(1).json().to_string();
    assert!(said.contains("CODE") && said.contains("STAT"), "{said}");
    let server = Server::start(folder.path());
    assert_eq!(server.contents(), before);
    assert!(server.log().contains("made again"), "{}", server.log());
}

#[test]
fn a_lost_checkpoint_is_replaced_by_the_snapshots() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("data");
    damaged(&data, |_, _| {});
    fs::write(data.join("CHECKPOINT"), "nonsense").unwrap();
    let said = run(folder.path(), "repair data --into new --json").ended(1).json();
    assert_eq!((&said["documents"], said["lost"].as_array().unwrap().len()), (&json!(12), 1), "{said}");
    let (database, _) = Database::open(FileStorage::open(&folder.path().join("new")).unwrap()).unwrap();
    assert_eq!(database.state().seq(), 13);
}
