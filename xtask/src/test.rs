//! Every check, one after the other.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result};
use clap::Args;

use crate::arm;
use crate::browser::Browser;
use crate::checkout::{Checkout, WASM_TARGET};
use crate::fuzz;
use crate::process;
use crate::report::{self, Outcome, Report};
use crate::setup::{self, Packages};
use crate::wasm::{self, Optimise};

/// Where the end-to-end tests lie: `*.test.mjs`.
const BROWSER_TESTS: &str = "tests/browser";

/// What `cargo xtask test` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave out everything that needs Chromium; it is listed as skipped.
    #[arg(long)]
    no_browser: bool,
}

/// All packages but this one, for cargo.
const OTHERS: [&str; 2] = ["--workspace", "--exclude=xtask"];

/// This package, for cargo.
const XTASK: [&str; 1] = ["--package=xtask"];

/// For clippy; a RUSTFLAGS variable would replace the flags of the wasm target.
const WARNINGS_ARE_ERRORS: [&str; 3] = ["--", "-D", "warnings"];

type Action = fn(&mut Run) -> Result<Outcome>;

/// The steps, quick ones first. All of them share cargo's dev profile and its flags, so that little is built twice.
const STEPS: [(&str, Action); 16] = [
    ("set up", set_up),
    ("format", format),
    ("lint, this machine", lint_host),
    ("lint, wasm", lint_wasm),
    ("document", document),
    ("licences, bans, sources", licences),
    ("build tests and server", build),
    ("test", test),
    ("test on a small disk", small_disk),
    ("fuzz, a minute each", fuzz),
    ("unsafe kernels under Miri", miri),
    ("test kernels on ARM, emulated", arm),
    ("wasm package: build, size, imports", wasm_package),
    ("test wasm in Node.js", wasm_in_node),
    ("test wasm in Chromium", wasm_in_chromium),
    ("test end to end in Chromium", end_to_end),
];

/// The state of a run.
struct Run {
    checkout: Checkout,
    options: Options,
    browser: Option<Browser>,
    summaries: Vec<String>,
}

