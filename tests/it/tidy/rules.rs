//! The rules, each over one file.

use toml::Table;

use super::rust_code::{code_of, is_word, line_at, words};

/// A line that breaks a rule.
pub(super) type Finding = (usize, String);

/// Standard modules that reach outside the process or start threads.
const STD_MODULES: [&str; 5] = ["env", "fs", "net", "process", "thread"];

/// Types that read a clock.
const CLOCKS: [&str; 2] = ["Instant", "SystemTime"];

/// Crates that bring randomness or a runtime.
const OUTSIDE_CRATES: [&str; 3] = ["getrandom", "rand", "tokio"];

/// All that the engine may depend on.
const ENGINE_DEPENDENCIES: [&str; 11] = [
    "bytemuck",
    "crc32c",
    "imbl",
    "postcard",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "time",
    "unicode-normalization",
    "utoipa",
];

/// The only files in which `unsafe` may stand.
pub(super) const UNSAFE_FILES: [&str; 4] =
    ["engine/src/distance/neon.rs", "engine/src/distance/wasm.rs", "engine/src/distance/x86.rs", "server/src/storage/mmap.rs"];

/// Names that say nothing about what a file or folder holds.
const EMPTY_NAMES: [&str; 7] = ["common", "core", "helper", "helpers", "misc", "util", "utils"];

const MAX_LINES: usize = 600;
const MAX_COLUMNS: usize = 140;

/// Words that announce work instead of doing it. Written in halves, so that this file keeps the rule.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 5] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/"), concat!("C:\\", "Users")];

/// Standard modules, clocks and crates that the engine must not name.
pub(super) fn outside_names(text: &str) -> Vec<Finding> {
    let code = code_of(text);
    let mut findings = Vec::new();
    for module in STD_MODULES {
        for at in words(&code, module) {
            if code[..at].ends_with("std::") || opening_path(&code, at).is_some_and(|path| path == "std") {
                findings.push((line_at(&code, at), format!("std::{module}")));
            }
        }
    }
    for clock in CLOCKS {
        for at in words(&code, clock) {
            findings.push((line_at(&code, at), clock.to_owned()));
        }
    }
    for name in OUTSIDE_CRATES {
        for at in words(&code, name) {
            let used = code[..at].ends_with("use ") || code[..at].ends_with("extern crate ");
            if used || code[at + name.len()..].starts_with("::") {
                findings.push((line_at(&code, at), format!("the crate {name}")));
            }
        }
    }
    findings
}

/// The path in front of the innermost brace that is open at `at`: `std` for `fs` in `use std::{fmt, fs}`.
fn opening_path(code: &str, at: usize) -> Option<&str> {
    let mut open = 0;
    for (place, letter) in code[..at].char_indices().rev() {
        match letter {
            '}' => open += 1,
            '{' if open > 0 => open -= 1,
            '{' => {
                let path = code[..place].trim_end().strip_suffix("::")?;
                let start = path.rfind(|letter: char| !is_word(letter) && letter != ':').map_or(0, |before| before + 1);
                return Some(&path[start..]);
            }
            ';' => return None,
            _ => {}
        }
    }
    None
}

/// Dependencies of a manifest, of all kinds and targets but for development, that are not on the engine's list.
pub(super) fn unlisted_dependencies(text: &str) -> Vec<Finding> {
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![(1, format!("{error}"))],
    };
    let mut tables = vec![&manifest];
    if let Some(targets) = manifest.get("target").and_then(|value| value.as_table()) {
        tables.extend(targets.values().filter_map(|value| value.as_table()));
    }
    let mut findings = Vec::new();
    for table in tables {
        for kind in ["dependencies", "build-dependencies"] {
            let Some(dependencies) = table.get(kind).and_then(|value| value.as_table()) else {
                continue;
            };
            for (name, value) in dependencies {
                let package = value.get("package").and_then(|value| value.as_str()).unwrap_or(name);
                if !ENGINE_DEPENDENCIES.contains(&package) {
                    let line = text.lines().position(|line| line.starts_with(name.as_str())).map_or(1, |line| line + 1);
                    findings.push((line, format!("{package} is not on the engine's list of dependencies")));
                }
            }
        }
    }
    findings
}

