//! LSH: tables in which near rows are likely to share a bucket; a search looks into the buckets around its own.
//!
//! | | cost, with n rows of d dimensions in T tables |
//! |---|---|
//! | build | n rotations, O(d log d) each, and `n T` places in buckets; the rotations on all threads of the pool |
//! | search | one rotation, one bucket for each few candidates, `effort` comparisons of codes, and some 30 of floats |
//! | add | one rotation, T places; at 4 times the rows, all tables anew: O(1) amortised |
//! | remove | T places |
//! | memory a row | some 10 to 15 bytes a table: 4 in a bucket, 4 for its number, the rest for the table of buckets |
//!
//! **When.** Rows come and go so often that a graph's inserts are too slow: a row is added in a few microseconds, some 50 times
//! faster than to a graph, and removed faster still. Or the data must not be learned from beyond its mean. A graph
//! ([`hnsw`](super::hnsw)) answers several times faster at the same recall.
//!
//! **Hash functions.** A row, less the mean of all rows, is rotated at random: three times its signs are flipped at random
//! and a Walsh-Hadamard transform is applied. That is additions alone, in a fixed order: the same bits on every
//! machine, without a sine or a logarithm. Each coordinate of the result is a projection on a random direction, and directions
//! are orthogonal, which is better than independent (Ji et al. 2012). From some of them each table makes the number of a bucket:
//!
//! - *Cosine*: which corner of a cross-polytope is nearest, that is, which of some projections is the longest, and its sign (Andoni et
//!   al. 2015). One hyperplane a bit (Charikar 2002) is the same with one projection each; on text embeddings it needs 2.5 times the
//!   candidates for the same recall.
//! - *Euclidean*: in which strip of a fixed width the row lies, two bits each (p-stable hashing, Datar et al. 2004).
//! - *Dot*: one more coordinate brings all rows to the length of the longest (Neyshabur and Srebro 2015): then the greatest product is the
//!   least angle, and cosine's functions serve. Rows much shorter than the longest all look alike, so that recall is lower at
//!   the same effort than under the other metrics when lengths differ much.
//!
//! **Multi-probe** (Lv et al. 2007): of all buckets of all tables, those are looked into first whose difference from the query's is
//! the least: the sum of the squares of what each function would have to give way by. An empty bucket is followed by the next,
//! until there are enough candidates.
//!
//! **Effort** is how many candidates are compared by their [codes](crate::codes); disallowed rows do not count. The last few are
//! measured by their float rows, so that keys are exact and equal on every machine. When that finds fewer than k, or a filter leaves so few
//! rows that it would cost more, all allowed rows are compared: k results whenever k match.
//!
//! The mean, the number of buckets and the width of strips are taken from the rows that are there when tables are made: at first,
//! and whenever there are 4 times as many rows, or 8 times fewer.
//!
//! Papers: P. Indyk, R. Motwani, *Approximate nearest neighbors* (1998); M. Charikar, *Similarity estimation techniques
//! from rounding algorithms* (2002); M. Datar et al., *Locality-sensitive hashing scheme based on p-stable distributions*
//! (2004); Q. Lv et al., *Multi-probe LSH* (2007); A. Andoni et al., *Practical and optimal LSH for angular distance*
//! (2015); B. Neyshabur, N. Srebro, *On symmetric and asymmetric LSHs for inner product search* (2015); J. Ji et al.,
//! *Super-bit locality-sensitive hashing* (2012).

mod buckets;
mod bytes;
mod hash;
mod rotation;
mod search;
#[cfg(test)]
mod tests;

use crate::{
    codes::Codes,
    distance::Metric,
    pool::{self, Pool},
    slots::SlotSet,
};

use super::{Found, Rows, Search, VectorIndex, flat::Flat};
use buckets::Buckets;
use hash::{Frame, Hasher};

/// Rows that one job hashes.
const ROWS_PER_JOB: usize = 256;

/// At so many times the rows that the tables were made for they are made anew.
const GROWTH: usize = 4;

/// Fewer rows than this are not worth better tables.
const FEW: usize = 256;

/// How tables are made and read. Part of what the bytes depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// How many tables, 1 to 64.
    pub tables: usize,
    /// What the hash functions are drawn from.
    pub seed: u64,
    /// The effort of a search that names none.
    pub effort: usize,
}

