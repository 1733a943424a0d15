//! What must be installed, and installing it where that is ours to do.
//!
//! | what | for | who installs it |
//! |---|---|---|
//! | Rust, by rustup | everything | you; the version is in `rust-toolchain.toml` |
//! | the target `wasm32-unknown-unknown` | the wasm package | `rustup target add`, from here |
//! | the target `aarch64-unknown-linux-musl` | the kernels of ARM | `rustup target add`, from here |
//! | qemu-user | the kernels of ARM | `apt-get` from here (root on Debian), otherwise you, if you wish |
//! | Node.js 20.10 or newer, with npm | `wasm-opt`, browser tests | you |
//! | the npm packages of `tests/browser` | `wasm-opt`, browser tests | `npm ci`, from here |
//! | Chromium and ChromeDriver | browser tests | `apt-get` from here (root on Debian), otherwise you |
//! | cargo-deny | licences | you, if you wish |
//! | Rust's nightly toolchain | Miri | you, if you wish; its components by `rustup component add`, from here |

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::checkout::Checkout;
use crate::process;

/// The oldest Node.js whose test runner we can use.
const OLDEST_NODE: (u32, u32) = (20, 10);

/// Where `package.json` and its lock file are.
const NODE_FOLDER: &str = "tests/browser";

/// Sees to it that Rust can compile for a target.
pub(crate) fn rust_target(checkout: &Checkout, target: &str) -> Result<()> {
    let mut rustc = checkout.program("rustc");
    rustc.args(["--print=target-libdir", "--target", target]);
    if Path::new(process::read(&mut rustc)?.trim()).is_dir() {
        return Ok(());
    }
    if process::find("rustup").is_none() {
        bail!("the Rust target {target} is missing and so is rustup: install Rust with rustup (https://rustup.rs)");
    }
    process::run(checkout.program("rustup").args(["target", "add", target]))
}

/// Which npm packages are wanted.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Packages {
    /// What the wasm package is built with.
    Build,
    /// That, and what the tests need.
    All,
}

/// Finds Node.js, in a version that will do.
pub(crate) fn node() -> Result<PathBuf> {
    let advice = "install Node.js 20.10 or newer with npm (https://nodejs.org)";
    let (Some(node), Some(_)) = (process::find("node"), process::find("npm")) else {
        bail!("Node.js or npm is missing: {advice}");
    };
    let version = process::read(std::process::Command::new(&node).arg("--version"))?;
    let numbers = version_numbers(&version).with_context(|| format!("cannot read the Node.js version {version:?}"))?;
    if numbers < OLDEST_NODE {
        bail!("Node.js {} is too old: {advice}", version.trim());
    }
    Ok(node)
}

/// `v20.11.1` to (20, 11).
fn version_numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim().strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Installs the npm packages exactly as the lock file has them; does nothing if that was done before.
pub(crate) fn node_packages(checkout: &Checkout, wanted: Packages) -> Result<()> {
    node()?;
    let folder = checkout.path(NODE_FOLDER);
    let lock = fs::read_to_string(folder.join("package-lock.json")).context("tests/browser/package-lock.json")?;
    // The mark is the lock file itself, so that any change of it is seen.
    let mark = |packages| folder.join("node_modules").join(if packages == Packages::All { ".all" } else { ".build" });
    let installed = |packages| fs::read_to_string(mark(packages)).is_ok_and(|text| text == lock);
    if installed(Packages::All) || (wanted == Packages::Build && installed(Packages::Build)) {
        return Ok(());
    }
    let npm = process::find("npm").context("npm is missing")?;
    let mut install = checkout.program(npm);
    install.current_dir(&folder).arg("ci");
    if wanted == Packages::Build {
        install.arg("--omit=dev");
    }
    process::run(&mut install)?;
    fs::write(mark(wanted), lock)?;
    Ok(())
}

/// The file of an npm package, for Node.js to run.
pub(crate) fn node_file(checkout: &Checkout, file: &str) -> PathBuf {
    checkout.path(NODE_FOLDER).join("node_modules").join(file)
}

/// Whether Debian's package manager is here and we may use it.
pub(crate) fn may_use_apt() -> bool {
    #[cfg(unix)]
    let root = nix::unistd::geteuid().is_root();
    #[cfg(not(unix))]
    let root = false;
    root && Path::new("/etc/debian_version").exists() && process::find("apt-get").is_some()
}

/// Installs Debian packages.
pub(crate) fn apt_install(checkout: &Checkout, packages: &[&str]) -> Result<()> {
    let apt = || {
        let mut command = checkout.program("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        command
    };
    process::run(apt().arg("update"))?;
    process::run(apt().args(["install", "-y", "--no-install-recommends"]).args(packages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_node_versions() {
        assert_eq!(version_numbers("v20.11.1\n"), Some((20, 11)));
        assert_eq!(version_numbers("20.11.1"), None);
        assert_eq!(version_numbers("v20"), None);
    }
}
