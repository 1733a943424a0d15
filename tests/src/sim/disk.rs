//! A disk that keeps only what was synced, at the level of the operating system's calls.
//!
//! | what | how |
//! |---|---|
//! | page cache | a write changes the cache; a sync writes the changed pages to the platter |
//! | power cut | of what was not synced, nothing, everything, a prefix, or each page or sector as it was at any time; the length as well |
//! | names | creating, renaming and removing wait for a sync of the folder; a power cut leaves the first of them, or any |
//! | kill | the process is gone, and its lock; the cache stays |
//! | failed sync | some of the changed pages reach the platter, the others never do, and the cache hides it |
//! | errors | any call can fail; a failed write may have written a part, a failed rename or removal may have happened |
//! | short writes | a write takes only the first bytes |
//! | full | there is room for so many bytes |
//! | rot | a bit flips |
//!
//! A sector of 512 bytes changes as one, as disks promise, and a write that a crash stops half way ends at a sector.
//!
//! One thing no power cut does here: it never shows bytes of another file or of an older time where a file has grown; file
//! systems that order data before lengths, and all that clear what they hand out, keep that too.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use vecino_engine::{
    Code, Error, Result,
    blob::{AlignedBytes, Blob},
};
use vecino_server::storage::{Disk, DiskFile, How};

use super::{
    inode::{Inode, whole_sectors},
    plant::Plant,
};
use crate::{forge, rng::Rng};

/// How often things go wrong by themselves: once in so many calls, `None` for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// A call fails.
    pub errors: Option<usize>,
    /// A write is short.
    pub short_writes: Option<usize>,
}

/// A handle of one process on the disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    disk: Arc<Mutex<Inner>>,
    /// The life of the machine or process in which the handle was made.
    life: u64,
    /// Which process of that life.
    process: u64,
}

#[derive(Clone, Debug)]
struct Inner {
    rng: Rng,
    life: u64,
    processes: u64,
    owner: Option<u64>,
    readers: usize,
    files: BTreeMap<u64, Inode>,
    next_file: u64,
    /// Names as a process sees them, and as they are on the platter.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    pending_names: Vec<NameChange>,
    calls: u64,
    stop_at: Option<u64>,
    weather: Weather,
    room: Option<usize>,
    plant: Option<Plant>,
    /// Files whose sync a planted bug has put off.
    put_off: BTreeSet<u64>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(String, u64),
    Unlink(String),
    Rename(String, String, u64),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Link(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Unlink(name) => {
                names.remove(name);
            }
            Self::Rename(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process is killed.
    Kill,
    /// The machine loses its power.
    PowerCut,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64, plant: Option<Plant>) -> Self {
        let inner = Inner {
            rng: Rng::new(seed),
            life: 0,
            processes: 0,
            owner: None,
            readers: 0,
            files: BTreeMap::new(),
            next_file: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            calls: 0,
            stop_at: None,
            weather: Weather::default(),
            room: None,
            plant,
            put_off: BTreeSet::new(),
        };
        Self { disk: Arc::new(Mutex::new(inner)), life: 0, process: 0 }
    }

    /// Another process on the same machine.
    pub fn another_process(&self) -> Self {
        let mut inner = self.inner();
        inner.processes += 1;
        Self { disk: Arc::clone(&self.disk), life: inner.life, process: inner.processes }
    }

    /// Ends all processes; the handle for the next one. Old handles are dead.
    #[must_use]
    pub fn end(&self, end: End) -> Self {
        let mut inner = self.inner();
        let Inner { rng, files, names, durable_names, pending_names, .. } = &mut *inner;
        if end == End::PowerCut {
            keep_some(pending_names, durable_names, rng);
            names.clone_from(durable_names);
            for file in files.values_mut() {
                file.cut_power(rng);
            }
            let used: BTreeSet<u64> = names.values().copied().collect();
            files.retain(|file, _| used.contains(file));
            inner.put_off.clear();
        }
        inner.life += 1;
        inner.owner = None;
        inner.readers = 0;
        inner.stop_at = None;
        inner.weather = Weather::default();
        inner.room = None;
        Self { disk: Arc::clone(&self.disk), life: inner.life, process: 0 }
    }

    /// A disk of its own with the same content, for what shall leave no traces.
    pub fn copy(&self) -> Self {
        let inner = self.inner().clone();
        Self { life: inner.life, process: 0, disk: Arc::new(Mutex::new(inner)) }
    }

    /// Stops everything in the middle of a call, after so many others.
    pub fn stop_after(&self, calls: usize) {
        let mut inner = self.inner();
        inner.stop_at = Some(inner.calls + calls as u64);
    }

    /// Whether it has stopped.
    pub fn stopped(&self) -> bool {
        let inner = self.inner();
        inner.stop_at.is_some_and(|at| inner.calls > at)
    }

    /// How often calls fail from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.inner().weather = weather;
    }

    /// Leaves room for so many bytes more, or `None` for any number.
    pub fn set_room(&self, room: Option<usize>) {
        self.inner().room = room;
    }

