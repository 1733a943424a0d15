//! The table of word vectors: reading it, and adding its rows up.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::distance::normalise;

use super::tokenizer::Tokenizer;

const MAGIC: [u8; 8] = *b"SEMBED01";
const HEADER: usize = 96;
/// Vocabulary and scales are padded to a multiple of this.
const ALIGNMENT: u64 = 16;
/// Lower-case, strip accents, split Chinese characters, normalise: the only way of working there is.
const FLAGS: u32 = 0b1111;

/// Why some bytes are not a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Not even a header.
    #[error("model: {actual} bytes are too few for the header of {HEADER}")]
    NoHeader {
        /// The bytes there are.
        actual: usize,
    },
    /// Some other kind of file, or another version of this one.
    #[error("model: field `magic` is {found:?}, not {MAGIC:?}; is this another kind of file?")]
    Magic {
        /// What stands there instead.
        found: [u8; 8],
    },
    /// A number of the header that no model has.
    #[error("model: field `{field}` is {found}, but must be {expected}")]
    Header {
        /// The field's name in the description of the format.
        field: &'static str,
        /// Its value.
        found: u32,
        /// What is allowed.
        expected: &'static str,
    },
    /// The header asks for more or fewer bytes than there are: a file cut short, usually.
    #[error("model: the header describes a file of {expected} bytes, this one has {actual}")]
    Length {
        /// The length that follows from the header.
        expected: u128,
        /// The length of the file.
        actual: usize,
    },
    /// The file was damaged.
    #[error("model: the header gives the sha256 of the body as {expected}, it is {actual}")]
    Checksum {
        /// The sum in the header, in hexadecimal.
        expected: String,
        /// The sum of the bytes.
        actual: String,
    },
    /// The vocabulary is not text.
    #[error("model: the vocabulary is not UTF-8 at byte {offset}")]
    VocabularyText {
        /// Where in the file.
        offset: usize,
    },
    /// Tokens and rows are not as many.
    #[error("model: {rows} rows, but {found} tokens in the vocabulary")]
    VocabularySize {
        /// Rows of the table.
        rows: u32,
        /// Tokens in the vocabulary.
        found: u64,
    },
    /// A token of no characters.
    #[error("model: the token of row {row} is empty")]
    EmptyToken {
        /// Its row.
        row: u32,
    },
    /// The same token twice.
    #[error("model: the token of row {row} is that of row {first} again")]
    DuplicateToken {
        /// The second row.
        row: u32,
        /// The first row.
        first: u32,
    },
    /// The header's `unk` points to some other token.
    #[error("model: field `unk` is {row}, but the token of that row is not [UNK]")]
    UnknownToken {
        /// The row.
        row: u32,
    },
    /// A row's scale is negative, infinite or not a number.
    #[error("model: the scale of row {row} is the half-precision number {bits:#06x}, not a finite positive one")]
    Scale {
        /// Its row.
        row: usize,
        /// The number as it stands in the file.
        bits: u16,
    },
}

/// How the numbers of a row are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    /// Two to a byte, the even element in the low half, each stored with 8 added.
    Four,
    /// One to a byte, signed.
    Eight,
}

/// A static embedding model: a vector for each token, and the tokenizer.
///
/// The rows stay packed in the bytes that were handed over: a `&'static [u8]` is used where it lies.
pub struct StaticModel {
    bytes: Cow<'static, [u8]>,
    /// Where in `bytes` the first row starts.
    rows: usize,
    row_bytes: usize,
    packing: Packing,
    scales: Vec<f32>,
    dimension: usize,
    unknown: u32,
    tokenizer: Tokenizer,
    name: String,
    fingerprint: String,
}

