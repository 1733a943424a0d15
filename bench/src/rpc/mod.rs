//! `vecino-bench rpc`: a harness builds and searches through lines of JSON, and can so interleave this engine with others.
//!
//! | command | answer |
//! |---|---|
//! | `{"cmd":"build","base":F,"metric":"cos","threads":N,"index":"hnsw","meta":F}` | `build_s`, `build_cpu_s`, `bytes_per_vector` |
//! | `{"cmd":"search","queries":F,"out":F,"k":10,"threads":1,"effort":64,"filter":["field",value]}` | `search_s`, `search_cpu_s`, `short` |
//! | `{"cmd":"save","path":F}` | `save_s`, `bytes` |
//! | `{"cmd":"load","path":F,"meta":F}` | `load_s`, `load_cpu_s` |
//!
//! The metric is `cos`, `l2` or `ip`; a build takes the parameters of its index, too, such as `"m":16`.
//!
//! An answer is one line, `{"ok":true,...}` or `{"ok":false,"error":"..."}`; after an error the next command is read. The matrices
//! are `.npy`, `.fvecs` or `.bvecs`. A search writes row numbers as an `.npy` of shape (queries, k), -1 where there is none. Under
//! `cos` rows and queries are brought to unit length while they are read. The times count the work of the index: coding
//! the rows and linking them for a build, finding the nearest for a search; reading files and looking up what a filter
//! allows are not in them. `search_cpu_s` adds up the processor time of the searching threads. `save` writes rows, codes
//! and index to one file. `meta` is a file of JSON lines in the order of the rows, and may be compressed (`.gz`).

pub(crate) mod meta;
mod stored;

use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use vecino_engine::{
    codes::Codes,
    index::{Rows, Search},
    pool::Sequential,
    slots::SlotSet,
    vectors::Vectors,
};

use crate::{
    ann::{MetricName, Threads},
    clock,
    index::{Index, IndexName},
    matrix, npy,
};

#[derive(Deserialize)]
#[serde(tag = "cmd", rename_all = "lowercase")]
enum Command {
    Build {
        base: PathBuf,
        metric: MetricName,
        #[serde(default = "one")]
        threads: usize,
        #[serde(default)]
        index: IndexName,
        #[serde(alias = "metadata")]
        meta: Option<PathBuf>,
        #[serde(flatten)]
        params: Map<String, Value>,
    },
    Search {
        queries: PathBuf,
        out: PathBuf,
        #[serde(default = "ten")]
        k: usize,
        #[serde(default = "one")]
        threads: usize,
        #[serde(default)]
        effort: usize,
        filter: Option<(String, Value)>,
    },
    Save {
        path: PathBuf,
    },
    Load {
        path: PathBuf,
        #[serde(alias = "metadata")]
        meta: Option<PathBuf>,
    },
}

/// Hits of one command, at most: a gigabyte.
const MOST_HITS: usize = 1 << 28;

/// More threads are not started, whatever is asked for.
const MOST_THREADS: usize = 64;

fn one() -> usize {
    1
}

fn ten() -> usize {
    10
}

/// What was built or loaded.
struct Open {
    name: IndexName,
    metric: MetricName,
    vectors: Vectors,
    codes: Codes,
    index: Index,
    meta: Option<PathBuf>,
    all: SlotSet,
    /// The slots that a filter allows, by the filter as text.
    allowed: HashMap<String, SlotSet>,
}

/// Answers commands until the input ends.
pub(crate) fn run() -> Result<()> {
    let mut open = None;
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().split(b'\n') {
        let line = line.context("cannot read the commands")?;
        let line = String::from_utf8_lossy(&line);
        if line.trim().is_empty() {
            continue;
        }
        writeln!(out, "{}", answer(&mut open, &line))?;
        out.flush()?;
    }
    Ok(())
}

fn answer(open: &mut Option<Open>, line: &str) -> Value {
    let work = || serde_json::from_str(line).context("this is no command").and_then(|command| obey(open, command));
    // A harness that measures others too goes on, whatever happens here.
    let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(anyhow!("this went wrong inside")));
    match outcome {
        Ok(mut answer) => {
            answer["ok"] = json!(true);
            answer
        }
        Err(error) => json!({"ok": false, "error": format!("{error:#}")}),
    }
}

fn obey(open: &mut Option<Open>, command: Command) -> Result<Value> {
    let built = "nothing is built or loaded";
    match command {
        Command::Build { base, metric, threads, index, meta, params } => {
            let params = params.into_iter().map(|(name, value)| number(name, &value)).collect::<Result<Vec<_>>>()?;
            // What was there goes first: both may not fit.
            *open = None;
            let (made, answer) = Open::build(&base, metric, threads.clamp(1, MOST_THREADS), index, meta, &params)?;
            *open = Some(made);
            Ok(answer)
        }
        Command::Search { queries, out, k, threads, effort, filter } => {
            let open = open.as_mut().context(built)?;
            open.search(&queries, &out, k, threads.clamp(1, MOST_THREADS), effort, filter.as_ref())
        }
        Command::Save { path } => {
            let wall = Instant::now();
            let bytes = open.as_ref().context(built)?.save(&path).with_context(|| format!("cannot save {}", path.display()))?;
            Ok(json!({"save_s": wall.elapsed().as_secs_f64(), "bytes": bytes}))
        }
        Command::Load { path, meta } => {
            *open = None;
            let (wall, cpu) = (Instant::now(), clock::process_seconds());
            let mut loaded = Open::load(&path).with_context(|| format!("cannot load {}", path.display()))?;
            let answer = json!({
                "load_s": wall.elapsed().as_secs_f64(),
                "load_cpu_s": clock::process_seconds() - cpu,
                "vectors": loaded.vectors.rows(),
                "dimension": loaded.vectors.dimension(),
                "bytes_per_vector": loaded.bytes_per_vector(),
            });
            loaded.meta = meta.or(loaded.meta);
            *open = Some(loaded);
            Ok(answer)
        }
    }
}

