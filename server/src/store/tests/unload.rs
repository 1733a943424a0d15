//! Libraries that are not in memory.

use vecino_engine::{command::LibraryDraft, pool::Sequential, query::Query, snapshot};

use super::*;

/// A store whose library has a document with two chunks, in a snapshot.
fn with_snapshot() -> (Arc<Store<Faulty>>, Arc<Faulty>) {
    let (store, storage) = store();
    run(&store, put("a", &["one", "two"], OnConflict::Refuse)).unwrap();
    store.checkpoint().unwrap();
    (store, storage)
}

fn loaded(store: &Store<Faulty>) -> Vec<String> {
    store.state().loaded().map(|library| library.info().id.to_string()).collect()
}

fn bytes(state: &State) -> Vec<u8> {
    snapshot::to_bytes(state.library("library").unwrap()).unwrap()
}

/// The same data in another store, which opens nothing with the log.
fn opened_lazily(storage: &Faulty) -> (Store<Faulty>, Recovery) {
    let copy = Faulty { files: storage.files.clone(), ..Faulty::default() };
    Store::open(copy, StoreOptions { open_bytes: 0, checkpoint_after: 0, ..StoreOptions::default() }).unwrap()
}

#[test]
fn a_library_that_nobody_asks_for_is_unloaded_and_opened_again() {
    let (store, _) = with_snapshot();
    let before = bytes(&store.state());
    assert_eq!(store.shared.unload().unwrap(), 0, "it was asked for just now");
    assert_eq!(store.shared.unload().unwrap(), 1);
    assert!(loaded(&store).is_empty());
    let state = store.state();
    let summary = state.find("library").unwrap().summary();
    assert_eq!((summary.documents, summary.chunks, summary.seq), (1, 2, 2));
    assert!(loaded(&store).is_empty(), "a summary opens nothing");
    let state = store.opened("library").unwrap();
    assert_eq!(loaded(&store), ["library"]);
    assert_eq!(bytes(&state), before);
    let query = Query { embedding: vec![1.0, 2.0], k: 2, ..Query::default() };
    assert_eq!(state.library("library").unwrap().query(&query, &Sequential).unwrap().hits.len(), 2);
}

#[test]
fn what_no_snapshot_holds_stays_in_memory() {
    let (store, _) = with_snapshot();
    run(&store, add("b")).unwrap();
    for _ in 0..3 {
        assert_eq!(store.shared.unload().unwrap(), 0);
    }
    assert_eq!(documents(&store.state()), ["a", "b"]);
}

#[test]
fn writes_go_to_libraries_that_are_not_in_memory() {
    let (_, storage) = with_snapshot();
    let (store, recovery) = opened_lazily(&storage);
    assert_eq!((recovery.snapshots, loaded(&store).len()), (1, 0));
    run(&store, add("b")).unwrap();
    assert_eq!(documents(&store.state()), ["a", "b"]);
    // What is in the log alone is applied to what is on the shelf.
    let (again, recovery) = opened_lazily(&store.shared.storage);
    assert_eq!((recovery.replayed, documents(&again.state())), (1, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(bytes(&again.state()), bytes(&store.state()));
}

#[test]
fn names_copies_and_aliases_need_no_library_in_memory() {
    let (_, storage) = with_snapshot();
    let (store, _) = opened_lazily(&storage);
    run(&store, Command::SetAliases { aliases: vec![("other".to_owned(), Some("library".to_owned()))] }).unwrap();
    store.checkpoint().unwrap();
    let (store, _) = opened_lazily(&store.shared.storage);
    assert!(store.state().find("other").is_some() && loaded(&store).is_empty());
    let taken = LibraryDraft { id: "x".into(), name: "other".into(), ..LibraryDraft::default() };
    assert_eq!(run(&store, Command::CreateLibrary(taken)).unwrap_err().code, Code::LibraryExists);
    let now = vecino_engine::model::Timestamp::from_micros(0);
    run(&store, Command::CopyLibrary { library: "other".into(), id: "copy".into(), name: "copy".into(), now }).unwrap();
    assert_eq!(store.state().library("copy").unwrap().chunk_count(), 2);
    let (store, _) = opened_lazily(&storage);
    run(&store, Command::DeleteLibrary { library: "library".into() }).unwrap();
    assert!(store.state().find("library").is_none() && loaded(&store).is_empty());
}

#[test]
fn a_reader_of_an_old_state_gets_the_library_of_the_new_one() {
    let (_, storage) = with_snapshot();
    let (store, _) = opened_lazily(&storage);
    let old = store.state();
    let (copy, _) = opened_lazily(&storage);
    run(&store, add("b")).unwrap();
    drop(copy);
    assert!(old.find("library").unwrap().loaded().is_some(), "what one version opens, all versions have");
    // A state whose library was on the shelf when its snapshot went.
    let (store, _) = opened_lazily(&storage);
    let name = store.shared.storage.list().unwrap().into_iter().find(|name| name.ends_with(".vecino")).unwrap();
    store.shared.storage.files.remove(&name).unwrap();
    let error = store.opened("library").unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), (Code::Damaged, Some(&*name)));
    assert_eq!(store.opened("none").unwrap_err().code, Code::LibraryNotFound);
}

#[test]
fn large_libraries_lie_in_their_snapshots() {
    let (store, _) = store();
    let chunks = |from: usize| -> Vec<ChunkDraft> {
        let chunk = |number: usize| ChunkDraft {
            id: format!("{number}"),
            text: format!("text of {number}"),
            embedding: (0..512).map(|place| ((number * 31 + place * 7) % 101) as f32 - 50.0).collect(),
            ..ChunkDraft::default()
        };
        (from..from + 600).map(chunk).collect()
    };
    let many = |id: &str, from: usize| {
        let Command::PutDocuments { library, mut documents, on_conflict, embedded_by, now } = put(id, &[], OnConflict::Refuse)
        else {
            unreachable!()
        };
        documents[0].chunks = chunks(from);
        Command::PutDocuments { library, documents, on_conflict, embedded_by, now }
    };
    run(&store, many("a", 0)).unwrap();
    let held = |store: &Store<Faulty>| store.state().library("library").unwrap().vectors().memory();
    assert!(held(&store) > 1 << 20);
    let before = bytes(&store.state());
    store.checkpoint().unwrap();
    assert_eq!((held(&store), bytes(&store.state())), (0, before));
    run(&store, many("b", 600)).unwrap();
    assert!(held(&store) > 1 << 20, "what is new is in memory");
    let before = bytes(&store.state());
    store.checkpoint().unwrap();
    assert_eq!((held(&store), bytes(&store.state())), (0, before.clone()));
    assert_eq!(bytes(&reopened(&store.shared.storage).0), before);
}
