//! A storage that stops working at a chosen step, as a crash would.

use std::{cell::RefCell, rc::Rc};

use vecino_engine::{
    Code, Error, Result,
    blob::Blob,
    storage::{Fill, MemoryStorage, Storage},
};

/// Counts the steps of a storage, and from a chosen one on fails; the step that fails first may be half done.
#[derive(Clone, Debug, Default)]
pub struct Faulty {
    disk: Rc<RefCell<MemoryStorage>>,
    steps: Rc<RefCell<Steps>>,
}

#[derive(Debug, Default)]
struct Steps {
    done: usize,
    fail_at: Option<usize>,
}

impl Faulty {
    /// A storage over the same disk that never fails: what the next start finds.
    pub fn after_crash(&self) -> Self {
        Self { disk: Rc::clone(&self.disk), steps: Rc::default() }
    }

    /// Fails from the step of this number on, counted from now.
    pub fn fail_at(&self, step: usize) {
        *self.steps.borrow_mut() = Steps { done: 0, fail_at: Some(step) };
    }

    /// The disk.
    pub fn disk(&self) -> &RefCell<MemoryStorage> {
        &self.disk
    }

    /// Whether this step may happen: fully, or (`Err(true)`) by half, or not at all.
    fn step(&self) -> Result<(), bool> {
        let mut steps = self.steps.borrow_mut();
        steps.done += 1;
        match steps.fail_at {
            Some(fail_at) if steps.done > fail_at => Err(steps.done == fail_at + 1),
            _ => Ok(()),
        }
    }
}

fn crashed<T>() -> Result<T> {
    Err(Error::new(Code::Storage, "the test stopped the disk here"))
}

impl Storage for Faulty {
    fn list(&self) -> Result<Vec<String>> {
        self.disk.borrow().list()
    }

    fn read(&self, name: &str) -> Result<Option<Blob>> {
        self.disk.borrow().read(name)
    }

    fn write(&self, name: &str, fill: &mut Fill<'_>) -> Result<()> {
        if self.step().is_err() { crashed() } else { self.disk.borrow().write(name, fill) }
    }

    fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        match self.step() {
            Ok(()) => self.disk.borrow().append(name, bytes),
            Err(half) => {
                if half {
                    self.disk.borrow().append(name, &bytes[..bytes.len() / 2])?;
                }
                crashed()
            }
        }
    }

    fn sync(&self, name: &str) -> Result<()> {
        if self.step().is_err() { crashed() } else { self.disk.borrow().sync(name) }
    }

    fn truncate(&self, name: &str, len: u64) -> Result<()> {
        if self.step().is_err() { crashed() } else { self.disk.borrow().truncate(name, len) }
    }

    fn remove(&self, name: &str) -> Result<()> {
        if self.step().is_err() { crashed() } else { self.disk.borrow().remove(name) }
    }
}
