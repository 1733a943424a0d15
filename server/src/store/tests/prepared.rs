//! Zeros for the next segment of the log.

use vecino_engine::journal;

use super::*;

/// The segments of the log, with their bytes.
fn segments(storage: &Faulty) -> Vec<(String, usize)> {
    let names = storage.list().unwrap().into_iter().filter(|name| name.ends_with(".log"));
    names.map(|name| (name.clone(), storage.read(&name).unwrap().unwrap().bytes().len())).collect()
}

/// So much that zeros are worth their while.
fn much(document: &str) -> Command {
    let mut command = put(document, &[], OnConflict::Refuse);
    if let Command::PutDocuments { documents, .. } = &mut command {
        let chunk = |number: usize| ChunkDraft {
            id: format!("{document} {number}"),
            text: "x".repeat(9_000),
            embedding: vec![1.0, 2.0],
            ..ChunkDraft::default()
        };
        documents[0].chunks = (0..100).map(chunk).collect();
    }
    command
}

/// A store with zeros for its log.
fn prepared() -> (Arc<Store<Faulty>>, Arc<Faulty>) {
    let (store, storage) = store();
    run(&store, much("much")).unwrap();
    run(&store, add("small")).unwrap();
    while storage.prepared() == 0 {
        thread::yield_now();
    }
    (store, storage)
}

#[test]
fn the_log_goes_on_in_zeros_that_were_prepared_and_ends_without_any() {
    let (store, storage) = prepared();
    let prepared = usize::try_from(storage.prepared()).unwrap();
    for document in ["a", "b", "c"] {
        run(&store, add(document)).unwrap();
    }
    let found = segments(&storage);
    assert!(found.len() == 2 && found[1].1 == prepared, "{found:?} with {prepared} bytes of zeros");
    assert!(journal::check(&storage.files).unwrap().iter().all(|file| file.problems.is_empty()));
    let (state, recovery) = reopened(&storage);
    assert_eq!((documents(&state).join(" "), recovery.torn_bytes), ("a b c much small".to_owned(), 0));
    store.close().unwrap();
    assert_eq!(storage.prepared(), 0);
    assert!(segments(&storage)[1].1 < 1_000, "{:?}", segments(&storage));
    assert_eq!(documents(&reopened(&storage).0).join(" "), "a b c much small");
}

#[test]
fn large_groups_little_data_and_full_disks_do_without() {
    let (store, _) = store();
    let wanted = |data| store.shared.log().unwrap().journal.as_ref().and_then(|journal| journal.wants_prepared(|| data));
    assert_eq!((wanted(1 << 10), wanted(1 << 20), wanted(1 << 40)), (None, Some(512 << 10), Some(64 << 20)));
    run(&store, much("much")).unwrap();
    assert_eq!(wanted(1 << 20), None, "the last group was large");
    // More than was prepared: the segment grows.
    let (store, storage) = prepared();
    run(&store, much("more")).unwrap();
    assert_eq!(segments(&storage).len(), 1);
    for (free, failing) in [(Some(1 << 20), None), (None, Some(("prepare", Code::Storage)))] {
        let (store, storage) = self::store();
        storage.set(|faults| (faults.free, faults.failing) = (free, failing));
        run(&store, much("much")).unwrap();
        run(&store, add("small")).unwrap();
        while !store.shared.preparer.has_failed() {
            thread::yield_now();
        }
        run(&store, add("a")).unwrap();
        assert_eq!((segments(&storage).len(), storage.prepared()), (1, 0));
        store.close().unwrap();
    }
}

#[test]
fn zeros_that_cannot_be_taken_are_done_without() {
    let (store, storage) = prepared();
    storage.set(|faults| faults.failing = Some(("write", Code::StorageFull)));
    run(&store, add("a")).unwrap();
    assert_eq!(segments(&storage).len(), 1);
    storage.set(|faults| faults.failing = None);
    assert_eq!(documents(&reopened(&storage).0).join(" "), "a much small");
}
