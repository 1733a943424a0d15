//! The log in a [`Storage`], and how a state is brought back from it and from the snapshots.
//!
//! | file | what |
//! |---|---|
//! | `CHECKPOINT` | which snapshots together are the state at which sequence, see [`checkpoint`] |
//! | `CLOSED` | where the log ends, while no process has it open after an orderly end |
//! | `<first sequence>.log` | a segment of the log, see [`codec`] |
//! | `<sequence>-<number>.vecino` | a snapshot of one library, see [`snapshot`] |
//!
//! A segment that is full is synced before the next one begins, so only the last one can hold what a crash takes back.
//!
//! While frames are small, a segment is best begun in a file of zeros that the host has [prepared](Storage::prepare) meanwhile: a
//! sync then need not write how long the file has become. When there are zeros, the log goes on in them as soon as the present
//! segment has none left; and when there are none, a segment grows.
//!
//! What a storage refuses, and what becomes of the journal then:
//!
//! | failure | the journal |
//! |---|---|
//! | no room to append, or to begin a segment | cuts back what was half written and is as before; the next append tries anew |
//! | any other failure to append, to cut back or to begin a segment | refuses to write until it is opened anew |
//! | a sync that failed | the same: what the disk then holds cannot be known, and a later sync that works would not tell |

use serde::Serialize;

use crate::{
    checkpoint::{self, CHECKPOINT, Checkpoints},
    codec::{self, Frame, Position, SEGMENT_HEADER},
    error::{Code, Error, Result},
    shelf::Shelf,
    snapshot,
    state::State,
    storage::Storage,
};

const CLOSED: &str = "CLOSED";

/// Bytes of a segment, unless a single frame has more.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// Zeros are prepared where frames have no more bytes than this: the larger ones are, the less it matters.
const SMALL_FRAME: u64 = 256 << 10;

/// Of all data, the zeros that are prepared are this part, at least so many bytes, and a segment at most; none while there are fewer
/// data. Many at a time matter to many writers: with 8 MiB at most, 64 of them wrote 4 to 12 % less.
const PREPARED_SHARE: u64 = 16;
const LEAST_PREPARED: u64 = 512 << 10;

/// The log as it is written. One journal owns its storage.
#[derive(Debug)]
pub struct Journal<S> {
    storage: S,
    position: Position,
    segment: String,
    /// Bytes of the segment that are written.
    len: u64,
    /// Bytes of its file, at least; those after the written ones are zeros.
    room: u64,
    /// Whether the last frame was small, so that zeros are worth their while.
    small: bool,
    /// Bytes at which a segment is full.
    segment_bytes: u64,
    /// Bytes of all segments.
    log_bytes: u64,
    /// Records appended since the last sync.
    unsynced: u32,
    /// What makes further writing unsafe.
    failed: Option<Error>,
}

/// What opening found that somebody may want to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovery {
    /// Libraries in snapshots.
    pub snapshots: usize,
    /// Records replayed from the log.
    pub replayed: usize,
    /// Bytes of a torn write that were cut off the end of the log.
    pub torn_bytes: u64,
    /// Damage to parts of snapshots that are made again from the rest.
    pub repaired: Vec<Error>,
}

/// What opening gives: the log to write on, what is known of the snapshots, the state, and how it was found.
#[derive(Debug)]
pub struct Opened<S> {
    /// The log.
    pub journal: Journal<S>,
    /// The snapshots.
    pub checkpoints: Checkpoints,
    /// The state after the last record.
    pub state: State,
    /// What was found.
    pub recovery: Recovery,
}

/// A place in the log between two segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Sequence of the last record before it.
    pub seq: u64,
    /// Bytes of the segments before it.
    log_bytes: u64,
}

impl<S: Storage> Journal<S> {
    /// Opens a storage: the snapshots of the checkpoint, and the log after it. An empty storage gives an empty state.
    ///
    /// # Errors
    /// [`Code::Damaged`] with the file and the offset, [`Code::UnsupportedVersion`], [`Code::Storage`]. Nothing is changed then.
    pub fn open(storage: S) -> Result<Opened<S>> {
        Self::open_with(storage, None)
    }

