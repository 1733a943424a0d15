//! The files of every release are opened for ever after.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use vecino_engine::{
    journal,
    library::Library,
    pool::Sequential,
    query::{Answer, Query},
    snapshot,
};
use vecino_server::{
    storage::FileStorage,
    store::{Store, StoreOptions},
};
use vecino_tests::{fixture, forge};

use crate::api::{copy, files};

fn releases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/formats");
    let mut all: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// The snapshots of all releases: where they are, and their bytes.
fn snapshots() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for release in releases() {
        let of = files(&release.join("data")).into_iter().filter(|(name, _)| name.ends_with(".vecino"));
        let before = all.len();
        all.extend(of.map(|(name, bytes)| (format!("{}/{name}", release.display()), bytes)));
        assert!(all.len() >= before + 6, "{} has no snapshot of each index", release.display());
    }
    all
}

/// Of each section its tag, where it lies, and its length.
fn sections(bytes: &[u8]) -> Vec<(String, usize, usize)> {
    let word = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
    let entries = (64..).step_by(24).take(word(12) & 0xFFFF_FFFF);
    let tag = |entry: usize| String::from_utf8(bytes[entry..entry + 4].to_vec()).unwrap();
    entries.map(|entry| (tag(entry), word(entry + 8), word(entry + 16))).collect()
}

fn ask(library: &Library) -> Answer {
    let query = Query { embedding: vec![0.5; 8], target_recall: Some(1.0), ..Query::default() };
    library.query(&query, &Sequential).unwrap()
}

#[test]
fn this_release_is_among_them() {
    let own = releases().into_iter().any(|release| release.ends_with(env!("CARGO_PKG_VERSION")));
    assert!(own, "make its files with: cargo run --package vecino-tests --bin fixture");
}

#[test]
fn the_folders_of_all_releases_open_and_are_whole() {
    for release in releases() {
        let shown = release.display();
        let expected: Value = serde_json::from_slice(&fs::read(release.join("content.json")).unwrap()).unwrap();
        let data = copy(&release.join("data"));
        let reading = FileStorage::open_read_only(data.path()).unwrap();
        let problems: Vec<_> = journal::check(&reading).unwrap().into_iter().flat_map(|file| file.problems).collect();
        assert!(problems.is_empty(), "{shown}: {problems:?}");
        assert!(fixture::described(&journal::state_at(&reading, None).unwrap()).unwrap() == expected, "{shown}");
        drop(reading);
        // Opened to be written, written anew by this release, and opened once more.
        for _ in 0..2 {
            let (store, recovery) = Store::open(FileStorage::open(data.path()).unwrap(), StoreOptions::default()).unwrap();
            assert!(recovery.snapshots >= 6 && recovery.repaired.is_empty(), "{shown}: {recovery:?}");
            assert!(fixture::described(&store.state()).unwrap() == expected, "{shown}");
            store.checkpoint().unwrap();
            store.close().unwrap();
        }
    }
}

#[test]
fn the_snapshots_of_all_releases_open_alone_and_their_indexes_serve() {
    for (name, bytes) in snapshots() {
        let library = snapshot::from_bytes(&name, &bytes).unwrap().intact().unwrap();
        let (asked, serving) = (library.info().index.index_type, library.index_state().serving);
        assert!(serving == asked || asked.as_str() == "auto", "{name}: {serving:?} serves instead of {asked:?}");
        assert_eq!(ask(&library).returned, 10, "{name}");
    }
}

#[test]
fn each_damaged_section_is_named_and_what_is_derived_is_made_again() {
    let mut mended = 0;
    for (name, bytes) in snapshots() {
        let whole = snapshot::from_bytes(&name, &bytes).unwrap().intact().unwrap();
        for (tag, offset, len) in sections(&bytes).into_iter().filter(|(_, _, len)| *len > 0) {
            let tag = tag.as_str();
            let mut damaged = bytes.clone();
            damaged[offset + len / 2] ^= 1;
            let (error, library) = match snapshot::from_bytes(&name, &damaged) {
                Ok(mut opened) => (opened.damage.remove(0), Some(opened.library)),
                Err(error) => (error, None),
            };
            assert!(error.detail.contains(tag) && error.detail.contains(&format!("byte {offset}")), "{name}: {error}");
            assert_eq!(library.is_some(), ["CODE", "STAT", "INDX"].contains(&tag), "{name}: {error}");
            if let Some(library) = library {
                assert_eq!(ask(&library).hits, ask(&whole).hits, "{name}: {error}");
                let settled = library.settled(&Sequential);
                assert_eq!(settled.index_state().serving, whole.index_state().serving, "{name}: {error}");
                assert_eq!(ask(&settled).hits, ask(&whole).hits, "{name}: {error}");
                mended += 1;
            }
        }
    }
    assert!(mended >= 14, "{mended}");
}

#[test]
fn no_codes_are_made_of_rows_that_are_no_numbers() {
    for (name, bytes) in snapshots() {
        let of = |tag: &str| sections(&bytes).into_iter().find(|section| section.0 == tag).unwrap();
        let ((_, rows, _), (_, codes, _)) = (of("VECS"), of("CODE"));
        let mut damaged = bytes.clone();
        damaged[rows..rows + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        forge::snapshot(&mut damaged);
        damaged[codes] ^= 1;
        let error = snapshot::from_bytes(&name, &damaged).unwrap_err();
        assert!(error.detail.contains(&format!("byte {rows}")), "{name}: {error}");
    }
}
