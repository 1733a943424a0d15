//! The seam to bytes that last, and the storage in memory.
//!
//! A [`Storage`] is a folder of named files and nothing more: what they mean is the business of the log
//! ([`journal`](crate::journal)) and of the snapshots ([`snapshot`](crate::snapshot)). Every call that changes something is
//! durable when it returns: after a power cut either all of it is there, or (when it did not return) possibly a part of an
//! `append`, and for the other calls all or nothing.

use std::{collections::BTreeMap, io};

use crate::{
    blob::{AlignedBytes, Blob},
    error::Result,
};

/// A writer of a file's content, called once.
pub type Fill<'a> = dyn FnMut(&mut dyn io::Write) -> io::Result<()> + 'a;

/// Named files that last. Errors have [`Code::Storage`](crate::Code::Storage).
pub trait Storage {
    /// The names of all files.
    fn list(&mut self) -> Result<Vec<String>>;

    /// The content of a file, `None` when there is none of this name. Later changes of the file do not show in it.
    fn read(&mut self, name: &str) -> Result<Option<Blob>>;

    /// Creates or replaces a file as one step: after a crash it is the old or the new one.
    fn write(&mut self, name: &str, fill: &mut Fill<'_>) -> Result<()>;

    /// Adds bytes to the end of a file that exists.
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Cuts a file to `len` bytes.
    fn truncate(&mut self, name: &str, len: u64) -> Result<()>;

    /// Removes a file; no error when there is none.
    fn remove(&mut self, name: &str) -> Result<()>;
}

/// A storage in memory: for tests, for tools, and for a tab that keeps nothing.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    files: BTreeMap<String, Vec<u8>>,
}

impl MemoryStorage {
    /// The files by name, to look at or to damage in tests.
    pub fn files_mut(&mut self) -> &mut BTreeMap<String, Vec<u8>> {
        &mut self.files
    }

    fn file(&mut self, name: &str) -> Result<&mut Vec<u8>> {
        self.files.get_mut(name).ok_or_else(|| crate::Error::new(crate::Code::Storage, format!("there is no file '{name}'")))
    }
}

impl Storage for MemoryStorage {
    fn list(&mut self) -> Result<Vec<String>> {
        Ok(self.files.keys().cloned().collect())
    }

    fn read(&mut self, name: &str) -> Result<Option<Blob>> {
        Ok(self.files.get(name).map(|bytes| Blob::new(AlignedBytes::from(bytes.as_slice()))))
    }

    fn write(&mut self, name: &str, fill: &mut Fill<'_>) -> Result<()> {
        let mut bytes = Vec::new();
        fill(&mut bytes).map_err(|error| crate::Error::new(crate::Code::Storage, error.to_string()))?;
        self.files.insert(name.to_owned(), bytes);
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.file(name)?.extend_from_slice(bytes);
        Ok(())
    }

    fn truncate(&mut self, name: &str, len: u64) -> Result<()> {
        self.file(name)?.truncate(len as usize);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        self.files.remove(name);
        Ok(())
    }
}