impl StaticModel {
    /// Reads a model and checks everything in it. The layout is described in `models/distil.py`.
    ///
    /// # Errors
    /// When the bytes are not a whole and sound model; the error names the field and the numbers.
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, ModelError> {
        let bytes = bytes.into();
        let header = Header::read(&bytes)?;
        let layout = header.layout(bytes.len())?;
        let fingerprint = check_sum(&bytes)?;
        header.check_vocabulary(&bytes[layout.vocabulary.start..layout.scales.start])?;
        let tokens = std::str::from_utf8(&bytes[layout.vocabulary.clone()])
            .map_err(|error| ModelError::VocabularyText { offset: layout.vocabulary.start + error.valid_up_to() })?;
        let tokenizer = Tokenizer::new(tokens, header.rows, header.unknown)?;
        let scales = read_scales(&bytes[layout.scales])?;
        Ok(StaticModel {
            rows: layout.rows,
            row_bytes: layout.row_bytes,
            packing: header.packing,
            scales,
            dimension: header.dimension as usize,
            unknown: header.unknown,
            tokenizer,
            name: format!("static-minilm-{}", header.dimension),
            fingerprint,
            bytes,
        })
    }

    /// How many numbers an embedding has.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The family and the dimension: `static-minilm-256`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sha256 of vocabulary and table, in hexadecimal. Vectors of models with different fingerprints, or dimensions, do
    /// not compare.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The ids of the text's tokens; no special ones are added, and unknown words are `[UNK]`.
    pub fn tokenize(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        self.tokenizer.each_token(text, |id| ids.push(id));
        ids
    }

    /// How many tokens the text has: the length of [`tokenize`](Self::tokenize), without making the list.
    pub fn count_tokens(&self, text: &str) -> usize {
        let mut count = 0;
        self.tokenizer.each_token(text, |_| count += 1);
        count
    }

    /// The embedding, of length one; `None` when the text has no known word, or its words cancel out.
    pub fn embed(&self, text: &str) -> Option<Vec<f32>> {
        // With four bits the even elements are summed in the first half and the odd ones in the second: it is the order in
        // which they come out of the bytes. No sum depends on another, so this changes no bit of any.
        let mut sums = vec![0.0; self.dimension];
        self.tokenizer.each_token(text, |id| {
            if id != self.unknown {
                self.add_row(id as usize, &mut sums);
            }
        });
        if self.packing == Packing::Four {
            let (even, odd) = sums.split_at(self.dimension / 2);
            sums = even.iter().zip(odd).flat_map(|(&e, &o)| [e, o]).collect();
        }
        normalise(&mut sums).ok().map(|()| sums)
    }

    fn add_row(&self, row: usize, sums: &mut [f32]) {
        let scale = self.scales[row];
        let start = self.rows + row * self.row_bytes;
        let packed = &self.bytes[start..start + self.row_bytes];
        match self.packing {
            Packing::Four => {
                let (even, odd) = sums.split_at_mut(packed.len());
                for ((even, odd), &byte) in even.iter_mut().zip(odd).zip(packed) {
                    *even += scale * (f32::from(byte & 15) - 8.0);
                    *odd += scale * (f32::from(byte >> 4) - 8.0);
                }
            }
            Packing::Eight => {
                for (sum, &byte) in sums.iter_mut().zip(packed) {
                    *sum += scale * f32::from(byte.cast_signed());
                }
            }
        }
    }
}

/// The name and the fingerprint; not the megabytes.
impl fmt::Debug for StaticModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticModel").field("name", &self.name).field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// The numbers at the head of the file.
struct Header {
    rows: u32,
    dimension: u32,
    packing: Packing,
    unknown: u32,
    vocabulary: u32,
}

/// Where everything is.
struct Layout {
    vocabulary: Range<usize>,
    scales: Range<usize>,
    rows: usize,
    row_bytes: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let actual = bytes.len();
        let header = bytes.first_chunk::<HEADER>().ok_or(ModelError::NoHeader { actual })?;
        let (words, _) = header.as_chunks::<4>();
        let word = |index: usize| u32::from_le_bytes(words[index]);
        let check = |field, found, valid, expected| {
            if valid { Ok(found) } else { Err(ModelError::Header { field, found, expected }) }
        };