pub(super) fn any_unsafe(text: &str) -> Vec<Finding> {
    let code = code_of(text);
    words(&code, "unsafe").map(|at| (line_at(&code, at), "unsafe may not stand in this file".to_owned())).collect()
}

/// Unsafe blocks and implementations without a SAFETY comment above: among the three lines before, or in a comment
/// that reaches down to them.
pub(super) fn unexplained_unsafe(text: &str) -> Vec<Finding> {
    let code = code_of(text);
    let lines: Vec<&str> = text.lines().collect();
    words(&code, "unsafe")
        .filter(|at| {
            let rest = code[at + "unsafe".len()..].trim_start();
            rest.starts_with('{') || rest.starts_with("impl")
        })
        .map(|at| line_at(&code, at))
        .filter(|line| {
            let own = line - 1;
            let mut first = own.saturating_sub(3);
            while first > 0 && lines[first].trim_start().starts_with("//") {
                first -= 1;
            }
            !lines[first..=own].iter().any(|line| line.contains("SAFETY"))
        })
        .map(|line| (line, "unsafe without a SAFETY comment above".to_owned()))
        .collect()
}

pub(super) fn too_long(text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    if lines > MAX_LINES { vec![(lines, format!("more than {MAX_LINES} lines"))] } else { Vec::new() }
}

pub(super) fn empty_name(path: &str) -> Vec<Finding> {
    path.split('/')
        .map(|name| name.split('.').next().unwrap_or(name))
        .filter(|name| EMPTY_NAMES.contains(name))
        .map(|name| (1, format!("the name `{name}` says nothing")))
        .collect()
}

pub(super) fn untidy_lines(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.contains('\t') {
            findings.push((index + 1, "a tab".to_owned()));
        }
        if line.ends_with(char::is_whitespace) {
            findings.push((index + 1, "white space at the end".to_owned()));
        }
        if line.chars().count() > MAX_COLUMNS {
            findings.push((index + 1, format!("more than {MAX_COLUMNS} columns")));
        }
    }
    findings
}

pub(super) fn unwanted_words(text: &str) -> Vec<Finding> {
    matching_lines(text, |line| {
        UNFINISHED.iter().any(|word| words(line, word).next().is_some())
            || MACHINE_PATHS.iter().any(|start| names_machine_path(line, start))
    })
}

/// Whether a path starts here: after a letter it is part of an address or of a relative path.
fn names_machine_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|letter| is_word(letter) || ".-~})*".contains(letter))
    })
}

pub(super) fn missing_lints(text: &str) -> Vec<Finding> {
    let takes_them = text.parse::<Table>().is_ok_and(|manifest| {
        manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(|value| value.as_bool()) == Some(true)
    });
    if takes_them { Vec::new() } else { vec![(1, "no `[lints] workspace = true`".to_owned())] }
}

/// Whether a page writes `folder/` as a word of its own.
pub(super) fn names_folder(page: &str, folder: &str) -> bool {
    let wanted = format!("{folder}/");
    page.match_indices(&wanted).any(|(at, _)| !page[..at].ends_with(|letter| is_word(letter) || "/-.".contains(letter)))
}

pub(super) fn matching_lines(text: &str, is_match: impl Fn(&str) -> bool) -> Vec<Finding> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| is_match(line))
        .map(|(index, line)| (index + 1, line.trim().chars().take(100).collect()))
        .collect()
}

// The rules are able to fail.

fn lines_of(findings: &[Finding]) -> Vec<usize> {
    findings.iter().map(|(line, _)| *line).collect()
}

#[test]
fn rule_outside_names() {
    for bad in [
        "use std::fs;",
        "let a = std::fs::read(p);",
        "use std::{fmt, fs};",
        "use std::{\n    fmt::{self, Write},\n    thread,\n};",
        "use std::time::{Duration, Instant};",
        "std::time::SystemTime::now()",
        "std::env::var(\"A\")",
        "use std::process::Command;",
        "std::net::TcpStream",
        "use rand::Rng;",
        "use rand;",
        "getrandom::fill(&mut b)",
        "tokio::spawn(f)",
    ] {
        assert_eq!(outside_names(bad).len(), 1, "{bad}");
    }
    for good in [
        "// std::fs is not for us",
        "let rand = 3;",
        "\"std::fs\"",
        "let process = 1; let env = {process};",
        "use std::{fmt, mem};",
        "use std::fmt; use crate::{fs};",
        "/* tokio::spawn /* std::fs */ */",
        "r#\"std::fs \"quoted\" \"#",
        "let Instantly = 1;",
    ] {
        assert_eq!(outside_names(good), [], "{good}");
    }
    assert_eq!(lines_of(&outside_names("\n\nuse std::fs;\n")), [3]);
}

