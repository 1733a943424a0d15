//! Zeros for the next segment of the log.

use vecino_engine::journal;

use super::*;

/// The segments of the log, with their bytes.
fn segments(storage: &Faulty) -> Vec<(String, usize)> {
    let names = storage.list().unwrap().into_iter().filter(|name| name.ends_with(".log"));
    names.map(|name| (name.clone(), storage.read(&name).unwrap().unwrap().bytes().len())).collect()
}

#[test]
fn the_log_goes_on_in_zeros_that_were_prepared_and_ends_without_any() {
    let (store, storage) = store();
    while storage.prepared() == 0 {
        thread::yield_now();
    }
    let prepared = usize::try_from(storage.prepared()).unwrap();
    for document in ["a", "b", "c"] {
        run(&store, add(document)).unwrap();
    }
    let found = segments(&storage);
    assert!(found.len() == 2 && found[1].1 == prepared, "{found:?} with {prepared} bytes of zeros");
    assert!(journal::check(&storage.files).unwrap().iter().all(|file| file.problems.is_empty()));
    let (state, recovery) = reopened(&storage);
    assert_eq!((documents(&state).join(" "), recovery.torn_bytes), ("a b c".to_owned(), 0));
    store.close().unwrap();
    assert_eq!(storage.prepared(), 0);
    assert!(segments(&storage).iter().all(|(_, bytes)| *bytes < 1_000), "{:?}", segments(&storage));
    assert_eq!(documents(&reopened(&storage).0).join(" "), "a b c");
}

#[test]
fn large_groups_and_full_disks_do_without() {
    let (store, storage) = store();
    while storage.prepared() == 0 {
        thread::yield_now();
    }
    // More than was prepared: the segment grows.
    let mut command = put("large", &[], OnConflict::Refuse);
    if let Command::PutDocuments { documents, .. } = &mut command {
        let chunk = |number: usize| ChunkDraft { id: number.to_string(), text: "x".repeat(9_000), ..ChunkDraft::default() };
        documents[0].chunks = (0..100).map(chunk).collect();
        documents[0].chunks.iter_mut().for_each(|chunk| chunk.embedding = vec![1.0, 2.0]);
    }
    run(&store, command).unwrap();
    assert_eq!(segments(&storage).len(), 1);
    let full = Faulty::default();
    full.set(|faults| faults.free = Some(1 << 20));
    let failing = Faulty::default();
    failing.set(|faults| faults.failing = Some(("prepare", Code::Storage)));
    for storage in [full, failing] {
        let (store, _) = Store::open(storage, StoreOptions::default()).unwrap();
        let draft = LibraryDraft { id: "library".into(), name: "library".into(), ..LibraryDraft::default() };
        run(&store, Command::CreateLibrary(draft)).unwrap();
        while !store.shared.preparer.has_failed() {
            thread::yield_now();
        }
        run(&store, add("a")).unwrap();
        assert_eq!((segments(&store.shared.storage).len(), store.shared.storage.prepared()), (1, 0));
        store.close().unwrap();
    }
}
