//! The image, built and run for real: data outlive restarts, crashes and upgrades of the container.

mod container;
mod engine;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

use self::{container::Container, engine::Engine};
use crate::checkout::Checkout;
use crate::process;

/// What the Dockerfile builds with.
const RUST_IMAGE: &str = "rust:1.95-slim-bookworm";

/// The size that the image may have.
const SIZE_LIMIT: u64 = 60_000_000;

/// The memory of the container.
const MEMORY: u64 = 256 << 20;

/// Documents that are written at first.
const DOCUMENTS: u64 = 200;

/// What `cargo xtask docker-test` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// The cargo profile that the image is built with.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// `cargo xtask docker-test`.
pub(crate) fn run(checkout: &Checkout, options: &Options) -> Result<()> {
    let engine = Engine::find_or_start(checkout)?;
    engine.rust_image(checkout, RUST_IMAGE)?;
    let old = build(checkout, &engine, options, "0.1.0-old")?;
    let new = build(checkout, &engine, options, "0.1.0-new")?;
    ensure!(image(&engine, &old, "{{.Id}}")? != image(&engine, &new, "{{.Id}}")?, "both versions are the same image");

    let mut container = Container::create(&engine, &old, MEMORY)?;
    step("starts and turns healthy", || container.wait_until_healthy())?;
    step("takes writes", || write(&container))?;
    let contents = container.contents()?;
    step("answers open requests when told to end, and ends in order", || drains(&container))?;
    step("keeps its data over a restart", || {
        container.docker(&["start"])?;
        same(&container, &contents, DOCUMENTS + 1)
    })?;
    let contents = container.contents()?;
    step("keeps every acknowledged write over kill -9", || {
        container.post("/v1/libraries/notes/documents", &document(DOCUMENTS + 1))?;
        container.docker(&["kill", "--signal=KILL"])?;
        container.docker(&["start"])?;
        same(&container, &contents, DOCUMENTS + 2)
    })?;
    let contents = container.contents()?;
    step("keeps its data over an upgrade", || {
        container.replace(&new)?;
        same(&container, &contents, DOCUMENTS + 2)?;
        container.wait_until_healthy()
    })?;
    step("was never out of memory", || {
        ensure!(container.state("{{.State.OOMKilled}}")? == "false", "the kernel killed the server");
        Ok(())
    })?;
    println!("the image holds");
    Ok(())
}

/// Builds the image and looks at it.
fn build(checkout: &Checkout, engine: &Engine, options: &Options, version: &str) -> Result<String> {
    let name = format!("vecino:{version}");
    let begun = Instant::now();
    let (profile, label) = (format!("PROFILE={}", options.profile), format!("VERSION={version}"));
    let arguments = ["build", "--quiet", "--tag", &name, "--build-arg", &profile, "--build-arg", &label, "."];
    let mut command = engine.docker(&arguments);
    process::run(command.env("DOCKER_BUILDKIT", "1").current_dir(checkout.path("")))?;
    let bytes: u64 = image(engine, &name, "{{.Size}}")?.parse()?;
    println!("{name}: {:.1} MB, built in {:.0} s", bytes as f64 / 1e6, begun.elapsed().as_secs_f64());
    ensure!(bytes < SIZE_LIMIT, "the image has {bytes} bytes; the limit is {SIZE_LIMIT}");
    let user = image(engine, &name, "{{.Config.User}}")?;
    ensure!(!user.is_empty() && !user.starts_with('0') && user != "root", "the image runs as root");
    let told = image(engine, &name, "{{index .Config.Labels \"org.opencontainers.image.version\"}}")?;
    ensure!(told == version, "the image says that it is {told}");
    Ok(name)
}

fn image(engine: &Engine, name: &str, format: &str) -> Result<String> {
    engine.read(&["image", "inspect", "--format", format, name])
}

fn step(what: &str, action: impl FnOnce() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    action().with_context(|| format!("the container {what}: no"))?;
    println!("the container {what} ({:.1} s)", begun.elapsed().as_secs_f64());
    Ok(())
}

fn document(number: u64) -> serde_json::Value {
    json!({"id": format!("d{number}"), "metadata": {"title": "Note"}, "text": format!("The note with the number {number}.")})
}

fn write(container: &Container<'_>) -> Result<()> {
    container.post("/v1/libraries", &json!({"name": "notes"}))?;
    for number in 0..DOCUMENTS {
        container.post("/v1/libraries/notes/documents", &document(number))?;
    }
    Ok(())
}

/// Tells the server to end while a request is half sent. It is answered, and what it wrote is there afterwards.
fn drains(container: &Container<'_>) -> Result<()> {
    let request = container.begin("/v1/libraries/notes/documents", &document(DOCUMENTS))?;
    let mut stop = container.command(&["stop", "--time=20"]).spawn()?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    let answer = request.finish()?;
    ensure!(answer.starts_with("HTTP/1.1 201 "), "the request was answered with {answer:?}");
    ensure!(stop.wait()?.success(), "the container cannot be stopped");
    let code = container.state("{{.State.ExitCode}}")?;
    ensure!(code == "0", "the server ended with {code}");
    Ok(())
}

/// Whether everything in `before` is still there and answers alike, and how many documents there are now.
fn same(container: &Container<'_>, before: &container::Contents, documents: u64) -> Result<()> {
    let now = container.contents()?;
    ensure!(now.documents.len() as u64 == documents, "{} documents instead of {documents}", now.documents.len());
    let lost = before.documents.iter().find(|document| !now.documents.contains(document));
    ensure!(lost.is_none(), "lost or changed: {lost:?}");
    ensure!(now.hit == before.hit, "a query is answered with {} instead of {}", now.hit, before.hit);
    Ok(())
}
