//! `vecino check`: whether the bytes of a folder are those that were written.

use std::{
    fmt::Display,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use vecino_engine::{Code, Error, Result, blob::AlignedBytes, blob::Blob, codec, journal, journal::Checked, snapshot};

use super::progress::{counted, grouped, say, unless_closed};
use crate::{cli::Output, storage::FileStorage};

/// The exit code when nothing could be said about the data.
const NOT_CHECKED: u8 = 2;

/// What `vecino check` can be told.
///
/// Ends with 0 when every checksum is right, with 1 when something is damaged, with 2 when it could not look. It changes
/// nothing.
#[derive(clap::Args, Clone, Debug)]
pub struct CheckArgs {
    /// A data folder, or a single `.vecino` or `.log` file.
    #[arg(value_name = "DIR")]
    pub path: PathBuf,
}

#[derive(Serialize)]
struct Findings {
    path: String,
    clean: bool,
    files: Vec<Checked>,
}

#[derive(Serialize)]
struct NotChecked {
    path: String,
    error: Error,
}

/// `vecino check`.
///
/// # Errors
/// When the findings cannot be printed.
pub fn run(args: &CheckArgs, output: Output) -> anyhow::Result<ExitCode> {
    let path = args.path.display().to_string();
    let checked = if args.path.is_file() { check_file(&args.path) } else { check_folder(&args.path) };
    let files = match checked {
        Ok(files) => files,
        Err(error) => {
            if output.json {
                say(&serde_json::to_string(&NotChecked { path, error: error.clone() })?)?;
            }
            eprintln!("vecino: {}{}", error.detail, advice(&error));
            return Ok(ExitCode::from(NOT_CHECKED));
        }
    };
    let clean = files.iter().all(|file| file.problems.is_empty());
    if output.json {
        say(&serde_json::to_string(&Findings { path, clean, files })?)?;
    } else if !(output.quiet && clean) {
        unless_closed(show(&path, &files))?;
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn advice(error: &Error) -> &'static str {
    match error.code {
        Code::Locked => ": stop it first, or check a copy of the folder",
        _ => "",
    }
}

fn check_folder(folder: &Path) -> Result<Vec<Checked>> {
    let mut files = journal::check(&FileStorage::open_read_only(folder)?)?;
    if files.is_empty() {
        return Err(Error::new(Code::Storage, format!("{} holds no Vecino data", folder.display())));
    }
    // What shows only when all files are read together is told of the file that it is about.
    if let Some(last) = files.pop() {
        match files.iter_mut().find(|file| file.file == last.file) {
            Some(file) => file.problems = last.problems,
            None => files.push(last),
        }
    }
    Ok(files)
}

fn check_file(path: &Path) -> Result<Vec<Checked>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = fs::read(path).map_err(|error| Error::new(Code::Storage, format!("cannot read {}: {error}", path.display())))?;
    let result = match path.extension().and_then(|extension| extension.to_str()) {
        Some("vecino") => snapshot::open_as(&name, &Blob::new(AlignedBytes::from(bytes.as_slice())), None)
            .and_then(snapshot::Opened::intact)
            .map(|library| library.chunk_count()),
        Some("log") => check_log(&name, &bytes),
        _ => {
            let detail = format!("{} is no data folder, and neither a .vecino nor a .log file", path.display());
            return Err(Error::new(Code::Storage, detail));
        }
    };
    let (items, problems) = match result {
        Ok(items) => (items, Vec::new()),
        Err(error) => (0, journal::all_damage(&name, &bytes, error)),
    };
    Ok(vec![Checked { file: name, bytes: bytes.len() as u64, items, problems }])
}

fn check_log(name: &str, bytes: &[u8]) -> Result<usize> {
    let segment = codec::read_segment(name, bytes, None)?;
    if segment.torn > 0 {
        let why = format!("the last {} bytes are an incomplete write", segment.torn);
        return Err(Error::damaged(name, segment.valid_len, why));
    }
    Ok(segment.records.len())
}

fn show(path: &str, files: &[Checked]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let width = files.iter().map(|file| file.file.len()).max().unwrap_or_default().max(4);
    let bold = Style::new().bold();
    let mut row = |style: Style, name: &str, bytes: &dyn Display, items: &dyn Display, state: &str| {
        writeln!(out, "{name:width$}  {bytes:>15}  {items:>12}  {style}{state}{style:#}")
    };
    row(Style::new(), "file", &"bytes", &"items", "state")?;
    for file in files {
        let (style, state) = match file.problems.len() {
            0 => (AnsiColor::Green.on_default(), "ok"),
            _ => (AnsiColor::Red.on_default().bold(), "damaged"),
        };
        row(style, &file.file, &grouped(file.bytes), &grouped(file.items as u64), state)?;
    }
    let problems: Vec<&Error> = files.iter().flat_map(|file| &file.problems).collect();
    for problem in &problems {
        writeln!(out, "\n{}: {}", problem.field.as_deref().unwrap_or("the folder"), problem.detail)?;
    }
    match problems.len() {
        0 => writeln!(out, "\n{bold}{path} is sound{bold:#}: {}", counted(files.len() as u64, "file")),
        _ => writeln!(
            out,
            "\n{bold}{path} is damaged{bold:#}; keep a copy of it before anything else, then restore a backup, \
             or save what is intact with `vecino repair`"
        ),
    }
}
