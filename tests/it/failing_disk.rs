//! A real server whose disk fails or gets full.

use std::{
    any::Any,
    collections::BTreeSet,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::tempdir;
use vecino_tests::crash::{self, Faults, Reply, Server, SmallDisk};

use crate::program::PROGRAM;

const DOCUMENTS: &str = "/v1/libraries/l/documents";

fn start(folder: &Path, faults: &Faults) -> Server {
    faults.set("").unwrap();
    Server::start(&PROGRAM, folder, &[], &faults.environment(folder)).unwrap()
}

fn create(server: &Server) {
    assert_eq!(status(server, "POST", "/v1/libraries", &json!({"name": "l", "id": "l"})), 201);
}

fn status(server: &Server, method: &str, path: &str, body: &Value) -> u16 {
    match server.ask(method, path, body) {
        Reply::Answer(status, _) => status,
        Reply::Silence => panic!("{method} {path} is not answered"),
    }
}

/// Writes a document of about so many bytes.
fn put(server: &Server, number: usize, bytes: usize) -> u16 {
    let chunk = json!({"text": format!("{number} {}", "x".repeat(bytes.min(9_900))), "embedding": [1.0, number as f32]});
    let chunks: Vec<Value> = (0..bytes.div_ceil(10_000)).map(|_| chunk.clone()).collect();
    status(server, "PUT", &format!("{DOCUMENTS}/d{number}"), &json!({"metadata": {"title": "T"}, "chunks": chunks}))
}

fn documents(server: &Server) -> BTreeSet<String> {
    let all = server.list(&format!("{DOCUMENTS}?"), "documents").unwrap();
    all.iter().map(|document| document["id"].as_str().unwrap().to_owned()).collect()
}

fn named(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    numbers.into_iter().map(|number| format!("d{number}")).collect()
}

fn ready(server: &Server) -> u16 {
    status(server, "GET", "/readyz", &Value::Null)
}

#[test]
fn a_failed_sync_stops_writing_until_a_restart() {
    let (folder, faults) = (tempdir().unwrap(), Faults::build().unwrap());
    let server = start(folder.path(), &faults);
    create(&server);
    assert_eq!((put(&server, 0, 10), ready(&server)), (201, 200));
    faults.set("fdatasync 5 1").unwrap();
    assert_eq!(put(&server, 1, 10), 503);
    // The next sync would work, and would say nothing of the one that failed.
    faults.set("").unwrap();
    assert_eq!((put(&server, 2, 10), ready(&server)), (503, 503));
    assert_eq!(status(&server, "POST", "/v1/checkpoint", &Value::Null), 503);
    assert_eq!(documents(&server), named([0]), "what failed is not seen, and reading goes on");
    server.kill();
    let server = start(folder.path(), &faults);
    let found = documents(&server);
    assert!(found == named([0]) || found == named([0, 1]), "{found:?}");
    assert_eq!((put(&server, 3, 10), ready(&server)), (201, 200));
}

#[test]
fn writing_goes_on_when_there_is_room_again() {
    let (folder, faults) = (tempdir().unwrap(), Faults::build().unwrap());
    let server = start(folder.path(), &faults);
    create(&server);
    assert_eq!(put(&server, 0, 10), 201);
    // No room for anything, and room for the first half.
    for (number, fault) in [(1, "pwrite 28 1"), (3, "pwrite 0 1")] {
        faults.set(fault).unwrap();
        assert_eq!((put(&server, number, 10), ready(&server)), (507, 200), "{fault}");
        assert_eq!(documents(&server), named((0..number).filter(|number| number % 2 == 0)));
        faults.set("").unwrap();
        assert_eq!(put(&server, number + 1, 10), 201, "{fault}");
    }
    server.kill();
    assert_eq!(documents(&start(folder.path(), &faults)), named([0, 2, 4]));
}

#[test]
fn a_snapshot_that_fails_at_any_call_loses_nothing() {
    let (folder, faults) = (tempdir().unwrap(), Faults::build().unwrap());
    let calls = ["open 5", "write 5", "write 28", "write 0", "fsync 5", "rename 5", "unlink 5"];
    let mut expected = BTreeSet::new();
    for (number, (call, times)) in calls.into_iter().flat_map(|call| (1..4).map(move |times| (call, times))).enumerate() {
        let server = start(folder.path(), &faults);
        if number == 0 {
            create(&server);
        }
        assert_eq!(put(&server, number, 10), 201);
        expected.extend(named([number]));
        faults.set(&format!("{call} {times}")).unwrap();
        // Whether it fails depends on how many such calls there are.
        let made = status(&server, "POST", "/v1/checkpoint", &Value::Null);
        assert!([200, 503, 507].contains(&made), "{call} {times}: {made}");
        // A short write is gone on with; the rest cannot be done without.
        assert!(times > 1 || (made == 200) == (call == "write 0"), "{call} failed always: {made}");
        faults.set("").unwrap();
        assert_eq!(documents(&server), expected, "{call} {times}");
        server.kill();
        let server = start(folder.path(), &faults);
        assert_eq!(documents(&server), expected, "{call} {times}");
        assert_eq!(status(&server, "POST", "/v1/checkpoint", &Value::Null), 200);
    }
}

/// Kills servers, each on a folder of its own, until all has happened that is to be seen. How soon depends on the machine.
fn kills(faults: bool, enough: impl Fn(&crash::Tally) -> bool, place: impl Fn() -> (Box<dyn Any>, PathBuf, PathBuf)) {
    let mut total = crash::Tally::default();
    for seed in 0..15 {
        let (_kept, program, folder) = place();
        let (time, every) = (Duration::from_secs(8), Duration::from_millis(150));
        let options = crash::Options { program, folder, time, every, probability: 0.3, writers: 6, seed, faults };
        let tally = crash::run(&options, |_| {}).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        total.add(&tally);
        if enough(&total) {
            return println!("{total}");
        }
    }
    panic!("too little happened: {total}");
}

#[test]
fn kills_on_a_failing_disk_lose_nothing() {
    let enough = |tally: &crash::Tally| tally.kills >= 5 && tally.acknowledged > 100 && tally.refused > 0 && tally.failed > 0;
    kills(true, enough, || {
        let folder = tempdir().unwrap();
        let path = folder.path().to_owned();
        (Box::new(folder), PROGRAM.clone(), path)
    });
}

#[test]
#[ignore = "needs a machine that lets its users mount file systems; the runner of all tests asks for it"]
fn a_small_disk_gets_full_and_has_room_again() {
    let disk = SmallDisk::mount(6 << 20, &PROGRAM).unwrap();
    let server = || Server::start(&disk.program(), &disk.folder(), &[], &[]).unwrap();
    let mut running = server();
    create(&running);
    for round in 0..3 {
        let mut count = 0;
        let full = loop {
            match put(&running, count, 100_000) {
                201 => count += 1,
                other => break other,
            }
            assert!(count < 1_000, "it never gets full");
        };
        assert!(full == 507 && count >= 8, "round {round}: {full} after {count} documents");
        assert_eq!((documents(&running), ready(&running)), (named(0..count), 200));
        if round == 1 {
            running.kill();
            running = server();
            assert_eq!(documents(&running), named(0..count));
        }
        for number in 0..count {
            assert_eq!(status(&running, "DELETE", &format!("{DOCUMENTS}/d{number}"), &Value::Null), 200, "{number} of {count}");
        }
        // Room comes with the next snapshots, which nobody asks for.
        let again = (0..100).find(|_| {
            sleep(Duration::from_millis(100));
            put(&running, 0, 100_000) == 201
        });
        assert!(again.is_some(), "there is room again, and writing does not go on");
        assert_eq!(documents(&running), named([0]));
        assert_eq!(status(&running, "DELETE", &format!("{DOCUMENTS}/d0"), &Value::Null), 200);
    }
}

#[test]
#[ignore = "needs a machine that lets its users mount file systems; the runner of all tests asks for it"]
fn kills_on_a_small_disk_lose_nothing() {
    let enough = |tally: &crash::Tally| tally.kills >= 5 && tally.acknowledged > 100 && tally.refused > 0;
    kills(false, enough, || {
        let disk = SmallDisk::mount(900 << 10, &PROGRAM).unwrap();
        let (program, folder) = (disk.program(), disk.folder());
        (Box::new(disk), program, folder)
    });
}
