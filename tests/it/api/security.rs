//! Keys, roles, scopes and tokens: over every route that the description has.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::tempdir;
use ureq::http::Request;

use super::{Reply, Server, outcome, refused, reply, serve};
use crate::program::vecino;

const FIRST: &str = "the key of the first administrator";

/// A route of the description.
struct Operation {
    method: String,
    path: String,
    reads: bool,
}

impl Server {
    fn ask(&self, method: &str, path: &str, key: Option<&str>, body: Option<&Value>) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        match body {
            None => reply(self.agent.run(request.body(()).unwrap())),
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.to_string()).unwrap();
                reply(self.agent.run(request))
            }
        }
    }

    fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.ask(method, path, Some(FIRST), body).ok()
    }

    fn key(&self, role: &str, libraries: Option<&[&str]>) -> Value {
        let mut input = json!({"name": "test", "role": role});
        if let Some(libraries) = libraries {
            input["libraries"] = json!(libraries);
        }
        self.admin("POST", "/v1/keys", Some(&input))
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// A server with keys and two libraries, `alpha` and `bravo`, of one document each.
fn with_keys(folder: &Path, arguments: &[&str]) -> Server {
    let server = Server::start_with(folder, &[&["--api-key", FIRST], arguments].concat());
    for name in ["alpha", "bravo"] {
        server.admin("POST", "/v1/libraries", Some(&json!({"name": name, "id": format!("id-of-{name}")})));
        let document = json!({"id": "one", "metadata": {"title": format!("of {name}")}, "text": "Some words."});
        server.admin("POST", &format!("/v1/libraries/{name}/documents"), Some(&document));
    }
    server
}

fn operations(server: &Server) -> Vec<Operation> {
    let description = server.admin("GET", "/openapi.json", None);
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let reads = (method == "get" && path != "/v1/backup") || operation["tags"] == json!(["query"]);
            let open = path == "/healthz" || path == "/livez" || path == "/readyz";
            let told = operation["responses"].get("401").is_some() && operation["security"].is_array();
            assert_eq!(told, !open, "{method} {path} is described otherwise than it is");
            if !open {
                operations.push(Operation { method: method.to_uppercase(), path: path.clone(), reads });
            }
        }
    }
    assert!(operations.len() > 20, "{}", operations.len());
    operations
}

impl Operation {
    /// The address with real names in it: all of `library`, so that it is the key that is refused.
    fn at(&self, library: &str) -> String {
        let path = self.path.replace("{library}", library).replace("{document}", "one").replace("{chunk}", "one");
        path.split('/').map(|part| if part.starts_with('{') { "other" } else { part }).collect::<Vec<_>>().join("/")
    }

    fn body(&self) -> Option<Value> {
        ["POST", "PUT", "PATCH"].contains(&&*self.method).then(|| json!({}))
    }

    fn ask(&self, server: &Server, library: &str, key: Option<&str>) -> Reply {
        server.ask(&self.method, &self.at(library), key, self.body().as_ref())
    }
}

fn contents(server: &Server) -> Vec<Value> {
    let all = ["/v1/libraries", "/v1/libraries/alpha/documents", "/v1/libraries/bravo/documents", "/v1/keys"];
    all.iter().map(|path| server.admin("GET", path, None)).collect()
}