    /// Flips a bit of a file; which file, `None` when there is no byte.
    pub fn rot(&self) -> Option<String> {
        let mut inner = self.inner();
        let Inner { rng, files, names, .. } = &mut *inner;
        let total: usize = names.values().map(|file| files[file].cached().len()).sum();
        let mut at = (total > 0).then(|| rng.below(total))?;
        for (name, file) in names.iter() {
            let file = files.get_mut(file)?;
            if at < file.cached().len() {
                file.flip(at * 8 + rng.below(8));
                return Some(format!("{name} at byte {at}"));
            }
            at -= file.cached().len();
        }
        None
    }

    /// The names of the files with their lengths.
    pub fn files(&self) -> Vec<(String, usize)> {
        let inner = self.inner();
        inner.names.iter().map(|(name, file)| (name.clone(), inner.files[file].cached().len())).collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call. `Err` when it fails; then `effect` says how far it may have come.
    fn call(&self) -> (MutexGuard<'_, Inner>, Outcome) {
        let mut inner = self.inner();
        inner.calls += 1;
        let outcome = if inner.life != self.life || inner.stop_at.is_some_and(|at| inner.calls > at + 1) {
            Outcome::Dead
        } else if inner.stop_at.is_some_and(|at| inner.calls > at) {
            if inner.rng.once_in(2) { Outcome::HalfThenDead } else { Outcome::Dead }
        } else if inner.weather.errors.is_some_and(|times| inner.rng.once_in(times)) {
            Outcome::Failed
        } else {
            Outcome::Fine
        };
        (inner, outcome)
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Fine,
    /// An error of the disk.
    Failed,
    /// The last call of a life has come some way.
    HalfThenDead,
    /// The life is over.
    Dead,
}

impl Outcome {
    fn result(self) -> io::Result<()> {
        match self {
            Self::Fine => Ok(()),
            Self::Failed => Err(io::Error::other("the simulated disk failed")),
            Self::HalfThenDead | Self::Dead => Err(io::Error::other("the simulated machine stopped here")),
        }
    }

    /// Whether a change happens that either happens whole or not at all.
    fn happens(self, rng: &mut Rng) -> bool {
        match self {
            Self::Fine | Self::HalfThenDead => true,
            Self::Failed => rng.once_in(2),
            Self::Dead => false,
        }
    }
}

/// Keeps the first changes of names, or any.
fn keep_some(pending: &mut Vec<NameChange>, durable: &mut BTreeMap<String, u64>, rng: &mut Rng) {
    let count = pending.len();
    let first = rng.below(count + 1);
    let any = rng.once_in(2);
    for (number, change) in pending.drain(..).enumerate() {
        if if any { rng.once_in(2) } else { number < first } {
            change.apply(durable);
        }
    }
}

impl Inner {
    fn find(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }

    fn file(&mut self, file: u64) -> &mut Inode {
        self.files.entry(file).or_default()
    }

    fn sync_put_off(&mut self) {
        for file in std::mem::take(&mut self.put_off) {
            self.file(file).sync();
        }
    }

    fn planted(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Lock = SimLock;

    fn folder(&self) -> &Path {
        Path::new("simulated")
    }

    fn own(&self) -> Result<SimLock> {
        let mut inner = self.inner();
        if inner.owner.is_some() || inner.readers > 0 {
            return Err(Error::new(Code::Locked, "another simulated process has the folder open"));
        }
        inner.owner = Some(self.process);
        Ok(SimLock { disk: self.clone(), owner: true })
    }

    fn share(&self) -> Result<Option<SimLock>> {
        let mut inner = self.inner();
        if inner.owner.is_some() {
            return Err(Error::new(Code::Locked, "another simulated process has the folder open"));
        }
        inner.readers += 1;
        Ok(Some(SimLock { disk: self.clone(), owner: false }))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let (inner, outcome) = self.call();
        outcome.result()?;
        Ok(inner.names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Blob> {
        let (inner, outcome) = self.call();
        outcome.result()?;
        let bytes = inner.files[&inner.find(name)?].cached();
        let mut bytes = AlignedBytes::from(bytes);
        match inner.plant {
            Some(Plant::ChecksumIgnored) if name.ends_with(".log") => forge::segment(bytes.as_mut_slice()),
            Some(Plant::SnapshotChecksumIgnored) if name.ends_with(".vecino") => forge::snapshot(bytes.as_mut_slice()),
            _ => {}
        }
        Ok(Blob::new(bytes))
    }

    fn open(&self, name: &str, how: How) -> io::Result<SimFile> {
        let (mut inner, outcome) = self.call();
        let file = match (inner.find(name), how) {
            (Ok(file), _) => file,
            (Err(error), How::Existing) => return outcome.result().and(Err(error)),
            (Err(_), How::Empty) => {
                let Inner { rng, .. } = &mut *inner;
                if !outcome.happens(rng) {
                    outcome.result()?;
                }
                inner.next_file += 1;
                let file = inner.next_file;
                inner.files.insert(file, Inode::default());
                inner.change_name(NameChange::Link(name.to_owned(), file));
                file
            }
        };
        if how == How::Empty && !inner.files[&file].cached().is_empty() && outcome == Outcome::Fine {
            inner.file(file).set_len(0);
        }
        outcome.result()?;
        let unfinished = name.starts_with('.');
        Ok(SimFile { disk: self.clone(), file, unfinished, cursor: Mutex::default(), cut: AtomicBool::new(false) })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (mut inner, outcome) = self.call();
        let file = inner.find(from)?;
        if outcome.happens(&mut inner.rng) {
            inner.change_name(NameChange::Rename(from.to_owned(), to.to_owned(), file));
        }
        outcome.result()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (mut inner, outcome) = self.call();
        inner.find(name)?;
        if outcome.happens(&mut inner.rng) {
            inner.change_name(NameChange::Unlink(name.to_owned()));
        }
        outcome.result()
    }

    fn sync(&self) -> io::Result<()> {
        let (mut inner, outcome) = self.call();
        if inner.planted(Plant::FolderNotSynced) {
            return outcome.result();
        }
        let Inner { rng, names, durable_names, pending_names, .. } = &mut *inner;
        match outcome {
            Outcome::Fine => {
                durable_names.clone_from(names);
                pending_names.clear();
                inner.sync_put_off();
            }
            Outcome::Failed => keep_some(pending_names, durable_names, rng),
            Outcome::HalfThenDead | Outcome::Dead => {}
        }
        outcome.result()
    }
}

/// An open file of the simulated disk.
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    file: u64,
    unfinished: bool,
    /// Where it is written on.
    cursor: Mutex<usize>,
    /// Whether it was cut.
    cut: AtomicBool,
}

impl SimFile {
    fn sync(&self) -> io::Result<()> {
        let (mut inner, outcome) = self.disk.call();
        match inner.plant {
            Some(Plant::FileNotSynced) => return outcome.result(),
            Some(Plant::RenameBeforeSync) if self.unfinished => {
                inner.put_off.insert(self.file);
                return outcome.result();
            }
            Some(Plant::AnswerBeforeSync) if !self.unfinished => {
                // The sync of the write before this one happens now, that of this one with the next.
                inner.sync_put_off();
                inner.put_off.insert(self.file);
                return outcome.result();
            }
            Some(Plant::TailCutTooFar) if self.cut.load(Ordering::Relaxed) => {
                let file = inner.file(self.file);
                let len = file.cached().len();
                file.set_len(len.saturating_sub(3));
            }
            _ => {}
        }
        let Inner { rng, files, .. } = &mut *inner;
        let file = files.entry(self.file).or_default();
        match outcome {
            Outcome::Fine => file.sync(),
            Outcome::Failed => file.fail_to_sync(rng),
            Outcome::HalfThenDead | Outcome::Dead => {}
        }
        outcome.result()
    }

    /// Writes at a place: how many bytes, and what the caller is told.
    fn put(&self, bytes: &[u8], at: usize) -> (usize, io::Result<()>) {
        let (mut inner, outcome) = self.disk.call();
        let len = inner.file(self.file).cached().len();
        // What is written over needs no room.
        let over = len.saturating_sub(at);
        let room = inner.room.unwrap_or(usize::MAX).saturating_add(over);
        let mut count = match outcome {
            Outcome::Fine => bytes.len(),
            Outcome::Failed if over == 0 => inner.rng.below(bytes.len() + 1),
            Outcome::Failed | Outcome::HalfThenDead => whole_sectors(at, inner.rng.below(bytes.len() + 1), bytes.len()),
            Outcome::Dead => 0,
        };
        if count > 1 && over == 0 && inner.weather.short_writes.is_some_and(|times| inner.rng.once_in(times)) {
            count = 1 + inner.rng.below(count - 1);
        }
        count = count.min(room);
        inner.room = inner.room.map(|room| room - count.saturating_sub(over));
        if count > 0 {
            inner.file(self.file).write(at, &bytes[..count]);
        }
        let full = count == 0 && !bytes.is_empty();
        (count, outcome.result().and_then(|()| if full { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }))
    }
}

impl DiskFile for SimFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, result) = self.put(bytes, *cursor);
        *cursor += count;
        result.map(|()| count)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let (count, result) = self.put(bytes, usize::try_from(at).map_err(io::Error::other)?);
        result.map(|()| count)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (mut inner, outcome) = self.disk.call();
        if outcome.happens(&mut inner.rng) {
            inner.file(self.file).set_len(len as usize);
        }
        self.cut.store(true, Ordering::Relaxed);
        outcome.result()
    }
}

/// A lock on the simulated folder.
#[derive(Debug)]
pub struct SimLock {
    disk: SimDisk,
    owner: bool,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut inner = self.disk.inner();
        if inner.life != self.disk.life {
            return;
        }
        if self.owner {
            inner.owner = None;
        } else {
            inner.readers -= 1;
        }
    }
}
