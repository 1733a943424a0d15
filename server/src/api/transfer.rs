//! `/v1/libraries/{library}/import` and `/export`: documents as lines of JSON, however many.
//!
//! An import reads on only when what it has read is written, so a client that sends faster than the disk takes is slowed down, and
//! memory stays bounded. An export reads one state from beginning to end, as fast as the client takes it.

use std::{collections::HashSet, time::Duration};

use axum::{
    Json,
    body::{Body, BodyDataStream, Bytes},
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use memchr::memmem;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::{Code, Error};

use super::{
    App,
    extract::{Params, Path, check_kind, parse},
    guard,
    input::{ChunkInput, Conflict, DocumentInput, objects, read_chunks},
    jobs::busy,
    problem::{Answer, Problem},
    reading,
    responses::{Conflicts, Failures, NotFound, Refused, Unreadable},
};
use crate::{
    service::{
        WriteOptions,
        documents::{BatchWritten, NewDocument},
        jobs::{JobError, Running, Stop},
        transfer::Export,
    },
    store::Durability,
};

/// Documents and bytes that are written at once.
const BATCH_DOCUMENTS: usize = 500;
const BATCH_BYTES: usize = 4 << 20;

/// What a body can be.
const KINDS: [&str; 4] = ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/json"];

/// A body that has stopped for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import)).routes(routes!(export))
}

/// How documents are imported.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportParams {
    /// What to do with documents that exist already: `refuse` unless told, `skip` or `replace`.
    #[serde(default)]
    #[param(inline)]
    on_conflict: Conflict,
    /// When a batch counts as written, as for every write: `synced` unless told, or `logged`.
    #[serde(default)]
    #[param(inline)]
    durability: Durability,
}

/// What an export tells.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportParams {
    /// Whether the chunks tell their vectors.
    #[serde(default)]
    embedding: bool,
    /// The answer knows of this write, by its `seq`; it is waited for, up to 5 seconds, then the answer is 409.
    min_seq: Option<u64>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
struct Imported {
    /// Lines that are done.
    lines: u64,
    /// Documents written.
    written: u64,
    /// Documents left out because they exist already.
    skipped: u64,
    /// Chunks written.
    chunks: u64,
    /// Sequence of the last write, 0 for none.
    seq: u64,
}

/// Imports documents, one a line, as the body comes in.
///
/// Lines are in the form of the body that adds a document. One that has too many chunks for a line goes on in the next lines, which
/// are `{"continues": "<its id>", "chunks": [...]}`; where the document is left out, so are they. A body of the type
/// `application/json` is one document, on any lines. They are written in batches of up to 500, each whole or not at all, and no
/// more is read before a batch is written. At the first line that is wrong the import ends with the problem, whose `line` is its
/// number; all lines before it are written. While it runs it is a job of the kind `import`, which tells how many lines are done and
/// can be cancelled.
#[utoipa::path(post, path = "/v1/libraries/{library}/import", tag = "documents",
    request_body(content((String = "application/x-ndjson"), (DocumentInput = "application/json")),
        description = "Documents, one a line; or one document."),
    params(("library" = String, Path, description = "Id or name."), ImportParams),
    responses((status = 200, description = "All lines are written.", body = Imported),
        (status = 408, description = "The body has stopped coming.", content_type = "application/problem+json",
            body = super::problem::Document),
        Refused, Unreadable, NotFound, Conflicts, Failures))]
async fn import(
    State(app): State<App>,
    Path(library): Path<String>,
    Params(params): Params<ImportParams>,
    request: Request,
) -> Answer<Json<Imported>> {
    let lines = check_kind(request.headers(), &KINDS, "an import is lines of JSON")? != "application/json";
    app.service.library(&library)?;
    let job = app.service.begin_job("import", Some(&library)).ok_or_else(busy)?;
    let mut import = Import {
        app: &app,
        library,
        params,
        job,
        lines: Vec::new(),
        ids: HashSet::new(),
        bytes: 0,
        continued: None,
        done: Imported::default(),
    };
    let result = import.run(request.into_body().into_data_stream(), lines).await;
    let outcome = match &result {
        Ok(done) => Ok(serde_json::json!(done)),
        Err(problem) if problem.code() == "cancelled" => Err(Stop::Cancelled),
        Err(problem) => Err(Stop::Failed(JobError::from(problem))),
    };
    app.service.end_job(&import.job, outcome);
    result.map(Json)
}

/// A line that waits to be written.
struct Line {
    number: u64,
    bytes: Vec<u8>,
    /// The id of its document, if it has one.
    id: Option<String>,
}

/// More chunks of the document of the line before.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct More {
    continues: String,
    #[serde(deserialize_with = "objects")]
    chunks: Vec<ChunkInput>,
}

