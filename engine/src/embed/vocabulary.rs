//! The words that the model knows, and a table to find them by.

use super::ModelError;

/// What a token starts with when it continues a word: `##ing`.
const CONTINUES: &[u8] = b"##";
const NOTHING: Slot = Slot { hash: 0, id: u32::MAX };

/// The tokens by id, and an open-addressing table from bytes to id with a fixed hash.
///
/// A prefix's hash is a step on the way to the hash of a longer prefix, so one pass over a word gives the keys of all its
/// beginnings, and the longest match costs one probe of the table for every beginning tried.
pub(super) struct Vocabulary {
    tokens: Box<[u8]>,
    /// Where token i ends; it starts one after the end of its predecessor, the line end being between them.
    ends: Vec<u32>,
    slots: Vec<Slot>,
    shift: u32,
    longest: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    id: u32,
}

impl Vocabulary {
    /// Reads tokens separated by line ends; there must be `rows` of them, none empty and none twice.
    pub(super) fn new(tokens: &str, rows: u32) -> Result<Self, ModelError> {
        let found = tokens.split('\n').count() as u64;
        if found != u64::from(rows) {
            return Err(ModelError::VocabularySize { rows, found });
        }
        // At most half full, so that a search for an unknown word ends soon.
        let bits = u64::from(rows).saturating_mul(2).next_power_of_two().ilog2();
        let mut vocabulary = Vocabulary {
            tokens: tokens.as_bytes().into(),
            ends: Vec::with_capacity(rows as usize),
            slots: vec![NOTHING; 1 << bits],
            shift: u32::BITS.saturating_sub(bits),
            longest: 0,
        };
        let mut start = 0_u32;
        for (id, token) in (0..rows).zip(tokens.split('\n')) {
            if token.is_empty() {
                return Err(ModelError::EmptyToken { row: id });
            }
            let end = start + token.len() as u32;
            vocabulary.ends.push(end);
            start = end.saturating_add(1);
            vocabulary.longest = vocabulary.longest.max(token.len());
            vocabulary.insert(id, token.as_bytes())?;
        }
        Ok(vocabulary)
    }

    fn insert(&mut self, id: u32, token: &[u8]) -> Result<(), ModelError> {
        let hash = token.iter().fold(BASIS, |hash, &byte| step(hash, byte));
        let mut at = self.home(hash);
        while self.slots[at].id != NOTHING.id {
            let first = self.slots[at].id;
            if self.token(first) == token {
                return Err(ModelError::DuplicateToken { row: id, first });
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = Slot { hash, id };
        Ok(())
    }

    /// The ids of the pieces of a word, the longest first that fits, into `pieces`; false when a part of it is unknown.
    /// `hashes` is scratch space.
    pub(super) fn split(&self, word: &[u8], pieces: &mut Vec<u32>, hashes: &mut Vec<u32>) -> bool {
        pieces.clear();
        let mut start = 0;
        while start < word.len() {
            let (prefix, basis) = if start == 0 { (&b""[..], BASIS) } else { (CONTINUES, BASIS_CONTINUES) };
            let rest = &word[start..word.len().min(start + self.longest)];
            hashes.clear();
            hashes.extend(rest.iter().scan(basis, |hash, &byte| {
                *hash = step(*hash, byte);
                Some(*hash)
            }));
            // A piece that ends inside a character equals no token, so the ends need no look at character boundaries.
            let longest =
                (1..=rest.len()).rev().find_map(|length| Some((length, self.find(hashes[length - 1], prefix, &rest[..length])?)));
            let Some((length, id)) = longest else {
                return false;
            };
            pieces.push(id);
            start += length;
        }
        true
    }

    /// The token that is `prefix` and then `piece`.
    #[inline]
    fn find(&self, hash: u32, prefix: &[u8], piece: &[u8]) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot.id == NOTHING.id {
                return None;
            }
            if slot.hash == hash && self.token(slot.id).strip_prefix(prefix) == Some(piece) {
                return Some(slot.id);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    pub(super) fn token(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] + 1 };
        &self.tokens[start as usize..self.ends[id] as usize]
    }

    /// Where the search for a hash starts: its product's upper bits, which depend on all of the lower ones.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        (hash.wrapping_mul(0x9E37_79B1) >> self.shift) as usize
    }
}

const BASIS: u32 = 0x811C_9DC5;
const BASIS_CONTINUES: u32 = step(step(BASIS, b'#'), b'#');

/// One byte of FNV-1a.
const fn step(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_piece_wins_and_an_unknown_part_spoils_the_word() {
        let vocabulary = Vocabulary::new("un\nunder\n##stand\n##s\n##ta\nü", 6).unwrap();
        let split = |word: &str| {
            let (mut pieces, mut hashes) = (Vec::new(), Vec::new());
            vocabulary.split(word.as_bytes(), &mut pieces, &mut hashes).then_some(pieces)
        };
        assert_eq!(split("understands"), Some(vec![1, 2, 3]));
        assert_eq!(split("ü"), Some(vec![5]));
        assert_eq!(split("sta"), None, "a continuation does not start a word");
        assert_eq!(split("unta"), Some(vec![0, 4]));
        assert_eq!(split("untax"), None);
    }

    #[test]
    fn a_vocabulary_has_as_many_tokens_as_rows_all_different() {
        assert!(matches!(Vocabulary::new("a\nb", 3), Err(ModelError::VocabularySize { rows: 3, found: 2 })));
        assert!(matches!(Vocabulary::new("a\n\nb", 3), Err(ModelError::EmptyToken { row: 1 })));
        assert!(matches!(Vocabulary::new("a\nb\na", 3), Err(ModelError::DuplicateToken { row: 2, first: 0 })));
    }
}
