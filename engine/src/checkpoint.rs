//! Checkpoints: snapshots of all libraries at one sequence, which make the log before it needless.
//!
//! The snapshots of the libraries that changed are written, then `CHECKPOINT` (the step that makes them count), then what nobody
//! names any more is removed. A crash between any two steps leaves the old or the new checkpoint and all of the log behind it.
//!
//! All of that needs the state at a cut of the log, and not the log itself: it can be appended to in the meantime.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Code, Error, Result},
    journal::{first_seq, segments},
    library::Library,
    model::Id,
    shelf::{Holding, Shelf, check, missing},
    snapshot::{self, InPlace, Opened},
    state::State,
    storage::Storage,
};

/// The file that says which snapshots count.
pub(crate) const CHECKPOINT: &str = "CHECKPOINT";
const MAGIC: &[u8; 8] = b"VECINOCP";
const VERSION: u32 = 1;

/// Bytes of a chunk in a snapshot beside its vector, as long as nothing better is known.
const CHUNK_BYTES: u64 = 256;

/// What the file `CHECKPOINT` says: after its mark, version and checksum, as postcard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Checkpoint {
    /// Sequence of the last record that the snapshots hold.
    seq: u64,
    /// The snapshot of each library: its id, the sequence of the last record in it, its file.
    snapshots: Vec<(Id, u64, String)>,
}

/// What a checkpoint did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checkpointed {
    /// Sequence of the last record that the snapshots hold.
    pub seq: u64,
    /// Snapshots written; libraries that had not changed kept theirs.
    pub written: usize,
}

/// What is known of the last checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Checkpoints {
    seq: u64,
    snapshots: BTreeMap<Id, Kept>,
}

/// The snapshot of a library.
#[derive(Clone, Debug)]
struct Kept {
    /// Sequence of the last record in it.
    seq: u64,
    file: String,
    bytes: u64,
    /// Chunks in it.
    chunks: usize,
}

impl Checkpoints {
    /// Reads the last checkpoint with its libraries, and the damage to what is made again. With a shelf, only so many of them are
    /// opened as it says.
    pub(crate) fn load<S: Storage>(storage: &S, shelf: Option<&Shelf>) -> Result<(Self, Vec<Holding>, Vec<Error>)> {
        let last = match storage.read(CHECKPOINT)? {
            Some(blob) => decode(blob.bytes())?,
            None => Checkpoint::default(),
        };
        let mut holdings = Vec::with_capacity(last.snapshots.len());
        let mut snapshots = BTreeMap::new();
        let (mut repaired, mut opened) = (Vec::new(), 0);
        for (id, seq, file) in last.snapshots {
            let blob = storage.read(&file)?.ok_or_else(|| missing(&id, &file))?;
            let bytes = blob.bytes().len() as u64;
            let shelf = shelf.filter(|shelf| opened + bytes > shelf.open_bytes);
            let summary = shelf.map_or(Ok(None), |_| snapshot::summary(&file, &blob))?;
            let holding = match summary.zip(shelf) {
                Some((summary, shelf)) => Holding::shelved(summary, &file, shelf),
                None => {
                    let Opened { library, damage } = snapshot::open(&file, &blob)?;
                    repaired.extend(damage);
                    opened += bytes;
                    Holding::in_memory(Arc::new(library))
                }
            };
            let summary = holding.summary();
            check(&file, &summary, &id)?;
            snapshots.insert(id, Kept { seq, file, bytes, chunks: summary.chunks });
            holdings.push(holding);
        }
        Ok((Self { seq: last.seq, snapshots }, holdings, repaired))
    }

    /// Sequence of the last record that the snapshots hold.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Bytes of all snapshots.
    pub fn snapshot_bytes(&self) -> u64 {
        self.snapshots.values().map(|kept| kept.bytes).sum()
    }

    /// About how many bytes the snapshots of a later state would have. Cost: O(libraries).
    pub fn live_bytes(&self, state: &State) -> u64 {
        let of = |holding: &Holding| {
            let summary = holding.summary();
            let chunks = summary.chunks as u64;
            match self.snapshots.get(&summary.info.id).filter(|kept| kept.chunks > 0) {
                Some(kept) => (u128::from(kept.bytes) * u128::from(chunks) / kept.chunks as u128) as u64,
                None => chunks * (4 * u64::from(summary.info.contract.dimension.unwrap_or(0)) + CHUNK_BYTES),
            }
        };
        state.holdings().map(of).sum()
    }

    /// Writes snapshots of what has changed, and removes what is not needed any more. `state` is the state where the log was
    /// [cut](crate::journal::Journal::cut).
    ///
    /// # Errors
    /// [`Code::StorageFull`], [`Code::Storage`]. The old checkpoint counts then, or the new one; either way nothing is lost.
    pub fn write<S: Storage>(&mut self, storage: &S, state: &State) -> Result<Checkpointed> {
        let seq = state.seq();
        if seq == self.seq {
            return Ok(Checkpointed { seq, written: 0 });
        }
        let mut snapshots = BTreeMap::new();
        let mut written = 0;
        for (number, holding) in state.holdings().enumerate() {
            let id = holding.id();
            let kept = match self.snapshots.get(id).filter(|kept| kept.seq == holding.seq()) {
                Some(kept) => kept.clone(),
                None => {
                    let (file, library) = (format!("{seq:020}-{number:06}.vecino"), holding.library()?);
                    let bytes = write_snapshot(storage, &file, library)?;
                    written += 1;
                    Kept { seq: library.seq(), file, bytes, chunks: library.chunk_count() }
                }
            };
            snapshots.insert(id.clone(), kept);
        }
        let named = snapshots.iter().map(|(id, kept)| (id.clone(), kept.seq, kept.file.clone())).collect();
        let bytes = encode(&Checkpoint { seq, snapshots: named })?;
        storage.write(CHECKPOINT, &mut |out| out.write_all(&bytes))?;
        *self = Self { seq, snapshots };
        self.remove_unneeded(storage, &storage.list()?)?;
        Ok(Checkpointed { seq, written })
    }

