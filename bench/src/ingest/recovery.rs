//! How long it takes to open a folder: a snapshot, and a log behind it.

use std::time::Instant;

use anyhow::{Result, anyhow};
use serde_json::json;
use vecino_server::{
    storage::FileStorage,
    store::{Store, StoreOptions},
};

use super::{
    Bench,
    local::{add, open, prepare},
    median,
    readers::fill,
    round,
};

pub(super) fn run(bench: &Bench) -> Result<()> {
    let folder = bench.path("data");
    // Checkpoints on demand only, so that the tail stays one.
    let options = StoreOptions { checkpoint_after: 0, ..StoreOptions::default() };
    {
        let store = open(&folder)?;
        prepare(&store)?;
        fill(&store, bench.args.chunks, bench.args.dimension)?;
        store.checkpoint()?;
    }
    let (tail, dimension) = (bench.args.chunks / 10, bench.args.dimension);
    {
        let (store, _) = Store::open(FileStorage::open(&folder)?, options.clone())?;
        for _ in 0..tail {
            add(&store, dimension)?;
        }
    }
    let mut took = Vec::new();
    for _ in 0..bench.args.rounds {
        let begun = Instant::now();
        let (store, recovery) = Store::open(FileStorage::open(&folder)?, options.clone())?;
        took.push(begun.elapsed().as_secs_f64());
        if recovery.snapshots != 1 || recovery.replayed != tail {
            return Err(anyhow!("{} snapshots and {} records were found", recovery.snapshots, recovery.replayed));
        }
        drop(store);
    }
    bench.say(json!({
        "what": "open a folder", "chunks": bench.args.chunks, "records_in_the_log": tail, "dimension": dimension,
        "seconds": {"median": round(median(took.iter().copied())), "longest": round(took.iter().copied().fold(0.0, f64::max))},
    }));
    Ok(())
}
