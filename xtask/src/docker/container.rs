//! A container of the server, as restricted as it may be, and the requests that the test makes of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::engine::Engine;
use crate::process;

/// How long the server may take to turn healthy.
const PATIENCE: Duration = Duration::from_secs(90);

/// The key of the server.
const KEY: &str = "a key for this test";

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// A container with a volume of its own; both are removed when this is dropped.
pub(super) struct Container<'a> {
    engine: &'a Engine,
    name: String,
    memory: u64,
}

/// What a library holds, and how it answers.
pub(super) struct Contents {
    pub(super) documents: Vec<Value>,
    pub(super) hit: Value,
}

/// A request of which only a part is sent.
pub(super) struct Begun {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl<'a> Container<'a> {
    pub(super) fn create(engine: &'a Engine, image: &str, memory: u64) -> Result<Self> {
        let container = Self { engine, name: format!("vecino-test-{}", std::process::id()), memory };
        container.run(image)?;
        Ok(container)
    }

    fn run(&self, image: &str) -> Result<()> {
        let (volume, memory) = (format!("{}:/data", self.name), self.memory.to_string());
        let key = format!("--env=VECINO_API_KEY={KEY}");
        let limits =
            ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory", &memory, "--memory-swap", &memory];
        let rest = ["--publish=127.0.0.1::7700", &key, "--volume", &volume, image];
        let arguments = [&["run", "--detach", "--name", &self.name][..], &limits, &rest].concat();
        process::run(self.engine.docker(&arguments).stdout(Stdio::null()))
    }

    /// The same volume under another image.
    pub(super) fn replace(&mut self, image: &str) -> Result<()> {
        self.docker(&["stop"])?;
        self.docker(&["rm"])?;
        self.run(image)
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.engine.docker(arguments);
        command.arg(&self.name).stdout(Stdio::null());
        command
    }

    /// Calls the client with the name of the container at the end.
    pub(super) fn docker(&self, arguments: &[&str]) -> Result<()> {
        process::run(&mut self.command(arguments))
    }

    pub(super) fn state(&self, format: &str) -> Result<String> {
        self.engine.read(&["inspect", "--format", format, &self.name])
    }

    pub(super) fn wait_until_healthy(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let health = self.state("{{.State.Status}} {{.State.Health.Status}}")?;
            if health == "running healthy" {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE || !health.starts_with("running") || health.ends_with("unhealthy") {
                let _ = self.docker(&["logs"]);
                bail!("the container is {health}");
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask("POST", path, body)
    }

    pub(super) fn contents(&self) -> Result<Contents> {
        self.wait_until_it_answers()?;
        let listed = self.ask("GET", "/v1/libraries/notes/documents?limit=1000", &Value::Null)?;
        let documents = listed["documents"].as_array().context("a listing without documents")?.clone();
        let answer = self.post("/v1/libraries/notes/query", &json!({"text": "the note with the number 7", "k": 1}))?;
        Ok(Contents { documents, hit: answer["hits"][0].clone() })
    }

    /// Sends a request but for its last bytes.
    pub(super) fn begin(&self, path: &str, body: &Value) -> Result<Begun> {
        let mut stream = self.connect()?;
        let request = request("POST", path, &body.to_string());
        let (first, rest) = request.split_at(request.len() - 10);
        stream.write_all(first)?;
        Ok(Begun { stream, rest: rest.to_owned() })
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = Begun { stream: self.connect()?, rest: request(method, path, &body) }.finish()?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
        ensure!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        Ok(serde_json::from_str(body)?)
    }

    fn wait_until_it_answers(&self) -> Result<()> {
        let begun = Instant::now();
        while let Err(error) = self.ask("GET", "/healthz", &Value::Null) {
            ensure!(begun.elapsed() < PATIENCE, "the server does not answer: {error:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// The engine chooses another port whenever the container starts.
    fn connect(&self) -> Result<TcpStream> {
        let address: SocketAddr = self.engine.read(&["port", &self.name, "7700/tcp"])?.parse()?;
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER))?;
        Ok(stream)
    }
}

/// Closed after the answer, which so ends with the connection.
fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nConnection: close\r\n");
    let kind = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
    };
    format!("{head}{kind}\r\n{body}").into_bytes()
}

impl Begun {
    /// Sends the rest and reads the answer.
    pub(super) fn finish(mut self) -> Result<String> {
        self.stream.write_all(&self.rest)?;
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        for arguments in [&["rm", "--force"][..], &["volume", "rm"]] {
            let _ = self.command(arguments).stderr(Stdio::null()).status();
        }
    }
}
