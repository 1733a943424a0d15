//! `vecino-bench growth` and `headline`: what indexes cost as libraries grow, and at one size that many have published figures for.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use vecino_engine::{
    codes::Codes,
    distance::Metric,
    index::{Rows, Search, VectorIndex, flat::Flat},
    pool::Sequential,
    slots::SlotSet,
    vectors::Vectors,
};

use crate::{
    ann::{self, MetricName, Threads},
    clock,
    index::{Index, IndexName},
    matrix::Matrix,
    synthetic,
};

/// Time and memory of each index against the number of vectors: a line for each size, and then one with the exponents.
#[derive(Args)]
pub(crate) struct Growth {
    /// The least number of vectors.
    #[arg(long, default_value_t = 1_000)]
    min: usize,
    /// The greatest; each size is some three times the one before.
    #[arg(long, default_value_t = 1_000_000)]
    max: usize,
    #[arg(long, default_value_t = 128)]
    dimension: usize,
    /// Dimensions for the KD-tree, which is for few.
    #[arg(long, default_value_t = 3)]
    kd_dimension: usize,
    #[arg(long, default_value = "euclidean")]
    metric: MetricName,
    /// Recall at 10 that approximate indexes must reach: the least effort that does is measured.
    #[arg(long, default_value_t = 0.95)]
    recall: f64,
    #[arg(long, value_delimiter = ',', default_value = "floats,flat,kd-tree,lsh,ivf,hnsw")]
    index: Vec<IndexName>,
    #[arg(long, default_value_t = 100)]
    queries: usize,
    /// Threads of the builds.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// 100,000 vectors of 768 dimensions: flat, LSH at a recall of 0.95 and HNSW at 0.99, beside the figures this project set out from.
#[derive(Args)]
pub(crate) struct Headline {
    #[arg(long, default_value_t = 100_000)]
    vectors: usize,
    #[arg(long, default_value_t = 768)]
    dimension: usize,
    #[arg(long, default_value_t = 200)]
    queries: usize,
    /// Threads of the builds; a search has one.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Index, recall wanted, and the milliseconds to beat.
const HEADLINES: [(IndexName, f64, f64); 3] =
    [(IndexName::Flat, 1.0, 450.0), (IndexName::Lsh, 0.95, 45.0), (IndexName::Hnsw, 0.99, 5.0)];

pub(crate) fn growth(args: &Growth) -> Result<()> {
    ensure!(args.min >= 100 && args.min <= args.max, "--min is to be at least 100 and at most --max");
    let metric = args.metric.into();
    for &name in &args.index {
        let dimension = if name == IndexName::KdTree { args.kd_dimension } else { args.dimension };
        let mut points = Vec::new();
        let mut size = args.min as f64;
        while size <= args.max as f64 * 1.01 {
            let data = Data::new(size.round() as usize, args.queries, dimension, metric)?;
            let line = data.measure(name, args.recall, args.threads)?;
            println!("{line}");
            points.push(line);
            size *= 10.0_f64.sqrt();
        }
        if points.len() > 1 {
            let exponent =
                |field: &str| slope(points.iter().filter_map(|line| Some((line["vectors"].as_f64()?, line[field].as_f64()?))));
            println!(
                "{}",
                json!({
                    "index": points[0]["index"], "dimension": dimension, "fit": "log-log least squares over all sizes",
                    "from": args.min, "to": points[points.len() - 1]["vectors"], "recall_wanted": args.recall,
                    "build_exponent": exponent("build_cpu_s"), "query_exponent": exponent("query_us"),
                    "memory_exponent": exponent("bytes"), "command": command(),
                })
            );
        }
    }
    Ok(())
}

pub(crate) fn headline(args: &Headline) -> Result<()> {
    let data = Data::new(args.vectors, args.queries, args.dimension, Metric::Cosine)?;
    for (name, recall, published) in HEADLINES {
        let mut line = data.measure(name, recall, args.threads)?;
        let ms = line["query_us"].as_f64().context("no time")? / 1_000.0;
        line["ms"] = json!(ms);
        line["ms_to_beat"] = json!(published);
        line["times_as_fast"] = json!(published / ms);
        line["cpu"] = json!(ann::cpu_model());
        line["data"] = json!("synthetic, in clusters: see bench/src/synthetic.rs");
        line["command"] = json!(command());
        println!("{line}");
    }
    Ok(())
}

fn command() -> String {
    std::env::args().collect::<Vec<_>>().join(" ")
}

/// The slope of a line through the logarithms of the points, by least squares.
fn slope(points: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points.filter(|(x, y)| *x > 0.0 && *y > 0.0).map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let (x, y) = logs.iter().fold((0.0, 0.0), |(x, y), log| (x + log.0 / count, y + log.1 / count));
    let (up, across) =
        logs.iter().fold((0.0, 0.0), |(up, across), log| (up + (log.0 - x) * (log.1 - y), across + (log.0 - x) * (log.0 - x)));
    (across > 0.0).then(|| up / across)
}

struct Data {
    metric: Metric,
    vectors: Vectors,
    codes: Codes,
    all: SlotSet,
    queries: Matrix<f32>,
    truth: Vec<Vec<u32>>,
}

impl Data {
    fn new(count: usize, queries: usize, dimension: usize, metric: Metric) -> Result<Self> {
        let (rows, queries) = synthetic::rows(count, queries, dimension, metric)?;
        let vectors = rows.vectors()?;
        drop(rows);
        let codes = Codes::of(&vectors);
        let all = SlotSet::all(count);
        let mut data = Self { metric, vectors, codes, all, queries, truth: Vec::new() };
        data.truth = data.pass(&Flat, true, 0).1;
        Ok(data)
    }