    /// The rows and texts of a library as they lie in its snapshot, if that holds it as it is in `state`.
    ///
    /// # Errors
    /// As [`InPlace::of`].
    pub fn in_place<S: Storage>(&self, storage: &S, library: &Library) -> Result<Option<InPlace>> {
        let kept = self.snapshots.get(&library.info.id).filter(|kept| kept.seq == library.seq);
        let Some(kept) = kept else { return Ok(None) };
        let blob = storage.read(&kept.file)?.ok_or_else(|| missing(&library.info.id, &kept.file))?;
        InPlace::of(library, &kept.file, &blob).map(Some)
    }

    /// Puts a library on the shelf, if it is in memory and its snapshot holds it as it is. Whether it was.
    pub fn shelve(&self, state: &mut State, library: &Id, shelf: &Shelf) -> bool {
        let holding =
            state.find(library.as_str()).filter(|holding| holding.loaded().is_some_and(|library| library.index_job().is_none()));
        let kept = self.snapshots.get(library);
        let Some((holding, kept)) = holding.zip(kept).filter(|(holding, kept)| holding.seq() == kept.seq) else { return false };
        let shelved = Holding::shelved(holding.summary(), &kept.file, shelf);
        state.replace(shelved);
        true
    }

    /// Removes the segments and snapshots among `names` that no checkpoint needs, the oldest first.
    pub(crate) fn remove_unneeded<S: Storage>(&self, storage: &S, names: &[String]) -> Result<()> {
        let segments = segments(names);
        let needed = needed(&segments, self.seq).count();
        let old_segments = segments.iter().take(segments.len() - needed);
        let named: BTreeSet<&String> = self.snapshots.values().map(|kept| &kept.file).collect();
        let old_snapshots = names.iter().filter(|name| name.ends_with(".vecino") && !named.contains(name));
        old_segments.chain(old_snapshots).try_for_each(|name| storage.remove(name))
    }
}

/// The segments that are needed after a checkpoint at `seq`; the last one is marked. Of the others, a crash may leave some.
pub(crate) fn needed(segments: &[String], seq: u64) -> impl Iterator<Item = (&String, bool)> {
    let first = segments.iter().rposition(|name| first_seq(name) <= seq + 1).unwrap_or(0);
    segments.iter().enumerate().skip(first).map(|(number, name)| (name, number + 1 == segments.len()))
}

/// The bytes written.
fn write_snapshot<S: Storage>(storage: &S, file: &str, library: &Library) -> Result<u64> {
    let mut bytes = 0;
    storage.write(file, &mut |out| {
        let mut out = Counted { out, bytes: 0 };
        snapshot::write(library, &mut out)?;
        bytes = out.bytes;
        Ok(())
    })?;
    Ok(bytes)
}

struct Counted<'a> {
    out: &'a mut dyn io::Write,
    bytes: u64,
}

impl io::Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// How many snapshots the content of `CHECKPOINT` names.
///
/// # Errors
/// [`Code::Damaged`], [`Code::UnsupportedVersion`].
pub(crate) fn snapshots(bytes: &[u8]) -> Result<usize> {
    decode(bytes).map(|checkpoint| checkpoint.snapshots.len())
}

/// The sequence in the content of `CHECKPOINT`, and the files that it names.
pub(crate) fn named(bytes: &[u8]) -> Result<(u64, Vec<String>)> {
    let Checkpoint { seq, snapshots } = decode(bytes)?;
    Ok((seq, snapshots.into_iter().map(|(_, _, file)| file).collect()))
}

fn encode(checkpoint: &Checkpoint) -> Result<Vec<u8>> {
    let body = postcard::to_allocvec(checkpoint).map_err(|error| Error::new(Code::Storage, error.to_string()))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<Checkpoint> {
    let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (Some(version), Some(sum), Some(MAGIC)) = (word(8), word(12), bytes.first_chunk()) else {
        return Err(Error::damaged(CHECKPOINT, 0, "it does not begin with the mark of a Vecino checkpoint"));
    };
    if version != VERSION {
        let detail = format!("{CHECKPOINT} has format {version}; this build reads format {VERSION}");
        return Err(Error::new(Code::UnsupportedVersion, detail).numbers(VERSION, version));
    }
    let body = &bytes[16..];
    if crc32c::crc32c(body) != sum {
        return Err(Error::damaged(CHECKPOINT, 12, "its checksum is wrong").numbers(sum, crc32c::crc32c(body)));
    }
    postcard::from_bytes(body).map_err(|error| Error::damaged(CHECKPOINT, 16, error))
}