    /// As [`Journal::open`], but with a shelf for libraries that are not opened at once.
    ///
    /// # Errors
    /// As [`Journal::open`]; what is wrong with a library on the shelf is told when it is opened.
    pub fn open_with(storage: S, shelf: Option<&Shelf>) -> Result<Opened<S>> {
        let names = storage.list()?;
        let Loaded { checkpoints, state, tail, recovery, log_bytes, closed } = load(&storage, shelf, &names, u64::MAX)?;
        let Begun { position, segment, len, room } = match tail {
            Some(tail) => {
                // What is shown from now on must last, also what a killed process had not synced.
                if !closed {
                    storage.truncate(&tail.name, tail.len)?;
                }
                Begun { position: tail.end, segment: tail.name, len: tail.len, room: tail.len }
            }
            None => begin(&storage, Position { next_seq: checkpoints.seq() + 1, chain: 0 })?,
        };
        // From here on the log may grow.
        storage.remove(CLOSED)?;
        checkpoints.remove_unneeded(&storage, &names)?;
        let segment_bytes = SEGMENT_BYTES;
        let journal =
            Self { storage, position, segment, len, room, small: false, segment_bytes, log_bytes, unsynced: 0, failed: None };
        Ok(Opened { journal, checkpoints, state, recovery })
    }

    /// The storage.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Begins a new segment when one has this many bytes, instead of [`SEGMENT_BYTES`].
    pub fn set_segment_bytes(&mut self, bytes: u64) {
        self.segment_bytes = bytes;
    }

    /// Sequence of the next record.
    pub fn next_seq(&self) -> u64 {
        self.position.next_seq
    }

    /// Records that were appended but not yet synced: a power cut may take them back.
    pub fn unsynced(&self) -> u32 {
        self.unsynced
    }

    /// Writes a frame, which must not be empty, and takes its records out of it. They have consecutive sequences from the one
    /// returned. They outlive the process now, and the power after [`Journal::sync`].
    ///
    /// # Errors
    /// [`Code::StorageFull`] and [`Code::Storage`] as the table at the head of the [module](self) says. The frame is then no
    /// part of the log; only if the log cannot be written any more it may be there when it is opened anew.
    pub fn append(&mut self, frame: &mut Frame) -> Result<u64> {
        let appended = self.append_frame(frame);
        frame.clear();
        appended
    }

    fn append_frame(&mut self, frame: &mut Frame) -> Result<u64> {
        self.usable()?;
        let bytes = frame.len() as u64;
        let end = self.len + bytes;
        let ready = end > self.room && SEGMENT_HEADER as u64 + bytes <= self.storage.prepared();
        let full = end > self.segment_bytes;
        if self.len > SEGMENT_HEADER as u64 && (full || ready) {
            match self.begin_segment() {
                // There may be room in this one.
                Err(error) if !full && error.code == Code::StorageFull => {}
                begun => begun?,
            }
        }
        self.small = bytes <= SMALL_FRAME;
        let records = frame.records();
        let (bytes, next) = frame.seal(self.position, self.unsynced);
        if let Err(error) = self.storage.append(&self.segment, self.len, bytes) {
            if error.code == Code::StorageFull {
                let cut = self.storage.truncate(&self.segment, self.len);
                self.room = self.len;
                if self.poison(cut).is_ok() {
                    // Cutting a file makes the rest of it last.
                    self.unsynced = 0;
                }
                return Err(error);
            }
            return self.poison(Err(error));
        }
        let first = self.position.next_seq;
        self.position = next;
        self.len += bytes.len() as u64;
        self.log_bytes += bytes.len() as u64;
        self.unsynced = self.unsynced.saturating_add(records);
        Ok(first)
    }

