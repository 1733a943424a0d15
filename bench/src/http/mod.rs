//! `vecino-bench http`: what HTTP costs beside the same work within the process and beside Chroma, and what the server bears.

pub(crate) mod connection;
pub(crate) mod load;
pub(crate) mod served;
pub(crate) mod tenants;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use vecino_engine::{
    command::{ChunkDraft, Command, DocumentDraft, IndexDraft, LibraryDraft, OnConflict, PlacedChunk},
    db::Database,
    library::Library,
    model::{IndexType, Timestamp},
    pool::Sequential,
    query::{Include, Query},
    storage::MemoryStorage,
};

use self::{
    connection::request,
    load::{Flood, Measured, over_http},
    served::{Form, Served},
};
use crate::{
    ann::Threads,
    clock,
    matrix::{self, Matrix},
};

/// Starts servers on empty folders, fills them over HTTP, and measures writes and queries beside those within this process.
#[derive(Args)]
pub(crate) struct Http {
    /// The program `vecino`, built for release.
    #[arg(long)]
    program: PathBuf,
    /// The program `chroma`, to be measured in the same run.
    #[arg(long)]
    chroma: Option<PathBuf>,
    /// Chroma's `ef_search`.
    #[arg(long, default_value_t = 100)]
    chroma_effort: usize,
    /// The vectors: .npy, .fvecs or .bvecs.
    #[arg(long)]
    base: PathBuf,
    /// The queries: .npy, .fvecs or .bvecs.
    #[arg(long)]
    query: PathBuf,
    /// The numbers of each query's nearest vectors, .npy or .ivecs.
    #[arg(long)]
    truth: PathBuf,
    /// How many of the vectors are taken, from the first.
    #[arg(long)]
    rows: Option<usize>,
    /// Vectors in a durable batch.
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    #[arg(long, default_value_t = 8)]
    connections: usize,
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// How long each kind of query is measured in each round.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Every kind of query is measured so often, in turn; medians are told.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Idle connections that are open while queries are measured a second time.
    #[arg(long, default_value_t = 0)]
    idle: usize,
    /// Connections that send a byte a second, open at the same time.
    #[arg(long, default_value_t = 0)]
    slow: usize,
}

/// `vecino-bench http`.
pub(crate) fn run(args: &Http) -> Result<()> {
    let mut base = matrix::floats(&args.base)?;
    let queries = matrix::floats(&args.query)?;
    let truth = matrix::row_numbers(&args.truth)?;
    base.values.truncate(args.rows.unwrap_or(usize::MAX).saturating_mul(base.columns));
    let command: Vec<String> = std::env::args().collect();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    say(
        &json!({"what": "command", "command": command.join(" "), "cores": cores, "rows": base.rows().len(), "columns": base.columns}),
    );

    // One after the other, each alone on the machine.
    let database = within(args, &base, cores)?;
    let library = database.state().library("bench")?;
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?];
    let mut all = Vec::new();
    for (folder, form) in folders.iter().zip([Form::Numbers, Form::Base64]) {
        let served = Served::vecino(&args.program, folder.path(), form)?;
        ingest(args, &served, &base)?;
        all.push(served);
    }
    if let Some(chroma) = &args.chroma {
        let served = Served::chroma(chroma, folders[2].path(), args.chroma_effort)?;
        ingest(args, &served, &base)?;
        all.push(served);
    }
    measure(args, cores, &all, library, &queries, &truth)
}

fn say(line: &Value) {
    println!("{line}");
}

/// The same rows in a library of this process: written as batches, then its index built at once by all cores.
fn within(args: &Http, base: &Matrix<f32>, cores: usize) -> Result<Database<MemoryStorage>> {
    let (mut database, _) = Database::open(MemoryStorage::default())?;
    let library = || "bench".to_owned();
    let (begun, cpu) = (Instant::now(), clock::process_seconds());
    let flat = IndexDraft { index_type: Some(IndexType::Flat), ..IndexDraft::default() };
    database.execute(Command::CreateLibrary(LibraryDraft {
        id: library(),
        name: library(),
        index: flat,
        ..LibraryDraft::default()
    }))?;
    let all = DocumentDraft { id: "all".to_owned(), title: "All".to_owned(), ..DocumentDraft::default() };
    let (on_conflict, now) = (OnConflict::Refuse, Timestamp::MIN);
    database.execute(Command::PutDocuments { library: library(), documents: vec![all], on_conflict, embedded_by: None, now })?;
    let rows: Vec<&[f32]> = base.rows().collect();
    for (number, batch) in rows.chunks(args.batch).enumerate() {
        let chunk = |(number, row): (usize, &&[f32])| {
            let (id, text) = (number.to_string(), number.to_string());
            PlacedChunk {
                document: "all".to_owned(),
                chunk: ChunkDraft { id, text, embedding: row.to_vec(), ..ChunkDraft::default() },
            }
        };
        let chunks = (number * args.batch..).zip(batch).map(chunk).collect();
        database.execute(Command::PutChunks { library: library(), chunks, on_conflict, embedded_by: None, now })?;
    }
    let (written, written_cpu) = (begun.elapsed().as_secs_f64(), clock::process_seconds() - cpu);
    let (begun, cpu) = (Instant::now(), clock::process_seconds());
    let auto = IndexDraft { index_type: Some(IndexType::Auto), ..IndexDraft::default() };
    database.execute(Command::ChooseIndex { library: library(), index: auto, rebuild: false })?;
    database.settle(&Threads(cores));
    let (built, built_cpu) = (begun.elapsed().as_secs_f64(), clock::process_seconds() - cpu);
    say(&json!({
        "what": "build", "engine": "in process", "threads": cores, "write_s": written, "write_cpu_s": written_cpu,
        "build_s": built, "build_cpu_s": built_cpu,
    }));
    Ok(database)
}

