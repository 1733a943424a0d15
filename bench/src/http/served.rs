//! Server programs of the bench, each over the same HTTP.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::connection::Connection;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with one library; ended when it is dropped.
pub(crate) struct Served {
    pub(super) name: &'static str,
    child: Child,
    pub(crate) address: SocketAddr,
    kind: Kind,
}

/// How embeddings are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As lists of numbers.
    Numbers,
    /// As floats in base64.
    Base64,
}

enum Kind {
    Vecino(Form),
    /// Where the collection is.
    Chroma(String),
}

impl Served {
    /// `vecino serve` over a folder, with an empty library.
    pub(super) fn vecino(program: &Path, folder: &Path, form: Form) -> Result<Self> {
        let mut served = Self::start(program, folder, &[])?;
        served.kind = Kind::Vecino(form);
        if form == Form::Base64 {
            served.name = "vecino, base64";
        }
        let mut connection = served.connect()?;
        connection.ask("POST", "/v1/libraries", &json!({"name": "bench"}).to_string())?;
        let document = json!({"id": "all", "metadata": {"title": "All"}, "chunks": []});
        connection.ask("POST", "/v1/libraries/bench/documents", &document.to_string())?;
        Ok(served)
    }

    /// `vecino serve` over a folder as it is; returns when the server takes requests.
    pub(crate) fn start(program: &Path, folder: &Path, settings: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--log", "warn", "--header-timeout", "600", "--data-dir"]);
        let mut child = command.arg(folder).args(settings).stdout(Stdio::piped()).spawn().context("cannot start the server")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let greeting: Value = serde_json::from_str(&line).context("the server did not start")?;
        let url = greeting["url"].as_str().unwrap_or_default().trim_start_matches("http://");
        Ok(Self { name: "vecino", child, address: url.parse()?, kind: Kind::Vecino(Form::Numbers) })
    }

    /// `chroma run` over a folder, with a collection whose searches have this effort.
    pub(super) fn chroma(program: &Path, folder: &Path, effort: usize) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program);
        command.args(["run", "--host", "127.0.0.1", "--port", &address.port().to_string(), "--path"]).arg(folder);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot start Chroma")?;
        let mut served = Self { name: "chroma", child, address, kind: Kind::Chroma(String::new()) };
        let begun = Instant::now();
        while served.connect().and_then(|mut connection| connection.ask("GET", "/api/v2/heartbeat", "")).is_err() {
            if begun.elapsed() > PATIENCE {
                bail!("Chroma does not answer");
            }
            thread::sleep(Duration::from_millis(100));
        }
        let place = "/api/v2/tenants/default_tenant/databases/default_database/collections";
        let hnsw = json!({"space": "cosine", "max_neighbors": 16, "ef_construction": 200, "ef_search": effort});
        let asked = json!({"name": "bench", "configuration": {"hnsw": hnsw}}).to_string();
        let made: Value = serde_json::from_str(&served.connect()?.ask("POST", place, &asked)?)?;
        let id = made["id"].as_str().context("a collection without an id")?;
        served.kind = Kind::Chroma(format!("{place}/{id}"));
        Ok(served)
    }

    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open(self.address)
    }

    /// A request that adds rows, the first of which has the number `first`.
    pub(super) fn adds(&self, first: usize, rows: &[&[f32]]) -> (String, String) {
        let ids = || (first..first + rows.len()).map(|number| number.to_string());
        match &self.kind {
            Kind::Vecino(form) => {
                let chunk = |(id, row): (String, &&[f32])| {
                    let embedding = embedding(row, *form);
                    json!({"document_id": "all", "id": id, "text": id, "embedding": embedding})
                };
                let chunks: Vec<Value> = ids().zip(rows).map(chunk).collect();
                ("/v1/libraries/bench/chunks:batch".to_owned(), json!({"chunks": chunks}).to_string())
            }
            Kind::Chroma(place) => {
                let ids: Vec<String> = ids().collect();
                (format!("{place}/add"), json!({"ids": ids, "documents": ids, "embeddings": rows}).to_string())
            }
        }
    }

    /// A request for the nearest rows of a query, which tells their ids and distances and no more.
    pub(super) fn asks(&self, query: &[f32], k: usize) -> (String, String) {
        match &self.kind {
            Kind::Vecino(form) => {
                let body = json!({"embedding": embedding(query, *form), "k": k, "include": []});
                ("/v1/libraries/bench/query".to_owned(), body.to_string())
            }
            Kind::Chroma(place) => {
                let body = json!({"query_embeddings": [query], "n_results": k, "include": ["distances"]});
                (format!("{place}/query"), body.to_string())
            }
        }
    }

    /// The numbers of the rows in an answer.
    pub(super) fn found(&self, answer: &str) -> Result<Vec<u32>> {
        let answer: Value = serde_json::from_str(answer)?;
        let ids: Vec<&Value> = match &self.kind {
            Kind::Vecino(_) => answer["hits"].as_array().context("no hits")?.iter().map(|hit| &hit["id"]).collect(),
            Kind::Chroma(_) => answer["ids"][0].as_array().context("no ids")?.iter().collect(),
        };
        ids.into_iter().map(|id| Ok(id.as_str().context("an id that is no text")?.parse()?)).collect()
    }

    /// Waits until the index has taken in everything. Chroma has when it answers.
    pub(super) fn until_indexed(&self) -> Result<()> {
        let Kind::Vecino(_) = self.kind else { return Ok(()) };
        let mut connection = self.connect()?;
        loop {
            let index: Value = serde_json::from_str(&connection.ask("GET", "/v1/libraries/bench/index", "")?)?;
            let waits = |name: &str| index[name].as_u64().unwrap_or(0);
            if waits("waiting") == 0
                && index["serving"] == index["next"]
                && (waits("unlinked") == 0 || index["serving"] == "flat")
            {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Tells Vecino to end in order, and waits until it has.
    pub(super) fn end(mut self) -> Result<()> {
        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    /// Bytes of memory: all that the process sees, and of these what belongs to it alone.
    pub(super) fn memory(&self) -> Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let bytes = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
        };
        bytes("VmRSS:").zip(bytes("RssAnon:")).context("the system does not tell")
    }

    /// Processor seconds of the server, as Linux counts them: in hundredths.
    pub(super) fn cpu_seconds(&self) -> f64 {
        let ticks = || {
            let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
            // Behind the name, which is in brackets: user and system are the 12th and 13th words.
            let words: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
            Some(words.get(11)?.parse::<f64>().ok()? + words.get(12)?.parse::<f64>().ok()?)
        };
        ticks().unwrap_or(f64::NAN) / 100.0
    }
}

/// A vector as it is sent.
fn embedding(row: &[f32], form: Form) -> Value {
    match form {
        Form::Numbers => json!(row),
        Form::Base64 => json!(STANDARD.encode(row.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())),
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
