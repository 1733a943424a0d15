//! One process owns a data folder.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Seek, Write},
    path::Path,
};

use vecino_engine::{Code, Error, Result};

use super::failed;

/// The file that is locked. While a process owns the folder, its number stands in it.
pub(super) const LOCK: &str = "LOCK";

/// A lock on a folder, held until it is dropped, at the latest until the process ends.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
    owner: bool,
}

impl FolderLock {
    /// Takes a folder for this process alone.
    pub(super) fn own(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| failed("cannot open", &path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(folder, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed("cannot lock", &path, &error)),
        }
        let noted = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        noted.map_err(|error| failed("cannot write", &path, &error))?;
        Ok(Self { file, owner: true })
    }

    /// Keeps owners out of a folder while it is read, and changes nothing. A folder that nobody ever owned has no lock.
    pub(super) fn share(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(LOCK);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("cannot open", &path, &error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self { file, owner: false })),
            Err(TryLockError::WouldBlock) => Err(taken(folder, &mut file)),
            Err(TryLockError::Error(error)) => Err(failed("cannot lock", &path, &error)),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if self.owner {
            // Only so that nobody reads a number that says nothing any more; the lock itself goes with the handle.
            let _ = self.file.set_len(0);
        }
        let _ = self.file.unlock();
    }
}

fn taken(folder: &Path, file: &mut File) -> Error {
    let mut owner = String::new();
    let _ = file.rewind().and_then(|()| file.take(20).read_to_string(&mut owner));
    let who = match owner.trim().parse::<u32>() {
        Ok(number) => format!("another process (process {number})"),
        Err(_) => "another process".to_owned(),
    };
    Error::new(Code::Locked, format!("{who} has the data folder {} open; only one at a time can", folder.display()))
}
