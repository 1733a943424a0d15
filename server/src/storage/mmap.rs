//! Files mapped into memory: the only unsafe code of the server.
#![allow(unsafe_code)]

use std::{fs::File, io};

use memmap2::Mmap;
use vecino_engine::blob::Blob;

/// Maps a file whose bytes never change: one that was renamed into its place whole, and is only ever removed.
pub(super) fn map(file: &File) -> io::Result<Blob> {
    // SAFETY: a mapping is sound while nobody changes or cuts the file behind it. This process replaces such a file only by
    // renaming another one over its name and removes it only by its name; both leave the mapped file itself as it is. Other
    // Vecino processes are kept out by the lock on the folder. What remains, somebody else who writes into the folder's
    // files, cannot be ruled out on any system; the folder is created for its owner alone.
    let mapped = unsafe { Mmap::map(file) }?;
    Ok(Blob::new(mapped))
}
