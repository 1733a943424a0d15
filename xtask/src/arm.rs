//! The kernels on an emulated ARM processor: their NEON twins give the bits that the others give.

use std::process::Command;

use anyhow::Result;

use crate::checkout::Checkout;
use crate::{process, setup};

/// Static, with a linker that comes with Rust: nothing else is needed to compile for it.
const TARGET: &str = "aarch64-unknown-linux-musl";

/// Runs programs of another processor on Linux.
const EMULATOR: &str = "qemu-aarch64";

/// The test run, or why there can be none here.
pub(crate) fn tests(checkout: &Checkout) -> Result<Result<Command, String>> {
    if cfg!(target_arch = "aarch64") {
        return Ok(Err("this machine is an ARM: the kernels have been tested".into()));
    }
    if !cfg!(target_os = "linux") {
        return Ok(Err(format!("{EMULATOR} is there on Linux only")));
    }
    if process::find(EMULATOR).is_none() {
        if !setup::may_use_apt() {
            return Ok(Err(format!("{EMULATOR} is not installed (on Debian: apt-get install qemu-user)")));
        }
        setup::apt_install(checkout, &["qemu-user"])?;
    }
    setup::rust_target(checkout, TARGET)?;
    let mut command = checkout.cargo();
    command
        .args(["test", "--locked", "--package=vecino-engine", "--lib", "--target", TARGET])
        .arg("--config")
        .arg(format!("target.{TARGET}.linker=\"rust-lld\""))
        .arg("--config")
        .arg(format!("target.{TARGET}.runner=\"{EMULATOR}\""))
        .args(["--", "distance::tests"])
        // Emulated, a case takes a hundred times as long.
        .env("PROPTEST_CASES", "16");
    Ok(Ok(command))
}