/// Durable batches one after the other, then the wait for the index.
fn ingest(args: &Http, served: &Served, base: &Matrix<f32>) -> Result<()> {
    let rows: Vec<&[f32]> = base.rows().collect();
    let adds = |(number, rows): (usize, &[&[f32]])| {
        let (path, body) = served.adds(number * args.batch, rows);
        request("POST", &path, &body)
    };
    let batches: Vec<Vec<u8>> = rows.chunks(args.batch).enumerate().map(adds).collect();
    let mut connection = served.connect()?;
    let (begun, cpu) = (Instant::now(), served.cpu_seconds());
    for batch in &batches {
        connection.send(batch)?;
    }
    let acknowledged = begun.elapsed().as_secs_f64();
    served.until_indexed()?;
    let indexed = begun.elapsed().as_secs_f64();
    say(&json!({
        "what": "ingest", "engine": served.name, "batch": args.batch, "acknowledged_s": acknowledged,
        "acknowledged_per_s": rows.len() as f64 / acknowledged, "indexed_s": indexed, "server_cpu_s": served.cpu_seconds() - cpu,
    }));
    Ok(())
}

/// Queries of every kind, in turn.
fn measure(
    args: &Http,
    cores: usize,
    all: &[Served],
    library: &Library,
    queries: &Matrix<f32>,
    truth: &[Vec<u32>],
) -> Result<()> {
    let asks = |served: &Served| -> Vec<Vec<u8>> {
        let ask = |query: &[f32]| {
            let (path, body) = served.asks(query, args.k);
            request("POST", &path, &body)
        };
        queries.rows().map(ask).collect()
    };
    let requests: Vec<Vec<Vec<u8>>> = all.iter().map(asks).collect();
    let recalls =
        all.iter().zip(&requests).map(|(served, asks)| recall(served, asks, truth, args.k)).collect::<Result<Vec<_>>>()?;
    let include = Include { text: false, metadata: false, attributes: false, embedding: false };
    let ask = |row: &[f32]| Query { embedding: row.to_vec(), k: args.k, include, ..Query::default() };
    let questions: Vec<Query> = queries.rows().map(ask).collect();
    let (mut inside, mut http): (Vec<f64>, Vec<Vec<Measured>>) = (Vec::new(), all.iter().map(|_| Vec::new()).collect());
    for _ in 0..args.rounds {
        inside.push(searches(cores, args.seconds, library, &questions)?);
        for ((served, requests), rounds) in all.iter().zip(&requests).zip(&mut http) {
            rounds.push(over_http(served, requests, args.connections, args.seconds)?);
        }
    }
    let inside = median(&inside);
    say(&json!({"what": "query", "engine": "in process", "threads": cores, "k": args.k, "qps": inside}));
    let told = |rounds: &[Measured], figure: &dyn Fn(&Measured) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
    let ours = told(&http[0], &|one| one.qps);
    for ((served, rounds), recall) in all.iter().zip(&http).zip(recalls) {
        let qps = told(rounds, &|one| one.qps);
        say(&json!({
            "what": "query", "engine": served.name, "connections": args.connections, "k": args.k, "recall": recall, "qps": qps,
            "share_of_in_process": qps / inside, "vecino_to_this": ours / qps, "p50_ms": told(rounds, &|one| one.at(0.5)),
            "p99_ms": told(rounds, &|one| one.at(0.99)), "p99_to_p50": told(rounds, &|one| one.at(0.99) / one.at(0.5)),
            "server_cpu_us": told(rounds, &|one| one.server_cpu_us), "client_cpu_us": told(rounds, &|one| one.client_cpu_us),
        }));
    }
    if args.idle + args.slow > 0 {
        let flood = Flood::begin(&all[0], args.idle, args.slow)?;
        let under = over_http(&all[0], &requests[0], args.connections, args.seconds)?;
        say(&json!({
            "what": "query under idle and slow connections", "engine": "vecino", "idle": flood.idle.len(), "slow": args.slow,
            "qps": under.qps, "p50_ms": under.at(0.5), "p99_ms": under.at(0.99), "share_of_before": under.qps / ours,
        }));
        flood.end();
    }
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The library of this process, searched by as many threads as there are cores: queries a second.
fn searches(cores: usize, seconds: f64, library: &Library, questions: &[Query]) -> Result<f64> {
    let (next, begun) = (AtomicUsize::new(0), Instant::now());
    let search = || -> Result<()> {
        while begun.elapsed().as_secs_f64() < seconds {
            library.query(&questions[next.fetch_add(1, Ordering::Relaxed) % questions.len()], &Sequential)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(search)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a search failed"))?)
    })?;
    Ok(next.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

/// The share of the true nearest that are among the hits. Meaningful when all rows are taken.
fn recall(served: &Served, requests: &[Vec<u8>], truth: &[Vec<u32>], k: usize) -> Result<f64> {
    let mut connection = served.connect()?;
    let mut right = 0;
    for (request, truth) in requests.iter().zip(truth) {
        let answer = connection.send(request)?;
        let hits = served.found(std::str::from_utf8(answer).context("an answer that is no text")?)?;
        right += truth.iter().take(k).filter(|row| hits.contains(row)).count();
    }
    Ok(right as f64 / (requests.len() * k) as f64)
}
