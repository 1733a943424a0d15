//! Rules about the tree itself: who may name what, where `unsafe` may stand, how long a file may be.
//!
//! `rules.rs` has each rule as a function from text to findings, and proves that it is able to fail; here they are
//! applied to the tree.

mod rules;
mod rust_code;
mod tree;

use std::fs;

use tree::{check_files, files, is_data, root};

#[test]
fn the_engine_names_nothing_outside() {
    check_files(|path| path.starts_with("engine/src/") && path.ends_with(".rs"), |_, text| rules::outside_names(text));
}

#[test]
fn the_engine_depends_on_a_short_list() {
    check_files(|path| path == "engine/Cargo.toml", |_, text| rules::unlisted_dependencies(text));
}

#[test]
fn unsafe_stands_in_few_files_and_says_why() {
    check_files(
        |path| path.ends_with(".rs"),
        |path, text| {
            if rules::UNSAFE_FILES.contains(&path) { rules::unexplained_unsafe(text) } else { rules::any_unsafe(text) }
        },
    );
}

#[test]
fn source_files_are_short() {
    let source = [".rs", ".js", ".mjs", ".ts"];
    check_files(|path| source.iter().any(|ending| path.ends_with(ending)), |_, text| rules::too_long(text));
}

#[test]
fn names_say_what_is_inside() {
    check_files(|_| true, |path, _| rules::empty_name(path));
}

#[test]
fn rust_lines_are_neat() {
    check_files(|path| path.ends_with(".rs"), |_, text| rules::untidy_lines(text));
}

#[test]
fn nothing_is_left_unfinished_or_tied_to_a_machine() {
    check_files(|path| !is_data(path), |_, text| rules::unwanted_words(text));
}

#[test]
fn lock_files_name_no_host() {
    check_files(
        |path| path.ends_with("package-lock.json"),
        |_, text| rules::matching_lines(text, |line| line.contains("\"resolved\"")),
    );
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    // The fuzz targets are a workspace of their own.
    let concerns = |path: &str| path.ends_with("/Cargo.toml") && path != "tests/fuzz/Cargo.toml";
    check_files(concerns, |_, text| rules::missing_lints(text));
}

#[test]
fn the_readme_names_every_folder() {
    names_every_folder("README.md");
}

#[test]
fn the_architecture_names_every_folder() {
    names_every_folder("ARCHITECTURE.md");
}

fn names_every_folder(page: &str) {
    let text = fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let mut folders: Vec<String> = files()
        .iter()
        .filter_map(|path| path.split_once('/').map(|(folder, _)| folder.to_owned()))
        .filter(|folder| !folder.starts_with('.'))
        .collect();
    folders.sort();
    folders.dedup();
    folders.retain(|folder| !rules::names_folder(&text, folder));
    assert!(folders.is_empty(), "{page} says nothing about the folders {folders:?}: name each as `folder/`");
}
