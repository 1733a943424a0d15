//! The log and the snapshots in a [`Storage`]: what is where, and how a state is brought back.
//!
//! | file | what |
//! |---|---|
//! | `CHECKPOINT` | which snapshots together are the state at which sequence |
//! | `CLOSED` | where the log ends, while no process has it open after an orderly end |
//! | `<first sequence>.log` | a segment of the log, see [`codec`] |
//! | `<sequence>-<number>.vecino` | a snapshot of one library, see [`snapshot`] |
//!
//! A checkpoint writes the snapshots of the libraries that changed, then `CHECKPOINT` (the step that makes it count), then
//! begins a new segment and removes what nobody names any more. A crash between any two steps leaves the old or the new
//! checkpoint and all of the log behind it.

use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, Position},
    error::{Code, Error, Result},
    model::Id,
    record::Record,
    snapshot,
    state::State,
    storage::Storage,
};

const CHECKPOINT: &str = "CHECKPOINT";
const CLOSED: &str = "CLOSED";
const CHECKPOINT_MAGIC: &[u8; 8] = b"VECINOCP";
const CHECKPOINT_VERSION: u32 = 1;

/// What the file `CHECKPOINT` says: after its mark, version and checksum, as postcard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Checkpoint {
    /// Sequence of the last record that the snapshots hold.
    seq: u64,
    /// The snapshot of each library: its id, the sequence of the last record in it, its file.
    snapshots: Vec<(Id, u64, String)>,
}

/// The log as it is written. One journal owns its storage.
#[derive(Debug)]
pub struct Journal<S> {
    storage: S,
    position: Position,
    segment: String,
    /// Bytes of the segment.
    len: u64,
    checkpoint: Checkpoint,
    /// After a failed write nothing is known of the end of the log, so nothing more is written.
    failed: Option<Error>,
}

/// What opening found that somebody may want to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Libraries opened from snapshots.
    pub snapshots: usize,
    /// Records replayed from the log.
    pub replayed: usize,
    /// Bytes of a torn write that were cut off the end of the log.
    pub torn_bytes: u64,
}

/// What a checkpoint did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checkpointed {
    /// Sequence of the last record that the snapshots hold.
    pub seq: u64,
    /// Snapshots written; libraries that had not changed kept theirs.
    pub written: usize,
}

impl<S: Storage> Journal<S> {
    /// Opens a storage: the snapshots of the checkpoint, and the log after it. An empty storage gives an empty state.
    ///
    /// # Errors
    /// [`Code::Damaged`] with the file and the offset, [`Code::UnsupportedVersion`], [`Code::Storage`]. Nothing is changed then.
    pub fn open(storage: S) -> Result<(Self, State, Recovery)> {
        let names = storage.list()?;
        let loaded = load(&storage, &names)?;
        let Loaded { checkpoint, state, tail, recovery, closed } = loaded;
        let (position, segment, len) = match tail {
            Some(tail) => {
                // What is shown from now on must last, also what a killed process had not synced.
                if !closed {
                    storage.truncate(&tail.name, tail.len)?;
                }
                (tail.end, tail.name, tail.len)
            }
            None => begin(&storage, Position { next_seq: checkpoint.seq + 1, chain: 0 })?,
        };
        // From here on the log may grow.
        storage.remove(CLOSED)?;
        let mut journal = Self { storage, position, segment, len, checkpoint, failed: None };
        journal.remove_unnamed(&names)?;
        Ok((journal, state, recovery))
    }

    /// Writes records as one step: all are durable when it returns, with consecutive sequences from the one returned.
    ///
    /// # Errors
    /// [`Code::LimitExceeded`] for a record that is too large: nothing is written. [`Code::Storage`]: it is not known what
    /// reached the disk, and from then on the journal refuses every write until it is opened anew.
    pub fn append(&mut self, records: &[&Record]) -> Result<u64> {
        self.usable()?;
        let first = self.position.next_seq;
        let (frame, next) = codec::encode_frame(self.position, records)?;
        let appended = self.storage.append(&self.segment, &frame).and_then(|()| self.storage.sync(&self.segment));
        self.poison(appended)?;
        self.position = next;
        self.len += frame.len() as u64;
        Ok(first)
    }

    /// Bytes of log since the last checkpoint, or since the start.
    pub fn log_bytes(&self) -> u64 {
        self.len
    }

