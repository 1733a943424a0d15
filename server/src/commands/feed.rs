//! Feeding lines to a library in batches, and what becomes of bad ones.

use std::{collections::HashSet, io::BufRead, mem, time::Instant};

use indicatif::ProgressBar;
use serde::Serialize;

use super::{
    client::{Failure, Problem},
    document::Document,
    import::OnError,
    lines::{Line, Lines, MAX_LINE_BYTES},
    progress::{counted, grouped},
    target::{OnConflict, Target, Written},
};

/// About how many bytes a batch may have, unless a single document has more.
const BATCH_BYTES: usize = 4 << 20;

/// Bad lines that the summary keeps; the others are counted.
const MAX_ERRORS: usize = 1_000;

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The library.
    pub library: String,
    /// What becomes of documents that exist.
    pub on_conflict: OnConflict,
    /// What becomes of bad lines.
    pub on_error: OnError,
    /// Documents in a batch.
    pub batch_size: usize,
    /// The file's name.
    pub name: String,
    /// Whether the library is new.
    pub created: bool,
}

/// What was done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The library.
    pub library: String,
    /// Whether it was created.
    pub created: bool,
    /// Lines with something in them.
    pub read: u64,
    /// Documents written.
    pub written: u64,
    /// Documents left out because they exist.
    pub skipped: u64,
    /// Bad lines.
    pub failed: u64,
    /// Chunks written.
    pub chunks: u64,
    /// Sequence of the last write.
    pub seq: u64,
    /// How long it took.
    pub seconds: f64,
    /// Whether all lines were done.
    pub complete: bool,
    /// The bad lines, the first thousand of them.
    pub errors: Vec<BadLine>,
}

/// A line that could not be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// The file.
    pub file: String,
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
    /// The code, where the library refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// Why it ended before the end, as a sentence that says how to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt(pub String);

/// Feeds lines to a library.
pub struct Feed<'a> {
    target: &'a mut dyn Target,
    options: Options,
    bar: ProgressBar,
    /// Whether bad lines are told on stderr as they come.
    aloud: bool,
    report: Report,
    batch: Vec<(u64, Document)>,
    ids: HashSet<String>,
    weight: usize,
    started: Instant,
}

impl<'a> Feed<'a> {
    /// Prepares to feed.
    pub fn new(target: &'a mut dyn Target, options: Options, bar: ProgressBar, aloud: bool) -> Self {
        let report = Report { library: options.library.clone(), created: options.created, ..Report::default() };
        let started = Instant::now();
        Self { target, options, bar, aloud, report, batch: Vec::new(), ids: HashSet::new(), weight: 0, started }
    }

    /// Feeds all lines of `source`.
    pub fn run(mut self, source: impl BufRead) -> (Report, Option<Halt>) {
        let halt = self.feed(source).err();
        self.report.complete = halt.is_none();
        self.report.seconds = self.started.elapsed().as_secs_f64();
        (self.report, halt)
    }

