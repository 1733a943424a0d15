//! The lists as a section of a snapshot.
//!
//! Numbers of 32 bits, little endian; long ones of 64, the lower half first: format, metric (its place in [`Metric::ALL`]), the
//! parameters (lists, effort, long seed), dimension, lists, then what is known of the last training (five long ones), the codes of the
//! centres, and for each list its length and its slots, ascending.

use crate::{
    codes::Codes,
    distance::Metric,
    index::words::{Reader, Writer},
};

use super::{Ivf, NONE, Params, drift::Trained};

const FORMAT: u32 = 1;

impl Ivf {
    /// The lists as bytes: equal lists give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Writer::default();
        let Params { lists, seed, effort } = self.params;
        bytes.word(FORMAT);
        bytes.word(Metric::ALL.iter().position(|metric| *metric == self.metric).unwrap_or(0) as u32);
        bytes.words([lists, effort].map(|number| u32::try_from(number).unwrap_or(u32::MAX)));
        bytes.long(seed);
        bytes.words([self.centres.dimension() as u32, self.lists.len() as u32]);
        let Trained { rows, error, imbalance, added, added_error } = self.trained;
        [rows, error.to_bits(), imbalance.to_bits(), added, added_error.to_bits()].into_iter().for_each(|long| bytes.long(long));
        bytes.0.extend(self.centres.to_bytes());
        for list in &self.lists {
            bytes.word(list.len() as u32);
            bytes.words(list.iter().copied());
        }
        bytes.0
    }

    /// The lists from what [`to_bytes`](Self::to_bytes) gave. `slots` is one past the highest slot that there may be.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8], dimension: usize, slots: usize) -> Result<Self, &'static str> {
        let mut bytes = Reader(bytes);
        if bytes.word()? != FORMAT {
            return Err("the lists have an unknown format");
        }
        let metric = *Metric::ALL.get(bytes.word()? as usize).ok_or("the lists have an unknown metric")?;
        let params = Params { lists: bytes.word()? as usize, effort: bytes.word()? as usize, seed: bytes.long()? };
        if bytes.word()? as usize != dimension {
            return Err("the lists are of another dimension");
        }
        let lists = bytes.word()? as usize;
        if lists > bytes.0.len() / 4 {
            return Err("there are more lists than bytes");
        }
        let mut index = Self::new(dimension, metric, params);
        index.trained = Trained {
            rows: bytes.long()?,
            error: bytes.positive()?,
            imbalance: bytes.positive()?,
            added: bytes.long()?,
            added_error: bytes.positive()?,
        };
        let centres = lists.checked_mul(dimension.next_multiple_of(64) + 12).ok_or("there are too many lists")?;
        index.centres = Codes::from_bytes(dimension, lists, bytes.bytes(centres)?).ok_or("the centres are damaged")?;
        index.list_of.resize(slots, NONE);
        for list in 0..lists as u32 {
            let len = bytes.word()?;
            let mut rows = Vec::new();
            for _ in 0..len {
                let slot = bytes.word()?;
                if slot as usize >= slots || rows.last().is_some_and(|last| *last >= slot) || !index.used.insert(slot) {
                    return Err("a slot of the lists is wrong");
                }
                index.list_of[slot as usize] = list;
                rows.push(slot);
            }
            index.lists.push(rows);
        }
        bytes.end()?;
        Ok(index)
    }
}
