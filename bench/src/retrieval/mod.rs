//! How good answers are: a judged collection is imported, asked, and compared with the judgements.
//!
//! The way is that of a user: the lines of the corpus go through `vecino import` and are split and embedded as everywhere; a
//! query is a text. A document is ranked by its best passage. Lines that cannot be imported, such as Cranfield's document without
//! a text, are left out and counted.

mod collection;
mod measure;
mod whole;

use std::{
    fs::File,
    io::{BufReader, Write as _},
    path::PathBuf,
    process::id,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use vecino_server::{
    commands::{
        client::{Client, segment},
        feed::{Feed, Halt, Options, Report},
        import::OnError,
        local::Local,
        target::{OnConflict, Remote, Target, Wanted},
    },
    service::split::SplitOptions,
};

use self::{
    collection::Collection,
    measure::{ndcg, recall},
    whole::Whole,
};

/// Recall is measured at this depth.
const DEPTH: usize = 100;

/// Passages asked for at first; more when they belong to fewer than [`DEPTH`] documents.
const PASSAGES: u64 = 300;

/// No query may ask for more.
const MAX_PASSAGES: u64 = 10_000;

/// What `vecino-bench retrieval` can be told.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RetrievalArgs {
    /// A folder with corpus.jsonl, queries.jsonl and qrels.tsv. Gains are the scores of qrels.tsv as they stand, higher is
    /// better; 0 and less is not relevant.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Go through a server instead of the same code in this process; its library is deleted afterwards.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Tokens of a passage [default: as the server].
    #[arg(long, value_name = "N", conflicts_with = "server")]
    max_tokens: Option<usize>,
    /// Tokens that a passage repeats of the one before [default: as the server].
    #[arg(long, value_name = "N", conflicts_with = "server")]
    overlap: Option<usize>,
    /// The depth of nDCG.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100))]
    k: u64,
    /// Measure whole documents, too, one vector each.
    #[arg(long)]
    whole: bool,
}

/// What was measured.
struct Measured {
    import: Report,
    import_seconds: f64,
    query_seconds: f64,
    figures: Figures,
}

/// Means over all queries.
#[derive(Default)]
struct Figures {
    ndcg: f64,
    recall: f64,
}

