//! `vecino import`: the lines of a JSONL file into a library.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;

use super::{
    feed::{Feed, Halt, Options, Report},
    local::Local,
    progress::{bar, counted, grouped, say},
    target::{OnConflict, Place, Remote, Target, Wanted},
};
use crate::cli::Output;

/// What `vecino import` can be told.
///
/// Each line is a JSON object. `id` (or `_id`), `title`, `text` and `embedding` mean what they say; author, created_at,
/// document_type, source_url and tags are the document's metadata; everything else becomes attributes.
#[derive(clap::Args, Clone, Debug)]
pub struct ImportArgs {
    /// The file, one JSON object on each line; `-` is stdin.
    #[arg(value_name = "FILE.jsonl")]
    pub file: PathBuf,
    /// The library, by name or id; created if it is missing.
    #[arg(short, long, value_name = "NAME")]
    pub library: String,
    #[command(flatten)]
    place: Place,
    /// What to do with a document that exists already.
    #[arg(long, value_enum, default_value_t)]
    pub on_conflict: OnConflict,
    /// What to do after a bad line.
    #[arg(long, value_enum, default_value_t)]
    pub on_error: OnError,
    /// Documents written at once, 1 to 1000: all of them or none.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub batch_size: u16,
    /// The metric of a new library [default: cosine].
    #[arg(long, value_parser = ["cosine", "euclidean", "dot"])]
    pub metric: Option<String>,
    /// The index of a new library [default: auto].
    #[arg(long, value_parser = ["auto", "flat"])]
    pub index_type: Option<String>,
    /// What a new library is about.
    #[arg(long)]
    pub description: Option<String>,
}

/// What to do after a bad line.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Write what is before it, then stop.
    #[default]
    Stop,
    /// Say so and go on.
    Skip,
}

/// `vecino import`.
///
/// # Errors
/// What keeps it from beginning. Later errors are in the summary.
pub fn run(args: &ImportArgs, output: Output) -> anyhow::Result<ExitCode> {
    let (name, source, size) = open(&args.file)?;
    let bar = bar(output, size);
    let mut target: Box<dyn Target> = match &args.place.data_dir {
        Some(folder) => Box::new(Local::open(folder)?),
        None => {
            let shown = bar.clone();
            let quiet = output.quiet;
            Box::new(Remote(args.place.client()?.on_wait(move |failure, wait| {
                if !quiet {
                    shown.suspend(|| eprintln!("vecino: {failure}; trying again in {:.1} s", wait.as_secs_f32()));
                }
            })))
        }
    };
    let wanted = Wanted {
        library: args.library.clone(),
        metric: args.metric.clone(),
        index_type: args.index_type.clone(),
        description: args.description.clone(),
    };
    let created = target.prepare(&wanted)?;
    let options = Options {
        library: args.library.clone(),
        on_conflict: args.on_conflict,
        on_error: args.on_error,
        batch_size: usize::from(args.batch_size),
        name,
        created,
    };
    let (report, halt) = Feed::new(&mut *target, options, bar.clone(), !output.json).run(source);
    bar.finish_and_clear();
    drop(target);
    show(&report, output)?;
    Ok(match halt {
        None => ExitCode::SUCCESS,
        Some(Halt(why)) => {
            eprintln!("vecino: {why}");
            ExitCode::FAILURE
        }
    })
}

/// The file's name for messages, its content, and its size where that is known.
fn open(path: &PathBuf) -> anyhow::Result<(String, Box<dyn BufRead>, Option<u64>)> {
    if path.as_os_str() == "-" {
        return Ok(("stdin".to_owned(), Box::new(BufReader::with_capacity(1 << 18, io::stdin())), None));
    }
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let about = file.metadata().with_context(|| format!("cannot open {name}"))?;
    anyhow::ensure!(!about.is_dir(), "{name} is a folder; import reads a file of JSON lines, or - for stdin");
    Ok((name, Box::new(BufReader::with_capacity(1 << 18, file)), about.is_file().then_some(about.len())))
}

fn show(report: &Report, output: Output) -> anyhow::Result<()> {
    if output.json {
        say(&serde_json::to_string(report)?)?;
    } else if !output.quiet {
        let verb = if report.created { "created, " } else { "" };
        say(&format!("library '{}': {verb}{} written", report.library, counted(report.written, "document")))?;
        say(&format!(
            "{} read, {} skipped as they exist, {} failed; {} made; {:.1} s, {:.0} documents/s",
            counted(report.read, "line"),
            grouped(report.skipped),
            grouped(report.failed),
            counted(report.chunks, "chunk"),
            report.seconds,
            report.written as f64 / report.seconds.max(1e-9),
        ))?;
    }
    Ok(())
}
