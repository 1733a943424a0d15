//! The record of what administrators did: in the log under `audit`, and in a file where one is named.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    net::IpAddr,
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::Context;
use serde::Serialize;

/// An act.
#[derive(Clone, Debug, Serialize)]
pub struct Act<'a> {
    /// When, in RFC 3339.
    pub at: String,
    /// The id of the key that was shown; `anonymous` where none is needed, `unknown` for one that is not valid.
    pub key: &'a str,
    /// The machine that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// What was asked for.
    pub method: &'a str,
    /// Of what.
    pub path: &'a str,
    /// What became of it.
    pub status: u16,
    /// The id of the request.
    pub request_id: &'a str,
}

/// Where acts are written.
#[derive(Debug, Default)]
pub struct AuditLog {
    file: Option<Mutex<File>>,
}

impl AuditLog {
    /// Appends to a file beside the log.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).with_context(|| format!("cannot open the audit log {}", path.display()))?;
        Ok(Self { file: Some(Mutex::new(file)) })
    }

    /// Writes an act. Blocks for as long as the file takes.
    pub fn write(&self, act: &Act<'_>) {
        let Act { key, method, path, status, request_id, .. } = act;
        let from = act.from.map(|from| from.to_string());
        tracing::info!(target: "audit", key, from, method, path, status, request_id, "an act of administration");
        let Some(file) = &self.file else { return };
        let written = serde_json::to_vec(act).map_err(std::io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
        });
        if let Err(error) = written {
            tracing::error!(%error, "the audit log cannot be written");
        }
    }
}
