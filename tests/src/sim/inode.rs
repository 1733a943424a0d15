//! A file of the simulated disk: what is on the platter, what is in the page cache, and how a crash mixes the two.

use crate::rng::Rng;

/// What a disk writes as one.
const SECTOR: usize = 512;
/// What the page cache writes back as one.
const PAGE: usize = 4096;

/// A change that has not been synced.
#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Cut { len: usize },
}

/// A file without its name.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    durable: Vec<u8>,
    cached: Vec<u8>,
    pending: Vec<Change>,
}

/// How much of what was not synced a crash leaves.
#[derive(Clone, Copy, Debug)]
enum Mix {
    Nothing,
    Everything,
    /// The first changes, and of the next one the first bytes.
    Prefix,
    /// Each page, or each sector, as it was after any number of the changes; the length too.
    Each(usize),
}

impl Inode {
    pub(super) fn cached(&self) -> &[u8] {
        &self.cached
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.pending.push(Change::Write { at, bytes: bytes.to_vec() });
        overwrite(&mut self.cached, at, bytes);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.pending.push(Change::Cut { len });
        self.cached.resize(len, 0);
    }

    /// Flips a bit on the platter.
    pub(super) fn flip(&mut self, bit: usize) {
        self.cached[bit / 8] ^= 1 << (bit % 8);
        self.durable.clone_from(&self.cached);
    }

    /// Writes the pages back that were changed.
    pub(super) fn sync(&mut self) {
        let cached = &self.cached;
        self.durable.resize(cached.len(), 0);
        for change in self.pending.drain(..) {
            let Change::Write { at, bytes } = change else { continue };
            let start = (at / PAGE * PAGE).min(cached.len());
            let end = (at + bytes.len()).next_multiple_of(PAGE).min(cached.len());
            self.durable[start..end].copy_from_slice(&cached[start..end]);
        }
    }

    /// A sync that fails: some pages are on the platter, the others never will be, but the cache still shows them.
    pub(super) fn fail_to_sync(&mut self, rng: &mut Rng) {
        self.durable = self.mixed(rng);
        self.pending.clear();
    }

    /// The power goes: what is left is on the platter. Whether anything was lost.
    pub(super) fn cut_power(&mut self, rng: &mut Rng) -> bool {
        if self.pending.is_empty() && self.durable.len() == self.cached.len() && self.durable == self.cached {
            return false;
        }
        self.durable = self.mixed(rng);
        self.pending.clear();
        let lost = self.durable != self.cached;
        self.cached.clone_from(&self.durable);
        lost
    }

    fn mixed(&self, rng: &mut Rng) -> Vec<u8> {
        let count = self.pending.len();
        match *rng.pick(&[Mix::Nothing, Mix::Everything, Mix::Prefix, Mix::Each(PAGE), Mix::Each(SECTOR)]) {
            _ if count == 0 => self.durable.clone(),
            Mix::Nothing => self.durable.clone(),
            Mix::Everything => self.after(count),
            Mix::Prefix => {
                let whole = rng.below(count);
                let mut bytes = self.after(whole);
                match &self.pending[whole] {
                    Change::Write { at, bytes: written } => {
                        let count = whole_sectors(*at, rng.below(written.len() + 1), written.len());
                        overwrite(&mut bytes, *at, &written[..count]);
                    }
                    Change::Cut { len } => bytes.resize(*len, 0),
                }
                bytes
            }
            Mix::Each(unit) => {
                let versions: Vec<Vec<u8>> = (0..=count).map(|changes| self.after(changes)).collect();
                let mut bytes = vec![0; rng.pick(&versions).len()];
                for (number, piece) in bytes.chunks_mut(unit).enumerate() {
                    let version = rng.pick(&versions);
                    let start = (number * unit).min(version.len());
                    let end = (start + piece.len()).min(version.len());
                    piece[..end - start].copy_from_slice(&version[start..end]);
                }
                bytes
            }
        }
    }

    /// What would be on the platter after so many of the changes.
    fn after(&self, changes: usize) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for change in &self.pending[..changes] {
            match change {
                Change::Write { at, bytes: written } => overwrite(&mut bytes, *at, written),
                Change::Cut { len } => bytes.resize(*len, 0),
            }
        }
        bytes
    }
}

/// How many bytes at `at` are written when a crash stops it after `count` of `all`.
pub(super) fn whole_sectors(at: usize, count: usize, all: usize) -> usize {
    let end = at + count;
    if count < all { (end - end % SECTOR).saturating_sub(at) } else { count }
}

fn overwrite(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}
