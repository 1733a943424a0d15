//! The tables as a section of a snapshot.
//!
//! Numbers of 32 bits, little endian; long ones of 64, the lower half first: format, metric (its place in [`Metric::ALL`]), the
//! parameters (tables, effort, long seed), dimension, how many tables were made (all or none), the frame (long rows, bits, longest,
//! strip, and the centre with its length), how many slots, and for each slot, ascending, its number and its buckets.

use crate::{
    distance::Metric,
    index::words::{Reader, Writer},
    pool::Sequential,
};

use super::{
    Lsh, Params,
    hash::{Frame, Hasher},
};

const FORMAT: u32 = 1;

impl Lsh {
    /// The tables as bytes: equal tables give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Writer::default();
        let Params { tables, seed, effort } = self.params;
        bytes.word(FORMAT);
        bytes.word(Metric::ALL.iter().position(|metric| *metric == self.hasher.metric()).unwrap_or(0) as u32);
        bytes.words([tables as u32, u32::try_from(effort).unwrap_or(u32::MAX)]);
        bytes.long(seed);
        bytes.words([self.hasher.dimension() as u32, self.tables.len() as u32]);
        let Frame { rows, bits, longest, strip, centre } = self.hasher.frame();
        bytes.long(*rows);
        bytes.words([*bits, longest.to_bits(), strip.to_bits(), centre.len() as u32]);
        bytes.words(centre.iter().map(|x| x.to_bits()));
        bytes.word(self.len() as u32);
        let count = self.tables.len();
        for slot in self.used.iter() {
            bytes.word(slot);
            bytes.words(self.buckets_of[slot as usize * count..(slot as usize + 1) * count].iter().copied());
        }
        bytes.0
    }

    /// The tables from what [`to_bytes`](Self::to_bytes) gave. `slots` is one past the highest slot that there may be.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8], dimension: usize, slots: usize) -> Result<Self, &'static str> {
        let mut bytes = Reader(bytes);
        if bytes.word()? != FORMAT {
            return Err("the tables have an unknown format");
        }
        let metric = *Metric::ALL.get(bytes.word()? as usize).ok_or("the tables have an unknown metric")?;
        let params = Params { tables: bytes.word()? as usize, effort: bytes.word()? as usize, seed: bytes.long()? };
        if !(1..=64).contains(&params.tables) || bytes.word()? as usize != dimension {
            return Err("the tables are of another kind");
        }
        let count = bytes.word()? as usize;
        if count != 0 && count != params.tables {
            return Err("some tables are missing");
        }
        let mut index = Self::new(dimension, metric, params);
        let frame = read_frame(&mut bytes)?;
        let centre = if count == 0 { 0 } else { index.hasher.lifted() };
        if frame.centre.len() != centre || count != 0 && !(4..=24).contains(&frame.bits) || frame.bits > 24 {
            return Err("the measure of the tables is wrong");
        }
        let end = 1_u32 << frame.bits;
        index.hasher = Hasher::new(dimension, metric, params, frame);
        let rows = bytes.word()?;
        let mut all = Vec::new();
        for _ in 0..rows {
            let slot = bytes.word()?;
            if count == 0 || slot as usize >= slots || all.last().is_some_and(|last| *last >= slot) {
                return Err("a slot of the tables is wrong");
            }
            all.push(slot);
            index.used.insert(slot);
            index.buckets_of.resize(slot as usize * count, 0);
            for _ in 0..count {
                let bucket = bytes.word()?;
                if bucket >= end {
                    return Err("a bucket of the tables is wrong");
                }
                index.buckets_of.push(bucket);
            }
        }
        bytes.end()?;
        if count != 0 {
            index.fill(&all, &Sequential);
        }
        Ok(index)
    }
}

fn read_frame(bytes: &mut Reader<'_>) -> Result<Frame, &'static str> {
    let rows = bytes.long()?;
    let bits = bytes.word()?;
    let [longest, strip] = [bytes.float()?, bytes.float()?];
    let len = bytes.word()?;
    let mut centre = Vec::new();
    for _ in 0..len {
        centre.push(bytes.float()?);
    }
    let positive = [longest, strip].iter().all(|x| x.is_sign_positive() && !x.is_nan());
    if positive && centre.iter().all(|x| !x.is_nan()) {
        Ok(Frame { rows, bits, longest, strip, centre })
    } else {
        Err("the frame is damaged")
    }
}
