//! Where things lie: the root of the checkout and cargo's target folder.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The name of the target that the browser runs.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// A checkout of the project.
pub(crate) struct Checkout {
    root: PathBuf,
    target: PathBuf,
}

impl Checkout {
    /// The checkout that this command was built from.
    pub(crate) fn find() -> Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
        let root = Path::new(&package).parent().context("xtask lies in no folder")?.to_path_buf();
        let mut metadata = cargo(&root);
        metadata.args(["metadata", "--no-deps", "--format-version=1", "--offline"]);
        let metadata: serde_json::Value = serde_json::from_str(&process::read(&mut metadata)?)?;
        let target = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
        Ok(Self { target: PathBuf::from(target), root })
    }

    /// A path inside the checkout.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A path inside cargo's target folder.
    pub(crate) fn target(&self, relative: &str) -> PathBuf {
        self.target.join(relative)
    }

    /// The server binary that cargo built with the named profile folder (`debug`, `release`).
    pub(crate) fn server(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join(format!("vecino{}", env::consts::EXE_SUFFIX))
    }

    /// A cargo command at the root, with the flags of `.cargo/config.toml`: a RUSTFLAGS variable would replace them.
    pub(crate) fn cargo(&self) -> Command {
        cargo(&self.root)
    }

    /// Any other program, at the root.
    pub(crate) fn program(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}
