//! The server as a client sees it: the real program, over HTTP.

mod bad_input;
mod index;
mod life;
mod limits;
mod queries;
mod schema;
mod security;
mod selection;
mod serving;
mod snapshots;
mod tls;
mod transfer;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use serde_json::{Value, json};

use crate::program::vecino;

fn serve(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = vecino();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder).args(arguments);
    command.env_remove("VECINO_LOG");
    command
}

/// A server on a folder; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
    log: tempfile::NamedTempFile,
    agent: ureq::Agent,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) bytes: Vec<u8>,
    /// Null where the body is not JSON.
    pub(crate) json: Value,
}

impl Server {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    pub(crate) fn start_with(folder: &Path, arguments: &[&str]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = serve(folder, arguments);
        command.arg("--json").stdout(Stdio::piped()).stderr(log.reopen().unwrap());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Ok(greeting) = serde_json::from_str::<Value>(&line) else {
            panic!("the server did not start: {}", fs::read_to_string(log.path()).unwrap());
        };
        // A connection for each request: the server closes one whose body it refused to read, and the client may not have seen it.
        let agent = ureq::Agent::config_builder().http_status_as_error(false).max_idle_connections(0).build().into();
        Self { child, url: greeting["url"].as_str().unwrap().to_owned(), log, agent }
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it in order.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[])
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let request = self.agent.get(format!("{}{path}", self.url));
        reply(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).call())
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        reply(self.agent.delete(format!("{}{path}", self.url)).call())
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send_raw(method, path, "application/json", body.to_string().as_bytes())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, body)
    }

    pub(crate) fn send_raw(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Reply {
        let url = format!("{}{path}", self.url);
        let request = match method {
            "POST" => self.agent.post(url),
            "PUT" => self.agent.put(url),
            "PATCH" => self.agent.patch(url),
            other => panic!("no method {other}"),
        };
        reply(request.content_type(kind).send(body))
    }

    /// Everything that can be read over HTTP: the libraries, and of each the documents and the chunks with their vectors.
    pub(crate) fn contents(&self) -> Value {
        let libraries = self.get("/v1/libraries").ok()["libraries"].clone();
        let mut all = vec![libraries.clone()];
        for library in libraries.as_array().unwrap() {
            let path = format!("/v1/libraries/{}", library["id"].as_str().unwrap());
            all.push(self.get(&format!("{path}/documents?limit=1000")).ok());
            all.push(self.get(&format!("{path}/chunks?limit=1000&embedding=true")).ok());
        }
        Value::Array(all)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reply(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Reply {
    let mut response = result.unwrap();
    let text = |value: &ureq::http::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let bytes = response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
    let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Reply { status: response.status().as_u16(), headers, bytes, json }
}

impl Reply {
    /// The JSON of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.json);
        self.json
    }

    /// The problem document, whose parts agree with each other.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> &Value {
        let problem = &self.json;
        assert_eq!((self.status, problem["code"].as_str()), (status, Some(code)), "{problem}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("/problems/{code}"));
        assert_eq!(problem["request_id"], self.headers["x-request-id"]);
        assert!(!problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty(), "{problem}");
        problem
    }
}

/// What a start that must fail says on stderr, and its exit code.
pub(crate) fn refused(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    outcome(&mut serve(folder, arguments))
}

fn outcome(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut greeting = String::new();
    // Ends with the process, or with the line that says that it serves.
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    if !greeting.is_empty() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(greeting, "", "the start was not refused");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The files of a data folder, without the lock.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    // What is not finished is none of the files.
    let counts = named.filter(|(name, _)| name != "LOCK" && !name.starts_with(".tmp-"));
    counts.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

/// Copies a data folder into an empty one.
pub(crate) fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for (name, bytes) in files(from) {
        fs::write(to.path().join(name), bytes).unwrap();
    }
    to
}

/// A server with a library `words` of three documents about animals, cars and food.
pub(crate) fn with_words(folder: &Path) -> Server {
    let server = Server::start(folder);
    let library = json!({"name": "words", "metadata": {"embedding_model": "static-minilm-256"}});
    server.post("/v1/libraries", &library).ok();
    for (id, title, text, year) in [
        ("animals", "Animals", "The dog barks at the cat. A puppy is a young dog.", 2001),
        ("cars", "Cars", "An automobile is a vehicle with an engine. It drives on the road.", 2002),
        ("food", "Food", "A banana is a sweet fruit. Bread is baked from flour.", 2003),
    ] {
        let document = json!({"id": id, "metadata": {"title": title}, "text": text, "attributes": {"year": year}});
        server.post("/v1/libraries/words/documents", &document).ok();
    }
    server
}
