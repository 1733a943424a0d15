//! The graph as a section of a snapshot.
//!
//! All numbers are little endian.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | format, 1 |
//! | 4 | metric, its place in [`Metric::ALL`] |
//! | 4 each | `m`, `ef_construction`, `effort` |
//! | 8 | seed |
//! | 4 | length that rows were lifted to when rows were last added; 0 unless under dot |
//! | 4 | number of layers |
//! | 4 | row of the highest layer at which walks start; `u32::MAX` in an empty graph |
//! | | the layers, from the base up |
//!
//! | bytes | a layer with `r` rows of which each has at most `c` links |
//! |---|---|
//! | 4 | `r` |
//! | 4 `r` | slot of each row; `u32::MAX` where the row is free |
//! | 4 `r` | above the base: the row in the layer below |
//! | 4 `c` `r` | links of each row, filled up with `u32::MAX` |
//!
//! What the bytes say is checked, so that no damage does more harm than bad answers.

use crate::distance::Metric;

use super::{
    Hnsw, Params,
    graph::{FREE, Layer},
};

const FORMAT: u32 = 1;

/// Limit of the numbers in the head that nothing else limits.
const MAX_NUMBER: u32 = 1 << 30;

impl Hnsw {
    /// The graph as bytes: equal graphs give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let links: usize = self.layers.iter().map(|layer| layer.rows() * (layer.capacity + 2)).sum();
        let mut bytes = Vec::with_capacity(64 + 4 * links);
        let mut word = |word: u32| bytes.extend_from_slice(&word.to_le_bytes());
        let Params { m, ef_construction, seed, effort } = self.params;
        word(FORMAT);
        word(Metric::ALL.iter().position(|metric| *metric == self.metric).unwrap_or(0) as u32);
        for number in [m, ef_construction, effort] {
            word(number.min(MAX_NUMBER as usize) as u32);
        }
        word(seed as u32);
        word((seed >> 32) as u32);
        word(self.lift.to_bits());
        word(self.layers.len() as u32);
        word(self.entry.map_or(FREE, |(_, row)| row));
        for layer in &self.layers {
            let rows = 0..layer.rows() as u32;
            word(rows.end);
            for row in rows.clone() {
                word(if layer.used.contains(row) { layer.slot(row) } else { FREE });
            }
            if layer.above.is_some() {
                rows.clone().for_each(|row| word(layer.below(row)));
            }
            for row in rows {
                layer.padded_links(row).iter().take(layer.capacity).for_each(|link| word(*link));
            }
        }
        bytes
    }

    /// The graph from what [`to_bytes`](Self::to_bytes) gave. `slots` is one past the highest slot that there may be.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8], slots: usize) -> Result<Self, &'static str> {
        let mut words = Words(bytes);
        if words.next()? != FORMAT {
            return Err("the graph has an unknown format");
        }
        let metric = Metric::ALL.get(words.next()? as usize).copied().ok_or("the graph has an unknown metric")?;
        let [m, ef_construction, effort] = [words.next()?, words.next()?, words.next()?];
        if !(2..=128).contains(&m) || !(1..=MAX_NUMBER).contains(&ef_construction) || effort > MAX_NUMBER {
            return Err("the parameters of the graph are beyond their limits");
        }
        let seed = u64::from(words.next()?) | u64::from(words.next()?) << 32;
        let params = Params { m: m as usize, ef_construction: ef_construction as usize, seed, effort: effort as usize };
        let mut graph = Self::new(metric, params);
        let lift = f32::from_bits(words.next()?);
        if lift.is_nan() || lift.is_sign_negative() {
            return Err("the length that rows are lifted to is none");
        }
        graph.lift = lift;
        let (count, entry) = (words.next()? as usize, words.next()?);
        if count == 0 || count > super::insert::MAX_LEVEL + 1 {
            return Err("the graph has no layers, or too many");
        }
        graph.layers.clear();
        for level in 0..count {
            let layer = words.layer(params.m, graph.layers.last(), slots)?;
            if level > 0 && layer.used.is_empty() {
                return Err("a layer above the base is empty");
            }
            graph.layers.push(layer);
        }
        let top = count - 1;
        let used = graph.layers.last().is_some_and(|layer| layer.used.contains(entry));
        if !used && (entry != FREE || !graph.is_empty()) {
            return Err("walks do not start at a row of the highest layer");
        }
        if !words.0.is_empty() {
            return Err("bytes follow the graph");
        }
        graph.entry = used.then_some((top, entry));
        Ok(graph)
    }
}

/// What is left to read.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn next(&mut self) -> Result<u32, &'static str> {
        let (word, rest) = self.0.split_first_chunk().ok_or("the graph is cut short")?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*word))
    }

    fn many(&mut self, count: usize) -> Result<Vec<u32>, &'static str> {
        let bytes = count.checked_mul(4).ok_or("the graph is cut short")?;
        let (words, rest) = self.0.split_at_checked(bytes).ok_or("the graph is cut short")?;
        self.0 = rest;
        Ok(words.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    /// The next layer, on top of `below`.
    fn layer(&mut self, m: usize, below: Option<&Layer>, slots: usize) -> Result<Layer, &'static str> {
        let rows = self.next()? as usize;
        if rows > slots {
            return Err("a layer has more rows than there are slots");
        }
        let named = self.many(rows)?;
        let down = if below.is_some() { self.many(rows)? } else { Vec::new() };
        let mut layer = Layer::new(if below.is_some() { m } else { 2 * m }, below.is_none());
        let links = self.many(rows * layer.capacity)?;
        layer.restore(&named, &down);
        for (row, &slot) in (0_u32..).zip(&named) {
            let sound = match below {
                _ if slot == FREE => down.get(row as usize).is_none_or(|down| *down == FREE),
                None => slot == row,
                Some(below) => below.row(slot) == down.get(row as usize).copied() && layer.row(slot) == Some(row),
            };
            if !sound {
                return Err("a row does not stand for its slot");
            }
        }
        for (row, list) in (0_u32..).zip(links.chunks_exact(layer.capacity)) {
            let len = list.iter().position(|link| *link == FREE).unwrap_or(list.len());
            let (list, rest) = list.split_at(len);
            if rest.iter().any(|link| *link != FREE) || (len > 0 && !layer.used.contains(row)) {
                return Err("a row has links where there should be none");
            }
            if list.iter().any(|link| !layer.used.contains(*link) || *link == row) {
                return Err("a link leads nowhere");
            }
            layer.set_links(row, list);
        }
        Ok(layer)
    }
}