#[test]
fn rule_dependencies() {
    let good = "[dependencies]\nserde = \"1\"\n[dev-dependencies]\nproptest = \"1\"\n";
    assert_eq!(unlisted_dependencies(good), []);
    assert_eq!(lines_of(&unlisted_dependencies("[dependencies]\nserde = \"1\"\nmemmap2 = \"1\"\n")), [3]);
    assert_eq!(unlisted_dependencies("[target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n").len(), 1);
    assert_eq!(unlisted_dependencies("[build-dependencies]\ncc = \"1\"\n").len(), 1);
    assert_eq!(unlisted_dependencies("[dependencies]\nserde = { package = \"evil\", version = \"1\" }\n").len(), 1);
    assert_eq!(unlisted_dependencies("not toml").len(), 1);
}

#[test]
fn rule_unsafe() {
    assert_eq!(lines_of(&any_unsafe("fn f() {\n    unsafe { g() }\n}\n")), [2]);
    assert_eq!(any_unsafe("// unsafe\n\"unsafe\"; let unsafe_code = 'u';"), []);
    assert_eq!(lines_of(&unexplained_unsafe("fn f() {\n    unsafe { g() }\n}\n")), [2]);
    assert_eq!(lines_of(&unexplained_unsafe("unsafe impl Send for A {}\n")), [1]);
    assert_eq!(unexplained_unsafe("// SAFETY: checked.\nunsafe { g() }\n"), []);
    assert_eq!(unexplained_unsafe("// SAFETY: a\n// b\n// c\n// d\n// e\nlet x =\n    unsafe { g() };\n"), []);
    assert_eq!(lines_of(&unexplained_unsafe("// SAFETY: a\nf();\nf();\nf();\nf();\nunsafe { g() };\n")), [6]);
    assert_eq!(unexplained_unsafe("unsafe fn f() {}\n"), []);
}

#[test]
fn rule_length_and_names() {
    assert_eq!(too_long(&"x\n".repeat(MAX_LINES)), []);
    assert_eq!(too_long(&"x\n".repeat(MAX_LINES + 1)).len(), 1);
    assert_eq!(empty_name("engine/src/utils.rs").len(), 1);
    assert_eq!(empty_name("engine/src/common/mod.rs").len(), 1);
    assert_eq!(empty_name("engine/src/utility_of_names.rs"), []);
}

#[test]
fn rule_lines() {
    assert_eq!(lines_of(&untidy_lines("ok\n\tx\nx \n")), [2, 3]);
    assert_eq!(untidy_lines(&"x".repeat(MAX_COLUMNS)), []);
    assert_eq!(untidy_lines(&"x".repeat(MAX_COLUMNS + 1)).len(), 1);
}

#[test]
fn rule_words() {
    for word in UNFINISHED {
        assert_eq!(lines_of(&unwanted_words(&format!("a\n// {word}: later\n"))), [2]);
        assert_eq!(unwanted_words(&format!("my_{word}_x {word}{word}")), []);
    }
    for path in MACHINE_PATHS {
        assert_eq!(unwanted_words(&format!("see \"{path}me\"")).len(), 1, "{path}");
        assert_eq!(unwanted_words(&format!("https://example.com{path}me ./x{path}me")), [], "{path}");
    }
}

#[test]
fn rule_lints_and_folders() {
    assert_eq!(missing_lints("[lints]\nworkspace = true\n"), []);
    assert_eq!(missing_lints("[lints]\nworkspace = false\n").len(), 1);
    assert_eq!(missing_lints("[package]\nname = \"a\"\n").len(), 1);
    assert!(names_folder("`engine/` is", "engine"));
    assert!(names_folder("[a](engine/src/lib.rs)", "engine"));
    assert!(!names_folder("the engine, search_engine/ and a/engine/", "engine"));
}
