//! A real server, killed again and again while several clients write, and compared with what these were told.

#[cfg(target_os = "linux")]
mod faults;
mod server;
#[cfg(target_os = "linux")]
mod small_disk;
mod writer;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

#[cfg(target_os = "linux")]
pub use faults::Faults;
pub use server::{Reply, Server};
#[cfg(target_os = "linux")]
pub use small_disk::SmallDisk;
use writer::{LIBRARY, Writer};

use crate::rng::Rng;

/// How a server is killed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's program.
    pub program: PathBuf,
    /// Its folder.
    pub folder: PathBuf,
    /// For how long.
    pub time: Duration,
    /// Between two throws of the dice.
    pub every: Duration,
    /// How probable a kill is at each.
    pub probability: f64,
    /// Clients that write at the same time.
    pub writers: usize,
    /// What the dice show.
    pub seed: u64,
    /// Whether calls of the system fail as well.
    pub faults: bool,
}

/// What fails in a life of a server, as [`Faults::set`] takes it: no room (28), errors of the disk (5), short writes.
#[cfg(target_os = "linux")]
const FAULTS: [&str; 10] = [
    "",
    "pwrite 28 40",
    "pwrite 0 40",
    "pwrite 28 25\nftruncate 5 2",
    "pwrite 5 400",
    "write 28 12\nwrite 5 90",
    "fdatasync 5 200",
    "fsync 5 9\nrename 5 9",
    "open 5 7",
    "unlink 5 3",
];

/// What came of it, when nothing was lost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Kills.
    pub kills: u64,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Writes that were refused for want of room.
    pub refused: u64,
    /// Writes that failed, after which the server only reads.
    pub failed: u64,
    /// Writes that were open at a kill and turned out to have happened.
    pub open_happened: u64,
    /// Those that turned out not to have happened.
    pub open_lost: u64,
    /// Documents compared, over all restarts.
    pub compared: u64,
    /// The longest start, from the kill to the greeting.
    pub slowest_start: Duration,
}

impl Tally {
    /// Adds what came of another run.
    pub fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.failed += other.failed;
        self.open_happened += other.open_happened;
        self.open_lost += other.open_lost;
        self.compared += other.compared;
        self.slowest_start = self.slowest_start.max(other.slowest_start);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kills, acknowledged, refused, failed, open_happened, open_lost, compared, slowest_start } = self;
        writeln!(f, "{kills} kills, {compared} documents compared")?;
        writeln!(f, "{acknowledged} writes acknowledged, {refused} refused for want of room, {failed} failed")?;
        writeln!(f, "writes open at a kill: {open_happened} happened whole, {open_lost} not at all")?;
        writeln!(f, "slowest start {} ms", slowest_start.as_millis())?;
        write!(f, "0 acknowledged writes lost, 0 half done, 0 phantoms, 0 failed starts")
    }
}

/// Kills a server for a while.
///
/// # Errors
/// What was lost, was half done, was never written, or that the server did not start.
pub fn run(options: &Options, mut say: impl FnMut(&Tally)) -> Result<Tally, String> {
    let mut dice = Rng::new(options.seed);
    let mut writers: Vec<Writer> = (0..options.writers).map(|number| Writer::new(number, Rng::new(dice.bits()))).collect();
    let begun = Instant::now();
    let mut tally = Tally::default();
    let trouble = Trouble::new(options)?;
    let mut server = trouble.start(options)?;
    let library = json!({"name": "crash", "metric": "dot"});
    match server.ask("POST", "/v1/libraries", &library) {
        Reply::Answer(201, _) => {}
        other => return Err(format!("the library cannot be created: {other:?}")),
    }
    while begun.elapsed() < options.time {
        let stop = AtomicBool::new(false);
        trouble.brew(&mut dice)?;
        let ticks = 1 + (0..).take_while(|_| dice.bits() as f64 / u64::MAX as f64 >= options.probability).count() as u32;
        let rest = options.time.saturating_sub(begun.elapsed());
        let results: Vec<Result<(), String>> = thread::scope(|scope| {
            let (server, stop) = (&server, &stop);
            let running: Vec<_> = writers.iter_mut().map(|writer| scope.spawn(move || writer.write(server, stop))).collect();
            thread::sleep((options.every * ticks).min(rest));
            // From another thread than theirs, in the middle of whatever they do.
            server.kill();
            stop.store(true, Ordering::Relaxed);
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a writer panicked".into()))).collect()
        });
        results.into_iter().collect::<Result<Vec<()>, String>>()?;
        tally.kills += 1;
        let killed = Instant::now();
        server = trouble.start(options)?;
        tally.slowest_start = tally.slowest_start.max(killed.elapsed());
        compare(&server, &mut writers, &mut tally)?;
        say(&tally);
    }
    Ok(tally)
}

