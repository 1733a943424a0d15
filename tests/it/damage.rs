//! Damaged and truncated files: a clear typed error each time, and nothing changed on the disk.

use serde_json::json;
use vecino_engine::{
    Code,
    command::{Command, LibraryDraft, OnConflict},
    db::Database,
    journal,
    model::Timestamp,
    storage::MemoryStorage,
};
use vecino_tests::{chunk, document};

/// A small database with a checkpoint and some log behind it.
fn filled() -> Database<MemoryStorage> {
    let (mut database, _) = Database::open(MemoryStorage::default()).unwrap();
    database
        .execute(Command::CreateLibrary(LibraryDraft { id: "l".into(), name: "library".into(), ..LibraryDraft::default() }))
        .unwrap();
    put(&mut database, 0);
    database.checkpoint().unwrap();
    put(&mut database, 1);
    put(&mut database, 2);
    database
}

fn put(database: &mut Database<MemoryStorage>, number: usize) {
    let mut draft = document(&format!("d{number}"), vec![chunk(&format!("c{number}"), "some text", &[1.0, number as f32, 0.5])]);
    draft.attributes.insert("number".into(), json!(number));
    let (library, now) = ("l".to_owned(), Timestamp::MIN);
    database
        .execute(Command::PutDocuments {
            library,
            documents: vec![draft],
            on_conflict: OnConflict::Refuse,
            embedded_by: None,
            now,
        })
        .unwrap();
}

fn file_ending(storage: &mut MemoryStorage, end: &str) -> String {
    storage.files_mut().keys().find(|name| name.ends_with(end)).unwrap().clone()
}

/// Opening must fail with one of the two codes, change nothing, and be reported by a check.
fn assert_refused(mut storage: MemoryStorage, what: &str) {
    let before = storage.files_mut().clone();
    assert!(journal::check(&storage).unwrap().iter().any(|file| !file.problems.is_empty()), "{what}: check finds nothing");
    let error = Database::open(storage.clone()).map(|_| ()).expect_err(what);
    assert!(matches!(error.code, Code::Damaged | Code::UnsupportedVersion), "{what}: {error}");
    assert!(error.field.is_some() || error.code == Code::UnsupportedVersion, "{what}: {error} names no file");
    assert_eq!(*storage.files_mut(), before, "{what}: the files have changed");
}

#[test]
fn every_flipped_bit_of_every_file_is_found() {
    let storage = filled().close().unwrap();
    let names: Vec<String> = storage.clone().files_mut().keys().cloned().collect();
    assert_eq!(names.len(), 4, "{names:?}");
    let whole = filled().state_bytes().unwrap();
    let mut mended = 0;
    for name in names {
        let len = storage.clone().files_mut()[&name].len();
        for bit in 0..len * 8 {
            let mut damaged = storage.clone();
            let bytes = damaged.files_mut().get_mut(&name).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let what = format!("{name}, bit {bit}");
            match Database::open(damaged.clone()) {
                // What is derived is made again, and that is told.
                Ok((database, recovery)) if !recovery.repaired.is_empty() => {
                    mended += 1;
                    assert!(name.ends_with(".vecino"), "{what}");
                    assert!(journal::check(&damaged).unwrap().iter().any(|file| !file.problems.is_empty()), "{what}");
                    assert_eq!(database.state_bytes().unwrap(), whole, "{what}");
                }
                _ => assert_refused(damaged, &what),
            }
        }
    }
    assert!(mended > 0);
}

#[test]
fn every_truncation_after_an_orderly_end_is_found() {
    let storage = filled().close().unwrap();
    for name in storage.clone().files_mut().keys().filter(|name| *name != "CLOSED") {
        for len in 0..storage.clone().files_mut()[name].len() {
            let mut damaged = storage.clone();
            damaged.files_mut().get_mut(name).unwrap().truncate(len);
            assert_refused(damaged, &format!("{name} cut to {len} bytes"));
        }
    }
}

#[test]
fn a_missing_file_is_found() {
    let storage = filled().close().unwrap();
    for end in [".vecino", ".log"] {
        let mut damaged = storage.clone();
        let name = file_ending(&mut damaged, end);
        damaged.files_mut().remove(&name);
        let error = Database::open(damaged).map(|_| ()).unwrap_err();
        assert_eq!(error.code, Code::Damaged, "{name}: {error}");
    }
}

#[test]
fn a_torn_write_is_cut_off_and_writing_goes_on() {
    let whole = filled().into_storage();
    let (database, recovery) = Database::open(whole.clone()).unwrap();
    assert_eq!((recovery.replayed, recovery.torn_bytes), (2, 0));
    let all = database.state_bytes().unwrap();
    let mut torn = whole.clone();
    let log = file_ending(&mut torn, ".log");
    let half = torn.files_mut()[&log].len() - 5;
    torn.files_mut().get_mut(&log).unwrap().truncate(half);
    assert!(journal::check(&torn).unwrap().iter().any(|file| !file.problems.is_empty()));
    let (mut database, recovery) = Database::open(torn).unwrap();
    assert_eq!(recovery.replayed, 1);
    assert!(recovery.torn_bytes > 0);
    put(&mut database, 2);
    assert_eq!(database.state_bytes().unwrap(), all);
    let (database, recovery) = Database::open(database.into_storage()).unwrap();
    assert_eq!((recovery.replayed, recovery.torn_bytes), (2, 0));
    assert_eq!(database.state_bytes().unwrap(), all);
}

#[test]
fn a_sound_folder_passes_the_check() {
    for storage in [filled().close().unwrap(), filled().into_storage(), MemoryStorage::default()] {
        let found = journal::check(&storage).unwrap();
        assert!(found.iter().all(|file| file.problems.is_empty()), "{found:?}");
    }
}

#[test]
fn state_has_the_same_bytes_from_the_log_and_from_a_snapshot() {
    let mut database = filled();
    let from_log = database.state_bytes().unwrap();
    database.checkpoint().unwrap();
    let (database, recovery) = Database::open(database.into_storage()).unwrap();
    assert_eq!((recovery.snapshots, recovery.replayed), (1, 0));
    assert_eq!(database.state_bytes().unwrap(), from_log);
}
