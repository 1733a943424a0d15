//! A connection that is kept, with as little work for this side as there can be: it shares the cores with the server.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
};

use anyhow::{Context, Result, bail, ensure};

/// Room for what one read brings.
const READ: usize = 64 * 1024;

/// A connection.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What has come of the answer, and behind it room for more.
    bytes: Vec<u8>,
    come: usize,
    /// Where the body begins and ends, once the head has come.
    body: Option<(usize, usize)>,
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, bytes: vec![0; READ], come: 0, body: None })
    }

    /// Asks, and returns the answer as text.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<String> {
        let answer = self.send(&request(method, path, body)).with_context(|| format!("{method} {path}"))?;
        Ok(String::from_utf8(answer.to_vec())?)
    }

    /// Sends a request and reads the answer, which must be a success.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.begin(request)?;
        while !self.read()? {}
        let (from, to) = self.body.context("no answer")?;
        Ok(&self.bytes[from..to])
    }

    /// Sends a request.
    pub(crate) fn begin(&mut self, request: &[u8]) -> Result<()> {
        (self.come, self.body) = (0, None);
        Ok(self.stream.write_all(request)?)
    }

    /// Reads what has come, or waits for it. Whether that is the whole answer, which must be a success.
    pub(crate) fn read(&mut self) -> Result<bool> {
        if self.bytes.len() - self.come < READ / 2 {
            self.bytes.resize(2 * self.bytes.len(), 0);
        }
        let read = self.stream.read(&mut self.bytes[self.come..])?;
        ensure!(read > 0, "the server has closed the connection");
        self.come += read;
        if self.body.is_none() {
            let Some(end) = self.bytes[..self.come].windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(false) };
            let head = std::str::from_utf8(&self.bytes[..end])?;
            let length = head.lines().filter_map(|line| line.split_once(": "));
            let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value).next();
            self.body = Some((end + 4, end + 4 + length.context("an answer without a length")?.parse::<usize>()?));
        }
        let (from, to) = self.body.unwrap_or_default();
        if self.come < to {
            return Ok(false);
        }
        ensure!(from < to, "an empty answer");
        if !self.bytes.starts_with(b"HTTP/1.1 2") {
            bail!("{}", String::from_utf8_lossy(&self.bytes[..to]));
        }
        Ok(true)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