    /// Writes snapshots of what has changed and begins a new log segment. `state` is the state after the last record appended.
    ///
    /// # Errors
    /// [`Code::Storage`]. The old checkpoint counts then, or the new one; either way nothing is lost.
    pub fn checkpoint(&mut self, state: &State) -> Result<Checkpointed> {
        self.usable()?;
        let seq = self.position.next_seq - 1;
        if seq == self.checkpoint.seq {
            return Ok(Checkpointed { seq, written: 0 });
        }
        let mut snapshots = Vec::new();
        let mut written = 0;
        for (number, library) in state.libraries().enumerate() {
            let id = library.info().id.clone();
            let kept = self.checkpoint.snapshots.iter().find(|(known, at, _)| *known == id && *at == library.seq());
            let file = match kept {
                Some((_, _, file)) => file.clone(),
                None => {
                    let file = format!("{seq:020}-{number:06}.vecino");
                    self.storage.write(&file, &mut |out| snapshot::write(library, out))?;
                    written += 1;
                    file
                }
            };
            snapshots.push((id, library.seq(), file));
        }
        let checkpoint = Checkpoint { seq, snapshots };
        let bytes = encode_checkpoint(&checkpoint)?;
        self.storage.write(CHECKPOINT, &mut |out| out.write_all(&bytes))?;
        self.checkpoint = checkpoint;
        let begun = begin(&self.storage, self.position);
        (self.position, self.segment, self.len) = self.poison(begun)?;
        let names = self.storage.list()?;
        self.remove_unnamed(&names)?;
        Ok(Checkpointed { seq, written })
    }