    /// All queries once: processor microseconds of each, sorted, and the answers.
    fn pass(&self, index: &dyn VectorIndex, with_codes: bool, effort: usize) -> (Vec<f64>, Vec<Vec<u32>>) {
        let mut times = Vec::new();
        let answers = self.queries.rows().map(|query| {
            let begun = clock::thread_seconds();
            let found = index.search(&Search {
                vectors: &self.vectors,
                codes: with_codes.then_some(&self.codes),
                metric: self.metric,
                query,
                k: 10,
                effort,
                allowed: &self.all,
                pool: &Sequential,
            });
            times.push((clock::thread_seconds() - begun) * 1e6);
            found.nearest.into_iter().map(|(_, slot)| slot).collect()
        });
        let answers = answers.collect();
        times.sort_by(f64::total_cmp);
        (times, answers)
    }

    fn recall(&self, answers: &[Vec<u32>]) -> f64 {
        let pairs = answers.iter().zip(&self.truth);
        let found: usize = pairs.map(|(answer, truth)| truth.iter().filter(|slot| answer.contains(slot)).count()).sum();
        found as f64 / self.truth.iter().map(Vec::len).sum::<usize>().max(1) as f64
    }

    /// Builds an index and searches it with the least effort, of some, that reaches a recall.
    fn measure(&self, name: IndexName, recall: f64, threads: usize) -> Result<Value> {
        let slots: Vec<u32> = self.all.iter().collect();
        let mut index = Index::new(name, self.vectors.dimension(), self.metric, &[])?;
        let (wall, cpu) = (Instant::now(), clock::process_seconds());
        index.get_mut().insert(Rows { vectors: &self.vectors, codes: Some(&self.codes) }, &slots, &Threads(threads));
        let build = (wall.elapsed().as_secs_f64(), clock::process_seconds() - cpu);
        let efforts: Vec<usize> = match name {
            IndexName::Flat | IndexName::Floats | IndexName::KdTree => vec![0],
            IndexName::Lsh => (0..24).map(|step| (250.0 * 1.4_f64.powi(step)) as usize).collect(),
            IndexName::Ivf | IndexName::Hnsw => (0..18).map(|step| (10.0 * 1.4_f64.powi(step)) as usize).collect(),
        };
        let mut reached = (0, 0.0);
        for effort in efforts {
            reached = (effort, self.recall(&self.pass(index.get(), name.with_codes(), effort).1));
            if reached.1 >= recall {
                break;
            }
        }
        let mut medians: Vec<f64> = (0..3)
            .filter_map(|_| {
                let times = self.pass(index.get(), name.with_codes(), reached.0).0;
                times.get(times.len() / 2).copied()
            })
            .collect();
        medians.sort_by(f64::total_cmp);
        let codes = if name.holds_codes() { self.codes.memory() } else { 0 };
        Ok(json!({
            "index": name, "metric": self.metric.as_str(), "vectors": self.vectors.rows(), "dimension": self.vectors.dimension(),
            "build_s": build.0, "build_cpu_s": build.1, "threads": threads, "effort": reached.0, "recall_at_10": reached.1,
            "query_us": medians.get(1), "bytes": index.get().memory() + codes,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_every_index() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            growth: Growth,
        }
        let Cli { growth } = clap::Parser::parse_from(["growth"]);
        assert_eq!(growth.index.len(), 6);
    }

    #[test]
    fn a_power_has_its_exponent() {
        let cubes = [1.0, 2.0, 5.0, 9.0].map(|x: f64| (x, 4.0 * x.powi(3)));
        assert!((slope(cubes.into_iter()).unwrap() - 3.0).abs() < 1e-9);
        assert_eq!(slope([(2.0, 1.0)].into_iter()), None);
    }

    #[test]
    fn an_index_reaches_the_recall_that_is_wanted() {
        let data = Data::new(3_000, 20, 16, Metric::Cosine).unwrap();
        for (name, recall) in [(IndexName::Hnsw, 0.95), (IndexName::Flat, 1.0), (IndexName::KdTree, 1.0)] {
            let line = data.measure(name, recall, 2).unwrap();
            assert!(line["recall_at_10"].as_f64().unwrap() >= recall, "{line}");
        }
    }
}
