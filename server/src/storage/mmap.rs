//! Files mapped into memory: the only unsafe code of the server.
#![allow(unsafe_code)]

use std::{fs::File, io, thread};

use memmap2::Mmap;
use vecino_engine::blob::Blob;

/// Maps a file whose bytes never change: one that was renamed into its place whole, and is only ever removed.
pub(super) fn map(file: &File) -> io::Result<Blob> {
    // SAFETY: a mapping is sound while nobody changes or cuts the file behind it. This process replaces such a file only by
    // renaming another one over its name and removes it only by its name; both leave the mapped file itself as it is. Other
    // Vecino processes are kept out by the lock on the folder. What remains, somebody else who writes into the folder's
    // files, cannot be ruled out on any system; the folder is created for its owner alone.
    let mapped = unsafe { Mmap::map(file) }?;
    Ok(Blob::new(Mapped(Some(mapped))))
}

/// Giving back a file of so many bytes takes long: with the last mapping of a file that was removed, its room is freed.
const LARGE: usize = 4 << 20;

/// A mapped file. Whoever drops it, perhaps a search or a write, does not wait until it is given back.
struct Mapped(Option<Mmap>);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let Some(mapped) = self.0.take_if(|mapped| mapped.len() >= LARGE) {
            // Where no thread can be started, it is done here.
            let _ = thread::Builder::new().name("vecino-unmap".to_owned()).spawn(move || drop(mapped));
        }
    }
}
