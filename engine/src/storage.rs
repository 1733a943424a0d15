//! The seam to bytes that last, and the storage in memory.
//!
//! A [`Storage`] is a folder of named files and nothing more: what they mean is the business of the log
//! ([`journal`](crate::journal)) and of the snapshots ([`snapshot`](crate::snapshot)).
//!
//! | call | when it returns | after a power cut before that, or after an error |
//! |---|---|---|
//! | [`append`](Storage::append) | the bytes outlive the process, not yet the power | any part of them may be there |
//! | [`sync`](Storage::sync) | all that was appended to the file is durable | nothing is known, see below |
//! | [`write`](Storage::write), [`begin`](Storage::begin), [`remove`](Storage::remove) | durable | all or nothing |
//! | [`truncate`](Storage::truncate) | durable, with what was appended before | the old or the new length |
//!
//! At a power cut, what was appended since the last `sync` may be there in any part, as if it had been written in any order; where
//! it is not, there are zeros, or the file ends.
//! After a `sync` that failed that stays so for ever: a later one that succeeds says nothing of the bytes before.
//!
//! All calls take `&self`, so that one thread can write a snapshot while another one appends to the log; a storage that is
//! used so is [`Sync`]. [`Arc`] is a handle.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    Code, Error,
    blob::{AlignedBytes, Blob},
    error::Result,
};

/// A writer of a file's content, called once.
pub type Fill<'a> = dyn FnMut(&mut dyn io::Write) -> io::Result<()> + 'a;

/// Named files that last. Errors have [`Code::StorageFull`] where there is no room, else [`Code::Storage`].
pub trait Storage {
    /// The names of all files.
    fn list(&self) -> Result<Vec<String>>;

    /// The content of a file, `None` when there is none of this name. Later changes of the file do not show in it.
    fn read(&self, name: &str) -> Result<Option<Blob>>;

    /// Creates or replaces a file as one step: after a crash it is the old or the new one.
    fn write(&self, name: &str, fill: &mut Fill<'_>) -> Result<()>;

    /// Creates or replaces a file that is to be appended to, as one step, out of the zeros that were [prepared](Self::prepare), if
    /// there are any; how many bytes it has: these, and zeros after them.
    fn begin(&self, name: &str, bytes: &[u8]) -> Result<u64> {
        self.write(name, &mut |out| out.write_all(bytes))?;
        Ok(bytes.len() as u64)
    }

    /// Writes bytes at `at`, which is where the bytes end that were written to a file that exists: over zeros as far as there are any,
    /// and else making it longer. Does not wait for the disk.
    fn append(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()>;

    /// Waits until all that was appended to a file is durable.
    fn sync(&self, name: &str) -> Result<()>;

    /// Cuts a file to `len` bytes, and makes these durable whatever became of earlier attempts to sync them.
    fn truncate(&self, name: &str, len: u64) -> Result<()>;

    /// Removes a file; no error when there is none.
    fn remove(&self, name: &str) -> Result<()>;

    /// Has so many bytes of zeros ready, and durable, for the next file that is [begun](Self::begin); 0 gives them back. A disk is
    /// spared half of its work where a file has its length and its place before it is written to.
    fn prepare(&self, _bytes: u64) -> Result<()> {
        Ok(())
    }

    /// How many bytes are ready.
    fn prepared(&self) -> u64 {
        0
    }

    /// Bytes that can still be written, `None` where that cannot be told.
    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

impl<S: Storage + ?Sized> Storage for Arc<S> {
    fn list(&self) -> Result<Vec<String>> {
        (**self).list()
    }

    fn read(&self, name: &str) -> Result<Option<Blob>> {
        (**self).read(name)
    }

    fn write(&self, name: &str, fill: &mut Fill<'_>) -> Result<()> {
        (**self).write(name, fill)
    }

    fn begin(&self, name: &str, bytes: &[u8]) -> Result<u64> {
        (**self).begin(name, bytes)
    }

    fn append(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        (**self).append(name, at, bytes)
    }

    fn sync(&self, name: &str) -> Result<()> {
        (**self).sync(name)
    }

    fn truncate(&self, name: &str, len: u64) -> Result<()> {
        (**self).truncate(name, len)
    }

    fn remove(&self, name: &str) -> Result<()> {
        (**self).remove(name)
    }

    fn prepare(&self, bytes: u64) -> Result<()> {
        (**self).prepare(bytes)
    }

    fn prepared(&self) -> u64 {
        (**self).prepared()
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        (**self).free_bytes()
    }
}

/// A storage in memory: for tests, for tools, and for a tab that keeps nothing. A clone is a copy.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    prepared: AtomicU64,
}

impl Clone for MemoryStorage {
    fn clone(&self) -> Self {
        Self { files: Mutex::new(self.files().clone()), prepared: AtomicU64::new(0) }
    }
}

impl MemoryStorage {
    /// The files by name, to look at or to damage in tests.
    pub fn files_mut(&mut self) -> &mut BTreeMap<String, Vec<u8>> {
        self.files.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let mut files = self.files();
        change(files.get_mut(name).ok_or_else(|| Error::new(Code::Storage, format!("there is no file '{name}'")))?);
        Ok(())
    }
}

impl Storage for MemoryStorage {
    fn list(&self) -> Result<Vec<String>> {
        Ok(self.files().keys().cloned().collect())
    }

    fn read(&self, name: &str) -> Result<Option<Blob>> {
        Ok(self.files().get(name).map(|bytes| Blob::new(AlignedBytes::from(bytes.as_slice()))))
    }

    fn write(&self, name: &str, fill: &mut Fill<'_>) -> Result<()> {
        let mut bytes = Vec::new();
        fill(&mut bytes).map_err(|error| Error::new(Code::Storage, error.to_string()))?;
        self.files().insert(name.to_owned(), bytes);
        Ok(())
    }

    fn begin(&self, name: &str, bytes: &[u8]) -> Result<u64> {
        let mut file = bytes.to_vec();
        let prepared = self.prepared.swap(0, Ordering::Relaxed);
        file.resize(bytes.len().max(usize::try_from(prepared).unwrap_or_default()), 0);
        let len = file.len() as u64;
        self.files().insert(name.to_owned(), file);
        Ok(len)
    }

    fn append(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        let at = usize::try_from(at).map_err(|error| Error::new(Code::Storage, error.to_string()))?;
        self.change(name, |file| {
            file.resize(file.len().max(at + bytes.len()), 0);
            file[at..at + bytes.len()].copy_from_slice(bytes);
        })
    }

    fn sync(&self, name: &str) -> Result<()> {
        self.change(name, |_| {})
    }

    fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.change(name, |file| file.truncate(usize::try_from(len).unwrap_or(usize::MAX)))
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.files().remove(name);
        Ok(())
    }

    fn prepare(&self, bytes: u64) -> Result<()> {
        self.prepared.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn prepared(&self) -> u64 {
        self.prepared.load(Ordering::Relaxed)
    }
}
