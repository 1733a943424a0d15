//! The engine's storage over a folder of files.

use std::{
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use vecino_engine::{
    Code, Error, Result,
    blob::Blob,
    storage::{Fill, Storage},
};

use super::{
    disk::{Disk, DiskFile, Folder, How},
    failed,
    lock::LOCK,
};

/// How the names of files begin that are not finished.
const UNFINISHED: &str = ".tmp-";

/// The file of zeros for the next file that is begun. It is none that counts.
const PREPARED: &str = ".tmp-prepared";

/// So many zeros are written at once; then the disk is left to others for as long.
const ZEROS: usize = 512 << 10;

/// A large file is synced after so many bytes, while it is written.
const PACE: usize = 512 << 10;

/// What is left free of a large disk.
const RESERVE: u64 = 64 << 20;

/// A folder that this process owns, or only reads.
///
/// A new file is synced before it gets its name, and the folder after that.
#[derive(Debug)]
pub struct FileStorage<D: Disk = Folder> {
    disk: D,
    /// The file that is appended to, kept open.
    open: Mutex<Option<(String, Arc<D::File>)>>,
    /// Bytes of the file of zeros, 0 while there is none.
    prepared: AtomicU64,
    /// Held by who makes it or takes it.
    preparing: Mutex<()>,
    writable: bool,
    _lock: Option<D::Lock>,
}

impl FileStorage {
    /// Takes a folder for this process alone; creates it, for its owner only, if it is missing.
    ///
    /// # Errors
    /// [`Code::Locked`] when another process has it, [`Code::Storage`] when it is a file or cannot be written.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::own(Folder::create(folder)?)
    }

    /// Opens a folder that must exist to be read, and changes nothing in it.
    ///
    /// # Errors
    /// [`Code::Locked`] while another process owns it, [`Code::Storage`] when there is none or it cannot be read.
    pub fn open_read_only(folder: &Path) -> Result<Self> {
        Self::share(Folder::existing(folder)?)
    }
}

impl<D: Disk> FileStorage<D> {
    /// Takes a disk for this process alone.
    ///
    /// # Errors
    /// As [`Disk::own`]; [`Code::Storage`] when it cannot be written.
    pub fn own(disk: D) -> Result<Self> {
        let lock = Some(disk.own()?);
        let storage = Self::over(disk, true, lock);
        for name in storage.names()? {
            if name.starts_with(UNFINISHED) {
                storage.disk.remove(&name).map_err(|error| failed("cannot remove", &storage.path(&name), &error))?;
            }
        }
        // A process that was killed may have left names that do not last yet.
        storage.sync_folder()?;
        Ok(storage)
    }

    /// Reads a disk, and changes nothing on it.
    ///
    /// # Errors
    /// As [`Disk::share`].
    pub fn share(disk: D) -> Result<Self> {
        let lock = disk.share()?;
        Ok(Self::over(disk, false, lock))
    }

    fn over(disk: D, writable: bool, lock: Option<D::Lock>) -> Self {
        Self { disk, open: Mutex::default(), prepared: AtomicU64::new(0), preparing: Mutex::default(), writable, _lock: lock }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.disk.folder()
    }

    /// What is best left free of the disk: 64 MiB, but no more than a twentieth of it.
    pub fn usual_reserve(&self) -> u64 {
        let total = self.disk.room().ok().flatten().map_or(0, |room| room.total);
        RESERVE.min(total / 20)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    fn names(&self) -> Result<Vec<String>> {
        let mut names = self.disk.names().map_err(|error| failed("cannot read the folder", self.folder(), &error))?;
        names.sort_unstable();
        Ok(names)
    }

    /// Refuses a change where none may happen.
    fn writable(&self, name: &str) -> Result<PathBuf> {
        if self.writable {
            return Ok(self.path(name));
        }
        Err(Error::new(Code::Storage, format!("{} is open to be read only: '{name}' stays as it is", self.folder().display())))
    }

    /// Makes new names in the folder, and the lack of old ones, last.
    fn sync_folder(&self) -> Result<()> {
        self.disk.sync().map_err(|error| failed("cannot sync the folder", self.folder(), &error))
    }

    /// The file to append to. Its handle is kept, since only a handle that was open at the time is sure to hear that writing
    /// back to the disk failed.
    fn appendable(&self, name: &str) -> Result<Arc<D::File>> {
        let mut kept = self.kept();
        if let Some((_, file)) = kept.as_ref().filter(|(kept, _)| kept == name) {
            return Ok(Arc::clone(file));
        }
        let path = self.writable(name)?;
        let file = self.disk.open(name, How::Existing);
        let file = Arc::new(file.map_err(|error| failed("cannot write", &path, &error))?);
        *kept = Some((name.to_owned(), Arc::clone(&file)));
        Ok(file)
    }

    /// Forgets the handle of the file, if it is the one that is kept.
    fn close(&self, name: &str) {
        self.kept().take_if(|(kept, _)| kept == name);
    }

    /// Locked for a moment only, never while the disk works.
    fn kept(&self) -> MutexGuard<'_, Option<(String, Arc<D::File>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a new file whole and makes its bytes last; its name does not yet.
    fn write_whole(&self, name: &str, fill: &mut Fill<'_>) -> io::Result<()> {
        let file = self.disk.open(name, How::Empty)?;
        let mut out = BufWriter::with_capacity(1 << 20, Paced { file: &file, unsynced: 0 });
        fill(&mut out)?;
        out.flush()?;
        file.sync_all()
    }

    /// Cuts a file and writes the rest of it once more: where a sync has failed, the cache shows bytes that the disk does not have
    /// and that no later sync would write.
    fn rewrite(&self, name: &str, len: u64) -> io::Result<()> {
        let kept = self.disk.read(name)?;
        let file = self.disk.open(name, How::Existing)?;
        file.set_len(len)?;
        let kept = kept.bytes().get(..usize::try_from(len).map_err(io::Error::other)?).ok_or(ErrorKind::UnexpectedEof)?;
        Writer(&file).write_all(kept)?;
        file.sync_all()
    }

    /// Writes the file of zeros in small pieces, since a sync of the log waits for the piece that is under way.
    fn write_zeros(&self, bytes: u64) -> io::Result<()> {
        let file = self.disk.open(PREPARED, How::Empty)?;
        let zeros = vec![0; ZEROS];
        let mut left = usize::try_from(bytes).map_err(io::Error::other)?;
        loop {
            let begun = Instant::now();
            let piece = left.min(ZEROS);
            Writer(&file).write_all(&zeros[..piece])?;
            file.sync_data()?;
            left -= piece;
            if left == 0 {
                return Ok(());
            }
            thread::sleep(begun.elapsed());
        }
    }

    /// Makes a file of the zeros that are prepared.
    fn take_prepared(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.disk.open(PREPARED, How::Existing)?;
        if file.write_at(bytes, 0)? < bytes.len() {
            return Err(ErrorKind::WriteZero.into());
        }
        file.sync_data()?;
        self.disk.rename(PREPARED, name)
    }
}

/// Writes a file on.
struct Writer<'a, F>(&'a F);