/// Tells such a line from one with a document.
#[derive(Deserialize)]
struct Probe {
    continues: Option<IgnoredAny>,
}

/// The document that lines continue.
struct Continued {
    id: String,
    /// Whether it was written; else it was left out.
    written: bool,
}

struct Import<'a> {
    app: &'a App,
    library: String,
    params: ImportParams,
    job: Running,
    lines: Vec<Line>,
    ids: HashSet<String>,
    bytes: usize,
    continued: Option<Continued>,
    done: Imported,
}

impl Import<'_> {
    /// Reads to the end; `lines` says whether a line is a document, else all of it is one.
    async fn run(&mut self, mut body: BodyDataStream, lines: bool) -> Answer<Imported> {
        let (mut rest, mut number) = (Vec::new(), 0);
        loop {
            let part = timeout(SILENCE, body.next()).await.map_err(|_| {
                let detail = format!("nothing has come for {} s; {}", SILENCE.as_secs(), self.so_far());
                Problem::new("silent_body", detail)
            })?;
            let Some(part) = part else { break };
            let part = part.map_err(|error| Problem::new("bad_request", format!("the body did not arrive whole: {error}")))?;
            let mut pieces = part.split(|byte| lines && *byte == b'\n').peekable();
            while let Some(piece) = pieces.next() {
                rest.extend_from_slice(piece);
                if rest.len() > self.app.max_body_bytes {
                    let detail = format!("a line has more than {} bytes; {}", self.app.max_body_bytes, self.so_far());
                    return Err(Problem::new("payload_too_large", detail).line(number + 1));
                }
                if pieces.peek().is_some() {
                    number += 1;
                    self.line(number, std::mem::take(&mut rest)).await?;
                }
            }
        }
        self.line(number + 1, rest).await?;
        self.flush().await?;
        Ok(self.done)
    }

    async fn line(&mut self, number: u64, bytes: Vec<u8>) -> Answer<()> {
        if bytes.trim_ascii().is_empty() {
            return Ok(());
        }
        if is_more(&bytes) {
            return self.more(number, &bytes).await;
        }
        self.continued = None;
        let id = match parse::<DocumentInput>(&bytes) {
            Ok(input) => input.id,
            Err(problem) => {
                self.flush().await?;
                return Err(self.at(problem, number));
            }
        };
        // A batch names no document twice.
        let again = id.as_ref().is_some_and(|id| self.ids.contains(id));
        if again || self.lines.len() >= BATCH_DOCUMENTS || self.bytes >= BATCH_BYTES {
            self.flush().await?;
        }
        self.ids.extend(id.clone());
        self.bytes += bytes.len();
        self.lines.push(Line { number, bytes, id });
        Ok(())
    }

    /// Writes more chunks of the document of the line before, which by then is written, or left out.
    async fn more(&mut self, number: u64, bytes: &[u8]) -> Answer<()> {
        let More { continues, chunks } = match parse(bytes) {
            Ok(more) => more,
            Err(problem) => {
                self.flush().await?;
                return Err(self.at(problem, number));
            }
        };
        if let Some(document) = self.lines.pop() {
            self.flush().await?;
            let (id, before) = (document.id.clone(), self.done.written);
            self.lines.push(document);
            self.flush().await?;
            self.continued = id.map(|id| Continued { id, written: self.done.written > before });
        }
        let Some(document) = self.continued.as_ref().filter(|document| document.id == continues) else {
            let detail = "the line before is not about this document; put it right after that of the document, which needs an id";
            let error = Error::new(Code::InvalidValue, detail).field("continues").unfit();
            return Err(self.at(error.into(), number));
        };
        if document.written {
            let chunks = read_chunks(chunks, &self.app.service).map_err(|error| self.at(error.into(), number))?;
            let _room = guard::room(self.app, bytes.len() as u64)?;
            let options = WriteOptions { durability: self.params.durability, if_seq: None };
            let written = self.app.service.add_chunks(&self.library, &document.id, chunks, options).await;
            let written = written.map_err(|error| self.at(error.into(), number))?;
            self.done.chunks += written.chunks.len() as u64;
            self.done.seq = written.seq;
        }
        self.done.lines += 1;
        self.progress()
    }

    /// Writes what waits. If one line is refused, those before it are written nevertheless.
    async fn flush(&mut self) -> Answer<()> {
        let lines = std::mem::take(&mut self.lines);
        self.ids.clear();
        self.bytes = 0;
        let Err((problem, at)) = self.write(&lines).await else { return Ok(()) };
        let (before, bad) = lines.split_at(at.min(lines.len()));
        if !before.is_empty() {
            self.write(before).await.map_err(|(problem, _)| problem)?;
        }
        Err(match bad.first() {
            Some(line) => self.at(problem, line.number),
            None => problem,
        })
    }

    /// Writes lines, all or none; else the problem, and which line it is about.
    async fn write(&mut self, lines: &[Line]) -> Result<(), (Problem, usize)> {
        if lines.is_empty() {
            return Ok(());
        }
        let read = |(at, line): (usize, &Line)| -> Result<NewDocument, (Problem, usize)> {
            parse::<DocumentInput>(&line.bytes).and_then(|input| input.read(&self.app.service)).map_err(|problem| (problem, at))
        };
        let documents = lines.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        let bytes: usize = lines.iter().map(|line| line.bytes.len()).sum();
        let _room = guard::room(self.app, bytes as u64).map_err(|problem| (problem, lines.len()))?;
        let options = WriteOptions { durability: self.params.durability, if_seq: None };
        let written = self.app.service.put_documents(&self.library, documents, self.params.on_conflict.into(), options).await;
        let BatchWritten { written, skipped, chunks, seq } = written.map_err(|error| alone(error, lines.len()))?;
        let done = &mut self.done;
        done.lines += lines.len() as u64;
        done.written += written as u64;
        done.skipped += skipped as u64;
        done.chunks += chunks as u64;
        done.seq = seq;
        self.progress().map_err(|problem| (problem, lines.len()))
    }

    /// Tells how far it has come, and hears whether to go on.
    fn progress(&self) -> Answer<()> {
        let cancelled = |_| Problem::new("cancelled", format!("the import was cancelled; {}", self.so_far()));
        self.job.progress(self.done.lines, None).map_err(cancelled)
    }

    /// The problem of a line.
    fn at(&self, problem: Problem, number: u64) -> Problem {
        problem.explained(&self.so_far()).line(number)
    }

    fn so_far(&self) -> String {
        format!("{} lines are done, {} documents written", self.done.lines, self.done.written)
    }
}

