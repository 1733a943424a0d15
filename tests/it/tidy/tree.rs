//! Walking the tree.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::rules::Finding;

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The tracked files, with `/` on every system; in a copy without git, all files that git would not ignore.
pub(super) fn files() -> Vec<String> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let files: Vec<String> = match listed {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            String::from_utf8(output.stdout).unwrap().split_terminator('\0').map(str::to_owned).collect()
        }
        _ => walked(),
    };
    assert!(files.iter().any(|path| path == "tests/it/tidy/tree.rs"), "this file is not among the {} found", files.len());
    files.into_iter().filter(|path| !is_foreign(path) && root().join(path).is_file()).collect()
}

fn walked() -> Vec<String> {
    ignore::WalkBuilder::new(root())
        .hidden(false)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build()
        .filter_map(|entry| {
            let path = entry.unwrap().into_path();
            let relative = path.strip_prefix(root()).unwrap().to_str()?.replace('\\', "/");
            path.is_file().then_some(relative)
        })
        .collect()
}

/// Others' files, kept as they came, in a folder `vendor`.
fn is_foreign(path: &str) -> bool {
    path.split('/').any(|name| name == "vendor")
}

/// Files whose words are not ours to choose.
pub(super) fn is_data(path: &str) -> bool {
    let names = ["Cargo.lock", "package-lock.json", ".jsonl", ".tsv", ".csv"];
    path.starts_with("tests/data/") || path.starts_with("tests/fuzz/corpus/") || names.iter().any(|name| path.ends_with(name))
}

/// Applies a rule to all text files that it is about, and fails with every finding.
pub(super) fn check_files(concerns: impl Fn(&str) -> bool, rule: impl Fn(&str, &str) -> Vec<Finding>) {
    let mut message = String::new();
    let mut seen = 0;
    for path in files().iter().filter(|path| concerns(path)) {
        let Ok(text) = fs::read_to_string(root().join(path)) else {
            continue;
        };
        seen += 1;
        for (line, what) in rule(path, &text) {
            writeln!(message, "{path}:{line}: {what}").unwrap();
        }
    }
    assert!(message.is_empty(), "\n{message}");
    assert!(seen > 0, "the rule found no file that it is about");
}

#[test]
fn a_copy_without_git_is_walked() {
    let walked = walked();
    assert!(walked.contains(&"tests/it/tidy/tree.rs".to_owned()));
    assert!(walked.contains(&".cargo/config.toml".to_owned()));
    assert!(!walked.iter().any(|path| path.starts_with(".git/") || path.starts_with("target/")));
}
