//! An engine to build and run images with, and the images that ours is built from.
//!
//! An engine that runs already is used. Where none does, root starts one of its own, on Linux, in cargo's target folder; on
//! Debian it is installed first. Where no registry can be reached, a stand-in for the image of Rust is made from Debian's
//! packages and this machine's toolchain.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::checkout::Checkout;
use crate::{process, setup};

/// How long an engine may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where machines keep the certificates that their owner trusts beside the usual ones.
const OWN_CERTIFICATES: &str = "/usr/local/share/ca-certificates";

/// An engine.
pub(super) struct Engine {
    client: PathBuf,
    host: Option<String>,
    /// The process, where it is ours.
    daemon: Option<Child>,
}

impl Engine {
    /// Finds an engine that runs, or starts one.
    pub(super) fn find_or_start(checkout: &Checkout) -> Result<Self> {
        if let Some(client) = client() {
            let engine = Self { client, host: None, daemon: None };
            if engine.answers() {
                return Ok(engine);
            }
        }
        if process::find("dockerd").is_none() && setup::may_use_apt() {
            setup::apt_install(checkout, &["docker.io", "iptables"])?;
        }
        let (Some(client), Some(daemon)) = (client(), process::find("dockerd")) else {
            bail!("no container engine answers: install Docker (https://docs.docker.com/engine/install) and start it");
        };
        start(checkout, client, &daemon)
    }

    /// A call of the client.
    pub(super) fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.client);
        if let Some(host) = &self.host {
            command.args(["--host", host]);
        }
        command.args(arguments);
        command
    }

    /// What a call of the client prints.
    pub(super) fn read(&self, arguments: &[&str]) -> Result<String> {
        Ok(process::read(&mut self.docker(arguments))?.trim().to_owned())
    }

    fn answers(&self) -> bool {
        let mut info = self.docker(&["info", "--format", "{{.ServerVersion}}"]);
        info.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    fn has(&self, image: &str) -> bool {
        let mut inspect = self.docker(&["image", "inspect", image]);
        inspect.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// Sees to it that the image of Rust is there.
    pub(super) fn rust_image(&self, checkout: &Checkout, image: &str) -> Result<()> {
        if self.has(image) || self.docker(&["pull", "--quiet", image]).status()?.success() {
            return Ok(());
        }
        if !setup::may_use_apt() {
            bail!("the image {image} cannot be had");
        }
        println!("no registry answers: making a stand-in for {image}");
        if process::find("debootstrap").is_none() {
            setup::apt_install(checkout, &["debootstrap"])?;
        }
        let root = checkout.target("docker/rust");
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        let packages = "--include=gcc,libc6-dev,ca-certificates";
        process::run(Command::new("debootstrap").args(["--variant=minbase", packages, "bookworm"]).arg(&root))?;
        copy_toolchain(checkout, &root.join("usr/local"))?;
        if Path::new(OWN_CERTIFICATES).is_dir() {
            let copy = format!(
                "cp -r {OWN_CERTIFICATES}/. '{0}{OWN_CERTIFICATES}' && chroot '{0}' update-ca-certificates",
                root.display()
            );
            process::run(Command::new("sh").args(["-c", &copy]))?;
        }
        let mut tar = Command::new("tar").arg("-C").arg(&root).args(["-c", "."]).stdout(Stdio::piped()).spawn()?;
        let mut import = self.docker(&["import", "--change", "ENV CARGO_HOME=/usr/local/cargo", "-", image]);
        process::run(import.stdin(tar.stdout.take().context("tar has no output")?))?;
        tar.wait()?;
        fs::remove_dir_all(&root)?;
        Ok(())
    }
}

fn client() -> Option<PathBuf> {
    // Debian's client builds with what Debian's engine understands.
    let debian = PathBuf::from("/usr/bin/docker");
    if debian.is_file() { Some(debian) } else { process::find("docker") }
}

fn start(checkout: &Checkout, client: PathBuf, daemon: &Path) -> Result<Engine> {
    let folder = checkout.target("docker");
    fs::create_dir_all(&folder)?;
    // The path of a socket must be short.
    let socket = std::env::temp_dir().join(format!("vecino-docker-{}.sock", std::process::id()));
    let host = format!("unix://{}", socket.display());
    let log = folder.join("dockerd.log");
    let mut command = Command::new(daemon);
    command.arg("--data-root").arg(folder.join("data")).arg("--exec-root").arg(folder.join("exec"));
    command.arg("--pidfile").arg(folder.join("dockerd.pid")).args(["--host", &host]);
    let daemon = command.stdout(Stdio::null()).stderr(File::create(&log)?).spawn().context("cannot start dockerd")?;
    let mut engine = Engine { client, host: Some(host), daemon: Some(daemon) };
    let begun = Instant::now();
    while !engine.answers() {
        let ended = engine.daemon.as_mut().is_some_and(|daemon| !matches!(daemon.try_wait(), Ok(None)));
        if ended || begun.elapsed() > PATIENCE {
            bail!("dockerd did not start; {} says why", log.display());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(engine)
}

/// The toolchain that runs this program, without its documentation and what it compiles for others.
fn copy_toolchain(checkout: &Checkout, to: &Path) -> Result<()> {
    let from = process::read(checkout.program("rustc").args(["--print", "sysroot"]))?;
    let from = from.trim();
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let to = to.display();
    let script = format!(
        "mkdir -p '{to}/lib/rustlib' '{to}/bin' \
         && cp '{from}'/bin/cargo '{from}'/bin/rustc '{to}/bin' \
         && cp -a '{from}'/lib/*.so* '{to}/lib' \
         && cp -a '{from}'/lib/rustlib/{host} '{from}'/lib/rustlib/wasm32-unknown-unknown '{to}/lib/rustlib'"
    );
    process::run(Command::new("sh").args(["-c", &script]))
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some(daemon) = &mut self.daemon else { return };
        let begun = Instant::now();
        if process::ask_to_stop(daemon).is_ok() {
            while begun.elapsed() < PATIENCE && matches!(daemon.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        let _ = daemon.kill();
        let _ = daemon.wait();
    }
}
