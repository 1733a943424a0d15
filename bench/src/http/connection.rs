//! A connection that is kept, with as little work for this side as there can be: it shares the cores with the server.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context, Result, bail, ensure};

/// A connection.
pub(super) struct Connection {
    reader: BufReader<TcpStream>,
    line: String,
    answer: Vec<u8>,
}

/// The bytes of a request.
pub(super) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream), line: String::new(), answer: Vec::new() })
    }

    /// Asks, and returns the answer as text.
    pub(super) fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<String> {
        self.send(&request(method, path, body)).with_context(|| format!("{method} {path}"))?;
        Ok(String::from_utf8(self.answer.clone())?)
    }

    /// Sends a request and reads the answer, which must be a success.
    pub(super) fn send(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.reader.get_mut().write_all(request)?;
        self.line.clear();
        self.reader.read_line(&mut self.line)?;
        let good = self.line.starts_with("HTTP/1.1 2");
        let status = if good { String::new() } else { self.line.clone() };
        let mut length = None;
        loop {
            self.line.clear();
            self.reader.read_line(&mut self.line)?;
            match self.line.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = Some(value.parse()?),
                None => break,
                Some(_) => {}
            }
        }
        self.answer.resize(length.context("an answer without a length")?, 0);
        self.reader.read_exact(&mut self.answer)?;
        if !good {
            bail!("{} {}", status.trim(), String::from_utf8_lossy(&self.answer));
        }
        ensure!(!self.answer.is_empty(), "an empty answer");
        Ok(&self.answer)
    }
}