#[test]
fn no_route_answers_without_a_key() {
    let folder = tempdir().unwrap();
    let server = with_keys(folder.path(), &[]);
    let before = contents(&server);
    for operation in operations(&server) {
        for key in [None, Some("not a key"), Some("vecino_0000000000000000_AAAA"), Some("eyJhbGciOiJub25lIn0.e30."), Some("")] {
            let reply = operation.ask(&server, "alpha", key);
            reply.problem(401, "unauthorized");
            assert_eq!(reply.headers["www-authenticate"], "Bearer", "{} {}", operation.method, operation.path);
        }
    }
    assert_eq!(contents(&server), before);
    server.ask("GET", "/openapi.json", None, None).problem(401, "unauthorized");
    server.ask("GET", "/v1/nothing", None, None).problem(401, "unauthorized");
    server.get("/healthz").ok();
    assert_eq!(server.get("/").status, 200, "the page has a field for the key");
    server.get_with("/v1/libraries", &[("x-api-key", FIRST)]).ok();
    // Either of two places will do.
    let bearer = format!("Bearer {FIRST}");
    server.get_with("/v1/libraries", &[("x-api-key", "not a key"), ("authorization", &bearer)]).ok();
    server.get_with("/v1/libraries", &[("x-api-key", FIRST), ("authorization", "Bearer not a key")]).ok();
    server.get_with("/v1/libraries", &[("x-api-key", "x"), ("authorization", "Basic x")]).problem(401, "unauthorized");
    assert!(!server.log().contains(FIRST));
}

#[test]
fn a_key_that_reads_cannot_write() {
    let folder = tempdir().unwrap();
    let server = with_keys(folder.path(), &[]);
    let reader = server.key("read", None);
    let writer = server.key("write", None);
    let before = contents(&server);
    for operation in operations(&server) {
        let reply = operation.ask(&server, "alpha", Some(text(&reader, "key")));
        let signs = operation.path == "/v1/tokens";
        if (operation.reads && !operation.path.starts_with("/v1/keys")) || signs {
            assert!(reply.status != 401 && reply.status != 403, "{} {}: {}", operation.method, operation.path, reply.json);
        } else {
            reply.problem(403, "forbidden");
        }
    }
    assert_eq!(contents(&server), before);
    server.ask("POST", "/v1/libraries", Some(text(&writer, "key")), Some(&json!({"name": "more"}))).ok();
    server.ask("POST", "/v1/checkpoint", Some(text(&writer, "key")), Some(&json!({}))).problem(403, "forbidden");
    server.ask("GET", "/v1/keys", Some(text(&writer, "key")), None).problem(403, "forbidden");
}

#[test]
fn a_token_for_one_library_sees_no_other() {
    let folder = tempdir().unwrap();
    let server = with_keys(folder.path(), &[]);
    let writer = server.key("write", Some(&["alpha"]));
    let token = json!({"role": "write", "libraries": ["alpha"]});
    let token = server.admin("POST", "/v1/tokens", Some(&token));
    let before = contents(&server);
    for shown in [text(&writer, "key"), text(&token, "token")] {
        for operation in operations(&server) {
            for library in ["bravo", "id-of-bravo"] {
                let reply = operation.ask(&server, library, Some(shown));
                if operation.path.contains("{library}") {
                    let mut hidden = reply.problem(404, "library_not_found").clone();
                    let mut absent = operation.ask(&server, "absent", Some(shown)).problem(404, "library_not_found").clone();
                    for problem in [&mut hidden, &mut absent] {
                        problem["request_id"] = Value::Null;
                        problem["detail"] = json!(text(problem, "detail").replace(library, "?").replace("absent", "?"));
                    }
                    assert_eq!(hidden, absent, "{} {}", operation.method, operation.path);
                } else {
                    assert!(!reply.json.to_string().contains("bravo"), "{} {}: {}", operation.method, operation.path, reply.json);
                }
            }
        }
        assert_eq!(contents(&server), before);
        let listed = server.ask("GET", "/v1/libraries", Some(shown), None).ok();
        assert_eq!(listed["libraries"].as_array().unwrap().len(), 1);
        server.ask("POST", "/v1/libraries", Some(shown), Some(&json!({"name": "more"}))).problem(403, "forbidden");
        let copy = json!({"name": "more"});
        server.ask("POST", "/v1/libraries/alpha/copy", Some(shown), Some(&copy)).problem(403, "forbidden");
        let documents = server.ask("GET", "/v1/libraries/alpha/documents", Some(shown), None).ok();
        assert_eq!(documents["documents"].as_array().unwrap().len(), 1);
    }
    let key = text(&writer, "key");
    let other = |libraries: Value| json!({"libraries": libraries});
    let reply = server.ask("POST", "/v1/tokens", Some(key), Some(&other(json!(["bravo"]))));
    assert!(!reply.problem(404, "library_not_found").to_string().contains("id-of"));
    server.ask("POST", "/v1/tokens", Some(text(&token, "token")), Some(&json!({}))).problem(403, "forbidden");
    // The scope goes with the library, not with its name.
    server.admin("PATCH", "/v1/libraries/alpha", Some(&json!({"name": "first"})));
    server.admin("PATCH", "/v1/libraries/bravo", Some(&json!({"name": "alpha"})));
    server.ask("GET", "/v1/libraries/alpha", Some(key), None).problem(404, "library_not_found");
    assert_eq!(server.ask("GET", "/v1/libraries/first", Some(key), None).ok()["id"], "id-of-alpha");
}

