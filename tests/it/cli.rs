//! The command line, from outside: files, exit codes, what is printed.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::program::{Run, Server, run, vecino};

fn folder_with(name: &str, content: &str) -> TempDir {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    folder
}

/// Lines that can be imported, each with a text of its own.
fn good_lines(count: usize) -> String {
    (0..count).fold(String::new(), |mut lines, number| {
        let text = format!("Passage {number} is about rivers and bridges. It has number {number} of {count}.");
        writeln!(lines, "{}", json!({"_id": number, "title": format!("Title {number}"), "text": text, "year": 1900 + number}))
            .unwrap();
        lines
    })
}

/// A field of each error.
fn of_errors(report: &Value, field: &str) -> Vec<Value> {
    report["errors"].as_array().unwrap().iter().map(|error| error[field].clone()).collect()
}

fn counts(report: &Value) -> [u64; 4] {
    ["read", "written", "skipped", "failed"].map(|name| report[name].as_u64().unwrap())
}

#[test]
fn import_stops_at_a_bad_line_and_goes_on_after_its_correction() {
    let bad = good_lines(3) + "{\"_id\": \"x\", \"text\": 5}\n" + &good_lines(6);
    let folder = folder_with("notes.jsonl", &bad);
    let stopped = run(folder.path(), "import notes.jsonl --library notes --data-dir data --json").ended(1);
    assert_eq!(counts(&stopped.json()), [4, 3, 0, 1]);
    assert_eq!(of_errors(&stopped.json(), "line"), [4]);
    assert!(stopped.stderr.contains("notes.jsonl:4: text: expected a string, received 5"), "{stopped:?}");
    assert!(stopped.stderr.contains("run the same command again"), "{stopped:?}");

    fs::write(folder.path().join("notes.jsonl"), bad.replace("\"text\": 5}", "\"text\": \"five\"}")).unwrap();
    let done = run(folder.path(), "import notes.jsonl --library notes --data-dir data --json").ended(0).json();
    assert_eq!((counts(&done), &done["complete"]), ([10, 4, 6, 0], &json!(true)));
}

#[test]
fn import_stops_at_a_line_that_the_library_refuses() {
    let folder =
        folder_with("notes.jsonl", &(good_lines(7) + "{\"_id\": \"x\", \"text\": \"t\", \"year\": \"old\"}\n" + "nonsense"));
    let stopped = run(folder.path(), "import notes.jsonl --library notes --data-dir data --json").ended(1);
    let report = stopped.json();
    assert_eq!(counts(&report), [9, 7, 0, 1]);
    assert_eq!((of_errors(&report, "line"), of_errors(&report, "code")), (vec![json!(8)], vec![json!("wrong_type")]));
    assert!(stopped.stderr.contains("notes.jsonl:8: attributes.year: expected integer, received string"), "{stopped:?}");
}

#[test]
fn import_passes_over_bad_lines_and_names_each() {
    let lines = [
        "{\"text\": \"cut",
        "[1]",
        "{\"title\": \"no text\"}",
        "{\"text\": \"t\", \"tags\": 3}",
        "{\"text\": \"t\", \"year\": \"old\"}",
        "{\"text\": \"t\", \"created_at\": \"yesterday\"}",
        "{\"text\": \"t\", \"deep\": {\"a\": 1}}",
        "{\"text\": \"t\", \"embedding\": [1, 2, 3]}",
    ];
    let bad = lines.join(&format!("\n{}\n", json!({"text": "good words in between"})));
    let folder = folder_with("notes.jsonl", &(good_lines(5) + "\n" + &bad));
    let done = run(folder.path(), "import notes.jsonl -l notes --data-dir data --on-error skip --json").ended(0).json();
    // The good lines between are one and the same: without an id, it is one document.
    assert_eq!(counts(&done), [20, 6, 6, 8], "{done}");
    let numbers: Vec<Value> = (0..8).map(|place| json!(7 + 2 * place)).collect();
    let mut found = of_errors(&done, "line");
    found.sort_by_key(|line| line.as_u64());
    assert_eq!(found, numbers, "{done}");
    assert!(of_errors(&done, "reason").iter().all(|reason| !reason.as_str().unwrap().is_empty()));
    assert!(of_errors(&done, "file").iter().all(|file| file == "notes.jsonl"));

    let again = run(folder.path(), "import notes.jsonl -l notes --data-dir data --on-error skip --json").ended(0).json();
    assert_eq!(counts(&again)[1], 0, "{again}");
}

#[test]
fn import_replaces_or_refuses_when_told_so() {
    let folder = folder_with("a.jsonl", &good_lines(4));
    let import = |options: &str| run(folder.path(), &format!("import a.jsonl -l notes --data-dir data --json{options}"));
    assert_eq!(counts(&import("").ended(0).json()), [4, 4, 0, 0]);
    assert_eq!(counts(&import(" --on-conflict replace").ended(0).json()), [4, 4, 0, 0]);
    let refused = import(" --on-conflict refuse").ended(1);
    assert_eq!((counts(&refused.json()), of_errors(&refused.json(), "code")), ([4, 0, 0, 1], vec![json!("document_exists")]));
    assert!(refused.stderr.contains("--on-conflict skip"), "{refused:?}");
    assert!(import(" --metric dot").ended(1).stderr.contains("its metric is cosine, not dot"));
}

