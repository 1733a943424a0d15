//! `vecino check`: that it finds damage wherever it is, and changes nothing.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use vecino_engine::db::Database;
use vecino_server::storage::FileStorage;

use crate::program::{Server, run};

type Files = BTreeMap<String, Vec<u8>>;

fn read(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn written(files: &Files) -> TempDir {
    let folder = tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// A data folder with a checkpoint, a snapshot and a log behind it, closed in order.
fn sample() -> Files {
    let folder = tempdir().unwrap();
    let line = |number: u32| format!("{}\n", json!({"_id": number, "text": format!("words of line {number}"), "n": number}));
    for (name, numbers) in [("a.jsonl", 0..40), ("b.jsonl", 40..80)] {
        fs::write(folder.path().join(name), numbers.map(line).collect::<String>()).unwrap();
        run(folder.path(), &format!("import {name} -l notes --data-dir data --batch-size 10")).ended(0);
        if name == "a.jsonl" {
            let (mut database, _) = Database::open(FileStorage::open(&folder.path().join("data")).unwrap()).unwrap();
            assert_eq!(database.checkpoint().unwrap().written, 1);
            database.close().unwrap();
        }
    }
    read(&folder.path().join("data"))
}

/// Checks a folder with these files: the exit code and the JSON. They must be the same afterwards.
fn check(files: &Files) -> (Option<i32>, Value) {
    let folder = written(files);
    let ended = run(folder.path(), "check . --json");
    assert_eq!(read(folder.path()), *files, "check changed something");
    (ended.code, ended.json())
}

/// The name of the file that ends so.
fn named(files: &Files, end: &str) -> String {
    files.keys().find(|name| name.ends_with(end)).unwrap().clone()
}

#[track_caller]
fn assert_damaged(files: &Files, name: &str, what: &str) {
    let (code, found) = check(files);
    assert_eq!((code, &found["clean"]), (Some(1), &json!(false)), "{name} {what}: {found}");
    let problems: Vec<&Value> = found["files"].as_array().unwrap().iter().filter(|file| file["problems"] != json!([])).collect();
    assert!(!problems.is_empty(), "{name} {what}: {found}");
    let code = &problems[0]["problems"][0]["code"];
    assert!(code == "damaged" || code == "unsupported_version", "{name} {what}: {found}");
    if name != "CLOSED" {
        assert!(problems.iter().any(|file| file["file"] == name), "{name} {what}: {found}");
    }
}

#[test]
fn a_sound_folder_is_clean() {
    let files = sample();
    let (code, found) = check(&files);
    assert_eq!((code, &found["clean"]), (Some(0), &json!(true)), "{found}");
    let items: BTreeMap<&str, u64> = found["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["file"].as_str().unwrap(), file["items"].as_u64().unwrap()))
        .collect();
    let expected = [("CHECKPOINT".to_owned(), 1), (named(&files, ".log"), 4), (named(&files, ".vecino"), 40)];
    assert_eq!(items, expected.iter().map(|(name, items)| (name.as_str(), *items)).collect());

    let folder = written(&files);
    let table = run(folder.path(), "check .").ended(0).stdout;
    assert!(table.contains(&named(&files, ".log")) && table.contains("is sound"), "{table}");
    for end in [".log", ".vecino"] {
        let single = run(folder.path(), &format!("check {} --json", named(&files, end))).ended(0).json();
        assert_eq!(single["clean"], true);
    }
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let files = sample();
    for end in [".log", ".vecino", "CHECKPOINT", "CLOSED"] {
        let name = named(&files, end);
        let len = files[&name].len();
        // The padding between the sections of a snapshot is the only thing without a checksum: these places avoid it.
        for place in [0, 9, 13, 17, 30, len / 4, len / 3, len / 2, len * 2 / 3, len - 300.min(len / 9 + 1), len - 1] {
            if place == len - 1 && end == ".vecino" {
                continue;
            }
            let mut damaged = files.clone();
            damaged.get_mut(&name).unwrap()[place] ^= 1 << (place % 8);
            assert_damaged(&damaged, &name, &format!("bit flipped at {place} of {len}"));
        }
    }
}

#[test]
fn a_file_that_was_cut_or_is_missing_is_found() {
    let files = sample();
    for end in [".log", ".vecino", "CHECKPOINT"] {
        let name = named(&files, end);
        let len = files[&name].len();
        for cut in [0, 8, len / 2, len - 1] {
            let mut damaged = files.clone();
            damaged.get_mut(&name).unwrap().truncate(cut);
            assert_damaged(&damaged, &name, &format!("cut to {cut} of {len}"));
        }
    }
    for end in [".log", ".vecino"] {
        let name = named(&files, end);
        let mut damaged = files.clone();
        damaged.remove(&name);
        let (code, found) = check(&damaged);
        assert_eq!((code, &found["clean"]), (Some(1), &json!(false)), "{name} is missing: {found}");
    }
}

#[test]
fn a_single_damaged_file_is_found() {
    let files = sample();
    for end in [".log", ".vecino"] {
        let name = named(&files, end);
        let mut damaged = files.clone();
        let middle = files[&name].len() / 2;
        damaged.get_mut(&name).unwrap()[middle] ^= 4;
        let folder = written(&damaged);
        let ended = run(folder.path(), &format!("check {name}")).ended(1);
        assert!(ended.stdout.contains("damaged at byte"), "{ended:?}");
    }
}

#[test]
fn a_folder_in_use_is_not_judged() {
    let folder = tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let ended = run(folder.path(), "check data --json").ended(2);
    assert_eq!(ended.json()["error"]["code"], "locked");
    assert!(ended.stderr.contains("another process"), "{ended:?}");
    assert!(run(folder.path(), "export x x.vecino --data-dir data").ended(1).stderr.contains("--server"));
    drop(server);
    let empty = tempdir().unwrap();
    assert!(run(empty.path(), "check .").ended(2).stderr.contains("holds no Vecino data"));
}
