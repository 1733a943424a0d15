//! Connections to a server over the loopback network.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{net::TcpStream, runtime::Builder, task::JoinSet};

use super::{
    Bench, Length, Rounds, bare, compare,
    local::{PLACE, chunk, log_bytes},
};

/// Chunks of one batch.
const BATCH: usize = 1_000;

/// A server, killed when it is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(bench: &Bench) -> Result<Self> {
        let beside = || -> Result<PathBuf> { Ok(std::env::current_exe()?.with_file_name("vecino")) };
        let program = bench.args.server_bin.clone().map_or_else(beside, Ok)?;
        let mut command = Command::new(&program);
        command.args(["--json", "--quiet", "serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(bench.path("served"));
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child =
            child.with_context(|| format!("cannot start {}; build it, or name it with --server-bin", program.display()))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let greeting: Value = serde_json::from_str(&line).context("the server did not start")?;
        let url = greeting["url"].as_str().unwrap_or_default();
        let address = url.strip_prefix("http://").unwrap_or_default().parse().context("no address")?;
        Ok(Self { child, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that is kept.
struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: vec![0; 64 << 10] })
    }

    /// Sends a request and waits for all of the answer, which must be a success; its body.
    async fn send(&mut self, request: &[u8]) -> Result<&[u8]> {
        let mut sent = 0;
        while sent < request.len() {
            self.stream.writable().await?;
            match self.stream.try_write(&request[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut read = 0;
        let body = loop {
            if let Some(body) = body(&self.answer[..read])? {
                break body;
            }
            self.stream.readable().await?;
            match self.stream.try_read(&mut self.answer[read..]) {
                Ok(0) => bail!("the server closed the connection, or its answer is too long"),
                Ok(count) => read += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        };
        let answer = &self.answer[..read];
        ensure!(answer.starts_with(b"HTTP/1.1 2"), "refused: {}", String::from_utf8_lossy(answer));
        Ok(&answer[body..])
    }
}

/// Where the body of an answer begins, once all of it is there.
fn body(answer: &[u8]) -> Result<Option<usize>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end])?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.ok_or_else(|| anyhow!("an answer without a length: {head}"))?.parse()?;
    Ok((answer.len() >= end + 4 + length).then_some(end + 4))
}

/// How often the server has synced its log.
fn syncs(address: SocketAddr) -> Result<u64> {
    let ask = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(async {
        anyhow::Ok(String::from_utf8_lossy(Connection::open(address).await?.send(ask).await?).into_owned())
    })?;
    let count = text.lines().find_map(|line| line.strip_prefix("vecino_log_sync_duration_seconds_count "));
    Ok(count.context("the server does not tell how often it syncs")?.trim().parse()?)
}

fn request(path: &str, body: &impl Serialize) -> Result<Vec<u8>> {
    let body = serde_json::to_string(body)?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Ok([head.into_bytes(), body.into_bytes()].concat())
}

/// A chunk as a client sends it. Numbers of 32 bits have as many digits as they need.
#[derive(Serialize)]
struct Sent {
    id: String,
    text: String,
    embedding: Vec<f32>,
}

#[derive(Serialize)]
struct Batch {
    chunks: Vec<Sent>,
}

fn chunks(count: usize, dimension: usize) -> Result<Vec<u8>> {
    let one = |_| {
        let draft = chunk(dimension);
        Sent { id: draft.id, text: draft.text, embedding: draft.embedding }
    };
    let path = format!("/v1/libraries/{PLACE}/documents/{PLACE}/chunks");
    request(&path, &Batch { chunks: (0..count).map(one).collect() })
}

/// Requests over so many connections at once: latencies and seconds. Requests are made before the clock runs, and used once each.
fn measure(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    make: &dyn Fn() -> Result<Vec<u8>>,
    each: usize,
) -> Result<(Vec<f64>, f64)> {
    let prepare = |_| (0..each).map(|_| make()).collect::<Result<Vec<_>>>();
    let prepared = (0..connections).map(prepare).collect::<Result<Vec<_>>>()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(Connection::open(address).await?);
        }
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for (mut connection, requests) in open.into_iter().zip(prepared) {
            tasks.spawn(async move {
                let mut took = Vec::with_capacity(requests.len());
                for request in &requests {
                    if begun.elapsed() >= time {
                        break;
                    }
                    let at = Instant::now();
                    connection.send(request).await?;
                    took.push(at.elapsed().as_secs_f64());
                }
                anyhow::Ok(took)
            });
        }
        let mut all = Vec::new();
        while let Some(took) = tasks.join_next().await {
            all.extend(took??);
        }
        Ok((all, begun.elapsed().as_secs_f64()))
    })
}

pub(super) fn run(bench: &Bench) -> Result<()> {
    let (dimension, bytes) = (bench.args.dimension, log_bytes(bench)?);
    let server = Server::start(bench)?;
    let library = json!({"name": PLACE, "id": PLACE, "metadata": {"index_type": "flat"}});
    let document = json!({"id": PLACE, "metadata": {"title": PLACE}, "chunks": []});
    let first = [request("/v1/libraries", &library)?, request(&format!("/v1/libraries/{PLACE}/documents"), &document)?];
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut connection = Connection::open(server.address).await?;
        for request in &first {
            connection.send(request).await?;
        }
        anyhow::Ok(())
    })?;
    let mut disk = Rounds::default();
    let mut counted: Vec<(usize, Rounds)> = bench.writers().into_iter().map(|count| (count, Rounds::default())).collect();
    let mut batches = Rounds::default();
    for _ in 0..bench.args.rounds {
        disk.add(bare(bench, bytes, Length::Grows, Duration::ZERO)?, bench.args.seconds);
        for (count, rounds) in &mut counted {
            // As many as a fast machine can use up.
            let each = (bench.args.seconds * if *count == 1 { 12_000.0 } else { 120_000.0 / *count as f64 }) as usize;
            let before = syncs(server.address)?;
            let (took, seconds) = measure(server.address, *count, bench.time(), &|| chunks(1, dimension), each)?;
            rounds.syncs += syncs(server.address)? - before;
            rounds.add(took, seconds);
        }
        let (took, seconds) = measure(server.address, 1, bench.time(), &|| chunks(BATCH, dimension), 12)?;
        batches.add(took, seconds);
    }
    compare(bench, "over HTTP", bytes, &disk, &counted);
    let per_second = (batches.rate() * BATCH as f64).round();
    bench.say(
        json!({"what": "batches over HTTP", "chunks": BATCH, "chunks_per_second": per_second, "figures": batches.summary()}),
    );
    Ok(())
}
