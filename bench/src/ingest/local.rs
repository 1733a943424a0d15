//! Writers in this process, on the store without a network.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use serde_json::json;
use tokio::{runtime::Builder, task::JoinSet};
use vecino_engine::{
    blob::Blob,
    command::{ChunkDraft, Command, DocumentDraft, IndexDraft, LibraryDraft, OnConflict},
    model::{IndexType, Timestamp},
    storage::{Fill, Storage},
};
use vecino_server::{
    storage::FileStorage,
    store::{Durability, Store, StoreOptions},
};

use super::{Bench, Length, Rounds, bare, compare, round, vector};

/// The id of the library and of the document.
pub(super) const PLACE: &str = "place";

static NUMBER: AtomicUsize = AtomicUsize::new(0);

pub(super) fn open(folder: &Path) -> Result<Store> {
    Ok(Store::open(FileStorage::open(folder)?, StoreOptions::default())?.0)
}

/// A library with one document without chunks.
pub(super) fn prepare<S: Storage + Send + Sync>(store: &Store<S>) -> Result<()> {
    let library = LibraryDraft {
        id: PLACE.to_owned(),
        name: PLACE.to_owned(),
        index: IndexDraft { index_type: Some(IndexType::Flat), ..IndexDraft::default() },
        ..LibraryDraft::default()
    };
    store.write_blocking(Command::CreateLibrary(library), Durability::Synced, |_, _| {})?;
    put(store, vec![DocumentDraft { id: PLACE.to_owned(), title: PLACE.to_owned(), ..DocumentDraft::default() }])
}

pub(super) fn put<S: Storage + Send + Sync>(store: &Store<S>, documents: Vec<DocumentDraft>) -> Result<()> {
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

/// `writers` threads write single chunks for a while, with a pause after each. Latencies, and the seconds that it took.
pub(super) fn write<S: Storage + Send + Sync>(
    store: &Store<S>,
    writers: usize,
    dimension: usize,
    time: Duration,
    durability: Durability,
    pause: Duration,
) -> Result<(Vec<f64>, f64)> {
    let begun = Instant::now();
    let one = || -> Result<Vec<f64>> {
        let mut took = Vec::new();
        while begun.elapsed() < time {
            let command = command(dimension);
            let at = Instant::now();
            store.write_blocking(command, durability, |_, _| {})?;
            took.push(at.elapsed().as_secs_f64());
            thread::sleep(pause);
        }
        Ok(took)
    };
    let all = thread::scope(|scope| {
        let threads: Vec<_> = (0..writers).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a writer panicked"))?).collect::<Result<Vec<_>>>()
    })?;
    Ok((all.concat(), begun.elapsed().as_secs_f64()))
}

/// The same by tasks, as many as connections would be, on as many threads as there are cores.
fn connections(store: &Arc<Store<Counted>>, count: usize, dimension: usize, time: Duration) -> Result<(Vec<f64>, f64)> {
    let begun = Instant::now();
    let one = |store: Arc<Store<Counted>>| async move {
        let mut took = Vec::new();
        while begun.elapsed() < time {
            let command = command(dimension);
            let at = Instant::now();
            store.write(command, Durability::Synced, |_, _| {}).await?;
            took.push(at.elapsed().as_secs_f64());
        }
        anyhow::Ok(took)
    };
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let mut tasks: JoinSet<_> = (0..count).map(|_| one(Arc::clone(store))).collect();
        let mut all = Vec::new();
        while let Some(took) = tasks.join_next().await {
            all.extend(took??);
        }
        Ok((all, begun.elapsed().as_secs_f64()))
    })
}

/// A storage that counts syncs of the log, each of which takes so much longer.
struct Counted {
    files: FileStorage,
    syncs: AtomicU64,
    slower: Duration,
}

impl Storage for Counted {
    fn list(&self) -> vecino_engine::Result<Vec<String>> {
        self.files.list()
    }

    fn read(&self, name: &str) -> vecino_engine::Result<Option<Blob>> {
        self.files.read(name)
    }

    fn write(&self, name: &str, fill: &mut Fill<'_>) -> vecino_engine::Result<()> {
        self.files.write(name, fill)
    }

    fn begin(&self, name: &str, bytes: &[u8]) -> vecino_engine::Result<u64> {
        self.files.begin(name, bytes)
    }

    fn append(&self, name: &str, at: u64, bytes: &[u8]) -> vecino_engine::Result<()> {
        self.files.append(name, at, bytes)
    }

    fn sync(&self, name: &str) -> vecino_engine::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.files.sync(name)?;
        thread::sleep(self.slower);
        Ok(())
    }

    fn truncate(&self, name: &str, len: u64) -> vecino_engine::Result<()> {
        self.files.truncate(name, len)
    }

    fn remove(&self, name: &str) -> vecino_engine::Result<()> {
        self.files.remove(name)
    }

    fn prepare(&self, bytes: u64) -> vecino_engine::Result<()> {
        self.files.prepare(bytes)
    }

    fn prepared(&self) -> u64 {
        self.files.prepared()
    }

    fn free_bytes(&self) -> vecino_engine::Result<Option<u64>> {
        self.files.free_bytes()
    }
}

/// Bytes of log that one single-chunk write takes.
pub(super) fn log_bytes(bench: &Bench) -> Result<usize> {
    let folder = bench.path("size");
    let store = open(&folder)?;
    prepare(&store)?;
    // Files of the log have zeros at their ends.
    let before = store.log_bytes();
    let (took, _) = write(&store, 1, bench.args.dimension, Duration::from_millis(50), Durability::Synced, Duration::ZERO)?;
    Ok((store.log_bytes() - before) as usize / took.len().max(1))
}

pub(super) fn run(bench: &Bench) -> Result<()> {
    let bytes = log_bytes(bench)?;
    let files = FileStorage::open(&bench.path("data"))?;
    let storage = Counted { files, syncs: AtomicU64::new(0), slower: bench.slower() };
    let store = Arc::new(Store::open(storage, StoreOptions::default())?.0);
    prepare(&*store)?;
    let [mut disk, mut allocated, mut written, mut logged] = [(); 4].map(|()| Rounds::default());
    let mut counted: Vec<(usize, Rounds)> = bench.writers().into_iter().map(|count| (count, Rounds::default())).collect();
    for _ in 0..bench.args.rounds {
        for (length, rounds) in [(Length::Grows, &mut disk), (Length::Allocated, &mut allocated), (Length::Written, &mut written)]
        {
            rounds.add(bare(bench, bytes, length, bench.slower())?, bench.args.seconds);
        }
        for (count, rounds) in &mut counted {
            let before = store.storage().syncs.load(Ordering::Relaxed);
            let (took, seconds) = connections(&store, *count, bench.args.dimension, bench.time())?;
            rounds.syncs += store.storage().syncs.load(Ordering::Relaxed) - before;
            rounds.add(took, seconds);
        }
        let (took, seconds) = write(&store, 1, bench.args.dimension, bench.time(), Durability::Logged, Duration::ZERO)?;
        logged.add(took, seconds);
    }
    compare(bench, "in process", bytes, &disk, &counted);
    bench.say(json!({"what": "in process, logged", "writers": 1, "figures": logged.summary()}));
    for (what, rounds) in [("allocated", &allocated), ("written", &written)] {
        let what = format!("write+fdatasync, in a file {what} before");
        let saves = round(1.0 - rounds.p50() / disk.p50());
        bench.say(json!({"what": what, "bytes": bytes, "saves": saves, "figures": rounds.summary()}));
    }
    store.close()?;
    Ok(())
}