#[test]
fn keys_and_tokens_last_and_end() {
    let folder = tempdir().unwrap();
    let server = with_keys(folder.path(), &[]);
    let writer = server.key("write", None);
    let admin = server.key("admin", None);
    let key = text(&writer, "key");
    let token = server.ask("POST", "/v1/tokens", Some(key), Some(&json!({"role": "read"}))).ok();
    let token = text(&token, "token");
    let short = server.ask("POST", "/v1/tokens", Some(key), Some(&json!({"ttl_seconds": 1}))).ok();
    server.ask("POST", "/v1/tokens", Some(key), Some(&json!({"role": "admin"}))).problem(400, "invalid_value");
    server.ask("POST", "/v1/tokens", Some(key), Some(&json!({"ttl_seconds": 0}))).problem(400, "invalid_value");
    let listed = server.admin("GET", "/v1/keys", None).to_string();
    assert!(!listed.contains(key) && !listed.contains("sha256"), "{listed}");
    server.kill();
    let file = std::fs::read_to_string(folder.path().join("keys.json")).unwrap();
    assert!(!file.contains(key) && !file.contains(FIRST));

    // Without the key of the settings, those of the file still count.
    let server = Server::start(folder.path());
    server.get("/v1/libraries").problem(401, "unauthorized");
    server.ask("GET", "/v1/libraries", Some(FIRST), None).problem(401, "unauthorized");
    server.ask("GET", "/v1/libraries", Some(key), None).ok();
    server.ask("GET", "/v1/libraries", Some(token), None).ok();
    let mut forged = token.to_owned().into_bytes();
    *forged.last_mut().unwrap() ^= 1;
    server.ask("GET", "/v1/libraries", Some(&String::from_utf8(forged).unwrap()), None).problem(401, "unauthorized");
    let patience = std::time::Instant::now();
    while server.ask("GET", "/v1/libraries", Some(text(&short, "token")), None).status != 401 {
        assert!(patience.elapsed().as_secs() < 20, "a token of one second does not end");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let admin_key = text(&admin, "key");
    server.ask("DELETE", &format!("/v1/keys/{}", text(&writer, "id")), Some(admin_key), None).ok();
    server.ask("GET", "/v1/libraries", Some(key), None).problem(401, "unauthorized");
    server.ask("GET", "/v1/libraries", Some(token), None).problem(401, "unauthorized");
    server.ask("DELETE", &format!("/v1/keys/{}", text(&writer, "id")), Some(admin_key), None).problem(404, "key_not_found");
    let last = server.ask("DELETE", &format!("/v1/keys/{}", text(&admin, "id")), Some(admin_key), None);
    last.problem(409, "invalid_value");
    assert!(server.log().contains("audit"), "{}", server.log());
}

#[test]
fn a_server_without_keys_is_for_this_machine() {
    let folder = tempdir().unwrap();
    let mut command = vecino();
    let command = command.args(["serve", "--listen", "0.0.0.0:0", "--data-dir"]).arg(folder.path());
    let (code, why) = outcome(command);
    assert!(code == Some(2) && why.contains("VECINO_API_KEY"), "{why}");
    let (code, why) = refused(folder.path(), &["--api-key", "short"]);
    assert!(code == Some(1) && why.contains("16 characters") && !why.contains("short"), "{why}");
    let server = Server::start(folder.path());
    for host in ["localhost", "localhost:1234", "127.0.0.1:80", "[::1]:80", "LocalHost"] {
        server.get_with("/v1/libraries", &[("host", host)]).ok();
    }
    for host in ["evil.example", "evil.example:7700", "localhost.evil.example", "10.0.0.1", "", "127.0.0.1.evil.example"] {
        server.get_with("/v1/libraries", &[("host", host)]).problem(421, "wrong_host");
        server.get_with("/", &[("host", host)]).problem(421, "wrong_host");
    }
    // Else whoever comes first could lock everybody out.
    server.post("/v1/keys", &json!({"name": "n", "role": "admin"})).problem(403, "forbidden");
    server.post("/v1/tokens", &json!({})).problem(403, "forbidden");
    drop(server);
    let server = with_keys(folder.path(), &[]);
    server.key("admin", None);
    let wrong = server.ask("POST", "/v1/keys", Some(FIRST), Some(&json!({"name": "n", "role": "admin", "libraries": ["alpha"]})));
    assert_eq!(wrong.problem(400, "invalid_value")["field"], "libraries");
    // With a key shown, the name of the server does not matter any more.
    server.get_with("/v1/libraries", &[("host", "my.example"), ("x-api-key", FIRST)]).ok();
    std::fs::write(folder.path().join("keys.json"), "{}").unwrap();
    drop(server);
    let mut command = serve(folder.path(), &[]);
    let output = command.output().unwrap();
    let why = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && why.contains("keys.json"), "{why}");
}

