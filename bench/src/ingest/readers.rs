//! What searches notice of writes and of snapshots.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use serde_json::json;
use vecino_engine::{
    command::{Command, DocumentDraft, IndexDraft},
    model::IndexType,
    pool::Sequential,
    query::Query,
};
use vecino_server::store::{Durability, Store};

use super::{
    Bench, Rounds,
    local::{PLACE, chunk, open, prepare, put, write},
    median, percentile, round, vector,
};

/// Writers beside the searches.
const WRITERS: usize = 16;

/// Between the writes beside a build: without it they would be more than it can take in, and searches would look through most of them
/// one by one.
const PAUSE: Duration = Duration::from_millis(5);

/// Fills the library with documents of 1,000 chunks.
pub(super) fn fill(store: &Store, chunks: usize, dimension: usize) -> Result<()> {
    for number in 0..chunks.div_ceil(1_000) {
        let chunks = (0..1_000.min(chunks - number * 1_000)).map(|_| chunk(dimension)).collect();
        put(
            store,
            vec![DocumentDraft {
                id: format!("filled-{number}"),
                title: "Filled".to_owned(),
                chunks,
                ..DocumentDraft::default()
            }],
        )?;
    }
    Ok(())
}

/// Searches until told to stop: latencies.
fn search(store: &Store, dimension: usize, stop: &AtomicBool) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let query = Query { embedding: vector(took.len(), dimension), ..Query::default() };
        let at = Instant::now();
        let state = store.state();
        let library = state.library(PLACE)?;
        library.query(&query, &Sequential)?;
        took.push(at.elapsed().as_secs_f64());
    }
    Ok(took)
}

/// Searches on one thread while `work` runs: the latencies of both.
fn beside<T: Send>(bench: &Bench, store: &Store, work: impl FnOnce() -> Result<T> + Send) -> Result<(Vec<f64>, T)> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| search(store, bench.args.dimension, &stop));
        let done = work();
        stop.store(true, Ordering::Relaxed);
        Ok((reader.join().map_err(|_| anyhow!("the reader panicked"))??, done?))
    })
}

/// Has a graph built over the library, from the choice of the index until it serves: latencies of searches and of a writer.
fn build(bench: &Bench, store: &Store) -> Result<(Rounds, Rounds)> {
    let index = IndexDraft { index_type: Some(IndexType::Hnsw), ..IndexDraft::default() };
    let begun = Instant::now();
    let serves = || store.state().library(PLACE).is_ok_and(|library| library.index_state().serving == IndexType::Hnsw);
    let (took, written) = beside(bench, store, || {
        store.write_blocking(
            Command::ChooseIndex { library: PLACE.to_owned(), index, rebuild: false },
            Durability::Synced,
            |_, _| {},
        )?;
        let mut all = Vec::new();
        while !serves() {
            all.extend(write(store, 1, bench.args.dimension, Duration::from_millis(200), Durability::Synced, PAUSE)?.0);
        }
        Ok(all)
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let [mut searches, mut writes] = [(); 2].map(|()| Rounds::default());
    searches.add(took, seconds);
    writes.add(written, seconds);
    Ok((searches, writes))
}

pub(super) fn run(bench: &Bench) -> Result<()> {
    let (dimension, time) = (bench.args.dimension, bench.time());
    let store = open(&bench.path("data"))?;
    prepare(&store)?;
    fill(&store, bench.args.chunks, dimension)?;
    store.checkpoint()?;
    let [mut idle, mut busy, mut snapshot, mut writing] = [(); 4].map(|()| Rounds::default());
    for _ in 0..bench.args.rounds {
        let (took, ()) = beside(bench, &store, || {
            thread::sleep(time);
            Ok(())
        })?;
        idle.add(took, bench.args.seconds);
        let (took, _) = beside(bench, &store, || write(&store, WRITERS, dimension, time, Durability::Synced, Duration::ZERO))?;
        busy.add(took, bench.args.seconds);
        // Every snapshot is of the whole library, since it has changed.
        let begun = Instant::now();
        let (took, written) = beside(bench, &store, || {
            thread::scope(|scope| {
                let made = scope.spawn(|| store.checkpoint());
                let (written, _) = write(&store, 1, dimension, Duration::from_millis(500), Durability::Synced, Duration::ZERO)?;
                made.join().map_err(|_| anyhow!("the checkpoint panicked"))??;
                Ok(written)
            })
        })?;
        snapshot.add(took, begun.elapsed().as_secs_f64());
        writing.add(written, 0.5);
    }
    let (building, written_meanwhile) = build(bench, &store)?;
    for (what, rounds) in [
        ("search, idle", &idle),
        ("search beside durable writes", &busy),
        ("search beside a snapshot and one writer", &snapshot),
        ("durable writes beside a snapshot and searches", &writing),
        ("search beside the build of an index and one writer", &building),
        ("durable writes beside the build of an index and searches", &written_meanwhile),
    ] {
        bench.say(json!({"what": what, "chunks": bench.args.chunks, "dimension": dimension, "figures": rounds.summary()}));
    }
    let p99 = |rounds: &Rounds| {
        let mut took = rounds.took.clone();
        took.sort_unstable_by(f64::total_cmp);
        percentile(&took, 0.99)
    };
    let longest = |rounds: &Rounds| rounds.took.iter().copied().fold(0.0, f64::max) * 1e3;
    bench.say(json!({
        "what": "search: ratios",
        "p99_beside_writes_to_idle": round(p99(&busy) / p99(&idle)),
        "p50_beside_writes_to_idle": round(median(busy.took.iter().copied()) / median(idle.took.iter().copied())),
        "longest_ms": {
            "idle": round(longest(&idle)), "beside_writes": round(longest(&busy)), "beside_snapshot": round(longest(&snapshot)),
            "beside_build": round(longest(&building)),
        },
        "longest_write_ms": {"beside_snapshot": round(longest(&writing)), "beside_build": round(longest(&written_meanwhile))},
        "cores": thread::available_parallelism().map_or(0, std::num::NonZero::get),
    }));
    Ok(())
}
