//! Queries from many connections at once, and connections that only bear down.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};

use super::{
    connection::{Connection, request},
    served::Served,
};
use crate::clock;

/// Queries of one kind: latencies in milliseconds, sorted, how many a second, and processor seconds for each.
pub(super) struct Measured {
    pub(super) qps: f64,
    pub(super) millis: Vec<f64>,
    pub(super) server_cpu_us: f64,
    pub(super) client_cpu_us: f64,
}

impl Measured {
    pub(super) fn at(&self, share: f64) -> f64 {
        let place = (self.millis.len() as f64 * share) as usize;
        self.millis.get(place.min(self.millis.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }
}

/// Asks over so many connections for so many seconds, or until `next` has no more requests; each connection has one request at a
/// time. One thread has them all: it shares the cores with the server, and changes of threads would be most of what it costs.
/// Latencies in seconds, and how long all of it took.
pub(crate) fn drive<'a>(
    address: SocketAddr,
    connections: usize,
    seconds: f64,
    next: &mut dyn FnMut() -> Option<&'a [u8]>,
) -> Result<(Vec<f64>, f64)> {
    let mut took = Vec::new();
    let mut open = (0..connections).map(|_| Connection::open(address)).collect::<Result<Vec<_>>>()?;
    let begun = Instant::now();
    let mut ask = |connection: &mut Connection| -> Result<Option<Instant>> {
        let asked = Instant::now();
        let request = if asked.duration_since(begun).as_secs_f64() < seconds { next() } else { None };
        request.map(|request| connection.begin(request).map(|()| asked)).transpose()
    };
    let mut asked = open.iter_mut().map(&mut ask).collect::<Result<Vec<_>>>()?;
    while asked.iter().any(Option::is_some) {
        let mut polled: Vec<PollFd<'_>> = open.iter().map(|connection| PollFd::new(connection, PollFlags::IN)).collect();
        poll(&mut polled, None)?;
        let ready: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
        for ((connection, asked), _) in open.iter_mut().zip(&mut asked).zip(ready).filter(|(_, ready)| *ready) {
            if connection.read()? {
                took.extend(asked.map(|at| at.elapsed().as_secs_f64()));
                *asked = ask(connection)?;
            }
        }
    }
    Ok((took, begun.elapsed().as_secs_f64()))
}

/// Asks a server the same requests over and over.
pub(super) fn over_http(served: &Served, requests: &[Vec<u8>], connections: usize, seconds: f64) -> Result<Measured> {
    let mut requests = requests.iter().cycle();
    let (server_cpu, client_cpu) = (served.cpu_seconds(), clock::thread_seconds());
    let (took, elapsed) = drive(served.address, connections, seconds, &mut || requests.next().map(Vec::as_slice))?;
    let count = took.len() as f64;
    let each = |seconds: f64| seconds * 1e6 / count;
    let (server_cpu_us, client_cpu_us) = (each(served.cpu_seconds() - server_cpu), each(clock::thread_seconds() - client_cpu));
    let mut millis: Vec<f64> = took.into_iter().map(|seconds| seconds * 1e3).collect();
    millis.sort_by(f64::total_cmp);
    Ok(Measured { qps: count / elapsed, millis, server_cpu_us, client_cpu_us })
}

/// Connections that do nothing, or as little as they can.
pub(super) struct Flood {
    pub(super) idle: Vec<TcpStream>,
    over: Arc<AtomicBool>,
    slow: thread::JoinHandle<()>,
}

impl Flood {
    /// `idle` connections that send nothing, and `slow` that send a byte a second of a body.
    pub(super) fn begin(served: &Served, idle: usize, slow: usize) -> Result<Self> {
        let idle = (0..idle).map(|_| TcpStream::connect(served.address)).collect::<Result<Vec<_>, _>>();
        let idle = idle.context("the limit of open files may be too low: see `ulimit -n`")?;
        let whole = request("POST", "/v1/libraries", &" ".repeat(100_000));
        let head = &whole[..whole.len() - 100_000];
        let mut slow = (0..slow)
            .map(|_| {
                let mut stream = TcpStream::connect(served.address)?;
                stream.write_all(head)?;
                Ok(stream)
            })
            .collect::<Result<Vec<_>>>()?;
        let over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&over);
        let slow = thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                // One that the server has closed is as good as idle.
                slow.iter_mut().for_each(|stream| drop(stream.write_all(b" ")));
                thread::sleep(Duration::from_secs(1));
            }
        });
        Ok(Self { idle, over, slow })
    }

    pub(super) fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        // It ends within a second and has nothing to tell.
        let _ = self.slow.join();
    }
}
