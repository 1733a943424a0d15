//! The engine's storage over a folder of files.

use std::{
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
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

/// A folder that this process owns, or only reads.
///
/// What is written lasts: a new file is synced before it gets its name and the folder after that; appended bytes are synced
/// before [`Storage::append`] returns.
#[derive(Debug)]
pub struct FileStorage<D: Disk = Folder> {
    disk: D,
    /// The file that is appended to, kept open.
    open: Option<(String, D::File)>,
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
        let storage = Self { disk, open: None, writable: true, _lock: lock };
        for name in storage.names()? {
            if name.starts_with(UNFINISHED) {
                storage.disk.remove(&name).map_err(|error| failed("cannot remove", &storage.path(&name), &error))?;
            }
        }
        Ok(storage)
    }

    /// Reads a disk, and changes nothing on it.
    ///
    /// # Errors
    /// As [`Disk::share`].
    pub fn share(disk: D) -> Result<Self> {
        let lock = disk.share()?;
        Ok(Self { disk, open: None, writable: false, _lock: lock })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.disk.folder()
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

    /// The open handle of the file, if it is the one that is kept open.
    fn close(&mut self, name: &str) {
        self.open.take_if(|(open, _)| open == name);
    }

    /// Writes a new file whole and makes its bytes last; its name does not yet.
    fn write_whole(&self, name: &str, fill: &mut Fill<'_>) -> io::Result<()> {
        let file = self.disk.open(name, How::Empty)?;
        let mut out = BufWriter::with_capacity(1 << 20, Writer(&file));
        fill(&mut out)?;
        out.flush()?;
        file.sync_all()
    }
}

/// What is written goes to the end of a file.
struct Writer<'a, F>(&'a F);

impl<F: DiskFile> Write for Writer<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<D: Disk> Storage for FileStorage<D> {
    fn list(&mut self) -> Result<Vec<String>> {
        let mut names = self.names()?;
        names.retain(|name| name != LOCK && !name.starts_with(UNFINISHED));
        Ok(names)
    }

    fn read(&mut self, name: &str) -> Result<Option<Blob>> {
        match self.disk.read(name) {
            Ok(blob) => Ok(Some(blob)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("cannot read", &self.path(name), &error)),
        }
    }

    fn write(&mut self, name: &str, fill: &mut Fill<'_>) -> Result<()> {
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

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.writable(name)?;
        let unwritable = |error: io::Error| failed("cannot write", &path, &error);
        let file = match self.open.take() {
            Some((open, file)) if open == name => file,
            _ => self.disk.open(name, How::Append).map_err(unwritable)?,
        };
        // The new length of the file is a part of what `sync_data` makes last.
        Writer(&file).write_all(bytes).and_then(|()| file.sync_data()).map_err(unwritable)?;
        self.open = Some((name.to_owned(), file));
        Ok(())
    }

    fn truncate(&mut self, name: &str, len: u64) -> Result<()> {
        let path = self.writable(name)?;
        self.close(name);
        let file = self.disk.open(name, How::Cut);
        let cut = file.and_then(|file| file.set_len(len).and_then(|()| file.sync_all()));
        cut.map_err(|error| failed("cannot cut", &path, &error))
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        let path = self.writable(name)?;
        self.close(name);
        match self.disk.remove(name) {
            Ok(()) => self.sync_folder(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("cannot remove", &path, &error)),
        }
    }
}
