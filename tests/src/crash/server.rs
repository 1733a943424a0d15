//! A real server in a process of its own.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

/// A server on a folder; killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Mutex<Child>,
    url: String,
    agent: ureq::Agent,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The server answered.
    Answer(u16, Value),
    /// It did not.
    Silence,
}

impl Server {
    /// Starts a program as a server on a folder, with further arguments, and waits until it listens.
    ///
    /// # Errors
    /// What it says when it does not start.
    pub fn start(program: &Path, folder: &Path, arguments: &[&str], environment: &[(String, String)]) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args(["serve", "--json", "--quiet", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder).args(arguments);
        command.env_remove("VECINO_LOG").envs(environment.iter().cloned()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{} does not start: {error}", program.display()))?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            let _ = BufReader::new(out).read_line(&mut line);
        }
        let url = serde_json::from_str::<Value>(&line).ok().and_then(|greeting| Some(greeting["url"].as_str()?.to_owned()));
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30)));
        match url {
            Some(url) => Ok(Self { child: Mutex::new(child), url, agent: config.build().into() }),
            None => {
                let _ = child.kill();
                Err(format!("the server does not start: {:?}", child.wait()))
            }
        }
    }

    /// Ends it at once, whatever it does for others.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Asks it something; `body` is null for none.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Reply {
        let url = format!("{}{path}", self.url);
        let sent = match method {
            "GET" => self.agent.get(url).call(),
            "DELETE" => self.agent.delete(url).call(),
            _ => {
                let request = match method {
                    "PUT" => self.agent.put(url),
                    "PATCH" => self.agent.patch(url),
                    _ => self.agent.post(url),
                };
                request.content_type("application/json").send(body.to_string())
            }
        };
        let Ok(mut response) = sent else { return Reply::Silence };
        let status = response.status().as_u16();
        match response.body_mut().with_config().limit(1 << 28).read_to_string() {
            Ok(text) => Reply::Answer(status, serde_json::from_str(&text).unwrap_or(Value::String(text))),
            Err(_) => Reply::Silence,
        }
    }

    /// All items of a listing.
    ///
    /// # Errors
    /// What the server answers instead.
    pub fn list(&self, path: &str, items: &str) -> Result<Vec<Value>, String> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let reply = self.ask("GET", &format!("{path}limit=1000{cursor}"), &Value::Null);
            let Reply::Answer(200, mut page) = reply else { return Err(format!("{path} cannot be listed: {reply:?}")) };
            match page[items].take() {
                Value::Array(found) => all.extend(found),
                other => return Err(format!("{path} has no {items}: {other}")),
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
