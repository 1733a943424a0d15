//! Writers in this process, on the store without a network.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use serde_json::json;
use vecino_engine::{
    command::{ChunkDraft, Command, DocumentDraft, IndexDraft, LibraryDraft, OnConflict},
    model::{IndexType, Timestamp},
};
use vecino_server::{
    storage::FileStorage,
    store::{Durability, Store, StoreOptions},
};

use super::{Bench, Rounds, bare, compare, vector};

/// The id of the library and of the document.
pub(super) const PLACE: &str = "place";

static NUMBER: AtomicUsize = AtomicUsize::new(0);

pub(super) fn open(folder: &Path) -> Result<Store> {
    Ok(Store::open(FileStorage::open(folder)?, StoreOptions::default())?.0)
}

/// A library with one document without chunks.
pub(super) fn prepare(store: &Store) -> Result<()> {
    let library = LibraryDraft {
        id: PLACE.to_owned(),
        name: PLACE.to_owned(),
        index: IndexDraft { index_type: Some(IndexType::Flat), ..IndexDraft::default() },
        ..LibraryDraft::default()
    };
    store.write_blocking(Command::CreateLibrary(library), Durability::Synced, |_, _| {})?;
    put(store, vec![DocumentDraft { id: PLACE.to_owned(), title: PLACE.to_owned(), ..DocumentDraft::default() }])
}

pub(super) fn put(store: &Store, documents: Vec<DocumentDraft>) -> Result<()> {
    let command = Command::PutDocuments {
        library: PLACE.to_owned(),
        documents,
        on_conflict: OnConflict::Refuse,
        embedded_by: None,
        now: Timestamp::from_micros(0),
    };
    Ok(store.write_blocking(command, Durability::Synced, |_, _| {})?)
}

pub(super) fn chunk(dimension: usize) -> ChunkDraft {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let text = format!("Passage {number} is about rivers, bridges, and the towns where both of them meet.");
    ChunkDraft { id: format!("chunk-{number:012}"), text, embedding: vector(number, dimension), ..ChunkDraft::default() }
}

/// Writes one chunk, logged only.
pub(super) fn add(store: &Store, dimension: usize) -> Result<()> {
    Ok(store.write_blocking(command(dimension), Durability::Logged, |_, _| {})?)
}

fn command(dimension: usize) -> Command {
    Command::AddChunks {
        library: PLACE.to_owned(),
        document: PLACE.to_owned(),
        chunks: vec![chunk(dimension)],
        embedded_by: None,
        now: Timestamp::from_micros(0),
    }
}

/// `writers` threads write single chunks for a while. Latencies, and the seconds that it took.
pub(super) fn write(
    store: &Store,
    writers: usize,
    dimension: usize,
    time: Duration,
    durability: Durability,
) -> Result<(Vec<f64>, f64)> {
    let begun = Instant::now();
    let one = || -> Result<Vec<f64>> {
        let mut took = Vec::new();
        while begun.elapsed() < time {
            let command = command(dimension);
            let at = Instant::now();
            store.write_blocking(command, durability, |_, _| {})?;
            took.push(at.elapsed().as_secs_f64());
        }
        Ok(took)
    };
    let all = thread::scope(|scope| {
        let threads: Vec<_> = (0..writers).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a writer panicked"))?).collect::<Result<Vec<_>>>()
    })?;
    Ok((all.concat(), begun.elapsed().as_secs_f64()))
}

/// Bytes of log that one single-chunk write takes.
pub(super) fn log_bytes(bench: &Bench) -> Result<usize> {
    let folder = bench.path("size");
    let store = open(&folder)?;
    prepare(&store)?;
    let size = || -> Result<u64> {
        let files = std::fs::read_dir(&folder)?.filter_map(Result::ok);
        Ok(files
            .filter(|file| file.file_name().to_string_lossy().ends_with(".log"))
            .map(|file| file.metadata().map_or(0, |about| about.len()))
            .sum())
    };
    let before = size()?;
    let (took, _) = write(&store, 1, bench.args.dimension, Duration::from_millis(50), Durability::Synced)?;
    Ok(((size()? - before) as usize) / took.len().max(1))
}

pub(super) fn run(bench: &Bench) -> Result<()> {
    let bytes = log_bytes(bench)?;
    let store = open(&bench.path("data"))?;
    prepare(&store)?;
    let mut disk = Rounds::default();
    let mut counted: Vec<(usize, Rounds)> = bench.writers().into_iter().map(|count| (count, Rounds::default())).collect();
    let [mut logged, mut prepared] = [(); 2].map(|()| Rounds::default());
    for _ in 0..bench.args.rounds {
        disk.add(bare(bench.folder.path(), bytes, bench.time(), true)?, bench.args.seconds);
        prepared.add(bare(bench.folder.path(), bytes, bench.time(), false)?, bench.args.seconds);
        for (count, rounds) in &mut counted {
            let (took, seconds) = write(&store, *count, bench.args.dimension, bench.time(), Durability::Synced)?;
            rounds.add(took, seconds);
        }
        let (took, seconds) = write(&store, 1, bench.args.dimension, bench.time(), Durability::Logged)?;
        logged.add(took, seconds);
    }
    compare(bench, "in process", bytes, &disk, &counted);
    bench.say(json!({"what": "write+fdatasync, in a file of that length", "bytes": bytes, "figures": prepared.summary()}));
    bench.say(json!({"what": "in process, logged", "writers": 1, "figures": logged.summary()}));
    store.close()?;
    Ok(())
}
