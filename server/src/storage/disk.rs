//! The calls of a file system that [`FileStorage`](super::FileStorage) is made of, and the real ones over a folder.

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
};

use vecino_engine::{
    Code, Error, Result,
    blob::{AlignedBytes, Blob},
};

use super::{failed, lock::FolderLock, mmap};

/// Below this, reading is cheaper than mapping.
const MAP_FROM_BYTES: u64 = 64 * 1024;

/// A folder as the operating system gives it: what is not synced may be gone after a power cut, in whole or in part and in any
/// order, and every call may fail.
pub trait Disk: fmt::Debug {
    /// An open file.
    type File: DiskFile;
    /// Keeps others out until it is dropped.
    type Lock: fmt::Debug;

    /// Where it is, for messages.
    fn folder(&self) -> &Path;

    /// Takes the folder for this process alone.
    ///
    /// # Errors
    /// [`Code::Locked`] when another process has it, [`Code::Storage`].
    fn own(&self) -> Result<Self::Lock>;

    /// Keeps owners out while the folder is read, and changes nothing. A folder that nobody ever owned has no lock.
    ///
    /// # Errors
    /// [`Code::Locked`] when another process owns it, [`Code::Storage`].
    fn share(&self) -> Result<Option<Self::Lock>>;

    /// The names of its files, in no order.
    fn names(&self) -> io::Result<Vec<String>>;

    /// The content of a file. Later changes of the file do not show in it.
    fn read(&self, name: &str) -> io::Result<Blob>;

    /// Opens a file to be written.
    fn open(&self, name: &str, how: How) -> io::Result<Self::File>;

    /// Gives a file another name, in place of the file that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names last: new ones, and that old ones are gone.
    fn sync(&self) -> io::Result<()>;

    /// The room for its files, where that can be told.
    fn room(&self) -> io::Result<Option<Room>> {
        Ok(None)
    }
}

/// The room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that this process may still write.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Empty, whether it existed or not.
    Empty,
    /// One that exists.
    Existing,
}

/// An open file. What is written to it lasts once it is synced. Threads may share it: one writes while another one syncs.
pub trait DiskFile: fmt::Debug {
    /// Writes on from the beginning, possibly only the first bytes; how many it says.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes at a place, possibly only the first bytes; how many it says. [`write`](Self::write) goes on where it was.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;

    /// Makes the bytes last, and the length.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes everything about the file last, but not its name.
    fn sync_all(&self) -> io::Result<()>;

    /// Cuts the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// A folder of this machine.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A folder that exists.
    ///
    /// # Errors
    /// [`Code::Storage`] when there is none.
    pub fn existing(path: &Path) -> Result<Self> {
        let about = fs::metadata(path).map_err(|error| failed("cannot open the data folder", path, &error))?;
        if about.is_dir() { Ok(Self { path: path.to_owned() }) } else { Err(not_a_folder(path)) }
    }

    /// A folder, created for its owner only if it is missing.
    ///
    /// # Errors
    /// [`Code::Storage`] when it is a file or cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            _ => return Self::existing(path),
        }
        let uncreated = |error: io::Error| failed("cannot create the data folder", path, &error);
        let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).count();
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(uncreated)?;
        for parent in path.ancestors().skip(1).take(missing) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            sync_folder(parent).map_err(uncreated)?;
        }
        Ok(Self { path: path.to_owned() })
    }
}

impl Disk for Folder {
    type File = File;
    type Lock = FolderLock;

    fn folder(&self) -> &Path {
        &self.path
    }

    fn own(&self) -> Result<FolderLock> {
        FolderLock::own(&self.path)
    }

    fn share(&self) -> Result<Option<FolderLock>> {
        FolderLock::share(&self.path)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // A name that is not UTF-8 is not one of ours.
            if let (Ok(name), true) = (entry.file_name().into_string(), entry.file_type()?.is_file()) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Blob> {
        let mut file = File::open(self.path.join(name))?;
        let len = file.metadata()?.len();
        // Snapshots never change; a log does, so what is seen of it is a copy.
        if [".vecino", ".snapshot"].iter().any(|end| name.ends_with(end)) && len >= MAP_FROM_BYTES {
            return mmap::map(&file);
        }
        let mut bytes = AlignedBytes::zeroed(usize::try_from(len).map_err(io::Error::other)?);
        file.read_exact(bytes.as_mut_slice())?;
        Ok(Blob::new(bytes))
    }

    fn open(&self, name: &str, how: How) -> io::Result<File> {
        let path = self.path.join(name);
        match how {
            How::Empty => File::create(path),
            How::Existing => OpenOptions::new().write(true).open(path),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        sync_folder(&self.path)
    }

    #[cfg(unix)]
    fn room(&self) -> io::Result<Option<Room>> {
        let about = rustix::fs::statvfs(&self.path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(about.f_frsize);
        Ok(Some(Room { free: bytes(about.f_bavail), total: bytes(about.f_blocks) }))
    }
}

impl DiskFile for File {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self;
        io::Write::write(&mut file, bytes)
    }

    #[cfg(unix)]
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(self, bytes, at)
    }

    #[cfg(windows)]
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_write(self, bytes, at)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
}

fn not_a_folder(folder: &Path) -> Error {
    Error::new(Code::Storage, format!("{} is a file; the data need a folder", folder.display()))
}

/// Other systems than Unix cannot sync a folder, and need not.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
