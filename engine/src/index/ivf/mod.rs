//! IVF: rows in lists by their nearest of some centres; a search reads the lists of the centres that are nearest to the query.
//!
//! Centres and rows are compared by their [codes](crate::codes), whose products are exact integers; the last few candidates are measured
//! by their float rows, so that keys are exact and equal on every machine.
//!
//! | | cost, with n rows of d dimensions in L lists |
//! |---|---|
//! | build | k-means on 32 rows a list, up to 8 rounds: `256 L²` comparisons of codes, then `n L` to fill the lists; on all threads |
//! | search | `L + effort n / L` comparisons of codes, and some 30 of floats |
//! | add | `L` comparisons |
//! | remove | a binary search in one list |
//! | memory a row | 4 bytes in a list, 4 for the way back, and `L / n` of a centre's `d + 12`; and the codes, `d + 12` |
//!
//! L is `4 sqrt(n)` unless said otherwise.
//!
//! **When.** Build time or memory counts for more than speed: it is built in a fraction of the time of a graph and holds some 10 bytes a
//! row, and a removal costs nothing. A graph ([`hnsw`](super::hnsw)) answers several times faster at the same recall.
//!
//! **Effort** is a number of lists of average length: lists are read, nearest centre first, until as many *allowed* rows have been
//! compared as that many average lists hold. So a filter makes a search read more lists rather than miss more rows, and a long list
//! counts for what it costs. A search that has fewer than k goes on.
//!
//! **Metrics.** Lists are made by distance under every metric. Under cosine, where rows have length 1, that is the order of keys. Under
//! dot, lists are read in the order of the query's product with the centre, which is the mean of its products with the
//! rows; long rows among short ones are missed more often than neighbours are under the others, so let effort be higher.
//!
//! **Change.** A row that is added goes to the nearest centre there is. Centres stay until [`Ivf::train`] is called, and
//! [`Ivf::drift`] says when that is due. Equal sets of rows under equal centres are equal lists, however they came about. Until
//! there are 256 rows there is one list; then the first centres are made.
//!
//! **Equal everywhere.** The rows to learn from are drawn from the seed, each row is assigned for itself, and a mean is summed by one
//! job in the order of slots: nothing depends on the threads.
//!
//! Papers: J. Sivic, A. Zisserman, *Video Google* (2003); H. Jégou, M. Douze, C. Schmid, *Product quantization for nearest neighbor
//! search* (2011), for the inverted file; S. P. Lloyd, *Least squares quantization in PCM* (1982).

mod bytes;
mod drift;
mod search;
#[cfg(test)]
mod tests;
mod train;

pub use drift::Drift;

use crate::{
    codes::Codes,
    distance::Metric,
    pool::{self, Pool},
    slots::SlotSet,
};

use super::{Found, Rows, Search, VectorIndex, flat::Flat};
use drift::Trained;

/// No list.
const NONE: u32 = u32::MAX;

/// Rows from which on there are centres.
const FIRST_TRAINING: usize = 256;

/// Rows that one job assigns.
const ROWS_PER_JOB: usize = 256;

/// How lists are made and read. Part of what the bytes depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// How many lists; 0 is `4 sqrt(n)`.
    pub lists: usize,
    /// What the rows to learn from are drawn by.
    pub seed: u64,
    /// The effort of a search that names none.
    pub effort: usize,
}

impl Default for Params {
    /// Effort 72 gives a recall of some 0.95 on 100,000 text embeddings.
    fn default() -> Self {
        Self { lists: 0, seed: 0, effort: 72 }
    }
}

/// The lists. See the [module](self).
#[derive(Clone, Debug)]
pub struct Ivf {
    params: Params,
    metric: Metric,
    centres: Codes,
    /// Slots, ascending.
    lists: Vec<Vec<u32>>,
    /// The list of each slot, or [`NONE`].
    list_of: Vec<u32>,
    used: SlotSet,
    trained: Trained,
}

impl Ivf {
    /// No rows yet.
    pub fn new(dimension: usize, metric: Metric, params: Params) -> Self {
        Self {
            params,
            metric,
            centres: Codes::new(dimension),
            lists: Vec::new(),
            list_of: Vec::new(),
            used: SlotSet::default(),
            trained: Trained::default(),
        }
    }

