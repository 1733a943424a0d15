//! `vecino query`: a question to a file, a server or a folder.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use vecino_engine::{
    filter::Filter,
    library::Library,
    pool::Sequential,
    query::{Answer, Query},
    snapshot,
};

use super::{
    hits,
    local::Local,
    progress::{say, unless_closed},
    target::{Place, Remote, Target},
};
use crate::{
    cli::Output,
    embed::{Embedder as _, StaticEmbedder},
    json::Unique,
    storage,
};

/// What `vecino query` can be told.
#[derive(clap::Args, Clone, Debug)]
#[command(override_usage = "vecino query [OPTIONS] FILE.vecino TEXT\n       \
                            vecino query [OPTIONS] [--server URL | --data-dir DIR] [--library NAME] TEXT")]
pub struct QueryArgs {
    /// A library in a file (not with --server, --data-dir or --library), and the question (not with --embedding).
    #[arg(value_names = ["FILE.vecino", "TEXT"], num_args = 0..=2)]
    words: Vec<String>,
    /// A library of the server or of the data folder, by name or id; may be left out where there is only one.
    #[arg(short, long, value_name = "NAME")]
    library: Option<String>,
    #[command(flatten)]
    place: Place,
    /// How many hits, 1 to 10000.
    #[arg(short, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    k: u64,
    /// Which chunks may be found, as JSON: {"year": {"$gte": 1999}}.
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Say how the answer came about.
    #[arg(long)]
    explain: bool,
    /// Search with a vector instead of a text: a file with a JSON list of numbers, or `-` for stdin.
    #[arg(long, value_name = "FILE")]
    embedding: Option<PathBuf>,
}

/// A question, not yet answered.
struct Question {
    text: Option<String>,
    embedding: Option<Vec<f32>>,
    k: u64,
    filter: Option<Value>,
    explain: bool,
}

/// An answer from a file, in the form of the REST interface.
#[derive(Serialize)]
struct Timed {
    #[serde(flatten)]
    answer: Answer,
    took_ms: f64,
}

/// `vecino query`.
///
/// # Errors
/// A sentence.
pub fn run(args: &QueryArgs, output: Output) -> anyhow::Result<ExitCode> {
    let (file, question) = question(args)?;
    let answer = match (file, &args.place.data_dir) {
        (Some(file), _) => ask_file(Path::new(&file), &question)?,
        (None, Some(folder)) => ask(&mut Local::open_existing(folder)?, args, &question)?,
        (None, None) => ask(&mut Remote(args.place.client()?), args, &question)?,
    };
    if output.json {
        say(&answer.to_string())?;
    } else {
        unless_closed(hits::show(&answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads what is asked of which file.
fn question(args: &QueryArgs) -> anyhow::Result<(Option<String>, Question)> {
    let mut words = args.words.iter().cloned();
    let place = &args.place;
    let elsewhere = args.library.is_some() || place.server.is_some() || place.data_dir.is_some();
    let file = if elsewhere { None } else { words.next() };
    ensure!(elsewhere || file.is_some(), "name a FILE.vecino, or a server with --server, or a library with --library");
    let text = words.next();
    ensure!(
        words.next().is_none(),
        "with a server, a folder or a library there is no file: say only what to search for, in quotes"
    );
    let embedding = args.embedding.as_deref().map(read_embedding).transpose()?;
    match (&text, &embedding) {
        (None, None) => bail!("say what to search for, in quotes, or give a vector with --embedding"),
        (Some(_), Some(_)) => bail!("search for a text or with --embedding, not both"),
        _ => {}
    }
    let filter = args.filter.as_deref().map(serde_json::from_str).transpose().context("--filter is not JSON")?;
    let filter = filter.map(|Unique(filter)| filter);
    Ok((file, Question { text, embedding, k: args.k, filter, explain: args.explain }))
}

/// Asks the library that is named, or the only one there is.
fn ask(target: &mut impl Target, args: &QueryArgs, question: &Question) -> anyhow::Result<Value> {
    let library = match &args.library {
        Some(library) => library.clone(),
        None => {
            let mut found = target.libraries(20)?;
            match found.len() {
                0 => bail!("there is no library yet; `vecino import` makes one"),
                1 => found.remove(0),
                _ => bail!("there are several libraries; name one with --library: {}", found.join(", ")),
            }
        }
    };
    Ok(target.query(&library, &question.body())?)
}

fn read_embedding(path: &Path) -> anyhow::Result<Vec<f32>> {
    let shown = path.display();
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    let text = text.with_context(|| format!("cannot read {shown}"))?;
    serde_json::from_str(&text).with_context(|| format!("{shown} is not a JSON list of numbers"))
}

impl Question {
    fn body(&self) -> Value {
        let mut body = json!({"k": self.k, "explain": self.explain});
        if let Some(text) = &self.text {
            body["text"] = json!(text);
        }
        if let Some(embedding) = &self.embedding {
            body["embedding"] = json!(embedding);
        }
        if let Some(filter) = &self.filter {
            body["filter"] = filter.clone();
        }
        body
    }
}

fn ask_file(path: &Path, question: &Question) -> anyhow::Result<Value> {
    let started = Instant::now();
    let shown = path.display();
    ensure!(path.is_file(), "there is no file {shown}; for a library of a server, use --library");
    let library = snapshot::open_as(&shown.to_string(), &storage::map_file(path)?, None)?.library;
    let filter = question.filter.as_ref().map(Filter::from_json).transpose()?;
    let embedding = match (&question.embedding, &question.text) {
        (Some(embedding), _) => embedding.clone(),
        (None, text) => embed(&library, text.as_deref().unwrap_or_default())?,
    };
    let query = Query { embedding, k: question.k as usize, filter, explain: question.explain, ..Query::default() };
    let answer = library.query(&query, &Sequential)?;
    let took_ms = (started.elapsed().as_secs_f64() * 1e5).round() / 100.0;
    Ok(serde_json::to_value(Timed { answer, took_ms })?)
}

/// Embeds a text as the library's texts were.
fn embed(library: &Library, text: &str) -> anyhow::Result<Vec<f32>> {
    let embedder = StaticEmbedder::load().context("the model inside this program is damaged; install it again")?;
    let (name, own) = (&library.info().name, embedder.model());
    match &library.info().contract.embedding_model {
        Some(theirs) if theirs == own => {}
        Some(theirs) => bail!(
            "the library '{name}' was made with the model {}, this program has another, {}; give a vector with --embedding",
            theirs.name,
            own.name
        ),
        None => bail!("the vectors of the library '{name}' were not made from text by Vecino; give one with --embedding"),
    }
    ensure!(!text.trim().is_empty(), "the text is empty; say what to search for");
    let vector = embedder.embed(&[text.to_owned()])?.pop().flatten();
    vector.with_context(|| format!("the model {} knows no word of '{text}'; use other words", own.name))
}