    /// Makes all that was appended last.
    ///
    /// # Errors
    /// [`Code::Storage`]: from then on the journal refuses to write.
    pub fn sync(&mut self) -> Result<()> {
        self.usable()?;
        if self.unsynced > 0 {
            let synced = self.storage.sync(&self.segment);
            self.poison(synced)?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// How many zeros are worth having [prepared](Storage::prepare) for the next segment, where `data` tells how many bytes there are
    /// in all; `None` while there are some, or where frames are so large, or the data so few, that it is not worth it.
    pub fn wants_prepared(&self, data: impl FnOnce() -> u64) -> Option<u64> {
        if !self.small || self.storage.prepared() > 0 {
            return None;
        }
        let data = data();
        (data >= LEAST_PREPARED).then(|| (data / PREPARED_SHARE).max(LEAST_PREPARED).min(self.segment_bytes))
    }

    /// Bytes of log since the last checkpoint.
    pub fn log_bytes(&self) -> u64 {
        self.log_bytes
    }

    /// Makes all that was appended last, and lets what follows begin a new segment. With snapshots of the state at the cut, the
    /// segments before it are not needed any more: see [`Checkpoints::write`], and [`Journal::forget`] after it.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn cut(&mut self) -> Result<Cut> {
        self.sync()?;
        if self.len > SEGMENT_HEADER as u64 {
            self.begin_segment()?;
        }
        Ok(Cut { seq: self.position.next_seq - 1, log_bytes: self.log_bytes })
    }

    /// Counts the bytes of log no longer that a checkpoint has made needless.
    pub fn forget(&mut self, cut: &Cut) {
        self.log_bytes = self.log_bytes.saturating_sub(cut.log_bytes);
    }

    /// Closes the log in order: notes where it ends, so that the next opening can tell if it was cut short since.
    ///
    /// # Errors
    /// [`Code::Storage`].
    pub fn close(mut self) -> Result<S> {
        self.sync()?;
        // Opening removes what is left of it.
        let _ = self.storage.prepare(0);
        if self.room > self.len {
            self.storage.truncate(&self.segment, self.len)?;
        }
        let bytes = closing_note(self.position);
        self.storage.write(CLOSED, &mut |out| out.write_all(&bytes))?;
        Ok(self.storage)
    }

    /// Gives the storage back as a crash would leave it.
    pub fn into_storage(self) -> S {
        self.storage
    }

    /// The error that stopped the journal, if one did.
    pub fn failure(&self) -> Option<&Error> {
        self.failed.as_ref()
    }

    fn begin_segment(&mut self) -> Result<()> {
        self.sync()?;
        match begin(&self.storage, self.position) {
            Ok(Begun { position, segment, len, room }) => {
                (self.position, self.segment, self.len, self.room) = (position, segment, len, room);
                Ok(())
            }
            Err(error) if error.code == Code::StorageFull => {
                // If it is there after all, the log must not go on in the old one.
                let removed = self.storage.remove(&segment_name(self.position));
                let _ = self.poison(removed);
                Err(error)
            }
            Err(error) => self.poison(Err(error)),
        }
    }

    fn usable(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(error) => Err(Error::new(
                Code::Storage,
                format!("an earlier write failed ({}); writing goes on after a restart, reading goes on now", error.detail),
            )),
        }
    }

    fn poison<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }
}

struct Tail {
    name: String,
    len: u64,
    end: Position,
}

struct Loaded {
    checkpoints: Checkpoints,
    state: State,
    tail: Option<Tail>,
    recovery: Recovery,
    log_bytes: u64,
    /// Whether the log was closed in order.
    closed: bool,
}

