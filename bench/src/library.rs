//! `vecino-bench library`: a whole library as the server holds it, with metadata, its own choice of index and effort, and filters.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Map, Value, json};
use vecino_engine::{
    command::{ChunkDraft, Command, DocumentDraft, IndexDraft, LibraryDraft, OnConflict},
    db::Database,
    filter::Filter,
    library::Library as EngineLibrary,
    model::{IndexType, Timestamp},
    pool::Sequential,
    precision::Precision,
    query::{Answer, Include, Query},
    snapshot,
    storage::MemoryStorage,
};

use crate::{
    ann::{MetricName, Threads},
    clock, matrix,
};

/// Fills a library through its log and asks it for recall: one JSON line for the writes, then one for each target and filter.
#[derive(Args)]
pub(crate) struct Library {
    /// The vectors: .npy, .fvecs or .bvecs.
    #[arg(long)]
    base: PathBuf,
    /// The queries.
    #[arg(long)]
    query: PathBuf,
    /// Attributes of the vectors: one JSON object a line, perhaps gzipped.
    #[arg(long)]
    metadata: Option<PathBuf>,
    #[arg(long, default_value = "cosine")]
    metric: MetricName,
    /// auto, flat, kd_tree, lsh, ivf or hnsw.
    #[arg(long, default_value = "auto")]
    index: String,
    /// The recall that is asked for.
    #[arg(long, value_delimiter = ',', default_value = "0.9,0.95,0.99,1")]
    target: Vec<f32>,
    /// A filter, such as '{"t10": 3}'; may be given several times. Without any there is none.
    #[arg(long)]
    filter: Vec<String>,
    /// Vectors in one write.
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    /// Threads of the index builds.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Hits wanted.
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// `int8` answers without the float rows; the truth is of the whole library.
    #[arg(long, default_value = "float32", value_parser = precision)]
    precision: Precision,
    /// Takes this many vectors from the front; 0 is all.
    #[arg(long, default_value_t = 0)]
    limit: usize,
}

