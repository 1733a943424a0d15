//! A folder as the engine's storage: [`FileStorage`], with the lock that keeps other processes out of the folder.
//!
//! [`FileStorage`] knows what must be synced in which order; the [`Disk`] below it is the file system, or in tests one that
//! loses what was not synced.

mod disk;
mod files;
mod lock;
mod mmap;
#[cfg(test)]
mod tests;

pub use disk::{Disk, DiskFile, Folder, How, Room};
pub use files::FileStorage;

use std::{fs::File, io, path::Path};

use vecino_engine::{Code, Error, Result, blob::Blob};

/// Maps a single file, such as a snapshot that somebody was given. It must stay as it is while it is in use.
///
/// # Errors
/// [`Code::Storage`].
pub fn map_file(path: &Path) -> Result<Blob> {
    let file = File::open(path).map_err(|error| failed("cannot open", path, &error))?;
    mmap::map(&file).map_err(|error| failed("cannot read", path, &error))
}

/// An error of the operating system, with what was tried and on what.
fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return Error::new(Code::StorageFull, format!("{what} {path}: the disk is full ({error})"));
    }
    let detail = match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{what} {path}: no permission ({error})"),
        io::ErrorKind::ReadOnlyFilesystem => format!("{what} {path}: the file system is read-only ({error})"),
        _ => format!("{what} {path}: {error}"),
    };
    Error::new(Code::Storage, detail)
}