#[test]
fn a_key_asks_no_more_than_it_may() {
    let folder = tempdir().unwrap();
    let server = with_keys(folder.path(), &["--rate-limit", "10", "--max-body-bytes", "1MiB"]);
    let key = server.key("read", None);
    let key = text(&key, "key");
    let mut refused = 0;
    for _ in 0..200 {
        let reply = server.ask("GET", "/v1/libraries", Some(key), None);
        if reply.status == 429 {
            reply.problem(429, "too_many_requests");
            assert_eq!(reply.headers["retry-after"], "1");
            refused += 1;
        }
    }
    assert!(refused > 0);
    server.ask("GET", "/v1/libraries", Some(FIRST), None).ok();
}

#[test]
fn pages_of_other_origins_are_let_in_by_name() {
    let folder = tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--cors-origin", "https://a.example,https://b.example"]);
    let allowed = |origin: &str| {
        let reply = server.get_with("/v1/libraries", &[("origin", origin)]);
        reply.headers.get("access-control-allow-origin").cloned()
    };
    assert_eq!(allowed("https://b.example").as_deref(), Some("https://b.example"));
    assert_eq!(allowed("https://c.example"), None);
    // Before it sends a key, a browser asks, and `*` would not do for that header.
    let request = Request::builder()
        .method("OPTIONS")
        .uri(format!("{}/v1/libraries", server.url))
        .header("origin", "https://a.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    let asked = reply(server.agent.run(request.body(()).unwrap()));
    assert_eq!(asked.headers["access-control-allow-headers"], "authorization,content-type");
    assert!(asked.headers["access-control-allow-methods"].contains("POST"));
    drop(server);
    let server = Server::start(folder.path());
    let reply = server.get_with("/v1/libraries", &[("origin", "https://a.example")]);
    assert!(reply.headers.keys().all(|name| !name.starts_with("access-control")), "{:?}", reply.headers);
    let (code, why) = refused(tempdir().unwrap().path(), &["--cors-origin", "*"]);
    assert!(code == Some(1) && why.contains("cors_origin"), "{why}");
}
