//! What a server does when it is asked too much.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::tempdir;

use super::{Server, with_words};

impl Server {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }
}

fn answer(mut stream: &TcpStream) -> String {
    let mut bytes = [0; 4096];
    let read = stream.read(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

#[test]
fn what_is_too_much_is_refused_at_once() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let query = "/v1/libraries/words/query";
    // Only the head of a body of a gigabyte is ever sent.
    let mut stream = server.connect();
    let head = format!(
        "POST {query} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n"
    );
    let begun = Instant::now();
    stream.write_all(head.as_bytes()).unwrap();
    let told = answer(&stream);
    assert!(told.starts_with("HTTP/1.1 413 ") && told.contains("payload_too_large"), "{told}");
    let k = server.post(query, &json!({"text": "dog", "k": 1_000_000_000}));
    assert_eq!(k.problem(400, "invalid_value")["field"], "k");
    let mut filter = String::from("{\"year\": 1}");
    for _ in 0..10_000 {
        filter = format!("{{\"$not\": {filter}}}");
    }
    let body = format!("{{\"text\": \"dog\", \"filter\": {filter}}}");
    let deep = server.send_raw("POST", query, "application/json", body.as_bytes());
    assert_eq!(deep.status, 400, "{}", deep.json);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    server.post(query, &json!({"text": "dog"})).ok();
}

#[test]
fn idle_and_slow_connections_stop_nobody() {
    let folder = tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--header-timeout", "2", "--max-connections", "150"]);
    let idle: Vec<TcpStream> = (0..50).map(|_| server.connect()).collect();
    let head =
        "POST /v1/libraries HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
    let slow: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    server.post("/v1/libraries", &json!({"name": "words"})).ok();
    for mut stream in idle {
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        assert!(ended.is_ok() && (rest.is_empty() || rest.starts_with(b"HTTP/1.1 408")), "an idle connection is not closed");
    }
    drop(slow);
    // More connections than there may be are closed; when they have gone, others are taken again.
    let many: Vec<TcpStream> = (0..300).map(|_| server.connect()).collect();
    let closed = |stream: &&TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut stream: &TcpStream = stream;
        matches!(stream.read(&mut [0]), Ok(0))
            || stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
    };
    assert_eq!(many.iter().filter(closed).take(100).count(), 100);
    drop(many);
    let patience = Instant::now();
    while !matches!(server.agent.get(format!("{}/livez", server.url)).call(), Ok(answer) if answer.status() == 200) {
        assert!(patience.elapsed() < Duration::from_secs(20), "the server does not recover");
    }
}

#[test]
fn no_more_jobs_run_than_may() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let head = "POST /v1/libraries/words/import HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    let open: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    let patience = Instant::now();
    while server.get("/v1/jobs").ok()["jobs"].as_array().unwrap().len() < 8 {
        assert!(patience.elapsed() < Duration::from_secs(20), "imports do not begin");
    }
    let reply = server.post("/v1/snapshots", &json!({"library": "words"}));
    reply.problem(429, "too_many_jobs");
    assert_eq!(reply.headers["retry-after"], "1");
    drop(open);
}

#[test]
fn writes_are_refused_before_memory_is_full() {
    let folder = tempdir().unwrap();
    drop(with_words(folder.path()));
    let server = Server::start_with(folder.path(), &["--memory-limit", "1MiB"]);
    let document = json!({"metadata": {"title": "T"}, "text": "some words"});
    server.post("/v1/libraries/words/documents", &document).problem(507, "memory_full");
    server.post("/v1/libraries/words/query", &json!({"text": "dog"})).ok();
    server.delete("/v1/libraries/words/documents/cars").ok();
}

#[test]
fn the_server_tells_how_it_is() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    assert_eq!(server.get("/livez").ok(), json!({"status": "ok"}));
    assert_eq!(server.get("/readyz").ok(), json!({"status": "ok"}));
    let info = server.get("/v1/info").ok();
    assert_eq!((&info["keys_required"], &info["embedding_dimension"]), (&json!(false), &json!(256)));
    server.post("/v1/libraries/words/query", &json!({"text": "dog"})).ok();
    let text = String::from_utf8(server.get("/metrics").bytes).unwrap();
    for start in [
        "vecino_documents 3",
        "vecino_query_duration_seconds_count{index=\"flat\"",
        "vecino_http_request_duration_seconds_count{method=\"POST\",route=\"/v1/libraries/{library}/query\",status=\"200\"} 1",
        "vecino_log_sync_duration_seconds_count",
        "vecino_memory_bytes{part=\"vectors\"}",
    ] {
        assert!(text.lines().any(|line| line.starts_with(start)), "{start}\n{text}");
    }
}

#[test]
fn a_slow_query_is_logged_with_its_explanation() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    server.post("/v1/libraries/words/query", &json!({"text": "dog"})).ok();
    assert!(!server.log().contains("slow_query"));
    drop(server);
    let server = Server::start_with(folder.path(), &["--slow-query-ms", "0.000001"]);
    // The first is answered on the thread that read it, the second on another one.
    for question in [json!({"text": "dog"}), json!({"text": "dog", "filter": {"id": {"$ne": "x"}}})] {
        let reply = server.post("/v1/libraries/words/query", &question);
        assert_eq!((reply.status, reply.json.get("explain")), (200, None));
        let (log, id) = (server.log(), &reply.headers["x-request-id"]);
        let line = log.lines().find(|line| line.contains("slow_query") && line.contains(id));
        assert!(line.is_some_and(|line| line.contains("exact_scan")), "{log}");
    }
}

#[test]
fn a_collector_gets_a_span_for_every_request() {
    let folder = tempdir().unwrap();
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let server = Server::start_with(folder.path(), &["--otlp-endpoint", &endpoint]);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    server.get_with("/v1/libraries", &[("traceparent", parent)]).ok();
    let (mut stream, _) = collector.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    assert!(first.starts_with("POST /v1/traces "), "{first}");
    for line in reader.by_ref().lines() {
        let line = line.unwrap().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        length = line.strip_prefix("content-length: ").map_or(length, |value| value.parse().unwrap());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!((&span["name"], &span["parentSpanId"]), (&json!("GET /v1/libraries"), &json!("b7ad6b7169203331")));
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn an_open_request_is_answered_before_the_end() {
    let folder = tempdir().unwrap();
    let server = with_words(folder.path());
    let body = json!({"id": "late", "metadata": {"title": "Late"}, "text": "A last word."}).to_string();
    let mut stream = server.connect();
    let length = body.len();
    write!(
        stream,
        "POST /v1/libraries/words/documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    )
    .unwrap();
    // The server waits for the body from here on.
    assert!(answer(&stream).starts_with("HTTP/1.1 100"));
    let (idle, address) = (server.connect(), server.url().trim_start_matches("http://").to_owned());
    let ended = thread::spawn(move || server.stop());
    let patience = Instant::now();
    while TcpStream::connect(&address).is_ok() {
        assert!(patience.elapsed() < Duration::from_secs(20), "new connections are taken");
        thread::sleep(Duration::from_millis(10));
    }
    stream.write_all(body.as_bytes()).unwrap();
    assert!(answer(&stream).starts_with("HTTP/1.1 201"));
    assert_eq!(ended.join().unwrap().code(), Some(0));
    drop(idle);
    Server::start(folder.path()).get("/v1/libraries/words/documents/late").ok();
}
