//! The store over a storage that can be held, filled up and broken.

mod linear;
mod prepared;
mod space;
mod unload;

use std::{
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use vecino_engine::{
    Code, Error, Result,
    blob::Blob,
    command::{ChunkDraft, Command, DocumentDraft, LibraryDraft, OnConflict},
    db::Written,
    storage::{Fill, MemoryStorage, Storage},
};

use super::*;

/// A storage in memory, with faults.
#[derive(Debug, Default)]
struct Faulty {
    files: MemoryStorage,
    faults: Mutex<Faults>,
    changed: Condvar,
}

#[derive(Clone, Debug, Default)]
struct Faults {
    /// Calls of this name wait.
    held: Option<&'static str>,
    /// How many wait now.
    waiting: usize,
    /// Calls of this name fail so.
    failing: Option<(&'static str, Code)>,
    free: Option<u64>,
    syncs: usize,
}

impl Faulty {
    fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.faults.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits until a call is held.
    fn until_held(&self) {
        drop(self.changed.wait_while(self.faults.lock().unwrap(), |faults| faults.waiting == 0).unwrap());
    }

    fn syncs(&self) -> usize {
        self.faults.lock().unwrap().syncs
    }

    fn call(&self, name: &str) -> Result<()> {
        let mut faults = self.faults.lock().unwrap();
        while faults.held == Some(name) {
            faults.waiting += 1;
            self.changed.notify_all();
            faults = self.changed.wait(faults).unwrap();
            faults.waiting -= 1;
        }
        faults.syncs += usize::from(name == "sync");
        match faults.failing {
            Some((failing, code)) if failing == name => Err(Error::new(code, format!("{name} fails"))),
            _ => Ok(()),
        }
    }
}

impl Storage for Faulty {
    fn list(&self) -> Result<Vec<String>> {
        self.files.list()
    }

    fn read(&self, name: &str) -> Result<Option<Blob>> {
        self.files.read(name)
    }

    fn write(&self, name: &str, fill: &mut Fill<'_>) -> Result<()> {
        self.call("write")?;
        self.files.write(name, fill)
    }

    fn begin(&self, name: &str, bytes: &[u8]) -> Result<u64> {
        self.call("write")?;
        self.files.begin(name, bytes)
    }

    fn append(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        if let Err(error) = self.call("append") {
            self.files.append(name, at, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.files.append(name, at, bytes)
    }

    fn sync(&self, name: &str) -> Result<()> {
        self.call("sync")?;
        self.files.sync(name)
    }

    fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.call("truncate")?;
        self.files.truncate(name, len)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.files.remove(name)
    }

    fn prepare(&self, bytes: u64) -> Result<()> {
        self.call("prepare")?;
        self.files.prepare(bytes)
    }

    fn prepared(&self) -> u64 {
        self.files.prepared()
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(self.faults.lock().unwrap().free)
    }
}

/// A store with an empty library, and its storage.
fn store_with(options: StoreOptions) -> (Arc<Store<Faulty>>, Arc<Faulty>) {
    let (store, _) = Store::open(Faulty::default(), options).unwrap();
    let storage = Arc::clone(&store.shared.storage);
    let draft = LibraryDraft { id: "library".into(), name: "library".into(), ..LibraryDraft::default() };
    run(&store, Command::CreateLibrary(draft)).unwrap();
    (Arc::new(store), storage)
}

fn store() -> (Arc<Store<Faulty>>, Arc<Faulty>) {
    store_with(StoreOptions { checkpoint_after: 0, ..StoreOptions::default() })
}

fn run(store: &Store<Faulty>, command: Command) -> Result<u64> {
    store.write_blocking(command, Durability::Synced, |_, written: Written| written.seq)
}

/// A document with a chunk of each id.
fn put(document: &str, chunks: &[&str], on_conflict: OnConflict) -> Command {
    let chunk = |id: &&str| ChunkDraft {
        id: (*id).to_owned(),
        text: format!("text of {id}"),
        embedding: vec![1.0, 2.0],
        ..ChunkDraft::default()
    };
    let draft = DocumentDraft {
        id: document.to_owned(),
        title: "Title".to_owned(),
        chunks: chunks.iter().map(chunk).collect(),
        ..DocumentDraft::default()
    };
    Command::PutDocuments {
        library: "library".to_owned(),
        documents: vec![draft],
        on_conflict,
        embedded_by: None,
        now: vecino_engine::model::Timestamp::from_micros(0),
    }
}

fn add(document: &str) -> Command {
    put(document, &[], OnConflict::Refuse)
}

fn delete(document: &str) -> Command {
    Command::DeleteDocuments { library: "library".to_owned(), documents: vec![document.to_owned()] }
}

/// Runs commands at once, all of which wait while the disk is held at the first; what each came to.
fn together(store: &Arc<Store<Faulty>>, storage: &Faulty, commands: Vec<Command>) -> Vec<Result<u64>> {
    storage.set(|faults| faults.held = Some("sync"));
    let first = thread::spawn({
        let store = Arc::clone(store);
        move || run(&store, add("the first, alone"))
    });
    storage.until_held();
    let mut threads = Vec::new();
    for (number, command) in commands.into_iter().enumerate() {
        let store_of = Arc::clone(store);
        threads.push(thread::spawn(move || run(&store_of, command)));
        while store.waiting().0 <= number {
            thread::yield_now();
        }
    }
    storage.set(|faults| faults.held = None);
    first.join().unwrap().unwrap();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// What a restart after a crash finds.
fn reopened(storage: &Faulty) -> (Arc<State>, Recovery) {
    let copy = Faulty { files: storage.files.clone(), ..Faulty::default() };
    let (store, recovery) = Store::open(copy, StoreOptions::default()).unwrap();
    (store.state(), recovery)
}

fn documents(state: &State) -> Vec<String> {
    let library = state.library("library").unwrap();
    library.documents_after(None).map(|entry| entry.document.id.to_string()).collect()
}

#[test]
fn a_group_has_one_sync_and_a_bad_command_fails_alone() {
    let (store, storage) = store();
    let before = storage.syncs();
    let results = together(&store, &storage, vec![add("a"), add("a"), delete("a"), delete("none"), add("a"), add("b")]);
    let codes: Vec<_> = results.iter().map(|result| result.as_ref().map(|seq| *seq).map_err(|error| error.code)).collect();
    assert_eq!(codes, [Ok(3), Err(Code::DocumentExists), Ok(4), Err(Code::DocumentNotFound), Ok(5), Ok(6)]);
    assert_eq!(storage.syncs() - before, 2, "one for the first, one for the group");
    assert_eq!(documents(&store.state()), ["a", "b", "the first, alone"]);
    assert_eq!(documents(&reopened(&storage).0), documents(&store.state()));
}

#[test]
fn nothing_is_seen_before_it_is_durable_and_readers_never_wait() {
    let (store, storage) = store();
    let mut changes = store.watch();
    storage.set(|faults| faults.held = Some("sync"));
    let writer = thread::spawn({
        let store = Arc::clone(&store);
        move || run(&store, add("a"))
    });
    storage.until_held();
    assert_eq!((store.state().seq(), documents(&store.state()).len()), (1, 0));
    assert!(!changes.has_changed().unwrap());
    storage.set(|faults| faults.held = None);
    assert_eq!(writer.join().unwrap(), Ok(2));
    assert!(changes.has_changed().unwrap());
    assert_eq!(changes.borrow_and_update().seq(), 2);
}

#[test]
fn a_failed_sync_stops_writing_for_good() {
    let (store, storage) = store();
    run(&store, add("before")).unwrap();
    storage.set(|faults| faults.failing = Some(("sync", Code::Storage)));
    assert_eq!(run(&store, add("lost")).unwrap_err().code, Code::Storage);
    storage.set(|faults| faults.failing = None);
    for command in [add("after"), delete("before")] {
        let error = run(&store, command).unwrap_err();
        assert!(error.code == Code::Storage && error.detail.contains("after a restart"), "{error}");
    }
    assert!(store.checkpoint().is_err() && store.failure().is_some());
    assert_eq!(documents(&store.state()), ["before"], "what failed is not seen, and reading goes on");
}

#[test]
fn the_next_group_is_planned_meanwhile_and_fails_with_the_one_that_it_builds_on() {
    let (store, storage) = store();
    run(&store, add("before")).unwrap();
    storage.set(|faults| faults.held = Some("append"));
    let write = |command| {
        let store = Arc::clone(&store);
        thread::spawn(move || run(&store, command))
    };
    let first = write(add("a"));
    storage.until_held();
    let planned = Arc::new(AtomicU64::new(0));
    let second = thread::spawn({
        let (store, planned) = (Arc::clone(&store), Arc::clone(&planned));
        move || {
            let seen = move |state: &State, _| planned.store(state.seq(), Ordering::Relaxed);
            // What is much is planned at once.
            let texts = vec!["x".repeat(9_000); 8];
            let mut command = put("a", &["1", "2", "3", "4", "5", "6", "7", "8"], OnConflict::Replace);
            if let Command::PutDocuments { documents, .. } = &mut command {
                documents[0].chunks.iter_mut().zip(texts).for_each(|(chunk, text)| chunk.text = text);
            }
            store.write_blocking(command, Durability::Synced, seen)
        }
    });
    while planned.load(Ordering::Relaxed) == 0 {
        thread::yield_now();
    }
    assert_eq!((planned.load(Ordering::Relaxed), store.state().seq()), (4, 2));
    storage.set(|faults| (faults.held, faults.failing) = (None, Some(("append", Code::StorageFull))));
    assert_eq!(first.join().unwrap().unwrap_err().code, Code::StorageFull);
    assert_eq!(second.join().unwrap().unwrap_err().code, Code::StorageFull);
    storage.set(|faults| faults.failing = None);
    assert_eq!(run(&store, delete("a")).unwrap_err().code, Code::DocumentNotFound);
    assert_eq!(run(&store, add("b")), Ok(3));
    assert_eq!(documents(&store.state()), ["b", "before"]);
    assert_eq!(documents(&reopened(&storage).0), ["b", "before"]);
}

#[test]
fn after_a_failed_sync_of_logged_writes_nothing_more_is_tried() {
    let (store, storage) = store();
    storage.set(|faults| faults.failing = Some(("sync", Code::Storage)));
    store.write_blocking(add("logged"), Durability::Logged, |_, _| {}).unwrap();
    while store.failure().is_none() {
        thread::yield_now();
    }
    thread::sleep(2 * LOGGED_DELAY);
    assert_eq!(store.shared.failures.load(Ordering::Relaxed), 1);
}

#[test]
fn an_input_error_while_appending_stops_writing_for_good() {
    let (store, storage) = store();
    storage.set(|faults| faults.failing = Some(("append", Code::Storage)));
    assert_eq!(run(&store, add("lost")).unwrap_err().code, Code::Storage);
    storage.set(|faults| faults.failing = None);
    assert!(run(&store, add("after")).unwrap_err().detail.contains("after a restart"));
    let (state, recovery) = reopened(&storage);
    assert!(documents(&state).is_empty() && recovery.torn_bytes > 0);
}

#[test]
fn a_logged_write_is_answered_before_the_sync_that_follows() {
    let (store, storage) = store();
    let before = storage.syncs();
    storage.set(|faults| faults.held = Some("sync"));
    let begun = Instant::now();
    for document in ["a", "b"] {
        store.write_blocking(add(document), Durability::Logged, |_, _| {}).unwrap();
    }
    assert_eq!(documents(&store.state()), ["a", "b"]);
    assert_eq!(storage.syncs(), before);
    storage.until_held();
    assert!(begun.elapsed() >= LOGGED_DELAY);
    storage.set(|faults| faults.held = None);
    // One that is synced also covers what was logged before it.
    store.write_blocking(add("c"), Durability::Logged, |_, _| {}).unwrap();
    run(&store, add("d")).unwrap();
    assert!(storage.syncs() >= before + 2);
}

#[test]
fn what_is_too_much_is_refused_and_the_end_is_in_order() {
    let (store, storage) = store();
    storage.set(|faults| faults.held = Some("sync"));
    let writers: Vec<_> = (0..3)
        .map(|number| {
            let store = Arc::clone(&store);
            let title = "x".repeat(WAITING.weight / 2);
            let mut command = add(&format!("d{number}"));
            if let Command::PutDocuments { documents, .. } = &mut command {
                documents[0].chunks = vec![ChunkDraft { id: format!("c{number}"), text: title, ..ChunkDraft::default() }];
            }
            thread::spawn(move || {
                if number > 0 {
                    store.shared.storage.until_held();
                }
                run(&store, if number == 0 { add("first") } else { command })
            })
        })
        .collect();
    storage.until_held();
    while store.waiting().0 == 0 {
        thread::yield_now();
    }
    let codes = |threads: Vec<thread::JoinHandle<Result<u64>>>| -> Vec<Option<Code>> {
        threads.into_iter().map(|thread| thread.join().unwrap().err().map(|error| error.code)).collect()
    };
    thread::sleep(Duration::from_millis(20));
    storage.set(|faults| faults.held = None);
    let mut ends = codes(writers);
    ends.sort_unstable();
    // One text is too long for the plan, and the other one was too much to wait beside it.
    assert_eq!(ends, [None, Some(Code::LimitExceeded), Some(Code::Overloaded)]);
    store.close().unwrap();
    assert_eq!(run(&store, add("late")).unwrap_err().code, Code::Storage);
    assert!(storage.list().unwrap().contains(&"CLOSED".to_owned()));
}
