//! `vecino-bench ann`: recall against speed of an index, on vectors from files.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::json;
use vecino_engine::{
    blob::{AlignedBytes, Blob},
    codes::Codes,
    distance::{self, Metric},
    index::{Found, Rows, Search, VectorIndex, flat::Flat},
    pool::{Pool, Sequential},
    slots::SlotSet,
    vectors::Vectors,
};

use crate::{
    clock,
    index::{Index, IndexName},
    matrix::{self, Matrix},
    rpc::meta,
};

/// Measures an index: one JSON line for each effort.
#[derive(Args)]
pub(crate) struct Ann {
    /// The vectors: .npy, .fvecs or .bvecs.
    #[arg(long)]
    base: PathBuf,
    /// The queries: .npy, .fvecs or .bvecs.
    #[arg(long)]
    query: PathBuf,
    /// The numbers of each query's nearest vectors, .npy or .ivecs; found by exact search when absent.
    #[arg(long)]
    truth: Option<PathBuf>,
    #[arg(long, default_value = "cosine")]
    metric: MetricName,
    #[arg(long, default_value = "hnsw")]
    index: IndexName,
    /// A parameter of the index, such as m=16 or ef_construction=200.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    #[arg(long, value_delimiter = ',', default_value = "10,20,40,80,160,320")]
    effort: Vec<usize>,
    /// Threads of the build.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Numbers of the vectors that may be in an answer, .npy or .ivecs; all when absent.
    #[arg(long)]
    allowed: Option<PathBuf>,
    /// Only vectors that match may be in an answer: FIELD=VALUE, of the metadata, or a share drawn at random, such as 10%.
    #[arg(long, value_name = "FIELD=VALUE|PERCENT", conflicts_with = "allowed")]
    filter: Option<String>,
    /// The vectors' metadata, JSON lines in their order (.gz allowed).
    #[arg(long)]
    metadata: Option<PathBuf>,
    /// Rounds of taking out half of the vectors, drawn at random, and putting them back, between build and search.
    #[arg(long, default_value_t = 0)]
    churn: usize,
    /// Hits wanted.
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// Takes this many vectors from the front; 0 is all.
    #[arg(long, default_value_t = 0)]
    limit: usize,
    /// Passes over the queries; the median counts.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize, Deserialize)]
pub(crate) enum MetricName {
    #[value(alias = "cos")]
    #[serde(rename = "cos", alias = "cosine")]
    Cosine,
    #[value(alias = "l2")]
    #[serde(rename = "l2", alias = "euclidean")]
    Euclidean,
    #[value(alias = "ip")]
    #[serde(rename = "ip", alias = "dot")]
    Dot,
}

impl From<MetricName> for Metric {
    fn from(name: MetricName) -> Self {
        match name {
            MetricName::Cosine => Self::Cosine,
            MetricName::Euclidean => Self::Euclidean,
            MetricName::Dot => Self::Dot,
        }
    }
}

/// Threads that take jobs from a common counter.
pub(crate) struct Threads(pub(crate) usize);

impl Pool for Threads {
    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    break;
                }
                job(number);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.0.min(jobs) {
                scope.spawn(work);
            }
            work();
        });
    }
}

/// What is measured.
struct Bench {
    metric: Metric,
    vectors: Vectors,
    codes: Codes,
    /// Whether searches may use the codes.
    with_codes: bool,
    all: SlotSet,
    queries: Matrix<f32>,
    truth: Vec<Vec<u32>>,
}