#[test]
fn import_reads_stdin_and_vectors() {
    let folder = tempdir().unwrap();
    let mut command = vecino();
    command.args(["import", "-", "--library", "own", "--data-dir", "data", "--metric", "euclidean", "--json"]);
    let mut child =
        command.current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines =
        "{\"id\": \"a\", \"text\": \"left\", \"embedding\": [1, 0]}\n{\"id\": \"b\", \"text\": \"up\", \"embedding\": [0, 3]}";
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let done: Run = child.wait_with_output().unwrap().into();
    assert_eq!(counts(&done.ended(0).json()), [2, 2, 0, 0]);

    run(folder.path(), "export own own.vecino --data-dir data").ended(0);
    fs::write(folder.path().join("v.json"), "[0, 2.5]").unwrap();
    let answer = run(folder.path(), "query own.vecino --embedding v.json --json").ended(0).json();
    let hits: Vec<_> = answer["hits"].as_array().unwrap().iter().map(|hit| hit["document_id"].as_str().unwrap()).collect();
    assert_eq!((hits, &answer["hits"][0]["distance"]), (vec!["b", "a"], &json!(0.5)));
    assert!(run(folder.path(), "query own.vecino word").ended(1).stderr.contains("--embedding"));
}

#[test]
fn an_import_that_was_killed_goes_on() {
    const LINES: usize = 400;
    let folder = folder_with("many.jsonl", &good_lines(LINES));
    let server = Server::start(&folder.path().join("data"));
    let library = "/v1/libraries/many";
    let words = format!("import many.jsonl --library many --server {} --batch-size 1 --json", server.url);
    let mut command = vecino();
    let mut child = command.args(words.split(' ')).current_dir(&folder).stdout(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while server.get(library).is_none_or(|view| view["documents"].as_u64() < Some(20)) {
        assert!(started.elapsed() < Duration::from_secs(60), "the import does not advance");
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let view = server.get(library).unwrap();
    let before = view["documents"].as_u64().unwrap();
    assert!(before < LINES as u64, "the import was done before it could be killed");
    assert_eq!(view["documents"], view["chunks"], "each of these texts is one chunk");

    let done = run(folder.path(), &words).ended(0).json();
    // What was under way when the importer died may have been written after the count.
    let [read, written, skipped, failed] = counts(&done);
    assert_eq!((read, written + skipped, failed), (LINES as u64, LINES as u64, 0), "{done}");
    assert!(skipped == before || skipped == before + 1, "{before} {done}");
    let view = server.get(library).unwrap();
    assert_eq!((&view["documents"], &view["chunks"]), (&json!(LINES), &json!(LINES)));
    assert_eq!(server.get("/v1/libraries/many/documents/399").unwrap()["attributes"], json!({"year": 2299}));
}

fn ask_for_hits(folder: &TempDir, question: &str) -> Value {
    run(folder.path(), &format!("query notes.vecino {question} --json")).ended(0).json()["hits"].clone()
}

#[test]
fn a_file_answers_as_its_server() {
    let folder = folder_with("notes.jsonl", &good_lines(50));
    let server = Server::start(&folder.path().join("data"));
    let at = format!("--server {}", server.url);
    run(folder.path(), &format!("import notes.jsonl --library notes {at}")).ended(0);
    run(folder.path(), &format!("export notes notes.vecino {at}")).ended(0);
    for question in ["rivers", "bridges -k 50", "number --filter {\"year\":{\"$gte\":1930}} --explain"] {
        let ask = |of: &str| run(folder.path(), &format!("query {of} {question} --json")).ended(0).json();
        let (mut file, mut live) = (ask("notes.vecino"), ask(&format!("--library notes {at}")));
        for answer in [&mut file, &mut live] {
            assert!(answer.as_object_mut().unwrap().remove("took_ms").unwrap().is_number());
        }
        assert!(!file["hits"].as_array().unwrap().is_empty());
        assert_eq!(file, live, "{question}");
    }
    let twice = "query notes.vecino rivers --filter {\"year\":{\"$gte\":1930,\"$gte\":1}}";
    assert!(run(folder.path(), twice).ended(1).stderr.contains("duplicate field `$gte`"));
    let only = run(folder.path(), &format!("query rivers {at} --json")).ended(0).json();
    assert_eq!(only["hits"], ask_for_hits(&folder, "rivers"), "the only library need not be named");
    run(folder.path(), &format!("import notes.jsonl --library other {at}")).ended(0);
    assert!(run(folder.path(), &format!("query rivers {at}")).ended(1).stderr.contains("other"));

    let people = run(folder.path(), "query notes.vecino rivers -k 2").ended(0).stdout;
    assert!(people.contains("  1. ") && people.contains("2 of 2 asked for") && !people.contains('\u{1b}'), "{people}");

    let before = fs::read(folder.path().join("notes.vecino")).unwrap();
    let refused = run(folder.path(), &format!("export notes notes.vecino {at}")).ended(1);
    assert!(refused.stderr.contains("--force"), "{refused:?}");
    assert!(run(folder.path(), &format!("export nothing new.vecino {at}")).ended(1).stderr.contains("library_not_found"));
    run(folder.path(), &format!("export notes notes.vecino --force {at}")).ended(0);
    assert_eq!(fs::read(folder.path().join("notes.vecino")).unwrap(), before);
    let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort_unstable();
    assert_eq!(left, ["data", "notes.jsonl", "notes.vecino"]);
}

/// Answers requests in turn with what is given, and returns the paths and bodies of the requests; hangs up on `""`.
fn stub(answers: &'static [&str]) -> (String, thread::JoinHandle<Vec<(String, String)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move |stream: TcpStream, answer: &str| {
        let mut reader = BufReader::new(stream);
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).unwrap();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let (head, content) = answer.split_once('|').unwrap_or_default();
        if !head.is_empty() {
            let mut stream = reader.into_inner();
            write!(stream, "HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{content}", content.len()).unwrap();
        }
        (first, String::from_utf8(body).unwrap())
    };
    let handle = thread::spawn(move || answers.iter().map(|answer| serve(listener.accept().unwrap().0, answer)).collect());
    (url, handle)
}

