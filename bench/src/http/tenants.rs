//! `vecino-bench tenants`: what many small libraries cost.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::{connection::request, served::Served};

/// Fills a server with small libraries, starts it anew, and asks some of them and then all.
#[derive(Args)]
pub(crate) struct Tenants {
    /// The program `vecino`, built for release.
    #[arg(long)]
    program: PathBuf,
    #[arg(long, default_value_t = 10_000)]
    libraries: usize,
    /// Chunks in each.
    #[arg(long, default_value_t = 100)]
    chunks: usize,
    /// Numbers of a vector.
    #[arg(long, default_value_t = 384)]
    dimension: usize,
    /// After so many seconds the server unloads what is idle.
    #[arg(long, default_value_t = 10)]
    unload_after: u64,
    /// An empty folder for the data, to be kept [default: a temporary one].
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Libraries that are asked one by one while they are not in memory.
const COLD: usize = 200;

pub(crate) fn run(args: &Tenants) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = args.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    let seconds = args.unload_after.to_string();
    let settings = ["--unload-after", &*seconds];
    let command: Vec<String> = std::env::args().collect();
    say(&json!({"what": "command", "command": command.join(" ")}));
    fill(args, &folder)?;
    for how in ["after an orderly end", "after kill -9"] {
        let begun = Instant::now();
        let served = Served::start(&args.program, &folder, &settings)?;
        let took = begun.elapsed().as_secs_f64();
        tell(&json!({"what": "start", "how": how, "start_s": took, "cpu_s": served.cpu_seconds()}), &served)?;
        if how == "after kill -9" {
            ask(args, &served)?;
        }
    }
    Ok(())
}

fn say(line: &Value) {
    println!("{line}");
}

/// Says a line with the server's memory in it.
fn tell(line: &Value, served: &Served) -> Result<()> {
    let (all, own) = served.memory()?;
    let metrics = served.connect()?.ask("GET", "/metrics", "")?;
    let loaded = metrics.lines().find_map(|line| line.strip_prefix("vecino_libraries_loaded "));
    let mut line = line.clone();
    line["memory_mib"] = json!(all >> 20);
    line["anonymous_mib"] = json!(own >> 20);
    line["libraries_loaded"] = json!(loaded.and_then(|count| count.parse::<u64>().ok()));
    say(&line);
    Ok(())
}

fn fill(args: &Tenants, folder: &Path) -> Result<()> {
    let served = Served::start(&args.program, folder, &[])?;
    let vector = |chunk: usize| -> Vec<f64> {
        let number = |place: usize| ((chunk * 7_919 + place * 104_729) % 2_003) as f64 / 1_000.0 - 1.0;
        (0..args.dimension).map(number).collect()
    };
    let chunk = |number: usize| json!({"text": format!("Passage {number}"), "embedding": vector(number)});
    let chunks: Vec<Value> = (0..args.chunks).map(chunk).collect();
    let document = json!({"id": "all", "metadata": {"title": "All"}, "chunks": chunks}).to_string();
    let mut connection = served.connect()?;
    let begun = Instant::now();
    for number in 0..args.libraries {
        let name = json!({"id": format!("l{number}"), "name": format!("l{number}")}).to_string();
        connection.send(&request("POST", "/v1/libraries?durability=logged", &name))?;
        connection.send(&request("POST", &format!("/v1/libraries/l{number}/documents?durability=logged"), &document))?;
    }
    let filled = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    connection.ask("POST", "/v1/checkpoint", "")?;
    let sizes = fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len())).collect::<Result<Vec<u64>>>()?;
    let line = json!({
        "what": "fill", "libraries": args.libraries, "chunks": args.chunks, "dimension": args.dimension, "fill_s": filled,
        "snapshots_s": begun.elapsed().as_secs_f64(), "files": sizes.len(), "bytes": sizes.iter().sum::<u64>(),
    });
    tell(&line, &served)?;
    served.end()
}

fn ask(args: &Tenants, served: &Served) -> Result<()> {
    let query: Vec<f64> = (0..args.dimension).map(|place| place as f64 / 100.0 - 1.0).collect();
    let body = json!({"embedding": query, "k": 10}).to_string();
    let mut connection = served.connect()?;
    let mut times = |numbers: &mut dyn Iterator<Item = usize>| -> Result<Vec<f64>> {
        let mut times = Vec::new();
        for number in numbers {
            let question = request("POST", &format!("/v1/libraries/l{number}/query"), &body);
            let begun = Instant::now();
            connection.send(&question)?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        Ok(times)
    };
    let at = |times: &[f64], share: f64| times[((times.len() - 1) as f64 * share) as usize];
    // What the start has opened is that of the first ids.
    let cold = || (0..args.libraries).rev().step_by((args.libraries / COLD).max(1)).take(COLD);
    for what in ["first query", "second query"] {
        let times = times(&mut cold())?;
        tell(&json!({"what": what, "libraries": times.len(), "p50_ms": at(&times, 0.5), "p99_ms": at(&times, 0.99)}), served)?;
    }
    let times = times(&mut (0..args.libraries))?;
    tell(&json!({"what": "a query to each", "p50_ms": at(&times, 0.5), "p99_ms": at(&times, 0.99)}), served)?;
    thread::sleep(Duration::from_secs(2 * args.unload_after + 3));
    tell(&json!({"what": "when nobody asks any more"}), served)
}