pub(crate) fn run(args: &Ann) -> Result<()> {
    let metric = args.metric.into();
    let (vectors, queries) = read(args, metric)?;
    let (dimension, all) = (vectors.dimension(), SlotSet::all(vectors.rows()));
    let mut bench = Bench { metric, codes: Codes::of(&vectors), with_codes: true, vectors, all, queries, truth: Vec::new() };
    let everything = bench.all.clone();
    if let Some(path) = &args.allowed {
        bench.all = matrix::row_numbers(path)?.into_iter().flatten().collect();
    }
    if let Some(filter) = &args.filter {
        bench.all = filtered(filter, args.metadata.as_deref(), everything.len())?;
    }
    bench.truth = match &args.truth {
        // What is nearest of all is not what is nearest of some.
        Some(path) if bench.all.len() == everything.len() && args.limit == 0 => bench.true_slots(path)?,
        _ => bench.queries.rows().map(|query| bench.slots(&Flat, query, 100, 0)).collect(),
    };
    let (wall, cpu) = (Instant::now(), clock::process_seconds());
    let params = args.params.iter().map(|param| named(param)).collect::<Result<Vec<_>>>()?;
    let mut made = Index::new(args.index, dimension, metric, &params)?;
    let index = made.get_mut();
    let slots: Vec<u32> = everything.iter().collect();
    index.insert(bench.rows(), &slots, &Threads(args.threads));
    let build = (wall.elapsed().as_secs_f64(), clock::process_seconds() - cpu);
    for round in 0..args.churn {
        let half: Vec<u32> = everything.iter().filter(|slot| drawn(u64::from(*slot), round as u64)).collect();
        index.remove(bench.rows(), &half, &Threads(args.threads));
        index.insert(bench.rows(), &half, &Threads(args.threads));
    }
    bench.with_codes = args.index.with_codes();
    let codes = if args.index.holds_codes() { bench.codes.memory() } else { 0 };
    let memory = (made.get().memory() + codes) as f64 / bench.vectors.rows().max(1) as f64;
    let stored = bench.stored(args.index, &made)?;
    let command: Vec<String> = std::env::args().collect();
    for &effort in &args.effort {
        let mut line = bench.measure(made.get(), effort, args.k, args.repeat);
        line["index"] = json!(made.get().name());
        line["metric"] = json!(metric.as_str());
        line["vectors"] = json!(bench.vectors.rows());
        line["dimension"] = json!(dimension);
        line["build_s"] = json!(build.0);
        line["build_cpu_s"] = json!(build.1);
        line["churn"] = json!(args.churn);
        line["threads"] = json!(args.threads);
        line["bytes_per_vector"] = json!(memory);
        line["disk_bytes_per_vector"] = json!(stored.0);
        line["open_s"] = json!(stored.1);
        line["filter"] = json!(args.filter);
        line["allowed"] = json!(bench.all.len());
        line["cpu"] = json!(cpu_model());
        line["kernels"] = json!(distance::kernel_name());
        line["command"] = json!(command.join(" "));
        println!("{line}");
    }
    Ok(())
}

/// The vectors and the queries.
fn read(args: &Ann, metric: Metric) -> Result<(Vectors, Matrix<f32>)> {
    let vectors = matrix::prepared(&args.base, metric, args.limit)?.vectors()?;
    let queries = matrix::prepared(&args.query, metric, 0)?;
    let dimension = vectors.dimension();
    ensure!(queries.rows().len() > 0, "{}: there are no queries", args.query.display());
    ensure!(queries.columns == dimension, "the queries are of {} dimensions, the vectors of {dimension}", queries.columns);
    Ok((vectors, queries))
}

impl Bench {
    /// The nearest of each query, from a file.
    fn true_slots(&self, path: &Path) -> Result<Vec<Vec<u32>>> {
        let (truth, shown) = (matrix::row_numbers(path)?, path.display());
        let (rows, queries) = (self.vectors.rows(), self.queries.rows().len());
        ensure!(truth.len() == queries, "{shown} is for {} queries, there are {queries}", truth.len());
        let known = truth.iter().flatten().all(|slot| (*slot as usize) < rows);
        ensure!(known, "{shown} names vectors that do not exist: there are {rows}");
        Ok(truth)
    }