        let (magic, _) = header.as_chunks::<8>();
        if magic[0] != MAGIC {
            return Err(ModelError::Magic { found: magic[0] });
        }
        let rows = check("n", word(2), word(2) > 0, "at least 1")?;
        let packing = match word(4) {
            4 => Packing::Four,
            8 => Packing::Eight,
            found => {
                return Err(ModelError::Header { field: "bits", found, expected: "4 or 8" });
            }
        };
        let whole = packing == Packing::Eight || word(3).is_multiple_of(2);
        let dimension = check("d", word(3), word(3) > 0 && whole, "at least 1, and even with 4 bits")?;
        check("flags", word(5), word(5) == FLAGS, "15 (an uncased BERT tokenizer, vectors of length one)")?;
        let unknown = check("unk", word(6), word(6) < rows, "less than n")?;
        Ok(Header { rows, dimension, packing, unknown, vocabulary: word(7) })
    }

    /// The checksum does not cover the header: the vocabulary must end where its zero padding begins.
    fn check_vocabulary(&self, padded: &[u8]) -> Result<(), ModelError> {
        let found = self.vocabulary;
        let end = padded.iter().position(|byte| *byte == 0).unwrap_or(padded.len());
        let valid = end == found as usize && padded[end..].iter().all(|byte| *byte == 0);
        let expected = "the length of the vocabulary up to its zero padding";
        if valid { Ok(()) } else { Err(ModelError::Header { field: "vlen", found, expected }) }
    }

    fn layout(&self, actual: usize) -> Result<Layout, ModelError> {
        // Header fields have 32 bits, so nothing here comes near the end of 128.
        let padded = |length: u128| length.next_multiple_of(ALIGNMENT.into());
        let row_bytes = match self.packing {
            Packing::Four => self.dimension / 2,
            Packing::Eight => self.dimension,
        };
        let vocabulary = HEADER as u128;
        let scales = vocabulary + padded(self.vocabulary.into());
        let rows = scales + padded(u128::from(self.rows) * 2);
        let expected = rows + u128::from(self.rows) * u128::from(row_bytes);
        if expected != actual as u128 {
            return Err(ModelError::Length { expected, actual });
        }
        // Everything is less than `actual` from here on, hence within `usize`.
        let scales = scales as usize;
        Ok(Layout {
            vocabulary: HEADER..HEADER + self.vocabulary as usize,
            scales: scales..scales + self.rows as usize * 2,
            rows: rows as usize,
            row_bytes: row_bytes as usize,
        })
    }
}

fn check_sum(bytes: &[u8]) -> Result<String, ModelError> {
    let expected = hexadecimal(&bytes[64..HEADER]);
    let actual = hexadecimal(&Sha256::digest(&bytes[HEADER..]));
    if expected == actual { Ok(actual) } else { Err(ModelError::Checksum { expected, actual }) }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn read_scales(bytes: &[u8]) -> Result<Vec<f32>, ModelError> {
    let (halves, _) = bytes.as_chunks::<2>();
    let scale = |(row, &half): (usize, &[u8; 2])| {
        let bits = u16::from_le_bytes(half);
        positive_half(bits).ok_or(ModelError::Scale { row, bits })
    };
    halves.iter().enumerate().map(scale).collect()
}

/// A half-precision number, if it is finite and positive.
pub(super) fn positive_half(bits: u16) -> Option<f32> {
    let fraction = f32::from(bits & 0x3FF);
    match bits >> 10 {
        0 if bits == 0 => None,
        // Subnormal: units of 2^-24, which is exact.
        0 => Some(fraction / 16_777_216.0),
        // The same fraction and an exponent counted from -127, not from -15.
        exponent @ 1..=30 => Some(f32::from_bits((u32::from(exponent) + 112) << 23 | u32::from(bits & 0x3FF) << 13)),
        _ => None,
    }
}
