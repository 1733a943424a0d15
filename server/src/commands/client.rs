//! A client of the REST interface that waits and tries again.

use std::{fmt, io, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use serde_json::Value;
use ureq::{Agent, Body, RequestBuilder, http::Response};

use crate::config::Secret;

/// Where a server is unless something else is said.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:7700";

/// A server may ask to wait longer; this is as long as anybody waits.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The request was understood and refused: it would be again. The problem document.
    Refused(Problem),
    /// The server did not do it, but may another time.
    Unavailable(String),
    /// Nobody answered.
    Unreachable {
        /// What happened.
        what: String,
        /// Whether the server may have got the request nevertheless.
        perhaps_done: bool,
    },
}

/// A problem document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Problem {
    /// The status.
    pub status: u16,
    /// The stable name.
    pub code: String,
    /// The sentence.
    pub detail: String,
    /// The field at fault.
    pub field: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        write!(f, "{} [{}]", self.detail, self.code)
    }
}

impl From<vecino_engine::Error> for Problem {
    fn from(error: vecino_engine::Error) -> Self {
        Self { status: 0, code: error.code.as_str().to_owned(), detail: error.detail, field: error.field }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(problem) => problem.fmt(f),
            Self::Unavailable(what) | Self::Unreachable { what, .. } => f.write_str(what),
        }
    }
}

impl std::error::Error for Failure {}

/// How often a request is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Once.
    None,
    /// For about half a minute, but only while the server cannot have done it already.
    UnlessDone,
    /// For about half a minute; the request may be done twice without harm.
    Full,
}

/// Hears of every wait: why, and how long.
type OnWait = Box<dyn Fn(&Failure, Duration)>;

/// A server.
pub struct Client {
    agent: Agent,
    base: String,
    /// The value of the header that shows the key.
    key: Option<String>,
    on_wait: OnWait,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.base)
    }
}