impl<F: DiskFile> Write for Writer<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As [`Writer`], with a sync after every so many bytes: a sync of the log may have to wait for all that the disk has yet to be
/// given, of any file.
struct Paced<'a, F> {
    file: &'a F,
    unsynced: usize,
}

impl<F: DiskFile> Write for Paced<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.unsynced >= PACE {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<D: Disk> Storage for FileStorage<D> {
    fn list(&self) -> Result<Vec<String>> {
        let mut names = self.names()?;
        names.retain(|name| name != LOCK && !name.starts_with(UNFINISHED));
        Ok(names)
    }

    fn read(&self, name: &str) -> Result<Option<Blob>> {
        match self.disk.read(name) {
            Ok(blob) => Ok(Some(blob)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("cannot read", &self.path(name), &error)),
        }
    }

    fn write(&self, name: &str, fill: &mut Fill<'_>) -> Result<()> {
        let path = self.writable(name)?;
        self.close(name);
        let unfinished = format!("{UNFINISHED}{name}");
        let written = self.write_whole(&unfinished, fill).and_then(|()| self.disk.rename(&unfinished, name));
        if let Err(error) = written {
            let _ = self.disk.remove(&unfinished);
            return Err(failed("cannot write", &path, &error));
        }
        self.sync_folder()
    }

    fn begin(&self, name: &str, bytes: &[u8]) -> Result<u64> {
        let path = self.writable(name)?;
        // Nobody waits for zeros that are still to be written.
        let free = self.preparing.try_lock();
        let prepared = if free.is_ok() { self.prepared.swap(0, Ordering::Relaxed) } else { 0 };
        if prepared < bytes.len() as u64 {
            self.write(name, &mut |out| out.write_all(bytes))?;
            return Ok(bytes.len() as u64);
        }
        self.close(name);
        if let Err(error) = self.take_prepared(name, bytes) {
            let _ = self.disk.remove(PREPARED);
            return Err(failed("cannot begin", &path, &error));
        }
        self.sync_folder()?;
        Ok(prepared)
    }

    fn append(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        let file = self.appendable(name)?;
        // In one call, since a crash between two could leave a frame that looks like damage. A file on a disk takes less than it
        // is given only where there is no more room.
        let written = loop {
            match file.write_at(bytes, at) {
                Ok(count) if count < bytes.len() => break Err(ErrorKind::StorageFull.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        written.map(drop).map_err(|error| failed("cannot write", &self.path(name), &error))
    }

    fn sync(&self, name: &str) -> Result<()> {
        let file = self.appendable(name)?;
        // Where the file has become longer, the new length is a part of what `sync_data` makes last.
        file.sync_data().map_err(|error| {
            self.close(name);
            failed("cannot sync", &self.path(name), &error)
        })
    }

    fn truncate(&self, name: &str, len: u64) -> Result<()> {
        let path = self.writable(name)?;
        let open = self.kept().as_ref().filter(|(kept, _)| kept == name).map(|(_, file)| Arc::clone(file));
        let cut = match open {
            // All syncs through this handle have worked. So nothing need be written again, for which there may be no room.
            Some(file) => file.set_len(len).and_then(|()| file.sync_all()),
            None => self.rewrite(name, len),
        };
        cut.map_err(|error| failed("cannot cut", &path, &error))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.writable(name)?;
        self.close(name);
        match self.disk.remove(name) {
            Ok(()) => self.sync_folder(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("cannot remove", &path, &error)),
        }
    }

    fn prepare(&self, bytes: u64) -> Result<()> {
        let _one = self.preparing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.writable(PREPARED)?;
        if self.prepared.swap(0, Ordering::Relaxed) > 0 && bytes == 0 {
            return self.disk.remove(PREPARED).map_err(|error| failed("cannot remove", &path, &error));
        }
        if bytes > 0 {
            if let Err(error) = self.write_zeros(bytes) {
                let _ = self.disk.remove(PREPARED);
                return Err(failed("cannot write", &path, &error));
            }
            self.prepared.store(bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    fn prepared(&self) -> u64 {
        self.prepared.load(Ordering::Relaxed)
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        let room = self.disk.room().map_err(|error| failed("cannot tell the free space of", self.folder(), &error))?;
        Ok(room.map(|room| room.free))
    }
}