/// What makes calls fail, if anything does.
struct Trouble {
    #[cfg(target_os = "linux")]
    faults: Option<Faults>,
}

impl Trouble {
    #[cfg(target_os = "linux")]
    fn new(options: &Options) -> Result<Self, String> {
        Ok(Self { faults: options.faults.then(Faults::build).transpose()? })
    }

    #[cfg(not(target_os = "linux"))]
    fn new(options: &Options) -> Result<Self, String> {
        if options.faults { Err("calls can be made to fail on Linux only".to_owned()) } else { Ok(Self {}) }
    }

    /// Starts the server while all is well.
    fn start(&self, options: &Options) -> Result<Server, String> {
        // Small enough that many kills hit a checkpoint.
        let arguments = ["--snapshot-after-bytes", "300KiB"];
        #[cfg(target_os = "linux")]
        if let Some(faults) = &self.faults {
            faults.set("")?;
            return Server::start(&options.program, &options.folder, &arguments, &faults.environment(&options.folder));
        }
        Server::start(&options.program, &options.folder, &arguments, &[])
    }

    /// Decides what fails from now on.
    fn brew(&self, dice: &mut Rng) -> Result<(), String> {
        #[cfg(target_os = "linux")]
        if let Some(faults) = &self.faults {
            return faults.set(FAULTS[dice.below(FAULTS.len())]);
        }
        let _ = dice;
        Ok(())
    }
}

/// Everything acknowledged is there, an open write whole or not at all, and nothing else.
fn compare(server: &Server, writers: &mut [Writer], tally: &mut Tally) -> Result<(), String> {
    let documents = server.list(&format!("{LIBRARY}/documents?"), "documents")?;
    let chunks = server.list(&format!("{LIBRARY}/chunks?embedding=true&"), "chunks")?;
    let mut found: BTreeMap<&str, (&Value, Vec<&Value>)> =
        documents.iter().map(|document| (document["id"].as_str().unwrap_or_default(), (document, Vec::new()))).collect();
    for chunk in &chunks {
        let document = chunk["document_id"].as_str().unwrap_or_default();
        found.get_mut(document).ok_or_else(|| format!("a chunk of the document '{document}', which is not there"))?.1.push(chunk);
    }
    tally.compared += found.len() as u64;
    for writer in writers.iter_mut() {
        let own: BTreeMap<&str, &(&Value, Vec<&Value>)> =
            found.iter().filter(|(id, _)| writer.owns(id)).map(|(id, what)| (*id, what)).collect();
        if !writer.open.is_empty() {
            let happened = differences(writer, &own, true).is_empty();
            tally.open_happened += u64::from(happened);
            tally.open_lost += u64::from(!happened);
            writer.settle(happened);
        }
        if let Some(difference) = differences(writer, &own, false).first() {
            return Err(difference.clone());
        }
    }
    tally.acknowledged = writers.iter().map(|writer| writer.acknowledged).sum();
    tally.refused = writers.iter().map(|writer| writer.refused).sum();
    tally.failed = writers.iter().map(|writer| writer.failed).sum();
    Ok(())
}

/// What is otherwise than a writer knows it, with its open write or without.
fn differences(writer: &Writer, own: &BTreeMap<&str, &(&Value, Vec<&Value>)>, with_open: bool) -> Vec<String> {
    let mut expected = writer.known.clone();
    if with_open {
        for (id, version) in &writer.open {
            match version {
                Some(version) => drop(expected.insert(id.clone(), *version)),
                None => drop(expected.remove(id)),
            }
        }
    }
    let mut all = Vec::new();
    for (id, version) in &expected {
        match own.get(id.as_str()) {
            None => all.push(format!("the document {id} was acknowledged as {version:?} and is not there")),
            Some((document, chunks)) if !version.is(id, document, chunks) => {
                all.push(format!("the document {id} was acknowledged as {version:?} and is {document} with {chunks:?}"));
            }
            Some(_) => {}
        }
    }
    all.extend(own.keys().filter(|id| !expected.contains_key(**id)).map(|id| format!("the document {id} should not be there")));
    all
}

/// The program `vecino` beside a program of this package.
///
/// # Errors
/// When it has not been built.
pub fn program_beside(own: &Path) -> Result<PathBuf, String> {
    let program = own.with_file_name(format!("vecino{}", std::env::consts::EXE_SUFFIX));
    if program.is_file() { Ok(program) } else { Err(format!("there is no {}; build the server first", program.display())) }
}