/// Reads everything, but no record after `until`; changes nothing.
fn load<S: Storage>(storage: &S, shelf: Option<&Shelf>, names: &[String], until: u64) -> Result<Loaded> {
    let (checkpoints, holdings, repaired) = Checkpoints::load(storage, shelf)?;
    let seq = checkpoints.seq();
    let mut recovery = Recovery { snapshots: holdings.len(), repaired, ..Recovery::default() };
    let mut state = State::of(holdings, seq);
    let mut tail: Option<Tail> = None;
    let mut log_bytes = 0;
    for (name, last) in checkpoint::needed(&segments(names), seq) {
        let Some(blob) = storage.read(name)? else { continue };
        let start = tail.as_ref().map(|tail| tail.end);
        let segment = codec::read_segment(name, blob.bytes(), start)?;
        if tail.is_none() && first_seq(name) > seq + 1 {
            let detail = format!("the log begins after record {seq}; what lies between is missing");
            return Err(Error::damaged(name, 16, detail).numbers(seq + 1, first_seq(name)));
        }
        if segment.torn > 0 && !last {
            let detail = "a frame is incomplete, and the log goes on in another segment";
            return Err(Error::damaged(name, segment.valid_len, detail));
        }
        recovery.torn_bytes = segment.torn;
        log_bytes += segment.valid_len;
        for (at, record) in segment.records {
            if at > seq && at <= until {
                state.open_for(&record)?;
                state.apply(at, record);
                recovery.replayed += 1;
            }
        }
        tail = Some(Tail { name: name.clone(), len: segment.valid_len, end: segment.end });
    }
    let closed = check_end(storage, seq, tail.as_ref())?;
    Ok(Loaded { checkpoints, state, tail, recovery, log_bytes, closed })
}

/// Refuses a log that does not end where it may: where it was closed, and not before the checkpoint. Whether it was closed.
fn check_end<S: Storage>(storage: &S, seq: u64, tail: Option<&Tail>) -> Result<bool> {
    let note = storage.read(CLOSED)?;
    let closed = note.is_some();
    match (note, tail) {
        (Some(note), Some(tail)) if note.bytes() != closing_note(tail.end) => {
            let detail = "the log was closed in order, but it does not end where it ended then: it was cut short";
            return Err(Error::damaged(&tail.name, tail.len, detail));
        }
        (Some(_), None) => {
            return Err(Error::new(Code::Damaged, "the log was closed in order, but it is missing").field(CLOSED));
        }
        _ => {}
    }
    match tail {
        Some(tail) if tail.end.next_seq <= seq => {
            let detail = format!("the log ends with record {}, but the checkpoint holds record {seq}", tail.end.next_seq - 1);
            Err(Error::damaged(&tail.name, tail.len, detail).numbers(seq, tail.end.next_seq - 1))
        }
        None if seq > 0 => {
            Err(Error::new(Code::Damaged, "the folder has a checkpoint, but its log is missing").field(CHECKPOINT))
        }
        _ => Ok(closed),
    }
}

/// The state that a storage holds, or that it held after the record `at`. Changes nothing; cost: as opening it.
///
/// # Errors
/// As [`Journal::open`]; [`Code::InvalidValue`] with the range, when the storage does not tell of that record.
pub fn state_at<S: Storage>(storage: &S, at: Option<u64>) -> Result<State> {
    let Loaded { checkpoints, state, tail, .. } = load(storage, None, &storage.list()?, at.unwrap_or(u64::MAX))?;
    let (first, last) = (checkpoints.seq(), tail.map_or(checkpoints.seq(), |tail| tail.end.next_seq - 1));
    match at {
        Some(at) if at < first || at > last => {
            let detail = format!("it tells of the states after the records {first} to {last}, not after record {at}");
            Err(Error::new(Code::InvalidValue, detail).field("at_seq").numbers(format!("{first} to {last}"), at))
        }
        _ => Ok(state),
    }
}

/// Begins an empty storage with a state: its snapshots, and a log that goes on after it.
///
/// # Errors
/// [`Code::Storage`] when the storage is not empty, or cannot be written.
pub fn found<S: Storage>(storage: &S, state: &State) -> Result<()> {
    if let Some(name) = storage.list()?.first() {
        return Err(Error::new(Code::Storage, format!("there is a file '{name}' already; choose an empty folder")));
    }
    begin(storage, Position { next_seq: state.seq() + 1, chain: 0 })?;
    Checkpoints::default().write(storage, state).map(drop)
}

/// A segment that frames can be appended to; see the fields of [`Journal`].
struct Begun {
    position: Position,
    segment: String,
    len: u64,
    room: u64,
}

