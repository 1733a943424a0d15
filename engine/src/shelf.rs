//! What a state has of a library: the library itself in memory, or a word about it and the file from which it is opened when
//! somebody asks.
//!
//! A library that is *shelved* costs some hundred bytes, whatever its size. Its snapshot is opened by whoever asks for it first, and
//! all versions of the state that have it share what was opened. Nothing of that shows in an answer or in the log.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    error::{Code, Error, Result},
    library::Library,
    model::{Fields, Id, LibraryInfo},
    snapshot::{self, Opened},
    storage::Storage,
};

/// Where libraries that are not in memory are opened from. A clone is a handle.
#[derive(Clone)]
pub struct Shelf {
    storage: Arc<dyn Storage + Send + Sync>,
    /// Is told of damage that was repaired while a library was opened.
    repaired: fn(&Error),
    /// Bytes of snapshots that are opened with the log; the others stay shelved.
    pub(crate) open_bytes: u64,
}

impl Shelf {
    /// Libraries in the snapshots of a storage. So many bytes of them are opened with the log, the others on demand; `repaired` is
    /// told of damage to what is made again from the rest.
    pub fn new(storage: Arc<dyn Storage + Send + Sync>, open_bytes: u64, repaired: fn(&Error)) -> Self {
        Self { storage, repaired, open_bytes }
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("open_bytes", &self.open_bytes).finish_non_exhaustive()
    }
}

/// What is said of a library without opening it.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Name, contract and the rest of what is known of it as a whole.
    pub info: Arc<LibraryInfo>,
    /// The attribute fields.
    pub fields: Arc<Fields>,
    /// Other names that lead to it.
    pub aliases: Arc<BTreeSet<Box<str>>>,
    /// Documents.
    pub documents: usize,
    /// Chunks.
    pub chunks: usize,
    /// Sequence of the last record that changed it.
    pub seq: u64,
    /// The recall that was measured for its index, 0 to 1; `None` where answers are exact.
    pub measured_recall: Option<f32>,
}

/// A library as a state has it. See the [module](self).
#[derive(Clone, Debug)]
pub struct Holding {
    place: Place,
    /// Whether it was asked for since somebody looked.
    used: Arc<AtomicBool>,
}

#[derive(Clone, Debug)]
enum Place {
    Memory(Arc<Library>),
    Shelf(Arc<Shelved>),
}

#[derive(Debug)]
struct Shelved {
    summary: Summary,
    file: String,
    shelf: Shelf,
    opened: OnceLock<Arc<Library>>,
    /// Held while it is opened, so that it is opened once.
    opening: Mutex<()>,
}

impl Holding {
    pub(crate) fn in_memory(library: Arc<Library>) -> Self {
        Self { place: Place::Memory(library), used: Arc::new(AtomicBool::new(true)) }
    }

    pub(crate) fn shelved(summary: Summary, file: &str, shelf: &Shelf) -> Self {
        let (opened, opening) = (OnceLock::new(), Mutex::new(()));
        let shelved = Shelved { summary, file: file.to_owned(), shelf: shelf.clone(), opened, opening };
        Self { place: Place::Shelf(Arc::new(shelved)), used: Arc::default() }
    }

    /// The library's id.
    pub fn id(&self) -> &Id {
        match &self.place {
            Place::Memory(library) => &library.info.id,
            Place::Shelf(shelved) => &shelved.summary.info.id,
        }
    }

    /// Sequence of the last record that changed the library.
    pub fn seq(&self) -> u64 {
        match &self.place {
            Place::Memory(library) => library.seq,
            Place::Shelf(shelved) => shelved.summary.seq,
        }
    }

    /// What is said of the library. Cost: none of its contents are looked at.
    pub fn summary(&self) -> Summary {
        match &self.place {
            Place::Memory(library) => library.summary(),
            Place::Shelf(shelved) => shelved.summary.clone(),
        }
    }

    /// The library, if it is in memory.
    pub fn loaded(&self) -> Option<&Library> {
        match &self.place {
            Place::Memory(library) => Some(library),
            Place::Shelf(shelved) => shelved.opened.get().map(|library| &**library),
        }
    }

    /// The library. Cost: as [`snapshot::open`] the first time, if it is shelved.
    ///
    /// # Errors
    /// Those of [`snapshot::open`], and [`Code::Storage`] when the file cannot be read.
    pub fn library(&self) -> Result<&Library> {
        self.used.store(true, Ordering::Relaxed);
        match &self.place {
            Place::Memory(library) => Ok(library),
            Place::Shelf(shelved) => shelved.library().map(|library| &**library),
        }
    }

    /// Whether it was asked for since the last call.
    pub fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// The library to be changed; `None` while it is shelved.
    pub(crate) fn library_mut(&mut self) -> Option<&mut Library> {
        if let Place::Shelf(shelved) = &self.place {
            self.place = Place::Memory(Arc::clone(shelved.opened.get()?));
        }
        match &mut self.place {
            Place::Memory(library) => Some(Arc::make_mut(library)),
            Place::Shelf(_) => None,
        }
    }
}

impl Shelved {
    fn library(&self) -> Result<&Arc<Library>> {
        if let Some(library) = self.opened.get() {
            return Ok(library);
        }
        let _one = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = self.opened.get() {
            return Ok(library);
        }
        let library = self.open()?;
        Ok(self.opened.get_or_init(|| Arc::new(library)))
    }

    fn open(&self) -> Result<Library> {
        let (file, id) = (&self.file, &self.summary.info.id);
        let blob = self.shelf.storage.read(file)?.ok_or_else(|| missing(id, file))?;
        let Opened { library, damage } = snapshot::open(file, &blob)?;
        damage.iter().for_each(self.shelf.repaired);
        check(file, &library.summary(), id)?;
        Ok(library)
    }
}

/// Refuses a snapshot that holds another library.
pub(crate) fn check(file: &str, found: &Summary, id: &Id) -> Result<()> {
    if found.info.id == *id {
        return Ok(());
    }
    Err(Error::damaged(file, 0, format!("it holds the library '{}' instead of '{id}'", found.info.id)))
}

/// The error for a snapshot that is not there.
pub(crate) fn missing(library: &Id, file: &str) -> Error {
    Error::new(Code::Damaged, format!("the snapshot {file} of the library '{library}' is missing")).field(file)
}
