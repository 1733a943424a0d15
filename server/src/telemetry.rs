//! Spans of requests for an OpenTelemetry collector: OTLP over HTTP, in its JSON form.
//!
//! One span a request, none of other kinds, so the protocol is written out here: a list of objects, posted. A collector that
//! does not answer costs spans and nothing else.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use ureq::Agent;

/// Spans that wait to be sent; more are dropped.
const WAITING: usize = 4_096;

/// Spans in a request to the collector.
const BATCH: usize = 512;

/// How long a span waits for others.
const DELAY: Duration = Duration::from_secs(2);

/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request that was answered.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) method: String,
    pub(crate) route: Option<String>,
    pub(crate) status: u16,
    pub(crate) took: Duration,
    pub(crate) request_id: String,
    /// The header `traceparent`, if the client sent one.
    pub(crate) parent: Option<String>,
}

/// Where spans are handed in.
#[derive(Clone, Debug, Default)]
pub struct Telemetry(Option<SyncSender<Value>>);

impl Telemetry {
    /// Sends spans to a collector, such as `http://localhost:4318`. The thread ends when the last clone is dropped.
    ///
    /// # Errors
    /// For what is no address, and when no thread can be started.
    pub fn start(endpoint: &str) -> Result<(Self, JoinHandle<()>)> {
        let scheme = endpoint.starts_with("http://") || endpoint.starts_with("https://");
        ensure!(scheme, "otlp_endpoint: the address of a collector looks like http://localhost:4318, received '{endpoint}'");
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let (sender, spans) = sync_channel(WAITING);
        let thread = thread::Builder::new().name("vecino-otlp".to_owned()).spawn(move || send(&url, &spans));
        Ok((Self(Some(sender)), thread.context("cannot start a thread")?))
    }

    /// Whether anybody wants spans.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Hands a span in, as of now. It is dropped when too many wait.
    pub(crate) fn hand_in(&self, span: &Span) {
        if let Some(sender) = &self.0 {
            let _ = sender.try_send(encode(span, SystemTime::now()));
        }
    }
}

fn send(url: &str, spans: &Receiver<Value>) {
    let agent: Agent = Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
    let mut silent = false;
    while let Ok(first) = spans.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH {
            match spans.recv_timeout(DELAY) {
                Ok(span) => batch.push(span),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        let sent = agent.post(url).content_type("application/json").send(body(&batch).to_string());
        match sent {
            Ok(_) => silent = false,
            // Said once, not for every batch.
            Err(error) if !silent => {
                tracing::warn!(%error, url, "the collector of spans does not take them");
                silent = true;
            }
            Err(_) => {}
        }
    }
}

fn body(spans: &[Value]) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let resource = [text("service.name", "vecino"), text("service.version", env!("CARGO_PKG_VERSION"))];
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": {"name": "vecino"}, "spans": spans}],
    }]})
}

fn encode(span: &Span, ended: SystemTime) -> Value {
    let (trace, parent) = span.parent.as_deref().and_then(read_parent).unwrap_or_else(|| (new_id(), String::new()));
    let nanos = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let mut attributes = vec![
        text("http.request.method", &span.method),
        text("vecino.request_id", &span.request_id),
        json!({"key": "http.response.status_code", "value": {"intValue": span.status.to_string()}}),
    ];
    attributes.extend(span.route.as_deref().map(|route| text("http.route", route)));
    let name = span.route.as_ref().map_or_else(|| span.method.clone(), |route| format!("{} {route}", span.method));
    json!({
        "traceId": trace, "spanId": &new_id()[16..], "parentSpanId": parent, "name": name,
        // A server's; 2 is an error.
        "kind": 2, "status": {"code": if span.status >= 500 { 2 } else { 0 }},
        "startTimeUnixNano": nanos(ended - span.took), "endTimeUnixNano": nanos(ended), "attributes": attributes,
    })
}

/// The ids of trace and span from `00-TRACE-SPAN-FLAGS`.
fn read_parent(header: &str) -> Option<(String, String)> {
    let mut parts = header.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit()) && part.bytes().any(|byte| byte != b'0')
    };
    (version.len() == 2 && hex(trace, 32) && hex(span, 16)).then(|| (trace.to_ascii_lowercase(), span.to_ascii_lowercase()))
}

/// 32 digits; the last 16 of them are random but for two bits.
fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(parent: Option<&str>) -> Span {
        let parent = parent.map(str::to_owned);
        let route = Some("/v1/libraries".to_owned());
        let took = Duration::from_millis(5);
        Span { method: "GET".to_owned(), route, status: 503, took, request_id: "r".to_owned(), parent }
    }

    #[test]
    fn a_span_says_what_happened() {
        let ended = UNIX_EPOCH + Duration::from_secs(1);
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let encoded = encode(&span(Some(parent)), ended);
        assert_eq!(encoded["traceId"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(encoded["parentSpanId"], "b7ad6b7169203331");
        assert_eq!((&encoded["name"], &encoded["status"]["code"]), (&json!("GET /v1/libraries"), &json!(2)));
        assert_eq!(encoded["startTimeUnixNano"], "995000000");
        assert_eq!(encoded["endTimeUnixNano"], "1000000000");
        assert_eq!(encoded["spanId"].as_str().unwrap().len(), 16);
    }

    #[test]
    fn a_parent_that_is_none_begins_a_new_trace() {
        for wrong in ["", "00-00-00-00", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "x", "00-é-b-c"] {
            assert_eq!(read_parent(wrong), None, "{wrong}");
            let encoded = encode(&span(Some(wrong)), SystemTime::now());
            assert_eq!((encoded["traceId"].as_str().unwrap().len(), &encoded["parentSpanId"]), (32, &json!("")));
        }
    }
}