    /// How many rows are in the lists.
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// Whether no row is in the lists.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    /// How many lists there are.
    pub fn lists(&self) -> usize {
        self.lists.len()
    }

    fn add(&mut self, codes: &Codes, slots: &[u32], pool: &dyn Pool) {
        let mut slots = slots.to_vec();
        slots.sort_unstable();
        slots.dedup();
        slots.iter().for_each(|slot| self.take_out(*slot));
        slots.iter().for_each(|slot| _ = self.used.insert(*slot));
        if self.centres.rows() <= 1 && self.len() >= FIRST_TRAINING {
            self.train(codes, pool);
            return;
        }
        if self.lists.is_empty() {
            self.centres.set(0, &vec![0.0; self.centres.dimension()]);
            self.lists.push(Vec::new());
        }
        self.list(codes, &slots, pool);
    }

    /// Puts slots that are in no list into the nearest. Returns the sum of their squared distances to the centres.
    fn list(&mut self, codes: &Codes, slots: &[u32], pool: &dyn Pool) -> f64 {
        let nearest = assign(&self.centres, codes, slots, pool);
        let end = slots.last().map_or(0, |slot| *slot as usize + 1);
        self.list_of.resize(self.list_of.len().max(end), NONE);
        let mut error = 0.0;
        for (&slot, (key, list)) in slots.iter().zip(nearest) {
            let rows = &mut self.lists[list as usize];
            let at = if rows.last().is_some_and(|last| *last > slot) {
                rows.partition_point(|other| *other < slot)
            } else {
                rows.len()
            };
            rows.insert(at, slot);
            self.list_of[slot as usize] = list;
            error += f64::from(key.max(0.0));
        }
        self.trained.added += slots.len() as u64;
        self.trained.added_error += error;
        error
    }

    fn take_out(&mut self, slot: u32) {
        if !self.used.remove(slot) {
            return;
        }
        let list = std::mem::replace(&mut self.list_of[slot as usize], NONE);
        if let Some(rows) = self.lists.get_mut(list as usize)
            && let Ok(at) = rows.binary_search(&slot)
        {
            rows.remove(at);
        }
    }
}

/// The nearest centre of each of `slots` and the squared distance to it, by codes; equally near ones by number.
fn assign(centres: &Codes, codes: &Codes, slots: &[u32], pool: &dyn Pool) -> Vec<(f32, u32)> {
    let centres = centres.view(Metric::Euclidean);
    let rows = codes.view(Metric::Euclidean);
    let jobs = slots.len().div_ceil(ROWS_PER_JOB);
    let parts = pool::map(pool, jobs, |job| {
        let (mut products, mut keys) = (Vec::new(), Vec::new());
        let slots = slots.iter().skip(job * ROWS_PER_JOB).take(ROWS_PER_JOB);
        let nearest = slots.map(|slot| {
            centres.probe_of(&rows, *slot).keys(&mut products, &mut keys);
            let mut nearest = (f32::INFINITY, 0);
            for (centre, key) in (0..).zip(&keys) {
                if *key < nearest.0 {
                    nearest = (*key, centre);
                }
            }
            nearest
        });
        nearest.collect::<Vec<_>>()
    });
    parts.into_iter().flatten().collect()
}

impl VectorIndex for Ivf {
    fn name(&self) -> &'static str {
        "ivf"
    }

    /// Without codes nothing is taken in, and searches compare one by one.
    fn insert(&mut self, rows: Rows<'_>, slots: &[u32], pool: &dyn Pool) {
        if let Some(codes) = rows.codes {
            self.add(codes, slots, pool);
        }
    }

    fn remove(&mut self, _: Rows<'_>, slots: &[u32], _: &dyn Pool) {
        slots.iter().for_each(|slot| self.take_out(*slot));
    }

    fn search(&self, search: &Search<'_>) -> Found {
        match search.codes {
            Some(codes) => self.find(search, codes),
            None => Flat.search(search),
        }
    }

    fn memory(&self) -> usize {
        let lists: usize = self.lists.iter().map(|list| list.capacity() * 4 + size_of::<Vec<u32>>()).sum();
        lists + self.list_of.capacity() * 4 + self.centres.memory()
    }
}