    fn feed(&mut self, source: impl BufRead) -> Result<(), Halt> {
        let mut lines = Lines::new(source, MAX_LINE_BYTES);
        loop {
            let line = match lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => return self.flush(),
                Err(error) => {
                    self.flush()?;
                    let halt = format!("cannot read {} any further: {error}; {}", self.options.name, self.so_far());
                    return Err(Halt(halt));
                }
            };
            self.report.read += 1;
            let (number, end) = (line.number, line.end);
            match read(line) {
                Ok(document) => self.add(number, document)?,
                Err(reason) => {
                    if self.options.on_error == OnError::Stop {
                        self.flush()?;
                    }
                    self.bad(number, reason, None)?;
                }
            }
            self.bar.set_position(end);
        }
    }

    fn add(&mut self, number: u64, document: Document) -> Result<(), Halt> {
        // A batch names no document twice.
        let weight = document.weight();
        if self.weight + weight > BATCH_BYTES || self.ids.contains(&document.id) {
            self.flush()?;
        }
        self.weight += weight;
        self.ids.insert(document.id.clone());
        self.batch.push((number, document));
        if self.batch.len() >= self.options.batch_size { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Halt> {
        let batch = mem::take(&mut self.batch);
        self.ids.clear();
        self.weight = 0;
        self.write(&batch)?;
        let rate = self.report.written as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        self.bar.set_message(format!("{}, {}/s", counted(self.report.written, "document"), grouped(rate as u64)));
        Ok(())
    }

    /// Writes a batch; one that is refused is halved until the bad lines stand alone, in their order.
    fn write(&mut self, batch: &[(u64, Document)]) -> Result<(), Halt> {
        let documents: Vec<&Document> = batch.iter().map(|(_, document)| document).collect();
        let Some(((first, _), (last, _))) = batch.first().zip(batch.last()) else { return Ok(()) };
        match self.target.write(&self.options.library, &documents, self.options.on_conflict) {
            Ok(written) => self.count(written),
            Err(Failure::Refused(problem)) if is_of_documents(&problem) => {
                if batch.len() == 1 {
                    return self.bad(*first, reason(&problem), Some(problem.code));
                }
                let (left, right) = batch.split_at(batch.len() / 2);
                self.write(left)?;
                self.write(right)?;
            }
            Err(failure) => {
                let doubt = match &failure {
                    Failure::Unreachable { perhaps_done: true, .. } => "; perhaps they were written nevertheless",
                    _ => "",
                };
                let halt =
                    format!("{}:{first}-{last}: could not be written: {failure}{doubt}. {}", self.options.name, self.so_far());
                return Err(Halt(halt));
            }
        }
        Ok(())
    }

    fn count(&mut self, written: Written) {
        self.report.written += written.written;
        self.report.skipped += written.skipped;
        self.report.chunks += written.chunks;
        self.report.seq = self.report.seq.max(written.seq);
    }

    fn bad(&mut self, line: u64, reason: String, code: Option<String>) -> Result<(), Halt> {
        self.report.failed += 1;
        let what = format!("{}:{line}: {reason}", self.options.name);
        if self.report.errors.len() < MAX_ERRORS {
            self.report.errors.push(BadLine { file: self.options.name.clone(), line, reason, code });
        }
        if self.options.on_error == OnError::Stop {
            let halt = format!("{what}. {}, or go on without it with --on-error skip", self.so_far_correct());
            return Err(Halt(halt));
        }
        if self.aloud {
            self.bar.suspend(|| eprintln!("vecino: {what}"));
        }
        Ok(())
    }

    fn so_far(&self) -> String {
        format!("All before is written ({}); {}", counted(self.done(), "document"), self.again("run the same command again"))
    }

    fn so_far_correct(&self) -> String {
        let again = self.again("correct the line and run the same command again");
        format!("All before is written ({}); {again}", counted(self.done(), "document"))
    }

    fn again(&self, what: &str) -> String {
        match self.options.on_conflict {
            OnConflict::Skip => format!("{what}: what is there is skipped"),
            OnConflict::Replace => format!("{what}, with --on-conflict skip to pass over what is there"),
            OnConflict::Refuse => format!("{what} with --on-conflict skip"),
        }
    }

    fn done(&self) -> u64 {
        self.report.written + self.report.skipped
    }
}

fn read(line: Line) -> Result<Document, String> {
    let content = line.content.ok_or_else(|| format!("it has more than {} MiB", MAX_LINE_BYTES >> 20))?;
    Document::read(&content)
}

/// Whether a refusal is about what a document holds, so that others may still be written.
fn is_of_documents(problem: &Problem) -> bool {
    let local = problem.status == 0 && problem.code != "storage" && problem.code != "locked";
    let remote = matches!(problem.status, 400 | 409 | 413 | 422);
    (local || remote) && problem.code != "library_not_found" && problem.code != "unexpected_answer"
}

/// The refusal of a batch of one document, without its place in the batch.
fn reason(problem: &Problem) -> String {
    let field = problem.field.as_deref().map(|field| field.strip_prefix("documents[0]").unwrap_or(field));
    match field.map(|field| field.trim_start_matches('.')).filter(|field| !field.is_empty()) {
        Some(field) => format!("{field}: {}", problem.detail),
        None => problem.detail.clone(),
    }
}
