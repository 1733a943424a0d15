//! `vecino-bench http`: what HTTP costs beside the same searches within the process, and what it bears.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use vecino_engine::{
    pool::Sequential,
    query::{Include, Query},
    snapshot,
};

use crate::matrix::{self, Matrix};

/// Starts a server on an empty folder, fills it over HTTP, and measures queries over HTTP and within this process.
#[derive(Args)]
pub(crate) struct Http {
    /// The program `vecino`, built for release.
    #[arg(long)]
    program: PathBuf,
    /// The vectors: .npy, .fvecs or .bvecs.
    #[arg(long)]
    base: PathBuf,
    /// The queries: .npy, .fvecs or .bvecs.
    #[arg(long)]
    query: PathBuf,
    /// The numbers of each query's nearest vectors, .npy or .ivecs.
    #[arg(long)]
    truth: PathBuf,
    /// How many of the vectors are taken, from the first.
    #[arg(long)]
    rows: Option<usize>,
    /// Vectors in a durable batch.
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    #[arg(long, default_value_t = 8)]
    connections: usize,
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// How long each kind of query is measured.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Idle connections that are open while queries are measured a second time.
    #[arg(long, default_value_t = 0)]
    idle: usize,
    /// Connections that send a byte a second, open at the same time.
    #[arg(long, default_value_t = 0)]
    slow: usize,
}

/// `vecino-bench http`.
pub(crate) fn run(args: &Http) -> Result<()> {
    let mut base = matrix::floats(&args.base)?;
    let queries = matrix::floats(&args.query)?;
    let truth = matrix::row_numbers(&args.truth)?;
    base.values.truncate(args.rows.unwrap_or(usize::MAX).saturating_mul(base.columns));
    let folder = tempfile::tempdir()?;
    let server = Server::start(args, folder.path())?;
    ingest(args, &server, &base)?;

    let bodies: Vec<String> = queries.rows().map(|query| body(query, args.k)).collect();
    let http = over_http(args, &server, &bodies)?;
    let hits = hits_over_http(&server, &bodies)?;
    let recall = recall(&hits, &truth, args.k);
    let inside = within(args, &server, &queries)?;
    let (median, late) = (http.at(0.5), http.at(0.99));
    print(&json!({
        "what": "query", "rows": base.rows().len(), "columns": base.columns, "k": args.k, "connections": args.connections,
        "recall": recall, "http_qps": http.qps, "in_process_qps": inside, "share": http.qps / inside,
        "p50_ms": median, "p99_ms": late, "p99_over_p50": late / median,
    }));
    if args.idle + args.slow > 0 {
        let flood = Flood::begin(args, &server)?;
        let under = over_http(args, &server, &bodies)?;
        print(&json!({
            "what": "query under idle and slow connections", "idle": flood.idle.len(), "slow": args.slow,
            "http_qps": under.qps, "p50_ms": under.at(0.5), "p99_ms": under.at(0.99), "share_of_before": under.qps / http.qps,
        }));
        flood.end();
    }
    Ok(())
}

fn print(line: &Value) {
    println!("{line}");
}

fn body(query: &[f32], k: usize) -> String {
    json!({"embedding": query, "k": k, "include": []}).to_string()
}

