use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::matrix;

/// 300 vectors of 8 dimensions in a file, with metadata.
fn files(folder: &Path) {
    let mut state = 7_u64;
    let mut bytes = Vec::new();
    let mut lines = String::new();
    for row in 0..300 {
        bytes.extend(8_i32.to_le_bytes());
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.extend(((state >> 40) as f32 / 16_777_216.0 - 0.5).to_le_bytes());
        }
        lines += &format!("{}\n", json!({"tag": row % 100, "kind": if row % 2 == 0 { "even" } else { "odd" }}));
    }
    fs::write(folder.join("base.fvecs"), bytes).unwrap();
    fs::write(folder.join("meta.jsonl"), &lines).unwrap();
    let mut packed = GzEncoder::new(fs::File::create(folder.join("meta.jsonl.gz")).unwrap(), Compression::default());
    packed.write_all(lines.as_bytes()).unwrap();
    packed.finish().unwrap();
}

#[test]
fn every_index_is_built_searched_saved_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    files(folder.path());
    for index in ["flat", "floats", "kd_tree", "lsh", "ivf", "hnsw"] {
        for metric in ["cos", "l2", "ip"] {
            let open = &mut None;
            let mut tell = |command: Value| answer(open, &command.to_string());
            let built = tell(json!({
                "cmd": "build", "base": at("base.fvecs"), "metric": metric, "index": index, "threads": 2, "meta": at("meta.jsonl")
            }));
            assert_eq!(built["ok"], true, "{built}");
            let search = |threads: usize, filter: Value, out: &str| {
                json!({
                    "cmd": "search", "queries": at("base.fvecs"), "out": at(out), "effort": 400, "threads": threads,
                    "filter": filter
                })
            };
            let found = tell(search(1, Value::Null, "one.npy"));
            assert_eq!((&found["ok"], &found["short"]), (&json!(true), &json!(0)), "{found}");
            assert!(found["search_cpu_s"].as_f64().unwrap() > 0.0);
            let one = matrix::integers(Path::new(&at("one.npy"))).unwrap();
            assert_eq!((one.columns, one.rows().len()), (10, 300));
            if metric != "ip" {
                assert!(one.rows().enumerate().all(|(row, nearest)| nearest[0] == row as i64), "{index} {metric}");
            }
            tell(search(3, Value::Null, "three.npy"));
            assert_eq!(fs::read(at("one.npy")).unwrap(), fs::read(at("three.npy")).unwrap());
            // Three rows have this tag.
            let few = tell(search(1, json!(["tag", 5.0]), "few.npy"));
            assert_eq!((&few["allowed"], &few["short"]), (&json!(3), &json!(0)), "{few}");
            let few = matrix::integers(Path::new(&at("few.npy"))).unwrap();
            let sorted = |row: &[i64]| {
                let mut row = row.to_vec();
                row.sort_unstable();
                row
            };
            assert!(few.rows().all(|row| sorted(row) == [-1, -1, -1, -1, -1, -1, -1, 5, 105, 205]));
            assert_eq!(tell(json!({"cmd": "save", "path": at("saved")}))["bytes"], fs::metadata(at("saved")).unwrap().len());
            let loaded = tell(json!({"cmd": "load", "path": at("saved"), "meta": at("meta.jsonl.gz")}));
            assert_eq!(loaded["ok"], true, "{loaded}");
            tell(search(1, Value::Null, "again.npy"));
            assert_eq!(fs::read(at("one.npy")).unwrap(), fs::read(at("again.npy")).unwrap());
            assert_eq!(tell(search(1, json!(["kind", "odd"]), "odd.npy"))["allowed"], 150);
        }
    }
}

#[test]
fn errors_are_answers() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    files(folder.path());
    fs::write(at("short.jsonl"), "{}\n").unwrap();
    fs::write(at("narrow.bvecs"), [1, 0, 0, 0, 9]).unwrap();
    fs::write(at("junk"), "junk").unwrap();
    let open = &mut None;
    let mut fails = |command: Value, reason: &str| {
        let answer = answer(open, &command.to_string());
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(answer["ok"] == false && error.contains(reason), "{answer}");
    };
    let build = |more: Value| {
        let mut command = json!({"cmd": "build", "base": at("base.fvecs"), "metric": "l2", "meta": at("short.jsonl")});
        command.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        command
    };
    let out = at("out.npy");
    let search = |filter: Value, queries: &str, k: usize| {
        let queries = at(queries);
        json!({"cmd": "search", "queries": queries, "out": out, "filter": filter, "k": k})
    };
    fails(json!([1]), "no command");
    fails(json!({"cmd": "sing"}), "no command");
    fails(search(Value::Null, "base.fvecs", 10), "nothing is built");
    fails(json!({"cmd": "save", "path": at("saved")}), "nothing is built");
    fails(json!({"cmd": "load", "path": at("junk")}), "no saved index");
    fails(build(json!({"base": at("none.npy")})), "cannot read");
    fails(build(json!({"wings": 2})), "no parameter wings");
    fails(build(json!({"m": "many"})), "no whole number");
    fails(build(json!({"ef_construction": 1_000_000_000_000_u64})), "at most 4096");
    fails(build(json!({"meta": at("none.jsonl")})), "there is no file");
    assert_eq!(answer(open, &build(json!({"m": 8, "ef_construction": 50})).to_string())["ok"], true);
    let mut fails = |command: Value, reason: &str| {
        let answer = answer(open, &command.to_string());
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(answer["ok"] == false && error.contains(reason), "{answer}");
    };
    fails(search(json!(["tag", 1]), "base.fvecs", 10), "has 1 lines for 300 vectors");
    fails(search(Value::Null, "narrow.bvecs", 10), "of 1 dimensions");
    fails(search(Value::Null, "base.fvecs", 0), "k is 0");
    for k in [1 << 40, usize::MAX / 2] {
        fails(search(Value::Null, "base.fvecs", k), "more than");
    }
    assert_eq!(answer(open, &json!({"cmd": "save", "path": at("saved")}).to_string())["ok"], true);
    let whole = fs::read(at("saved")).unwrap();
    for cut in [10, 200, whole.len() / 2, whole.len() - 1] {
        fs::write(at("cut"), &whole[..cut]).unwrap();
        assert_eq!(answer(open, &json!({"cmd": "load", "path": at("cut")}).to_string())["ok"], false);
    }
}