    /// Closes the log in order: notes where it ends, so that the next opening can tell if it was cut short since.
    ///
    /// # Errors
    /// [`Code::Storage`].
    pub fn close(self) -> Result<S> {
        self.usable()?;
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

    fn usable(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(error) => Err(Error::new(
                error.code,
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

    /// Removes segments and snapshots that no checkpoint needs.
    fn remove_unnamed(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            let snapshot = name.ends_with(".vecino") && !self.checkpoint.snapshots.iter().any(|(_, _, file)| file == name);
            let segment = name.ends_with(".log") && *name < self.segment && self.checkpoint.seq + 1 >= first_seq(&self.segment);
            if snapshot || segment {
                self.storage.remove(name)?;
            }
        }
        Ok(())
    }
}

struct Tail {
    name: String,
    len: u64,
    end: Position,
}

struct Loaded {
    checkpoint: Checkpoint,
    state: State,
    tail: Option<Tail>,
    recovery: Recovery,
    /// Whether the log was closed in order.
    closed: bool,
}

/// Reads everything, changes nothing.
fn load<S: Storage>(storage: &S, names: &[String]) -> Result<Loaded> {
    let checkpoint = match storage.read(CHECKPOINT)? {
        Some(blob) => decode_checkpoint(blob.bytes())?,
        None => Checkpoint::default(),
    };
    let mut libraries = Vec::with_capacity(checkpoint.snapshots.len());
    for (id, _, file) in &checkpoint.snapshots {
        let missing = || Error::new(Code::Damaged, format!("the snapshot {file} of the library '{id}' is missing")).field(file);
        let library = snapshot::open(file, &storage.read(file)?.ok_or_else(missing)?)?;
        if library.info().id != *id {
            return Err(Error::damaged(file, 0, format!("it holds the library '{}' instead of '{id}'", library.info().id)));
        }
        libraries.push(library);
    }
    let mut recovery = Recovery { snapshots: libraries.len(), ..Recovery::default() };
    let mut state = State::new(libraries, checkpoint.seq);
    let mut tail: Option<Tail> = None;
    for (name, last) in segments(names) {
        let Some(blob) = storage.read(&name)? else { continue };
        let start = tail.as_ref().map(|tail| tail.end);
        let segment = codec::read_segment(&name, blob.bytes(), start)?;
        if tail.is_none() && first_seq(&name) > checkpoint.seq + 1 {
            let detail = format!("the log begins after record {}; what lies between is missing", checkpoint.seq);
            return Err(Error::damaged(&name, 16, detail).numbers(checkpoint.seq + 1, first_seq(&name)));
        }
        if segment.torn > 0 && !last {
            return Err(Error::damaged(
                &name,
                segment.valid_len,
                "a frame is incomplete, and the log goes on in another segment",
            ));
        }
        recovery.torn_bytes = segment.torn;
        for (seq, record) in segment.records {
            if seq > checkpoint.seq {
                state.apply(seq, record);
                recovery.replayed += 1;
            }
        }
        tail = Some(Tail { name, len: segment.valid_len, end: segment.end });
    }
    let note = storage.read(CLOSED)?;
    let closed = note.is_some();
    match (note, &tail) {
        (Some(note), Some(tail)) if note.bytes() != closing_note(tail.end) => {
            let detail = "the log was closed in order, but it does not end where it ended then: it was cut short";
            return Err(Error::damaged(&tail.name, tail.len, detail));
        }
        (Some(_), None) => {
            return Err(Error::new(Code::Damaged, "the log was closed in order, but it is missing").field(CLOSED));
        }
        _ => {}
    }
    match &tail {
        Some(tail) if tail.end.next_seq <= checkpoint.seq => {
            let detail =
                format!("the log ends with record {}, but the checkpoint holds record {}", tail.end.next_seq - 1, checkpoint.seq);
            Err(Error::damaged(&tail.name, tail.len, detail).numbers(checkpoint.seq, tail.end.next_seq - 1))
        }
        None if checkpoint.seq > 0 => {
            Err(Error::new(Code::Damaged, "the folder has a checkpoint, but its log is missing").field(CHECKPOINT))
        }
        _ => Ok(Loaded { checkpoint, state, tail, recovery, closed }),
    }
}

/// Begins a segment at `position`: where it goes on, the segment's name and its length.
fn begin<S: Storage>(storage: &S, position: Position) -> Result<(Position, String, u64)> {
    let name = format!("{:020}.log", position.next_seq);
    let header = codec::segment_header(position);
    storage.write(&name, &mut |out| out.write_all(&header))?;
    Ok((codec::after_header(&header, position), name, header.len() as u64))
}

/// The segments in order; the last one is marked.
fn segments(names: &[String]) -> Vec<(String, bool)> {
    let mut segments: Vec<String> = names.iter().filter(|name| name.ends_with(".log")).cloned().collect();
    segments.sort_unstable();
    let count = segments.len();
    segments.into_iter().enumerate().map(|(number, name)| (name, number + 1 == count)).collect()
}

fn first_seq(segment: &str) -> u64 {
    segment.trim_end_matches(".log").parse().unwrap_or(u64::MAX)
}

/// The content of `CLOSED` for a log that ends at `position`.
fn closing_note(position: Position) -> Vec<u8> {
    format!("the log ends before record {} with checksum {:08x}\n", position.next_seq, position.chain).into_bytes()
}

fn encode_checkpoint(checkpoint: &Checkpoint) -> Result<Vec<u8>> {
    let body = postcard::to_allocvec(checkpoint).map_err(|error| Error::new(Code::Storage, error.to_string()))?;
    let mut bytes = CHECKPOINT_MAGIC.to_vec();
    bytes.extend_from_slice(&CHECKPOINT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn decode_checkpoint(bytes: &[u8]) -> Result<Checkpoint> {
    let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (Some(version), Some(sum), Some(CHECKPOINT_MAGIC)) = (word(8), word(12), bytes.first_chunk()) else {
        return Err(Error::damaged(CHECKPOINT, 0, "it does not begin with the mark of a Vecino checkpoint"));
    };
    if version != CHECKPOINT_VERSION {
        let detail = format!("{CHECKPOINT} has format {version}; this build reads format {CHECKPOINT_VERSION}");
        return Err(Error::new(Code::UnsupportedVersion, detail).numbers(CHECKPOINT_VERSION, version));
    }
    let body = &bytes[16..];
    if crc32c::crc32c(body) != sum {
        return Err(Error::damaged(CHECKPOINT, 12, "its checksum is wrong").numbers(sum, crc32c::crc32c(body)));
    }
    postcard::from_bytes(body).map_err(|error| Error::damaged(CHECKPOINT, 16, error))
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
    /// What is wrong with it.
    pub problem: Option<Error>,
}

/// Verifies every checksum of a storage and that it can be opened. Changes nothing.
///
/// # Errors
/// [`Code::Storage`] when a file cannot be read; damage is not an error here but a [`Checked::problem`].
pub fn check<S: Storage>(storage: &S) -> Result<Vec<Checked>> {
    let mut names = storage.list()?;
    names.sort_unstable();
    let mut found = Vec::new();
    let last = segments(&names).pop().map(|(name, _)| name);
    let mut end = None;
    for name in &names {
        let Some(blob) = storage.read(name)? else { continue };
        let bytes = blob.bytes();
        let result = if name == CHECKPOINT {
            decode_checkpoint(bytes).map(|checkpoint| checkpoint.snapshots.len())
        } else if name.ends_with(".vecino") {
            snapshot::open(name, &blob).map(|library| library.chunk_count())
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
        let (items, problem) = result.map_or_else(|error| (0, Some(error)), |items| (items, None));
        found.push(Checked { file: name.clone(), bytes: bytes.len() as u64, items, problem });
    }
    if found.iter().all(|file| file.problem.is_none())
        && let Err(error) = load(storage, &names)
    {
        let file = error.field.clone().unwrap_or_default();
        found.push(Checked { file, bytes: 0, items: 0, problem: Some(error) });
    }
    Ok(found)
}
