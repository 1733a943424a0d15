//! Connections to a server over the loopback network.

use std::{env, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::json;

use super::{
    Bench, Length, Rounds, bare, compare,
    local::{PLACE, chunk, log_bytes},
};
use crate::http::{connection::request, load::drive, served::Served};

/// Chunks of one batch.
const BATCH: usize = 1_000;

/// How often the server has synced its log.
fn syncs(served: &Served) -> Result<u64> {
    let text = served.connect()?.ask("GET", "/metrics", "")?;
    let count = text.lines().find_map(|line| line.strip_prefix("vecino_log_sync_duration_seconds_count "));
    Ok(count.context("the server does not tell how often it syncs")?.trim().parse()?)
}

/// A chunk as a client sends it. Numbers of 32 bits have as many digits as they need.
#[derive(Serialize)]
struct Sent {
    id: String,
    text: String,
    embedding: Vec<f32>,
}

#[derive(Serialize)]
struct Batch {
    chunks: Vec<Sent>,
}

fn chunks(count: usize, dimension: usize) -> Result<Vec<u8>> {
    let one = |_| {
        let draft = chunk(dimension);
        Sent { id: draft.id, text: draft.text, embedding: draft.embedding }
    };
    let path = format!("/v1/libraries/{PLACE}/documents/{PLACE}/chunks");
    let batch = Batch { chunks: (0..count).map(one).collect() };
    Ok(request("POST", &path, &serde_json::to_string(&batch)?))
}

/// Requests over so many connections at once: latencies and seconds. Requests are made before the clock runs, and used once each.
fn measure(
    served: &Served,
    connections: usize,
    time: Duration,
    make: &dyn Fn() -> Result<Vec<u8>>,
    count: usize,
) -> Result<(Vec<f64>, f64)> {
    let prepared = (0..count).map(|_| make()).collect::<Result<Vec<_>>>()?;
    let mut left = prepared.iter();
    drive(served.address, connections, time.as_secs_f64(), &mut || left.next().map(Vec::as_slice))
}

pub(super) fn run(bench: &Bench) -> Result<()> {
    let (dimension, bytes) = (bench.args.dimension, log_bytes(bench)?);
    let beside = || -> Result<PathBuf> { Ok(env::current_exe()?.with_file_name("vecino")) };
    let program = bench.args.server_bin.clone().map_or_else(beside, Ok)?;
    let served = Served::start(&program, &bench.path("served"), &[])
        .with_context(|| format!("with {}; build it, or name another with --server-bin", program.display()))?;
    let library = json!({"name": PLACE, "id": PLACE, "metadata": {"index_type": "flat"}});
    let document = json!({"id": PLACE, "metadata": {"title": PLACE}, "chunks": []});
    let mut connection = served.connect()?;
    connection.ask("POST", "/v1/libraries", &library.to_string())?;
    connection.ask("POST", &format!("/v1/libraries/{PLACE}/documents"), &document.to_string())?;
    let mut disk = Rounds::default();
    let mut counted: Vec<(usize, Rounds)> = bench.writers().into_iter().map(|count| (count, Rounds::default())).collect();
    let mut batches = Rounds::default();
    for _ in 0..bench.args.rounds {
        disk.add(bare(bench, bytes, Length::Grows, Duration::ZERO)?, bench.args.seconds);
        for (count, rounds) in &mut counted {
            // As many as a fast machine can use up.
            let most = (bench.args.seconds * if *count == 1 { 12_000.0 } else { 120_000.0 }) as usize;
            let before = syncs(&served)?;
            let (took, seconds) = measure(&served, *count, bench.time(), &|| chunks(1, dimension), most)?;
            rounds.syncs += syncs(&served)? - before;
            rounds.add(took, seconds);
        }
        let (took, seconds) = measure(&served, 1, bench.time(), &|| chunks(BATCH, dimension), 100)?;
        batches.add(took, seconds);
    }
    compare(bench, "over HTTP", bytes, &disk, &counted);
    let per_second = (batches.rate() * BATCH as f64).round();
    bench.say(
        json!({"what": "batches over HTTP", "chunks": BATCH, "chunks_per_second": per_second, "figures": batches.summary()}),
    );
    Ok(())
}
