//! The fuzz targets in `tests/fuzz`, and Miri over the engine's unsafe code.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::checkout::Checkout;
use crate::process;

/// The crate with the targets.
const FOLDER: &str = "tests/fuzz";
const TARGETS: [&str; 5] = ["log", "snapshot", "filter", "import_line", "npy"];
/// Those that read files of ours: they begin with the files of all releases, too.
const FILES: [&str; 2] = ["log", "snapshot"];
/// Targets that run at the same time.
const AT_ONCE: usize = 2;
const CARGO_FUZZ: &str = "0.13.2";

/// What `cargo xtask fuzz` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// How long each target runs.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// This target alone.
    #[arg(long, value_parser = TARGETS)]
    target: Option<String>,
}

/// Runs targets; the first that finds something ends it, and the command that repeats it is printed.
pub(crate) fn run(checkout: &Checkout, options: &Options) -> Result<()> {
    let minutes = Duration::from_secs_f64(options.minutes.max(0.0) * 60.0);
    let targets: Vec<&str> =
        TARGETS.into_iter().filter(|name| options.target.as_deref().is_none_or(|one| one == *name)).collect();
    for line in all(checkout, &targets, minutes)? {
        println!("{line}");
    }
    Ok(())
}

/// Runs every target for a minute.
///
/// # Errors
/// What a target found; `Ok(Err(why))` where this machine cannot fuzz.
pub(crate) fn a_minute_each(checkout: &Checkout) -> Result<Result<Vec<String>, String>> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(Err("fuzzing is set up for Linux on x86-64".into()));
    }
    if let Err(error) = cargo_fuzz(checkout) {
        return Ok(Err(format!("{error:#}")));
    }
    all(checkout, &TARGETS, Duration::from_secs(60)).map(Ok)
}

fn all(checkout: &Checkout, targets: &[&str], time: Duration) -> Result<Vec<String>> {
    let tools = cargo_fuzz(checkout)?;
    process::run(command(checkout, tools.as_deref(), "build").args(targets.iter().take(usize::from(targets.len() == 1))))?;
    let mut lines = Vec::new();
    for group in targets.chunks(AT_ONCE) {
        let results: Vec<Result<String>> = thread::scope(|scope| {
            let start = |target: &&'static str| {
                let (tools, target) = (tools.clone(), *target);
                scope.spawn(move || one(checkout, tools.as_deref(), target, time))
            };
            let known = TARGETS.iter().filter(|name| group.contains(name));
            let running: Vec<_> = known.map(start).collect();
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("the runner panicked"))).collect()
        });
        for result in results {
            lines.push(result?);
        }
    }
    Ok(lines)
}

/// Runs one target; the line that tells of it.
fn one(checkout: &Checkout, tools: Option<&std::path::Path>, target: &str, time: Duration) -> Result<String> {
    // What is found to be new goes to the first folder, so that the corpus of the checkout stays small.
    let found = checkout.target(&format!("fuzz-corpus/{target}"));
    fs::create_dir_all(&found)?;
    let mut command = command(checkout, tools, "run");
    command.arg(target).arg(found).arg(checkout.path(FOLDER).join("corpus").join(target));
    if FILES.contains(&target) {
        command.args(releases(checkout)?);
    }
    command.arg("--").arg(format!("-max_total_time={}", time.as_secs())).arg("-print_final_stats=1");
    let output = command.output().context("cargo fuzz does not start")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let end: Vec<&str> = said.lines().rev().take(40).collect();
        bail!("the fuzz target {target} found something:\n{}", end.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    let runs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")).unwrap_or(" unknown");
    Ok(format!("fuzz {target}: {} runs in {} s, nothing found", runs.trim(), time.as_secs()))
}

/// The data folders of all releases.
fn releases(checkout: &Checkout) -> Result<Vec<PathBuf>> {
    let folders = fs::read_dir(checkout.path("tests/data/formats"))?;
    folders.map(|entry| Ok(entry?.path().join("data"))).collect()
}

/// A command of cargo-fuzz. The compiler of the checkout takes the flags of a nightly one, so that no second one is needed.
fn command(checkout: &Checkout, tools: Option<&std::path::Path>, action: &str) -> Command {
    let mut command = checkout.cargo();
    if let Some(tools) = tools {
        let mut path = OsString::from(tools);
        if let Some(rest) = env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        command.env("PATH", path);
    }
    command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", checkout.target("fuzz"));
    command.args(["fuzz", action, "--fuzz-dir"]).arg(checkout.path(FOLDER));
    command
}

/// The folder of cargo-fuzz, installed if it is nowhere; `None` when it is in PATH.
fn cargo_fuzz(checkout: &Checkout) -> Result<Option<PathBuf>> {
    if process::find("cargo-fuzz").is_some() {
        return Ok(None);
    }
    let root = checkout.target("tools");
    if !root.join("bin/cargo-fuzz").is_file() {
        let mut install = checkout.cargo();
        install.args(["install", "--quiet", "--locked", "cargo-fuzz", "--version", CARGO_FUZZ, "--root"]).arg(&root);
        process::run(&mut install).context("cargo-fuzz cannot be installed")?;
    }
    Ok(Some(root.join("bin")))
}

/// Runs the tests of the kernels, which have most of the engine's unsafe code, under Miri.
///
/// # Errors
/// What Miri found; `Ok(Err(why))` where there is no Miri.
pub(crate) fn miri(checkout: &Checkout) -> Result<Result<(), String>> {
    let has_miri = || {
        let mut asked = checkout.program("cargo");
        let found = asked.args(["+nightly", "miri", "--version"]).env_remove("RUSTUP_TOOLCHAIN").output();
        found.is_ok_and(|output| output.status.success())
    };
    if !has_miri() {
        let mut install = checkout.program("rustup");
        install.args(["component", "add", "--toolchain=nightly", "miri", "rust-src"]);
        let _ = process::run(&mut install);
    }
    if !has_miri() {
        return Ok(Err("there is no Miri: rustup toolchain install nightly --component miri,rust-src".into()));
    }
    if !cfg!(target_arch = "x86_64") {
        return Ok(Err("set up for the kernels of x86-64".into()));
    }
    let mut command = checkout.program("cargo");
    command.args(["+nightly", "miri", "test", "--package=vecino-engine", "--lib", "--", "distance::tests"]);
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env("CARGO_TARGET_DIR", checkout.target("miri"));
    // Miri asks the compiler, not the processor, which instructions there are.
    command.env("RUSTFLAGS", "-Ctarget-feature=+avx2").env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "4");
    process::run(&mut command)?;
    Ok(Ok(()))
}
