//! A client that writes, and keeps a journal of what it was told.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use super::server::{Reply, Server};
use crate::rng::Rng;

/// The library that is written to.
pub(super) const LIBRARY: &str = "/v1/libraries/crash";

/// Documents of one writer.
const DOCUMENTS: usize = 40;

/// What a document is: the number of the write that made it, its chunks, and the number of the write that last changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    made: u64,
    chunks: usize,
    changed: u64,
}

impl Version {
    fn document(self, id: &str) -> Value {
        let chunks: Vec<Value> = (0..self.chunks).map(|number| self.chunk(id, number)).collect();
        let attributes = json!({"made": self.made, "changed": self.changed});
        json!({"id": id, "metadata": {"title": format!("Title {}", self.made)}, "attributes": attributes, "chunks": chunks})
    }

    fn chunk(self, id: &str, number: usize) -> Value {
        // Some reach over pages.
        let words = if self.made.is_multiple_of(17) { "many words ".repeat(600) } else { "few words".to_owned() };
        let text = format!("chunk {number} of write {}: {words}", self.made);
        json!({"id": format!("{id}-{}-{number}", self.made), "text": text, "embedding": [self.made as f32, number as f32, 1.0]})
    }

    /// Whether the server tells of this version: its document and its chunks in order.
    pub(super) fn is(self, id: &str, document: &Value, chunks: &[&Value]) -> bool {
        let attributes = &document["attributes"];
        let same_chunk = |(number, chunk): (usize, &&Value)| {
            let wanted = self.chunk(id, number);
            ["id", "text", "embedding"].iter().all(|part| chunk[*part] == wanted[*part])
        };
        attributes["made"] == self.made
            && attributes["changed"] == self.changed
            && document["metadata"]["title"] == format!("Title {}", self.made)
            && chunks.len() == self.chunks
            && chunks.iter().enumerate().all(same_chunk)
    }
}

/// A writer. No other one writes its documents.
#[derive(Debug)]
pub(super) struct Writer {
    number: usize,
    rng: Rng,
    writes: u64,
    /// What was acknowledged.
    pub(super) known: BTreeMap<String, Version>,
    /// What one write would make of these documents; it was not answered. `None` for none any more.
    pub(super) open: BTreeMap<String, Option<Version>>,
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
}

impl Writer {
    pub(super) fn new(number: usize, rng: Rng) -> Self {
        Self { number, rng, writes: 0, known: BTreeMap::new(), open: BTreeMap::new(), acknowledged: 0, refused: 0, failed: 0 }
    }

    /// Whether a document is one of its own.
    pub(super) fn owns(&self, id: &str) -> bool {
        id.starts_with(&format!("w{}-", self.number))
    }

    /// Writes until the server is silent or `stop` is set.
    pub(super) fn write(&mut self, server: &Server, stop: &AtomicBool) -> Result<(), String> {
        while !stop.load(Ordering::Relaxed) {
            let (method, path, body) = self.next();
            match server.ask(method, &path, &body) {
                Reply::Silence => return Ok(()),
                Reply::Answer(200..=299, _) => {
                    self.acknowledged += 1;
                    self.settle(true);
                }
                // No room, or too much waits: it says that nothing of it has happened.
                Reply::Answer(429 | 507, _) => {
                    self.refused += 1;
                    self.settle(false);
                    std::thread::sleep(Duration::from_millis(100));
                }
                // The disk has failed: what became of the write is not known.
                Reply::Answer(503, _) => {
                    self.failed += 1;
                    return reads_only(server);
                }
                Reply::Answer(status, why) => return Err(format!("{method} {path} is answered with {status}: {why}")),
            }
        }
        Ok(())
    }

    /// The open write has happened, or not.
    pub(super) fn settle(&mut self, happened: bool) {
        for (id, version) in std::mem::take(&mut self.open) {
            match version {
                _ if !happened => {}
                Some(version) => drop(self.known.insert(id, version)),
                None => drop(self.known.remove(&id)),
            }
        }
    }

    /// The next request; it is noted as open.
    fn next(&mut self) -> (&'static str, String, Value) {
        self.writes += 1;
        let durability = if self.rng.once_in(3) { "logged" } else { "synced" };
        let id = self.id();
        let known = self.known.get(&id).copied();
        match (self.rng.below(10), known) {
            (0..=2, _) => {
                let ids: Vec<String> = (0..2 + self.rng.below(8)).map(|_| self.id()).collect();
                self.open = ids.into_iter().map(|id| (id, Some(self.version()))).collect();
                let documents: Vec<Value> =
                    self.open.iter().filter_map(|(id, version)| Some(version.as_ref()?.document(id))).collect();
                let body = json!({"documents": documents, "on_conflict": "replace"});
                ("POST", format!("{LIBRARY}/documents:batch?durability={durability}"), body)
            }
            (3 | 4, Some(version)) => {
                self.open = BTreeMap::from([(id.clone(), Some(Version { changed: self.writes, ..version }))]);
                let body = json!({"attributes": {"changed": self.writes}});
                ("PATCH", format!("{LIBRARY}/documents/{id}?durability={durability}"), body)
            }
            (5, Some(_)) => {
                self.open = BTreeMap::from([(id.clone(), None)]);
                ("DELETE", format!("{LIBRARY}/documents/{id}?durability={durability}"), Value::Null)
            }
            _ => {
                let version = self.version();
                self.open = BTreeMap::from([(id.clone(), Some(version))]);
                ("PUT", format!("{LIBRARY}/documents/{id}?durability={durability}"), version.document(&id))
            }
        }
    }

    fn id(&mut self) -> String {
        format!("w{}-{}", self.number, self.rng.below(DOCUMENTS))
    }

    fn version(&mut self) -> Version {
        Version { made: self.writes, chunks: self.rng.below(4), changed: self.writes }
    }
}

/// A server whose disk has failed says so, and reads all the same.
fn reads_only(server: &Server) -> Result<(), String> {
    for (path, expected) in [("/readyz", 503), (&format!("{LIBRARY}/documents?limit=1000"), 200)] {
        match server.ask("GET", path, &Value::Null) {
            Reply::Silence => {}
            Reply::Answer(status, _) if status == expected => {}
            reply => return Err(format!("after a failure of the disk, {path} is answered with {reply:?}")),
        }
    }
    Ok(())
}