/// Durable batches one after the other, then the wait for the index.
fn ingest(args: &Http, server: &Server, base: &Matrix<f32>) -> Result<()> {
    let mut connection = server.connect()?;
    connection.ask("POST", "/v1/libraries", &json!({"name": "bench"}).to_string())?;
    let document = json!({"id": "all", "metadata": {"title": "All"}, "chunks": []}).to_string();
    connection.ask("POST", "/v1/libraries/bench/documents", &document)?;
    let rows: Vec<&[f32]> = base.rows().collect();
    let batches: Vec<String> = rows
        .chunks(args.batch)
        .enumerate()
        .map(|(batch, rows)| {
            let chunk = |(place, row): (usize, &&[f32])| {
                let id = (batch * args.batch + place).to_string();
                json!({"document_id": "all", "id": id, "text": id, "embedding": row})
            };
            json!({"chunks": rows.iter().enumerate().map(chunk).collect::<Vec<_>>()}).to_string()
        })
        .collect();
    let begun = Instant::now();
    for batch in &batches {
        connection.ask("POST", "/v1/libraries/bench/chunks:batch", batch)?;
    }
    let acknowledged = begun.elapsed().as_secs_f64();
    loop {
        let index: Value = serde_json::from_str(&connection.ask("GET", "/v1/libraries/bench/index", "")?)?;
        let waits = |name: &str| index[name].as_u64().unwrap_or(0);
        if waits("waiting") == 0 && index["serving"] == index["next"] && (waits("unlinked") == 0 || index["serving"] == "flat") {
            let indexed = begun.elapsed().as_secs_f64();
            print(&json!({
                "what": "ingest", "rows": rows.len(), "batch": args.batch, "acknowledged_s": acknowledged,
                "acknowledged_per_s": rows.len() as f64 / acknowledged, "indexed_s": indexed, "index": index["serving"],
            }));
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Latencies of queries, sorted, and how many a second.
struct Measured {
    qps: f64,
    millis: Vec<f64>,
}

impl Measured {
    fn at(&self, share: f64) -> f64 {
        let place = (self.millis.len() as f64 * share) as usize;
        self.millis.get(place.min(self.millis.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }
}

fn over_http(args: &Http, server: &Server, bodies: &[String]) -> Result<Measured> {
    let (next, begun) = (AtomicUsize::new(0), Instant::now());
    let ask = || -> Result<Vec<f64>> {
        let mut connection = server.connect()?;
        let mut millis = Vec::new();
        while begun.elapsed().as_secs_f64() < args.seconds {
            let body = &bodies[next.fetch_add(1, Ordering::Relaxed) % bodies.len()];
            let asked = Instant::now();
            connection.ask("POST", "/v1/libraries/bench/query", body)?;
            millis.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        Ok(millis)
    };
    let mut millis = thread::scope(|scope| {
        let threads: Vec<_> = (0..args.connections).map(|_| scope.spawn(ask)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow::anyhow!("a client failed"))??);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    let qps = millis.len() as f64 / begun.elapsed().as_secs_f64();
    millis.sort_by(f64::total_cmp);
    Ok(Measured { qps, millis })
}

/// The library as it was downloaded, searched by as many threads as there were connections.
fn within(args: &Http, server: &Server, queries: &Matrix<f32>) -> Result<f64> {
    let bytes = server.connect()?.ask_bytes("GET", "/v1/libraries/bench/snapshot", "")?;
    let library = snapshot::from_bytes("bench", &bytes)?.library;
    let include = Include { text: false, metadata: false, attributes: false, embedding: false };
    let questions: Vec<Query> =
        queries.rows().map(|row| Query { embedding: row.to_vec(), k: args.k, include, ..Query::default() }).collect();
    let (next, begun) = (AtomicUsize::new(0), Instant::now());
    let search = || -> Result<()> {
        while begun.elapsed().as_secs_f64() < args.seconds {
            library.query(&questions[next.fetch_add(1, Ordering::Relaxed) % questions.len()], &Sequential)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..args.connections).map(|_| scope.spawn(search)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a search failed"))?)
    })?;
    Ok(next.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

fn hits_over_http(server: &Server, bodies: &[String]) -> Result<Vec<Vec<u32>>> {
    let mut connection = server.connect()?;
    let ids = |body: &String| {
        let answer: Value = serde_json::from_str(&connection.ask("POST", "/v1/libraries/bench/query", body)?)?;
        let hits = answer["hits"].as_array().context("an answer without hits")?;
        Ok(hits.iter().filter_map(|hit| hit["id"].as_str()?.parse().ok()).collect())
    };
    bodies.iter().map(ids).collect()
}

/// The share of the true nearest that are among the hits. Meaningful when all rows are taken.
fn recall(hits: &[Vec<u32>], truth: &[Vec<u32>], k: usize) -> f64 {
    let found = hits.iter().zip(truth).map(|(hits, truth)| truth.iter().take(k).filter(|row| hits.contains(row)).count());
    found.sum::<usize>() as f64 / (hits.len() * k) as f64
}

/// Connections that do nothing, or as little as they can.
struct Flood {
    idle: Vec<TcpStream>,
    over: std::sync::Arc<AtomicBool>,
    slow: thread::JoinHandle<()>,
}

impl Flood {
    fn begin(args: &Http, server: &Server) -> Result<Self> {
        let idle = (0..args.idle).map(|_| TcpStream::connect(server.address)).collect::<Result<Vec<_>, _>>();
        let idle = idle.context("the limit of open files may be too low: see `ulimit -n`")?;
        let head =
            "POST /v1/libraries HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n";
        let mut slow = (0..args.slow)
            .map(|_| {
                let mut stream = TcpStream::connect(server.address)?;
                stream.write_all(head.as_bytes())?;
                Ok(stream)
            })
            .collect::<Result<Vec<_>>>()?;
        let over = std::sync::Arc::new(AtomicBool::new(false));
        let end = std::sync::Arc::clone(&over);
        let slow = thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                // One that the server has closed is as good as idle.
                slow.iter_mut().for_each(|stream| drop(stream.write_all(b" ")));
                thread::sleep(Duration::from_secs(1));
            }
        });
        Ok(Self { idle, over, slow })
    }

    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        // It ends within a second and has nothing to tell.
        let _ = self.slow.join();
    }
}

/// A server of this bench; ended when it is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(args: &Http, folder: &std::path::Path) -> Result<Self> {
        let mut command = Command::new(&args.program);
        command
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--log", "warn", "--header-timeout", "600", "--data-dir"])
            .arg(folder);
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start the server")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let greeting: Value = serde_json::from_str(&line).context("the server did not start")?;
        let url = greeting["url"].as_str().unwrap_or_default().trim_start_matches("http://");
        Ok(Self { child, address: url.parse()? })
    }

    fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        Ok(Connection { reader: BufReader::new(stream) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that is kept, with as little work for this side as there can be.
struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<String> {
        Ok(String::from_utf8(self.ask_bytes(method, path, body)?)?)
    }

    fn ask_bytes(&mut self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        self.reader.get_mut().write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let mut status = String::new();
        self.reader.read_line(&mut status)?;
        let mut length = None;
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            }
        }
        let mut answer = vec![0; length.context("an answer without a length")?];
        self.reader.read_exact(&mut answer)?;
        if !status.starts_with("HTTP/1.1 2") {
            bail!("{method} {path}: {} {}", status.trim(), String::from_utf8_lossy(&answer));
        }
        ensure!(!answer.is_empty(), "{method} {path}: an empty answer");
        Ok(answer)
    }
}