/// A parameter of an index.
fn number(name: String, value: &Value) -> Result<(String, usize)> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    let number = number.with_context(|| format!("the parameter {name} is no whole number"))?;
    Ok((name, number))
}

impl Open {
    fn build(
        base: &Path,
        metric: MetricName,
        threads: usize,
        name: IndexName,
        meta: Option<PathBuf>,
        params: &[(String, usize)],
    ) -> Result<(Self, Value)> {
        let vectors = matrix::prepared(base, metric.into(), 0)?.vectors()?;
        let dimension = vectors.dimension();
        let slots: Vec<u32> = (0..vectors.rows() as u32).collect();
        let mut index = Index::new(name, dimension, metric.into(), params)?;
        if let Some(meta) = &meta {
            ensure!(meta.is_file(), "there is no file {}", meta.display());
        }
        let (wall, cpu) = (Instant::now(), clock::process_seconds());
        let codes = if name.with_codes() { Codes::of(&vectors) } else { Codes::new(dimension) };
        index.get_mut().insert(Rows { vectors: &vectors, codes: name.with_codes().then_some(&codes) }, &slots, &Threads(threads));
        let times = (wall.elapsed().as_secs_f64(), clock::process_seconds() - cpu);
        let open = Self::new(name, metric, vectors, codes, index, meta);
        let answer = json!({
            "build_s": times.0,
            "build_cpu_s": times.1,
            "bytes_per_vector": open.bytes_per_vector(),
            "vectors": open.vectors.rows(),
            "dimension": dimension,
        });
        Ok((open, answer))
    }

    fn new(name: IndexName, metric: MetricName, vectors: Vectors, codes: Codes, index: Index, meta: Option<PathBuf>) -> Self {
        let all = SlotSet::all(vectors.rows());
        Self { name, metric, vectors, codes, index, meta, all, allowed: HashMap::new() }
    }

    /// Bytes in memory besides the float rows.
    fn bytes_per_vector(&self) -> f64 {
        let codes = if self.name.holds_codes() { self.codes.memory() } else { 0 };
        (self.index.get().memory() + codes) as f64 / self.vectors.rows().max(1) as f64
    }

    fn search(
        &mut self,
        queries: &Path,
        out: &Path,
        k: usize,
        threads: usize,
        effort: usize,
        filter: Option<&(String, Value)>,
    ) -> Result<Value> {
        ensure!(k > 0, "k is 0");
        let key = filter.map(|(field, value)| json!([field, value]).to_string());
        if let (Some((field, value)), Some(key)) = (filter, &key)
            && !self.allowed.contains_key(key)
        {
            let meta = self.meta.as_ref().context("a filter needs metadata: name them with \"meta\" when building or loading")?;
            let allowed = meta::matching(meta, self.vectors.rows(), field, value)?;
            self.allowed.insert(key.clone(), allowed);
        }
        let allowed = key.and_then(|key| self.allowed.get(&key)).unwrap_or(&self.all);
        let queries = matrix::prepared(queries, self.metric.into(), 0)?;
        let (count, dimension) = (queries.rows().len(), self.vectors.dimension());
        ensure!(queries.columns == dimension, "the queries are of {} dimensions, the vectors of {dimension}", queries.columns);
        let room = count.checked_mul(k).filter(|room| *room <= MOST_HITS);
        let mut answers = vec![-1_i32; room.with_context(|| format!("{count} times k = {k} is more than {MOST_HITS} hits"))?];
        let share = count.div_ceil(threads).max(1);
        let one_share = |queries: &[f32], answers: &mut [i32]| {
            let cpu = clock::thread_seconds();
            for (query, answer) in queries.chunks_exact(dimension).zip(answers.chunks_mut(k)) {
                self.nearest(query, k, effort, allowed, answer);
            }
            clock::thread_seconds() - cpu
        };
        let wall = Instant::now();
        let cpu: f64 = std::thread::scope(|scope| {
            let mut shares = queries.values.chunks(share * dimension).zip(answers.chunks_mut(share * k));
            // The first share is for this thread.
            let first = shares.next();
            let others: Vec<_> = shares.map(|(queries, answers)| scope.spawn(|| one_share(queries, answers))).collect();
            let own = first.map_or(0.0, |(queries, answers)| one_share(queries, answers));
            own + others.into_iter().map(|other| other.join().unwrap_or(f64::NAN)).sum::<f64>()
        });
        let seconds = wall.elapsed().as_secs_f64();
        ensure!(cpu.is_finite(), "a search broke off");
        fs::write(out, npy::of_integers(k, &answers)).with_context(|| format!("cannot write {}", out.display()))?;
        let wanted = k.min(allowed.len());
        let short = answers.chunks(k).filter(|answer| answer.iter().filter(|row| **row >= 0).count() < wanted).count();
        Ok(json!({"search_s": seconds, "search_cpu_s": cpu, "queries": count, "allowed": allowed.len(), "short": short}))
    }

    fn nearest(&self, query: &[f32], k: usize, effort: usize, allowed: &SlotSet, answer: &mut [i32]) {
        let found = self.index.get().search(&Search {
            vectors: &self.vectors,
            codes: self.name.with_codes().then_some(&self.codes),
            metric: self.metric.into(),
            query,
            k,
            effort,
            allowed,
            pool: &Sequential,
        });
        for (to, (_, slot)) in answer.iter_mut().zip(found.nearest) {
            *to = i32::try_from(slot).unwrap_or(-1);
        }
    }
}

#[cfg(test)]
mod tests;
