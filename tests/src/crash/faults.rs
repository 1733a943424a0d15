//! A library that makes the system's calls fail inside of a server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// The library, made anew from `faults.c`, which says what it does, and the file that it reads.
#[derive(Debug)]
pub struct Faults {
    own: TempDir,
}

impl Faults {
    /// Makes the library; needs a C compiler, as the server itself does.
    ///
    /// # Errors
    /// What the compiler says.
    pub fn build() -> Result<Self, String> {
        let own = tempfile::tempdir().map_err(|error| error.to_string())?;
        let faults = Self { own };
        let source = faults.path("faults.c");
        fs::write(&source, include_str!("faults.c")).map_err(|error| error.to_string())?;
        let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
        compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(faults.path("faults.so")).arg(source).arg("-ldl");
        let output = compiler.output().map_err(|error| format!("there is no C compiler: {error}"))?;
        if !output.status.success() {
            return Err(format!("faults.c cannot be compiled: {}", String::from_utf8_lossy(&output.stderr)));
        }
        faults.set("")?;
        Ok(faults)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.own.path().join(name)
    }

    /// What a server on `folder` needs in its environment.
    pub fn environment(&self, folder: &Path) -> Vec<(String, String)> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        vec![
            // It would tell of every failure.
            ("VECINO_LOG".to_owned(), "off".to_owned()),
            ("LD_PRELOAD".to_owned(), text(self.path("faults.so"))),
            ("VECINO_FAULTS".to_owned(), text(self.path("list"))),
            ("VECINO_FAULTY_FOLDER".to_owned(), text(folder.to_owned())),
        ]
    }

    /// Says which calls fail from now on, as `faults.c` describes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&self, list: &str) -> Result<(), String> {
        // In one step, since it is read all the while.
        let new = self.path("new");
        fs::write(&new, list).and_then(|()| fs::rename(&new, self.path("list"))).map_err(|error| error.to_string())
    }
}
