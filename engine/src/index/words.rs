//! Numbers of 32 bits, little endian: what the bytes of indexes are made of. And numbers drawn by hash.

/// Writes numbers.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn word(&mut self, word: u32) {
        self.0.extend_from_slice(&word.to_le_bytes());
    }

    pub(super) fn words(&mut self, words: impl IntoIterator<Item = u32>) {
        words.into_iter().for_each(|word| self.word(word));
    }

    pub(super) fn long(&mut self, long: u64) {
        self.words([long as u32, (long >> 32) as u32]);
    }
}

/// Reads numbers; an error when they are at an end.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn word(&mut self) -> Result<u32, &'static str> {
        let (word, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*word))
    }

    pub(super) fn long(&mut self) -> Result<u64, &'static str> {
        let (low, high) = (self.word()?, self.word()?);
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], &'static str> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(SHORT)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A float of 32 bits.
    pub(super) fn float(&mut self) -> Result<f32, &'static str> {
        self.word().map(f32::from_bits)
    }

    /// A finite float that is at least 0.
    pub(super) fn positive(&mut self) -> Result<f64, &'static str> {
        let float = f64::from_bits(self.long()?);
        if float.is_finite() && float.is_sign_positive() { Ok(float) } else { Err("a number of the index is not finite") }
    }

    pub(super) fn end(&self) -> Result<(), &'static str> {
        if self.0.is_empty() { Ok(()) } else { Err("there are bytes behind the index") }
    }
}

const SHORT: &str = "the bytes of the index end early";

/// Numbers drawn from a seed: the `n`th is a hash of both, the same on every machine.
///
/// G. L. Steele, D. Lea, C. H. Flood, *Fast splittable pseudorandom number generators* (2014).
pub(super) struct SplitMix(pub(super) u64);

impl SplitMix {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// `count` of `from`, or all, in the order of `from`.
    pub(super) fn sample(&mut self, from: &[u32], count: usize) -> Vec<u32> {
        let mut left = count.min(from.len());
        let mut chosen = Vec::with_capacity(left);
        for (at, item) in from.iter().enumerate() {
            if self.below(from.len() - at) < left {
                chosen.push(*item);
                left -= 1;
            }
        }
        chosen
    }
}