/// Measures and prints.
pub(crate) fn run(args: &RetrievalArgs) -> Result<()> {
    let started = Instant::now();
    let collection = Collection::open(&args.data)?;
    let options = split_options(args);
    let library = format!("bench-{}", id());
    let measured = match &args.server {
        Some(url) => {
            let measured = measure(&mut Remote(Client::new(url)?), &library, &collection, args);
            // Also when something went wrong half way.
            let deleted = Client::new(url)?.delete(&format!("/v1/libraries/{}", segment(&library)));
            let measured = measured?;
            deleted.with_context(|| format!("the library '{library}' could not be deleted"))?;
            measured
        }
        None => {
            let folder = tempfile::tempdir()?;
            let mut local = Local::open_with(&folder.path().join("data"), options.clone())?;
            measure(&mut local, &library, &collection, args)?
        }
    };
    let whole = if args.whole { Some(measure_whole(&collection, args.k as usize)?) } else { None };
    let mut line = line(args, &collection, &measured);
    if args.server.is_none() {
        line["max_tokens"] = json!(options.max_tokens);
        line["overlap_tokens"] = json!(options.overlap_tokens);
    }
    if let Some(whole) = whole {
        line[format!("whole_ndcg@{}", args.k)] = rounded(whole.ndcg);
        line[format!("whole_recall@{DEPTH}")] = rounded(whole.recall);
    }
    line["seconds"] = rounded(started.elapsed().as_secs_f64());
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

fn split_options(args: &RetrievalArgs) -> SplitOptions {
    let standard = SplitOptions::default();
    SplitOptions {
        max_tokens: args.max_tokens.unwrap_or(standard.max_tokens),
        overlap_tokens: args.overlap.unwrap_or(standard.overlap_tokens),
    }
}

fn line(args: &RetrievalArgs, collection: &Collection, measured: &Measured) -> Value {
    let command: Vec<String> = std::env::args().collect();
    let mut line = json!({
        "bench": "retrieval",
        "data": args.data.file_name().unwrap_or_default().to_string_lossy(),
        "way": if args.server.is_some() { "rest" } else { "in_process" },
        "queries": collection.queries.len(),
        "documents": measured.import.written,
        "bad_lines": measured.import.failed,
        "chunks": measured.import.chunks,
        "import_seconds": rounded(measured.import_seconds),
        "query_seconds": rounded(measured.query_seconds),
        "version": env!("CARGO_PKG_VERSION"),
        "command": command.join(" "),
    });
    line[format!("ndcg@{}", args.k)] = rounded(measured.figures.ndcg);
    line[format!("recall@{DEPTH}")] = rounded(measured.figures.recall);
    line
}

fn rounded(number: f64) -> Value {
    json!((number * 1e4).round() / 1e4)
}

fn measure(target: &mut dyn Target, library: &str, collection: &Collection, args: &RetrievalArgs) -> Result<Measured> {
    let wanted = Wanted { library: library.to_owned(), metric: Some("cosine".to_owned()), ..Wanted::default() };
    ensure!(target.prepare(&wanted)?, "there is a library '{library}' already; delete it first");
    let started = Instant::now();
    let import = import(target, library, collection)?;
    let import_seconds = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let figures = mean(collection, args.k as usize, |text| rank(target, library, text))?;
    Ok(Measured { import, import_seconds, query_seconds: started.elapsed().as_secs_f64(), figures })
}

fn import(target: &mut dyn Target, library: &str, collection: &Collection) -> Result<Report> {
    let name = collection.corpus.display().to_string();
    let file = File::open(&collection.corpus).with_context(|| format!("cannot open {name}"))?;
    let options = Options {
        library: library.to_owned(),
        on_conflict: OnConflict::Refuse,
        on_error: OnError::Skip,
        batch_size: 100,
        name,
        created: true,
    };
    match Feed::new(target, options, ProgressBar::hidden(), false).run(BufReader::new(file)) {
        (report, None) => Ok(report),
        (_, Some(Halt(why))) => bail!(why),
    }
}

/// The documents for a question, each at the place of its best passage; those of at least [`DEPTH`] documents, if so many
/// there are.
fn rank(target: &mut dyn Target, library: &str, text: &str) -> Result<Vec<String>> {
    let mut k = PASSAGES;
    loop {
        let include: [&str; 0] = [];
        let question = json!({"text": text, "k": k, "include": include});
        let answer = target.query(library, &question)?;
        let hits = answer["hits"].as_array().context("the answer has no hits")?;
        let mut documents: Vec<String> = Vec::with_capacity(DEPTH);
        for hit in hits {
            let document = hit["document_id"].as_str().context("a hit has no document_id")?;
            if documents.len() < DEPTH && !documents.iter().any(|known| known == document) {
                documents.push(document.to_owned());
            }
        }
        if documents.len() >= DEPTH || answer["exhausted"] == true || k >= MAX_PASSAGES {
            return Ok(documents);
        }
        k = (k * 4).min(MAX_PASSAGES);
    }
}

fn measure_whole(collection: &Collection, k: usize) -> Result<Figures> {
    let whole = Whole::read(&collection.corpus)?;
    mean(collection, k, |text| whole.search(text, DEPTH.max(k)))
}

fn mean(collection: &Collection, k: usize, mut rank: impl FnMut(&str) -> Result<Vec<String>>) -> Result<Figures> {
    let mut sum = Figures::default();
    for (text, judged) in &collection.queries {
        let ranking = rank(text).with_context(|| format!("the query '{text}'"))?;
        sum.ndcg += ndcg(&ranking, judged, k);
        sum.recall += recall(&ranking, judged, DEPTH);
    }
    let count = collection.queries.len() as f64;
    Ok(Figures { ndcg: sum.ndcg / count, recall: sum.recall / count })
}
