//! The engine's storage over a folder of files.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use vecino_engine::{
    Code, Error, Result,
    blob::{AlignedBytes, Blob},
    storage::{Fill, Storage},
};

use super::{
    failed,
    lock::{FolderLock, LOCK},
    mmap,
};

/// How the names of files begin that are not finished.
const UNFINISHED: &str = ".tmp-";

/// Below this, reading is cheaper than mapping.
const MAP_FROM_BYTES: u64 = 64 * 1024;

/// A folder that this process owns, or only reads.
///
/// What is written lasts: a new file is synced before it gets its name and the folder after that; appended bytes are synced
/// before [`Storage::append`] returns.
#[derive(Debug)]
pub struct FileStorage {
    folder: PathBuf,
    /// The file that is appended to, kept open.
    open: Option<(String, File)>,
    writable: bool,
    _lock: Option<FolderLock>,
}

impl FileStorage {
    /// Takes a folder for this process alone; creates it, for its owner only, if it is missing.
    ///
    /// # Errors
    /// [`Code::Locked`] when another process has it, [`Code::Storage`] when it is a file or cannot be written.
    pub fn open(folder: &Path) -> Result<Self> {
        create(folder)?;
        let lock = FolderLock::own(folder)?;
        let storage = Self { folder: folder.to_owned(), open: None, writable: true, _lock: Some(lock) };
        for name in storage.names()? {
            if name.starts_with(UNFINISHED) {
                let path = storage.folder.join(name);
                fs::remove_file(&path).map_err(|error| failed("cannot remove", &path, &error))?;
            }
        }
        Ok(storage)
    }

    /// Opens a folder that must exist to be read, and changes nothing in it.
    ///
    /// # Errors
    /// [`Code::Locked`] while another process owns it, [`Code::Storage`] when there is none or it cannot be read.
    pub fn open_read_only(folder: &Path) -> Result<Self> {
        let about = fs::metadata(folder).map_err(|error| failed("cannot open the data folder", folder, &error))?;
        if !about.is_dir() {
            return Err(not_a_folder(folder));
        }
        let lock = FolderLock::share(folder)?;
        Ok(Self { folder: folder.to_owned(), open: None, writable: false, _lock: lock })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn names(&self) -> Result<Vec<String>> {
        let unreadable = |error: io::Error| failed("cannot read the folder", &self.folder, &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            // A name that is not UTF-8 is not one of ours.
            if let (Ok(name), true) = (entry.file_name().into_string(), entry.file_type().map_err(unreadable)?.is_file()) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Refuses a change where none may happen.
    fn writable(&self, name: &str) -> Result<PathBuf> {
        if self.writable {
            return Ok(self.folder.join(name));
        }
        Err(Error::new(Code::Storage, format!("{} is open to be read only: '{name}' stays as it is", self.folder.display())))
    }

    /// Makes new names in the folder, and the lack of old ones, last.
    fn sync_folder(&self) -> Result<()> {
        sync_folder(&self.folder)
    }

    /// The open handle of the file, if it is the one that is kept open.
    fn close(&mut self, name: &str) {
        self.open.take_if(|(open, _)| open == name);
    }
}

impl Storage for FileStorage {
    fn list(&mut self) -> Result<Vec<String>> {
        let mut names = self.names()?;
        names.retain(|name| name != LOCK && !name.starts_with(UNFINISHED));
        Ok(names)
    }

    fn read(&mut self, name: &str) -> Result<Option<Blob>> {
        let path = self.folder.join(name);
        let unreadable = |error: &io::Error| failed("cannot read", &path, error);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&error)),
        };
        let len = file.metadata().map_err(|error| unreadable(&error))?.len();
        // Snapshots never change; a log does, so what is seen of it is a copy.
        if name.ends_with(".vecino") && len >= MAP_FROM_BYTES {
            return mmap::map(&file).map(Some).map_err(|error| unreadable(&error));
        }
        let len = usize::try_from(len).map_err(|error| unreadable(&io::Error::other(error)))?;
        let mut bytes = AlignedBytes::zeroed(len);
        file.read_exact(bytes.as_mut_slice()).map_err(|error| unreadable(&error))?;
        Ok(Some(Blob::new(bytes)))
    }

    fn write(&mut self, name: &str, fill: &mut Fill<'_>) -> Result<()> {
        let path = self.writable(name)?;
        self.close(name);
        let unfinished = self.folder.join(format!("{UNFINISHED}{name}"));
        let written = write_whole(&unfinished, fill).and_then(|()| fs::rename(&unfinished, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&unfinished);
            return Err(failed("cannot write", &path, &error));
        }
        self.sync_folder()
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.writable(name)?;
        let unwritable = |error: io::Error| failed("cannot write", &path, &error);
        let mut file = match self.open.take() {
            Some((open, file)) if open == name => file,
            _ => OpenOptions::new().append(true).open(&path).map_err(unwritable)?,
        };
        // The new length of the file is a part of what `sync_data` makes last.
        file.write_all(bytes).and_then(|()| file.sync_data()).map_err(unwritable)?;
        self.open = Some((name.to_owned(), file));
        Ok(())
    }

    fn truncate(&mut self, name: &str, len: u64) -> Result<()> {
        let path = self.writable(name)?;
        self.close(name);
        let file = OpenOptions::new().write(true).open(&path);
        let cut = file.and_then(|file| file.set_len(len).and_then(|()| file.sync_all()));
        cut.map_err(|error| failed("cannot cut", &path, &error))
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        let path = self.writable(name)?;
        self.close(name);
        match fs::remove_file(&path) {
            Ok(()) => self.sync_folder(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("cannot remove", &path, &error)),
        }
    }
}

fn write_whole(path: &Path, fill: &mut Fill<'_>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    fill(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn create(folder: &Path) -> Result<()> {
    match fs::metadata(folder) {
        Ok(about) if about.is_dir() => return Ok(()),
        Ok(_) => return Err(not_a_folder(folder)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed("cannot open the data folder", folder, &error)),
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| failed("cannot create the data folder", folder, &error))?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        _ => Ok(()),
    }
}

fn not_a_folder(folder: &Path) -> Error {
    Error::new(Code::Storage, format!("{} is a file; the data need a folder", folder.display()))
}

/// Other systems than Unix cannot sync a folder, and need not.
fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| failed("cannot sync the folder", folder, &error))?;
    }
    Ok(())
}
