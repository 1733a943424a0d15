//! A small file system of its own for a server: a real one that gets full.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// A file system in memory, mounted where only its servers see it. Gone when it is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    own: TempDir,
    /// Keeps the mount; ends by itself when this process does.
    holder: Child,
}

impl SmallDisk {
    /// Mounts one of so many bytes for servers of a program.
    ///
    /// # Errors
    /// When the machine does not let its users mount anything.
    pub fn mount(bytes: u64, program: &Path) -> Result<Self, String> {
        let own = tempfile::tempdir().map_err(|error| error.to_string())?;
        let place = own.path().join("disk");
        fs::create_dir(&place).map_err(|error| error.to_string())?;
        let script = "mount -t tmpfs -o \"size=$1\" none \"$2\" && echo mounted && exec cat";
        let mut holder = Command::new("unshare");
        holder.args(["--map-root-user", "--mount", "sh", "-c", script, "sh", &bytes.to_string()]).arg(&place);
        let holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let holder = holder.map_err(|error| format!("there is no unshare: {error}"))?;
        let mut disk = Self { own, holder };
        let mut line = String::new();
        let out = disk.holder.stdout.take().map(BufReader::new);
        let _ = out.map(|mut out| out.read_line(&mut line));
        if line.trim() != "mounted" {
            return Err("this machine does not let its users mount file systems".to_owned());
        }
        let enter = format!(
            "#!/bin/sh\nexport VECINO_LOG=off\nexec nsenter --target {} --user --mount --preserve-credentials '{}' \"$@\"\n",
            disk.holder.id(),
            program.display()
        );
        let written = fs::write(disk.program(), enter)
            .and_then(|()| fs::set_permissions(disk.program(), fs::Permissions::from_mode(0o755)));
        written.map(|()| disk).map_err(|error| error.to_string())
    }

    /// The program as it is to be started.
    pub fn program(&self) -> PathBuf {
        self.own.path().join("enter")
    }

    /// A folder on the disk, as the program sees it.
    pub fn folder(&self) -> PathBuf {
        self.own.path().join("disk/data")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
