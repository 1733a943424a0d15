//! Damaged files are named, with the place, and stay as they are.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::tempdir;

use crate::api::{files, refused, with_words};

/// The start is refused with one line that has these words; nothing is changed.
#[track_caller]
fn refuses(folder: &Path, words: &[&str]) {
    let before = files(folder);
    let (code, log) = refused(folder, &["-q"]);
    assert_eq!((code, log.lines().count()), (Some(1), 1), "{log}");
    for word in words {
        assert!(log.contains(word), "no '{word}' in: {log}");
    }
    assert!(files(folder) == before, "a refused start changed the files");
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn find(folder: &Path, ending: &str) -> (String, std::path::PathBuf) {
    let name = files(folder).into_keys().find(|name| name.ends_with(ending)).unwrap();
    (name.clone(), folder.join(name))
}

#[test]
fn a_damaged_log_is_named() {
    let folder = tempdir().unwrap();
    with_words(folder.path()).stop();
    let (name, path) = find(folder.path(), ".log");
    let sound = fs::read(&path).unwrap();
    let words = ["damaged", &name, "byte"];
    for at in [3, 40, sound.len() / 2, sound.len() - 5] {
        change(&path, |bytes| bytes[at] ^= 0x10);
        refuses(folder.path(), &words);
        fs::write(&path, &sound).unwrap();
    }
    change(&path, |bytes| bytes.truncate(sound.len() - 10));
    refuses(folder.path(), &words);
    fs::remove_file(&path).unwrap();
    refuses(folder.path(), &["damaged", "missing"]);
}

#[test]
fn a_damaged_snapshot_is_named() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    server.post("/v1/checkpoint", &Value::Null).ok();
    server.stop();
    let (name, path) = find(folder.path(), ".vecino");
    let sound = fs::read(&path).unwrap();
    for at in [3, 70, sound.len() / 2] {
        change(&path, |bytes| bytes[at] ^= 1);
        refuses(folder.path(), &["damaged", &name, "byte"]);
        fs::write(&path, &sound).unwrap();
    }
    change(&path, |bytes| bytes.truncate(sound.len() - 64));
    refuses(folder.path(), &["damaged", &name, "cut short"]);
    fs::remove_file(&path).unwrap();
    refuses(folder.path(), &[&name, "missing"]);
    fs::write(&path, &sound).unwrap();
    let (_, checkpoint) = find(folder.path(), "CHECKPOINT");
    change(&checkpoint, |bytes| bytes[20] ^= 1);
    refuses(folder.path(), &["damaged", "CHECKPOINT"]);
}
