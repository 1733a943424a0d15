//! The demo: a server with a sample library and the web page, in one command.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::checkout::Checkout;
use crate::wasm::{self, Optimise};
use crate::{process, setup};

/// The sample: one passage a line.
const SAMPLE: &str = "web/sample/passages.jsonl";

/// How long the server may take to answer for the first time, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `cargo xtask demo` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// Address to listen at; if its port is taken, a free one is chosen.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
    /// Folder for the data; kept between runs [default: demo-data in cargo's target folder].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Do not open a browser.
    #[arg(long)]
    no_open: bool,
}

/// `cargo xtask demo`.
pub(crate) fn run(checkout: &Checkout, options: &Options) -> Result<()> {
    let data = match &options.data_dir {
        Some(folder) => std::path::absolute(folder)?,
        None => checkout.target("demo-data"),
    };
    fs::create_dir_all(&data)?;
    build(checkout)?;

    let listen = free_address(options.listen)?;
    let stop = stop_signal()?;
    let program = checkout.server("release");
    let mut command = checkout.program(&program);
    command.arg("serve").arg("--data-dir").arg(&data).arg("--listen").arg(listen.to_string());
    let mut server = Server::start(command)?;
    if !server.wait_until_healthy(listen, &stop)? {
        return server.stop();
    }
    let url = format!("http://{}", reachable(listen));
    import(checkout, &program, &url)?;

    println!("\n  Vecino is at   {url}\n  its API is at  {url}/openapi.json\n  its data are in {}", data.display());
    println!("\n  Ctrl-C stops it; the data stay.\n");
    if !options.no_open {
        open(&url);
    }
    server.wait(&stop)
}

/// Builds the page's wasm module and the server. Without Node.js the module is left as the compiler made it.
fn build(checkout: &Checkout) -> Result<()> {
    let optimise = if let Err(reason) = setup::node() {
        println!("the wasm module is not optimised: {reason}");
        Optimise::No
    } else {
        Optimise::Yes
    };
    wasm::build(checkout, optimise)?;
    process::run(checkout.cargo().args(["build", "--locked", "--release", "--package=vecino-server", "--bin=vecino"]))
}

/// Imports the sample; what is already there is left alone.
fn import(checkout: &Checkout, program: &PathBuf, url: &str) -> Result<()> {
    println!("importing the sample");
    process::run(checkout.program(program).args(["import", SAMPLE, "--library", "sample", "--server", url]))
}

/// The address asked for, or the same one with a free port.
fn free_address(wanted: SocketAddr) -> Result<SocketAddr> {
    match TcpListener::bind(wanted) {
        Ok(listener) => Ok(listener.local_addr()?),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let mut any = wanted;
            any.set_port(0);
            let free = TcpListener::bind(any)?.local_addr()?;
            println!("port {} is taken; using {}", wanted.port(), free.port());
            Ok(free)
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen at {wanted}")),
    }
}

/// An address to connect to: a server that listens everywhere is reached at the loopback address.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let mut address = listen;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// A message for every Ctrl-C or termination signal.
fn stop_signal() -> Result<Receiver<()>> {
    let (sender, receiver) = mpsc::channel();
    ctrlc::set_handler(move || {
        let _ = sender.send(());
    })?;
    Ok(receiver)
}

/// The server's process; it does not outlive this value.
struct Server {
    child: Child,
}

impl Server {
    /// Starts the server in a process group of its own, so that a Ctrl-C reaches it only through us.
    fn start(mut command: Command) -> Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().context("cannot start the server")?;
        Ok(Self { child })
    }

    /// Waits until /healthz answers; false if the user asked to stop meanwhile.
    fn wait_until_healthy(&mut self, listen: SocketAddr, stop: &Receiver<()>) -> Result<bool> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended before it answered ({status})");
            }
            if is_healthy(reachable(listen)) {
                return Ok(true);
            }
            if stop.recv_timeout(Duration::from_millis(50)) != Err(RecvTimeoutError::Timeout) {
                return Ok(false);
            }
        }
        bail!("the server did not answer within {} s", PATIENCE.as_secs());
    }

    /// Waits until the user asks to stop, or the server ends by itself.
    fn wait(mut self, stop: &Receiver<()>) -> Result<()> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended ({status})");
            }
            if stop.recv_timeout(Duration::from_millis(200)) != Err(RecvTimeoutError::Timeout) {
                return self.stop();
            }
        }
    }

    /// Asks the server to stop and waits for it.
    fn stop(mut self) -> Result<()> {
        println!("stopping");
        let status = self.end()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }

    fn end(&mut self) -> Result<ExitStatus> {
        process::ask_to_stop(&mut self.child)?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.child.kill()?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.end();
        }
    }
}

fn is_healthy(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

/// Opens the page in the user's browser, if there is a screen. It does not matter if that fails.
fn open(url: &str) {
    let screen = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env::var_os(name).is_some());
    let command: &[&str] = match env::consts::OS {
        "macos" => &["open", url],
        "windows" => &["cmd", "/C", "start", url],
        _ if screen => &["xdg-open", url],
        _ => return,
    };
    if let Err(error) = Command::new(command[0]).args(&command[1..]).spawn() {
        println!("no browser was opened: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_another_port_when_one_is_taken() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = taken.local_addr().unwrap();
        let free = free_address(wanted).unwrap();
        assert_eq!(free.ip(), wanted.ip());
        assert_ne!(free.port(), wanted.port());
    }

    #[test]
    fn reaches_a_server_that_listens_everywhere() {
        assert_eq!(reachable("0.0.0.0:7700".parse().unwrap()), "127.0.0.1:7700".parse().unwrap());
        assert_eq!(reachable("10.0.0.1:1".parse().unwrap()), "10.0.0.1:1".parse().unwrap());
    }
}