pub(crate) fn run(args: &Library) -> Result<()> {
    let command: Vec<String> = std::env::args().collect();
    let base = matrix::floats(&args.base)?;
    let limit = if args.limit == 0 { usize::MAX } else { args.limit };
    let rows: Vec<&[f32]> = base.rows().take(limit).collect();
    let attributes = args.metadata.as_deref().map(read_attributes).transpose()?.unwrap_or_default();
    ensure!(attributes.is_empty() || attributes.len() >= rows.len(), "there are more vectors than lines of metadata");
    let index_type = IndexType::ALL.into_iter().find(|known| known.as_str() == args.index).context("there is no such index")?;

    let (mut database, _) = Database::open(MemoryStorage::default())?;
    let index = IndexDraft { index_type: Some(index_type), ..IndexDraft::default() };
    let (id, name, metric) = ("l".to_owned(), "l".to_owned(), args.metric.into());
    database.execute(Command::CreateLibrary(LibraryDraft { id, name, metric, index, ..LibraryDraft::default() }))?;
    let (wall, cpu, mut writes, mut jobs) = (Instant::now(), clock::process_seconds(), 0.0, 0);
    for (number, batch) in rows.chunks(args.batch.max(1)).enumerate() {
        let first = number * args.batch.max(1);
        let documents = batch.iter().zip(first..).map(|(row, row_number)| document(row, row_number, &attributes)).collect();
        let put = Command::PutDocuments {
            library: "l".into(),
            documents,
            on_conflict: OnConflict::Refuse,
            embedded_by: None,
            now: Timestamp::MIN,
        };
        let begun = Instant::now();
        database.execute(put)?;
        writes += begun.elapsed().as_secs_f64();
        jobs += database.settle(&Threads(args.threads));
    }
    database.execute(Command::CutIndex { library: "l".into() })?;
    jobs += database.settle(&Threads(args.threads));
    let (filled, cpu) = (wall.elapsed().as_secs_f64(), clock::process_seconds() - cpu);
    let library = database.state().library("l")?;
    let (disk, open) = reopen(library)?;
    println!(
        "{}",
        json!({
            "command": command.join(" "), "chunks": rows.len(), "write_s": writes, "write_and_index_s": filled, "cpu_s": cpu, "jobs": jobs,
            "threads": args.threads, "index": library.index_view(), "quality": library.quality_view(),
            "snapshot_bytes": disk, "open_s": open,
        })
    );
    let queries = matrix::floats(&args.query)?;
    let filters = args.filter.iter().map(|text| Ok(Some(serde_json::from_str::<Value>(text)?))).collect::<Result<Vec<_>>>()?;
    for filter in if filters.is_empty() { vec![None] } else { filters } {
        let bound = filter.as_ref().map(Filter::from_json).transpose()?;
        let searched = if args.precision == Precision::Int8 { &library.without_floats() } else { library };
        let ask = |library: &EngineLibrary, row: &[f32], target| {
            let include = Include { text: false, metadata: false, attributes: false, embedding: false };
            let query = Query {
                embedding: row.to_vec(),
                k: args.k,
                filter: bound.clone(),
                include,
                target_recall: Some(target),
                explain: true,
                ..Query::default()
            };
            library.query(&query, &Sequential)
        };
        let truth = queries.rows().map(|row| Ok(ids(&ask(library, row, 1.0)?))).collect::<Result<Vec<_>>>()?;
        for target in &args.target {
            let (mut latencies, mut answers, cpu) = (Vec::new(), Vec::new(), clock::thread_seconds());
            for row in queries.rows() {
                let begun = Instant::now();
                answers.push(ask(searched, row, *target)?);
                latencies.push(begun.elapsed().as_secs_f64() * 1e6);
            }
            let cpu = clock::thread_seconds() - cpu;
            latencies.sort_by(f64::total_cmp);
            let found =
                answers.iter().zip(&truth).map(|(answer, truth)| ids(answer).iter().filter(|id| truth.contains(id)).count());
            let wanted: usize = truth.iter().map(Vec::len).sum();
            println!(
                "{}",
                json!({
                    "filter": filter, "target_recall": (f64::from(*target) * 1e6).round() / 1e6,
                    "recall": found.sum::<usize>() as f64 / wanted.max(1) as f64,
                    "qps_cpu": answers.len() as f64 / cpu, "p50_us": latencies[latencies.len() / 2],
                    "p99_us": latencies[latencies.len() * 99 / 100],
                    "short": answers.iter().filter(|answer| answer.hits.len() < args.k && !answer.exhausted).count(),
                    "explain": answers.first().and_then(|answer| answer.explain.as_ref()),
                })
            );
        }
    }
    Ok(())
}

fn precision(name: &str) -> Result<Precision, String> {
    Precision::named(name).ok_or_else(|| "float32 or int8".to_owned())
}

/// The bytes of the library's file, and the seconds to open it.
fn reopen(library: &EngineLibrary) -> Result<(u64, f64)> {
    let mut file = tempfile::NamedTempFile::new()?;
    snapshot::write(library, &mut file)?;
    let begun = Instant::now();
    let opened = snapshot::open("file", &vecino_server::storage::map_file(file.path())?)?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(opened.library.chunk_count() == library.chunk_count(), "the file holds another library");
    Ok((file.as_file().metadata()?.len(), seconds))
}

fn document(row: &[f32], number: usize, attributes: &[Map<String, Value>]) -> DocumentDraft {
    let own: BTreeMap<String, Value> = attributes.get(number).cloned().unwrap_or_default().into_iter().collect();
    let text = own.get("text").and_then(Value::as_str).unwrap_or("no text").to_owned();
    let fixed = ["id", "text"];
    let chunk = ChunkDraft {
        id: format!("c{number}"),
        text,
        embedding: row.to_vec(),
        attributes: own.into_iter().filter(|(name, _)| !fixed.contains(&name.as_str())).collect(),
        ..ChunkDraft::default()
    };
    DocumentDraft { id: format!("d{number}"), title: format!("d{number}"), chunks: vec![chunk], ..DocumentDraft::default() }
}

fn read_attributes(path: &Path) -> Result<Vec<Map<String, Value>>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let gzipped = path.extension().is_some_and(|ending| ending == "gz");
    let plain: Box<dyn Read> = if gzipped { Box::new(flate2::read::GzDecoder::new(file)) } else { Box::new(file) };
    BufReader::new(plain).lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

fn ids(answer: &Answer) -> Vec<String> {
    answer.hits.iter().map(|hit| hit.id.clone()).collect()
}