#[test]
fn import_waits_for_a_server_that_is_busy() {
    let folder = folder_with("one.jsonl", &good_lines(1));
    let (url, requests) = stub(&[
        "200 OK|{\"name\": \"x\", \"metric\": \"cosine\", \"metadata\": {}}",
        "503 Service Unavailable\r\nretry-after: 1|{\"detail\": \"busy\", \"code\": \"busy\"}",
        "429 Too Many Requests|slow down",
        "",
        "200 OK|{\"written\": 1, \"skipped\": 0, \"chunks\": 2, \"seq\": 9}",
    ]);
    let started = Instant::now();
    let done = run(folder.path(), &format!("import one.jsonl -l x --server {url} --json")).ended(0).json();
    assert!(started.elapsed() >= Duration::from_secs(1), "Retry-After was not honoured");
    assert_eq!((counts(&done), &done["chunks"], &done["seq"]), ([1, 1, 0, 0], &json!(2), &json!(9)));
    let requests = requests.join().unwrap();
    assert!(requests[1].0.starts_with("POST /v1/libraries/x/documents:batch "), "{requests:?}");
    assert!(requests[1..].iter().all(|request| *request == requests[1]), "{requests:?}");
}

#[test]
fn a_lost_connection_is_no_reason_to_write_twice_what_must_not_exist() {
    let folder = folder_with("one.jsonl", &good_lines(1));
    let (url, requests) = stub(&["200 OK|{\"name\": \"x\", \"metric\": \"cosine\", \"metadata\": {}}", ""]);
    let stopped = run(folder.path(), &format!("import one.jsonl -l x --server {url} --on-conflict refuse")).ended(1);
    assert!(stopped.stderr.contains("perhaps they were written"), "{stopped:?}");
    assert_eq!(requests.join().unwrap().len(), 2);
}

#[test]
fn export_does_not_keep_what_is_damaged() {
    let folder = tempdir().unwrap();
    let (url, _requests) = stub(&["200 OK|VECINO\r\nnot really"]);
    let refused = run(folder.path(), &format!("export x x.vecino --server {url}")).ended(1);
    assert!(refused.stderr.contains("damaged") && refused.stderr.contains("nothing was written"), "{refused:?}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn errors_say_what_to_do() {
    let folder = folder_with("a.jsonl", &good_lines(1));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (words, code, part) in [
        (format!("import a.jsonl -l x --server http://{nobody}"), 1, "vecino serve"),
        ("import missing.jsonl -l x".to_owned(), 1, "missing.jsonl"),
        ("import a.jsonl -l x --server nowhere".to_owned(), 1, "http://"),
        ("query missing.vecino word".to_owned(), 1, "missing.vecino"),
        ("query a.jsonl word".to_owned(), 1, "mark of a Vecino snapshot"),
        ("query word".to_owned(), 1, "what to search for"),
        ("export x x.vecino --data-dir missing".to_owned(), 1, "--data-dir"),
        ("check missing".to_owned(), 2, "missing"),
        ("check a.jsonl".to_owned(), 2, "neither"),
        ("check".to_owned(), 2, "Usage"),
    ] {
        let ended = run(folder.path(), &words).ended(code);
        assert!(ended.stderr.contains(part), "{words}: {ended:?}");
        assert!(words == "check" || ended.stderr.lines().count() == 1, "{words}: {ended:?}");
    }
    assert!(!Path::new(&folder.path().join("missing")).exists());
}