/// `cargo xtask test`.
pub(crate) fn run(checkout: Checkout, options: Options) -> Result<ExitCode> {
    let mut run = Run { checkout, options, browser: None, summaries: Vec::new() };
    let mut report = Report::default();
    for (name, action) in STEPS {
        if report.failed() {
            report.add(name, Outcome::NotRun, Duration::ZERO);
            continue;
        }
        println!("\n=== {name}");
        let start = Instant::now();
        let outcome = action(&mut run).unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        match &outcome {
            Outcome::Skipped(why) => println!("skipped: {why}"),
            Outcome::Failed(why) => println!("failed: {why}"),
            Outcome::Passed | Outcome::NotRun => {}
        }
        report.add(name, outcome, start.elapsed());
    }
    println!("\n=== summary, and below it the test runners' own");
    for line in report.lines().iter().chain(&run.summaries) {
        println!("{line}");
    }
    // Nothing is printed after the runners' lines, which a CI service reads; the failure is in the report above.
    Ok(if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn set_up(run: &mut Run) -> Result<Outcome> {
    setup::rust_target(&run.checkout, WASM_TARGET)?;
    let packages = if run.options.no_browser { Packages::Build } else { Packages::All };
    setup::node_packages(&run.checkout, packages)?;
    if !run.options.no_browser {
        run.browser = Some(Browser::find_or_install(&run.checkout)?);
    }
    Ok(Outcome::Passed)
}

fn format(run: &mut Run) -> Result<Outcome> {
    run.cargo(&["fmt", "--all", "--check"])
}

/// Two calls, here and in `build` and `test`: xtask has many dependencies, which are built before this program runs; in
/// one call with the others they would get other features and be built again.
fn lint_host(run: &mut Run) -> Result<Outcome> {
    for package in [&OTHERS[..], &XTASK[..]] {
        run.cargo(&[&["clippy", "--locked", "--all-targets"], package, &WARNINGS_ARE_ERRORS].concat())?;
    }
    Ok(Outcome::Passed)
}

/// The wasm crate with its tests. Clippy also looks at the engine, on which the crate depends.
fn lint_wasm(run: &mut Run) -> Result<Outcome> {
    let wasm = ["clippy", "--locked", "--target", WASM_TARGET, "--package=vecino-wasm", "--lib", "--tests"];
    run.cargo(&[&wasm[..], &WARNINGS_ARE_ERRORS].concat())
}

/// Links in the documentation lead somewhere.
fn document(run: &mut Run) -> Result<Outcome> {
    let mut command = run.checkout.cargo();
    command.args(["doc", "--locked", "--no-deps"]).args(OTHERS).env("RUSTDOCFLAGS", "-D warnings");
    process::run(&mut command)?;
    Ok(Outcome::Passed)
}

/// The fourth check of cargo-deny, advisories, asks the network for the newest list and is not part of a test run.
fn licences(run: &mut Run) -> Result<Outcome> {
    if process::find("cargo-deny").is_none() {
        return Ok(Outcome::Skipped("cargo-deny is not installed (cargo install --locked cargo-deny)".into()));
    }
    run.cargo(&["deny", "--locked", "--log-level=error", "check", "bans", "licenses", "sources"])
}

/// The server and the tests in one call: a call for the server alone would build crates with other features again.
fn build(run: &mut Run) -> Result<Outcome> {
    run.cargo(&[&["build", "--locked", "--tests", "--bin=vecino"], &OTHERS[..]].concat())
}

fn test(run: &mut Run) -> Result<Outcome> {
    let mut outcome = Outcome::Passed;
    for package in [&OTHERS[..], &XTASK[..]] {
        let mut command = run.checkout.cargo();
        command.args(["test", "--locked", "--no-fail-fast"]).args(package);
        outcome = run.tests(&mut command)?;
    }
    Ok(outcome)
}

/// Tests that mount a file system of their own, where users may.
fn small_disk(run: &mut Run) -> Result<Outcome> {
    let mut mount = Command::new("unshare");
    mount.args(["--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]);
    if !mount.output().is_ok_and(|output| output.status.success()) {
        return Ok(Outcome::Skipped("this machine does not let its users mount file systems".into()));
    }
    let mut command = run.checkout.cargo();
    command.args(["test", "--locked", "--package=vecino-tests", "--test=it", "--", "--ignored", "small_disk"]);
    run.tests(&mut command)
}

fn fuzz(run: &mut Run) -> Result<Outcome> {
    Ok(match fuzz::a_minute_each(&run.checkout)? {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            Outcome::Passed
        }
        Err(why) => Outcome::Skipped(why),
    })
}

fn miri(run: &mut Run) -> Result<Outcome> {
    Ok(fuzz::miri(&run.checkout)?.map_or_else(Outcome::Skipped, |()| Outcome::Passed))
}

fn arm(run: &mut Run) -> Result<Outcome> {
    match arm::tests(&run.checkout)? {
        Ok(mut command) => run.tests(&mut command),
        Err(why) => Ok(Outcome::Skipped(why)),
    }
}

fn wasm_package(run: &mut Run) -> Result<Outcome> {
    wasm::build(&run.checkout, Optimise::Yes)?.check_size()?;
    Ok(Outcome::Passed)
}

/// Test files that name no environment run in Node.js.
fn wasm_in_node(run: &mut Run) -> Result<Outcome> {
    let mut command = wasm_tests(&run.checkout)?;
    run.tests(command.env("WASM_BINDGEN_TEST_ONLY_NODE", "1"))
}

/// Test files that say `run_in_browser` or `run_in_dedicated_worker`.
fn wasm_in_chromium(run: &mut Run) -> Result<Outcome> {
    let Some(browser) = run.browser.clone() else {
        return Ok(no_browser());
    };
    let mut command = wasm_tests(&run.checkout)?;
    command
        .env("WASM_BINDGEN_TEST_ONLY_WEB", "1")
        .env("CHROMEDRIVER", &browser.driver)
        .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", browser.write_capabilities(&run.checkout)?)
        .env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", "60")
        .env("WASM_BINDGEN_TEST_TIMEOUT", "180");
    run.tests(&mut command)
}

fn end_to_end(run: &mut Run) -> Result<Outcome> {
    let Some(browser) = run.browser.clone() else {
        return Ok(no_browser());
    };
    let mut command = run.checkout.program(setup::node()?);
    command
        .args(["--test", "--test-reporter=tap", "--test-concurrency=1"])
        .args(end_to_end_files(&run.checkout.path(BROWSER_TESTS))?)
        .env("VECINO_BIN", run.checkout.server("debug"))
        .env("CHROMIUM", &browser.chromium);
    run.tests(&mut command)
}

/// Named one by one: what Node.js makes of a folder differs between its versions.
fn end_to_end_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The tests of the wasm crate, run by this very program (see `WasmTestRunner` in main.rs).
fn wasm_tests(checkout: &Checkout) -> Result<Command> {
    let runner = env::current_exe()?;
    let runner = runner.to_str().context("the path of xtask is not UTF-8")?;
    let mut command = checkout.cargo();
    command
        .args(["test", "--locked", "--package=vecino-wasm", "--lib", "--tests", "--target", WASM_TARGET])
        .arg("--config")
        .arg(format!("target.{WASM_TARGET}.runner=[{}, \"wasm-test-runner\"]", serde_json::json!(runner)));
    Ok(command)
}

fn no_browser() -> Outcome {
    Outcome::Skipped("asked for with --no-browser".into())
}

impl Run {
    fn cargo(&self, arguments: &[&str]) -> Result<Outcome> {
        process::run(self.checkout.cargo().args(arguments))?;
        Ok(Outcome::Passed)
    }

    /// Runs tests and keeps the runner's summary lines; a run without any test is not a pass.
    fn tests(&mut self, command: &mut Command) -> Result<Outcome> {
        let before = self.summaries.len();
        let summaries = &mut self.summaries;
        let result = process::watch(command, |line| {
            if report::is_summary(line) {
                summaries.push(line.to_owned());
            }
        });
        result?;
        if self.summaries.len() == before {
            return Ok(Outcome::Skipped("there are no tests of this kind".into()));
        }
        Ok(Outcome::Passed)
    }
}