    fn rows(&self) -> Rows<'_> {
        Rows { vectors: &self.vectors, codes: Some(&self.codes) }
    }

    /// Bytes a vector of what a file holds, and the seconds it takes to read the file and to open the index in it.
    fn stored(&self, name: IndexName, index: &Index) -> Result<(f64, f64)> {
        let codes = if name.holds_codes() { self.codes.to_bytes() } else { Vec::new() };
        let mut file = tempfile::NamedTempFile::new()?;
        for page in 0..self.vectors.pages() {
            file.write_all(bytemuck::cast_slice(self.vectors.page(page)))?;
        }
        file.write_all(&codes)?;
        file.write_all(&index.to_bytes())?;
        let (rows, dimension) = (self.vectors.rows(), self.vectors.dimension());
        let begun = Instant::now();
        let blob = Blob::new(AlignedBytes::from(&fs::read(file.path())?[..]));
        let vectors = Vectors::mapped(dimension, rows, &blob, 0).context("the file is short")?;
        let (read_codes, read_index) = blob.bytes()[rows * dimension * 4..].split_at(codes.len());
        let opened = if name.holds_codes() { Codes::from_bytes(dimension, rows, read_codes) } else { None };
        ensure!(opened.is_some() == name.holds_codes(), "the codes do not open");
        Index::from_bytes(name, self.metric, &vectors, read_index)?;
        Ok((blob.bytes().len() as f64 / rows.max(1) as f64, begun.elapsed().as_secs_f64()))
    }

    fn slots(&self, index: &dyn VectorIndex, query: &[f32], k: usize, effort: usize) -> Vec<u32> {
        self.found(index, query, k, effort).nearest.into_iter().map(|(_, slot)| slot).collect()
    }

    fn found(&self, index: &dyn VectorIndex, query: &[f32], k: usize, effort: usize) -> Found {
        let search = Search {
            vectors: &self.vectors,
            codes: self.with_codes.then_some(&self.codes),
            metric: self.metric,
            query,
            k,
            effort,
            allowed: &self.all,
            pool: &Sequential,
        };
        index.search(&search)
    }

    fn measure(&self, index: &dyn VectorIndex, effort: usize, k: usize, repeat: usize) -> serde_json::Value {
        let (mut walls, mut cpus, mut latencies, mut answers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..repeat.max(1) {
            answers.clear();
            let (wall, cpu) = (Instant::now(), clock::thread_seconds());
            for query in self.queries.rows() {
                let one = Instant::now();
                answers.push(self.slots(index, query, k, effort));
                latencies.push(one.elapsed().as_secs_f64() * 1e6);
            }
            walls.push(wall.elapsed().as_secs_f64());
            cpus.push(clock::thread_seconds() - cpu);
        }
        let visited: usize = self.queries.rows().map(|query| self.found(index, query, k, effort).visited).sum();
        let hundred: Vec<Vec<u32>> = self.queries.rows().map(|query| self.slots(index, query, 100, effort.max(100))).collect();
        for list in [&mut walls, &mut cpus, &mut latencies] {
            list.sort_by(f64::total_cmp);
        }
        let queries = self.queries.rows().len() as f64;
        json!({
            "effort": effort,
            "short": answers.iter().filter(|answer| answer.len() < k.min(self.all.len())).count(),
            "recall_at_10": self.recall(&answers, 10),
            "recall_at_100": self.recall(&hundred, 100),
            "visited": visited as f64 / queries,
            "qps_wall": queries / walls[walls.len() / 2],
            "qps_cpu": queries / cpus[cpus.len() / 2],
            "p50_us": latencies[latencies.len() / 2],
            "p99_us": latencies[latencies.len() * 99 / 100],
        })
    }

    /// The share of the `k` nearest that was found. Of vectors that are equally far, one counts as much as another.
    fn recall(&self, answers: &[Vec<u32>], k: usize) -> f64 {
        let (mut found, mut wanted) = (0, 0);
        for ((answer, truth), query) in answers.iter().zip(&self.truth).zip(self.queries.rows()) {
            let truth = &truth[..k.min(truth.len())];
            let key = |slot: &u32| self.metric.key(query, self.vectors.row(*slot));
            let farthest = truth.iter().map(key).fold(f32::NEG_INFINITY, f32::max);
            wanted += truth.len();
            found += answer.iter().take(truth.len()).filter(|slot| key(slot) <= farthest).count();
        }
        found as f64 / f64::max(wanted as f64, 1.0)
    }
}

/// The slots that a filter allows.
fn filtered(filter: &str, metadata: Option<&Path>, rows: usize) -> Result<SlotSet> {
    if let Some(percent) = filter.strip_suffix('%') {
        let percent: f64 = percent.parse().with_context(|| format!("{filter} is no share"))?;
        let below = percent / 100.0 * u64::MAX as f64;
        return Ok((0..rows as u32).filter(|slot| (hash(u64::from(*slot)) as f64) < below).collect());
    }
    let (field, value) =
        filter.split_once('=').with_context(|| format!("{filter} is neither FIELD=VALUE nor a share such as 10%"))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
    meta::matching(metadata.context("--filter FIELD=VALUE needs --metadata")?, rows, field, &value)
}

/// NAME=VALUE in its parts.
fn named(param: &str) -> Result<(String, usize)> {
    let (name, value) = param.split_once('=').with_context(|| format!("{param} is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.parse().with_context(|| format!("{param} is not a number"))?))
}

/// A coin for each slot and round.
fn drawn(slot: u64, round: u64) -> bool {
    hash(slot ^ (round << 32)) >> 63 == 1
}

fn hash(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

pub(crate) fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name")).unwrap_or_default();
    line.split_once(": ").map_or("unknown", |(_, name)| name).to_owned()
}
