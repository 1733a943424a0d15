//! The real program: building it, running it, and a server of it that ends with the test.

use std::{
    env,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// The program, built in the profile of this test.
pub(crate) static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap().to_owned();
    let release = folder.ends_with("release");
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--package", "vecino-server", "--bin", "vecino"]).args(release.then_some("--release"));
    build.arg("--target-dir").arg(folder.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(build.status().unwrap().success(), "the program cannot be built");
    folder.join(format!("vecino{}", env::consts::EXE_SUFFIX))
});

/// The program, with arguments to come and an environment that does not matter.
pub(crate) fn vecino() -> Command {
    let mut command = Command::new(&*PROGRAM);
    for name in ["VECINO_DATA_DIR", "VECINO_LISTEN", "VECINO_API_KEY", "VECINO_CONFIG", "NO_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same run, if it ended with `code`.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// Runs the program in a folder, with words separated by blanks.
pub(crate) fn run(folder: &Path, words: &str) -> Run {
    vecino().args(words.split(' ')).current_dir(folder).output().unwrap().into()
}

/// A server that is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Server {
    /// Serves a folder and waits until it answers.
    pub(crate) fn start(data: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let mut command = vecino();
        command.arg("serve").arg("--data-dir").arg(data).args(["--listen", &listen]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self { child, url: format!("http://{listen}") };
        let started = Instant::now();
        while ureq::get(format!("{}/healthz", server.url)).call().is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "the server ended at once");
            assert!(started.elapsed() < Duration::from_secs(20), "the server does not answer");
            thread::sleep(Duration::from_millis(10));
        }
        server
    }

    /// `GET`, if it answers with 200.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        let text = ureq::get(format!("{}{path}", self.url)).call().ok()?.body_mut().read_to_string().unwrap();
        Some(serde_json::from_str(&text).unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
