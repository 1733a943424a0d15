//! A folder as the engine's storage: [`FileStorage`], with the lock that keeps other processes out of the folder.

mod files;
mod lock;
mod mmap;

pub use files::FileStorage;

use std::{io, path::Path};

use vecino_engine::{Code, Error};

/// Stands in the message of every error that a full disk causes.
const DISK_FULL: &str = "the disk is full";

/// Whether an error of the storage, or one that it left behind, comes from a full disk.
pub fn is_full(error: &Error) -> bool {
    error.code == Code::Storage && error.detail.contains(DISK_FULL)
}

/// An error of the operating system, with what was tried and on what.
fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    let detail = match error.kind() {
        io::ErrorKind::StorageFull => format!("{what} {path}: {DISK_FULL} ({error})"),
        io::ErrorKind::QuotaExceeded => format!("{what} {path}: {DISK_FULL} for this user ({error})"),
        io::ErrorKind::PermissionDenied => format!("{what} {path}: no permission ({error})"),
        io::ErrorKind::ReadOnlyFilesystem => format!("{what} {path}: the file system is read-only ({error})"),
        _ => format!("{what} {path}: {error}"),
    };
    Error::new(Code::Storage, detail)
}