/// Begins a segment at `position`.
fn begin<S: Storage>(storage: &S, position: Position) -> Result<Begun> {
    let segment = segment_name(position);
    let header = codec::segment_header(position);
    let room = storage.begin(&segment, &header)?;
    Ok(Begun { position: codec::after_header(&header, position), segment, len: header.len() as u64, room })
}

fn segment_name(position: Position) -> String {
    format!("{:020}.log", position.next_seq)
}

/// The segments in order.
pub(crate) fn segments(names: &[String]) -> Vec<String> {
    let mut segments: Vec<String> = names.iter().filter(|name| name.ends_with(".log")).cloned().collect();
    segments.sort_unstable();
    segments
}

/// Sequence of the first record of a segment.
pub(crate) fn first_seq(segment: &str) -> u64 {
    segment.trim_end_matches(".log").parse().unwrap_or(u64::MAX)
}

/// The content of `CLOSED` for a log that ends at `position`.
fn closing_note(position: Position) -> Vec<u8> {
    format!("the log ends before record {} with checksum {:08x}\n", position.next_seq, position.chain).into_bytes()
}

/// What [`check`] found in one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// The file.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// Records in a segment, chunks in a snapshot.
    pub items: usize,
    /// What is wrong with it, each place that is known.
    pub problems: Vec<Error>,
}

/// Verifies every checksum of a storage and that it can be opened. Changes nothing.
///
/// # Errors
/// [`Code::Storage`] when a file cannot be read; damage is not an error here but one of [`Checked::problems`].
pub fn check<S: Storage>(storage: &S) -> Result<Vec<Checked>> {
    let mut names = storage.list()?;
    names.sort_unstable();
    let mut found = Vec::new();
    let last = segments(&names).pop();
    let mut end = None;
    for name in &names {
        let Some(blob) = storage.read(name)? else { continue };
        let bytes = blob.bytes();
        let result = if name == CHECKPOINT {
            checkpoint::snapshots(bytes)
        } else if name.ends_with(".vecino") {
            snapshot::open(name, &blob).and_then(snapshot::Opened::intact).map(|library| library.chunk_count())
        } else if name.ends_with(".log") {
            codec::read_segment(name, bytes, end).and_then(|segment| {
                end = Some(segment.end);
                let torn = segment.torn;
                if torn == 0 {
                    return Ok(segment.records.len());
                }
                let why = if names.iter().any(|name| name == CLOSED) {
                    format!("the last {torn} bytes are incomplete, and the log was whole when it was closed: it was cut short")
                } else if last.as_ref() == Some(name) {
                    format!(
                        "the last {torn} bytes are an incomplete write that was never acknowledged; the next start cuts them off"
                    )
                } else {
                    format!("the last {torn} bytes are incomplete, and the log goes on in another segment")
                };
                Err(Error::damaged(name, segment.valid_len, why))
            })
        } else {
            continue;
        };
        let (items, problems) = match result {
            Ok(items) => (items, Vec::new()),
            Err(error) => (0, all_damage(name, bytes, error)),
        };
        found.push(Checked { file: name.clone(), bytes: bytes.len() as u64, items, problems });
    }
    if found.iter().all(|file| file.problems.is_empty())
        && let Err(error) = load(storage, None, &names, u64::MAX)
    {
        let file = error.field.clone().unwrap_or_default();
        found.push(Checked { file, bytes: 0, items: 0, problems: vec![error] });
    }
    Ok(found)
}

/// The damage that was found first, and all the rest that can be told.
pub fn all_damage(name: &str, bytes: &[u8], first: Error) -> Vec<Error> {
    let further = match first.code {
        // A torn tail is no damage within the segment.
        Code::Damaged if name.ends_with(".log") && codec::read_segment(name, bytes, None).is_err() => {
            codec::scan_segment(name, bytes).damage
        }
        Code::Damaged if name.ends_with(".vecino") => snapshot::damage(name, bytes),
        _ => Vec::new(),
    };
    // The first is among them, in other words.
    if further.len() > 1 { further } else { vec![first] }
}