/// Whether a line goes on with the document of the one before.
fn is_more(line: &[u8]) -> bool {
    // Most lines do not even have the word.
    memmem::find(line, b"\"continues\"").is_some()
        && serde_json::from_slice::<Probe>(line).is_ok_and(|probe| probe.continues.is_some())
}

/// An error about a document of a batch, as one about that document alone, and which one it is.
fn alone(mut error: Error, count: usize) -> (Problem, usize) {
    let place = error.field.as_deref().and_then(|field| {
        let (number, rest) = field.strip_prefix("documents[")?.split_once(']')?;
        Some((number.parse::<usize>().ok()?, rest.trim_start_matches('.').to_owned()))
    });
    match place {
        Some((at, rest)) => {
            error.field = (!rest.is_empty()).then_some(rest);
            (error.into(), at)
        }
        None => (error.into(), count),
    }
}

/// Exports all documents with their chunks, one a line, in the form that an import reads: with up to 1,000 chunks, or about a
/// megabyte, and the rest in the next lines.
///
/// All of it is as of one write, whose sequence is in the header `X-Vecino-Seq`, whatever is written meanwhile.
#[utoipa::path(get, path = "/v1/libraries/{library}/export", tag = "documents",
    params(("library" = String, Path, description = "Id or name."), ExportParams),
    responses((status = 200, description = "The documents, in the order of their ids.", content_type = "application/x-ndjson",
            body = String, headers(("X-Vecino-Seq" = u64, description = "Sequence of the last write that changed the library."))),
        Refused, NotFound, Failures))]
async fn export(State(app): State<App>, Path(library): Path<String>, Params(params): Params<ExportParams>) -> Answer<Response> {
    let export = reading(&app, params.min_seq, move |service| service.export(&library, params.embedding)).await?;
    let seq = export.seq();
    // Whoever compresses the answer asks again after its end.
    let lines = stream::unfold(Some(export), |export| async { next_lines(export?).await }).fuse();
    let mut response = Body::from_stream(lines).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert("x-vecino-seq", HeaderValue::from(seq));
    Ok(response)
}

/// The next lines; an error cuts the answer off, so that nobody takes it for whole.
async fn next_lines(mut export: Export) -> Option<(Result<Bytes, std::io::Error>, Option<Export>)> {
    let next = tokio::task::spawn_blocking(move || export.next().map(|lines| (lines, export))).await;
    match next {
        Ok(None) => None,
        Ok(Some((Ok(lines), export))) => Some((Ok(lines.into()), Some(export))),
        Ok(Some((Err(error), _))) => Some((Err(error.into()), None)),
        Err(error) => Some((Err(std::io::Error::other(error)), None)),
    }
}