impl Client {
    /// A client of the server at `url`.
    ///
    /// # Errors
    /// A sentence, when this is no address.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let base = url.trim_end_matches('/').to_owned();
        let scheme = base.starts_with("http://") || base.starts_with("https://");
        anyhow::ensure!(
            scheme && base.parse::<ureq::http::Uri>().is_ok_and(|uri| uri.host().is_some()),
            "'{url}' is not the address of a server; one looks like {DEFAULT_SERVER}"
        );
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(120)))
            .user_agent(concat!("vecino/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { agent, base, key: None, on_wait: Box::new(|_, _| {}) })
    }

    /// Shows a key with every request.
    #[must_use]
    pub fn key(mut self, key: Option<&Secret>) -> Self {
        self.key = key.map(|key| format!("Bearer {}", key.reveal()));
        self
    }

    /// Tells `on_wait` whenever it waits for the server.
    #[must_use]
    pub fn on_wait(mut self, on_wait: impl Fn(&Failure, Duration) + 'static) -> Self {
        self.on_wait = Box::new(on_wait);
        self
    }

    /// `GET`, for JSON.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn get(&self, path: &str, patience: Patience) -> Result<Value, Failure> {
        self.with_patience(patience, || self.json(self.shown(self.agent.get(self.url(path))).call()))
    }

    /// `POST` of JSON, for JSON.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn post(&self, path: &str, body: &[u8], patience: Patience) -> Result<Value, Failure> {
        self.with_patience(patience, || {
            let request = self.shown(self.agent.post(self.url(path))).content_type("application/json");
            self.json(request.send(body))
        })
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn delete(&self, path: &str) -> Result<(), Failure> {
        self.answer(self.shown(self.agent.delete(self.url(path))).call()).map(drop).map_err(|(failure, _)| failure)
    }

    /// `GET`, for bytes: how many there will be, if that is known, and a reader of them.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn download(&self, path: &str) -> Result<(Option<u64>, impl io::Read), Failure> {
        let response = self.with_patience(Patience::Full, || self.answer(self.shown(self.agent.get(self.url(path))).call()))?;
        let length = response.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
        Ok((length, response.into_body().into_with_config().limit(u64::MAX).reader()))
    }

    fn shown<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.key {
            Some(key) => request.header("authorization", key),
            None => request,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn with_patience<T>(
        &self,
        patience: Patience,
        mut attempt: impl FnMut() -> Result<T, (Failure, Option<Duration>)>,
    ) -> Result<T, Failure> {
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(10))
            .with_max_times(if patience == Patience::None { 0 } else { 7 })
            .with_jitter()
            .build();
        loop {
            let (failure, asked) = match attempt() {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            let again = match &failure {
                Failure::Refused(_) => false,
                Failure::Unavailable(_) => true,
                Failure::Unreachable { perhaps_done, .. } => patience == Patience::Full || !perhaps_done,
            };
            let Some(wait) = waits.next().filter(|_| again) else { return Err(failure) };
            let wait = asked.map_or(wait, |asked| asked.min(LONGEST_WAIT).max(wait));
            (self.on_wait)(&failure, wait);
            std::thread::sleep(wait);
        }
    }

    fn json(&self, result: Result<Response<Body>, ureq::Error>) -> Result<Value, (Failure, Option<Duration>)> {
        let mut response = self.answer(result)?;
        // The largest answers hold 10,000 hits.
        let bytes = response.body_mut().with_config().limit(1 << 30).read_to_vec().map_err(|error| (self.lost(&error), None))?;
        let unexpected = |error: serde_json::Error| {
            let what = format!("{} does not answer like a Vecino server: {error}", self.base);
            (Failure::Refused(Problem { detail: what, code: "unexpected_answer".to_owned(), ..Problem::default() }), None)
        };
        serde_json::from_slice(&bytes).map_err(unexpected)
    }

    /// Tells good answers from bad ones.
    fn answer(&self, result: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, (Failure, Option<Duration>)> {
        let mut response = result.map_err(|error| (self.lost(&error), None))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = response.body_mut().with_config().limit(1 << 20).read_to_vec().unwrap_or_default();
        let problem = problem(status.as_u16(), &body);
        let failure = match status.as_u16() {
            429 | 503 => Failure::Unavailable(format!("the server is not ready ({}): {problem}", status.as_u16())),
            _ => Failure::Refused(problem),
        };
        Err((failure, after.map(Duration::from_secs)))
    }

    fn lost(&self, error: &ureq::Error) -> Failure {
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        match error {
            ureq::Error::Io(cause) if refused(cause) => self.nobody(),
            ureq::Error::ConnectionFailed | ureq::Error::HostNotFound | ureq::Error::Timeout(ureq::Timeout::Connect) => {
                self.nobody()
            }
            other => {
                Failure::Unreachable { what: format!("the connection to {} was lost: {other}", self.base), perhaps_done: true }
            }
        }
    }

    fn nobody(&self) -> Failure {
        let what = format!("no server answers at {}; start one with `vecino serve`, or name another with --server", self.base);
        Failure::Unreachable { what, perhaps_done: false }
    }
}

/// Reads a problem document; of anything else, what there is.
fn problem(status: u16, body: &[u8]) -> Problem {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
    let plain = || String::from_utf8_lossy(body).chars().take(200).collect::<String>().trim().to_owned();
    Problem {
        status,
        code: text("code").unwrap_or_else(|| format!("status {status}")),
        detail: text("detail").or_else(|| text("title")).unwrap_or_else(plain),
        field: text("field"),
    }
}

/// A name as a segment of a path.
pub fn segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_segments() {
        assert_eq!(segment("plain-name_1.x~"), "plain-name_1.x~");
        assert_eq!(segment("a/b c?é"), "a%2Fb%20c%3F%C3%A9");
    }

    #[test]
    fn problems_are_read_whatever_the_body() {
        let body = br#"{"title": "T", "status": 400, "detail": "D", "code": "wrong_type", "field": "documents[0].text"}"#;
        assert_eq!(problem(400, body).to_string(), "documents[0].text: D [wrong_type]");
        assert_eq!(problem(502, b"Bad Gateway\n").to_string(), "Bad Gateway [status 502]");
    }

    #[test]
    fn addresses_are_checked() {
        assert!(Client::new("http://localhost:7700/").is_ok());
        for wrong in ["localhost:7700", "", "http://", "ftp://x"] {
            assert!(Client::new(wrong).is_err(), "{wrong}");
        }
    }
}