impl Default for Params {
    /// 40 tables, and an effort that gives a recall of 0.96 on 100,000 text embeddings.
    fn default() -> Self {
        Self { tables: 40, seed: 0, effort: 6_500 }
    }
}

/// The tables. See the [module](self).
#[derive(Clone, Debug)]
pub struct Lsh {
    params: Params,
    hasher: Hasher,
    tables: Vec<Buckets>,
    /// For each slot, its bucket in each table.
    buckets_of: Vec<u32>,
    used: SlotSet,
}

impl Lsh {
    /// No rows yet. Parameters beyond their limits are brought to them.
    pub fn new(dimension: usize, metric: Metric, params: Params) -> Self {
        let params = Params { tables: params.tables.clamp(1, 64), ..params };
        let hasher = Hasher::new(dimension, metric, params, Frame::default());
        Self { params, hasher, tables: Vec::new(), buckets_of: Vec::new(), used: SlotSet::default() }
    }

    /// How many rows are in the tables.
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// Whether no row is in the tables.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    fn add(&mut self, codes: &Codes, slots: &[u32], pool: &dyn Pool) {
        let mut slots = slots.to_vec();
        slots.sort_unstable();
        slots.dedup();
        slots.iter().for_each(|slot| self.take_out(*slot));
        slots.iter().for_each(|slot| _ = self.used.insert(*slot));
        let (now, then) = (self.len(), self.hasher.frame().rows as usize);
        if self.tables.is_empty() || now > GROWTH * then.max(FEW / GROWTH) || now < then / (2 * GROWTH) {
            self.make(codes, pool);
            return;
        }
        self.hash(codes, &slots, pool);
        let count = self.tables.len();
        for slot in slots {
            let at = slot as usize * count;
            for (table, bucket) in self.tables.iter_mut().zip(&self.buckets_of[at..at + count]) {
                table.insert(*bucket, slot);
            }
        }
    }

    /// Makes all tables anew, for as many rows as there are.
    fn make(&mut self, codes: &Codes, pool: &dyn Pool) {
        let slots: Vec<u32> = self.used.iter().collect();
        self.hasher.fit(codes, &slots);
        self.tables = vec![Buckets::default(); self.params.tables];
        self.hash(codes, &slots, pool);
        self.fill(&slots, pool);
    }

    /// Fills empty tables by the numbers in `buckets_of`.
    fn fill(&mut self, slots: &[u32], pool: &dyn Pool) {
        let (count, bits) = (self.params.tables, self.hasher.frame().bits);
        let buckets_of = &self.buckets_of;
        self.tables = pool::map(pool, count, |table| {
            Buckets::of(bits, slots.iter().map(|slot| (buckets_of[*slot as usize * count + table], *slot)))
        });
    }

    fn hash(&mut self, codes: &Codes, slots: &[u32], pool: &dyn Pool) {
        let count = self.params.tables;
        let jobs = slots.len().div_ceil(ROWS_PER_JOB);
        let hasher = &self.hasher;
        let parts = pool::map(pool, jobs, |job| {
            let slots = slots.iter().skip(job * ROWS_PER_JOB).take(ROWS_PER_JOB);
            slots.flat_map(|slot| hasher.buckets(codes, *slot)).collect::<Vec<_>>()
        });
        let end = slots.last().map_or(0, |slot| *slot as usize + 1);
        self.buckets_of.resize(self.buckets_of.len().max(end * count), 0);
        let mut numbers = parts.into_iter().flatten();
        for slot in slots {
            let at = *slot as usize * count;
            self.buckets_of[at..at + count].iter_mut().zip(&mut numbers).for_each(|(to, number)| *to = number);
        }
    }

    fn take_out(&mut self, slot: u32) {
        if self.used.remove(slot) {
            let at = slot as usize * self.tables.len();
            for (table, bucket) in self.tables.iter_mut().zip(&self.buckets_of[at..]) {
                table.remove(*bucket, slot);
            }
        }
    }
}

impl VectorIndex for Lsh {
    fn name(&self) -> &'static str {
        "lsh"
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
        self.tables.iter().map(Buckets::memory).sum::<usize>() + self.buckets_of.capacity() * 4
    }
}
