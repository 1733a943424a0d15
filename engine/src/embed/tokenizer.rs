//! Text to token ids, exactly as the tokenizer of uncased BERT models does it.
//!
//! In order: drop control characters and make every white space a space; put spaces around Chinese characters; decompose
//! (NFD) and strip accents; lower-case, character by character; split at white space, and at punctuation, which stays as
//! words of its own; split each word greedily into the longest known pieces. A word with an unknown part, or of more than
//! 100 characters, is one `[UNK]`.

use unicode_normalization::UnicodeNormalization;

use super::ModelError;
use super::classes::{self, Class};
use super::vocabulary::Vocabulary;

/// A word of more characters than this is unknown.
const LONGEST_WORD: usize = 100;

/// A vocabulary and what stands for the words outside it.
pub(super) struct Tokenizer {
    vocabulary: Vocabulary,
    unknown: u32,
}

impl Tokenizer {
    /// `unknown` is the row of `[UNK]`, less than `rows`.
    pub(super) fn new(tokens: &str, rows: u32, unknown: u32) -> Result<Self, ModelError> {
        let vocabulary = Vocabulary::new(tokens, rows)?;
        if vocabulary.token(unknown) != b"[UNK]" {
            return Err(ModelError::UnknownToken { row: unknown });
        }
        Ok(Tokenizer { vocabulary, unknown })
    }

    /// Hands the ids of the text's tokens to `emit`, in order.
    pub(super) fn each_token(&self, text: &str, emit: impl FnMut(u32)) {
        let mut words = Words { tokenizer: self, emit, word: Vec::new(), characters: 0, pieces: Vec::new(), hashes: Vec::new() };
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if byte.is_ascii() {
                words.ascii(byte);
                at += 1;
                continue;
            }
            // Decomposition can reorder the marks within a run of characters, but none moves across an ASCII character.
            let end = bytes[at..]
                .iter()
                .position(|&b| b.is_ascii() && classes::of_ascii(b) != Class::Dropped)
                .map_or(bytes.len(), |length| at + length);
            normalise(&text[at..end]).for_each(|c| words.character(c));
            at = end;
        }
        words.finish();
    }
}

/// Cleaned, spaced, decomposed, stripped of accents and lower-cased.
fn normalise(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .flat_map(|c| match (c.is_ascii(), classes::of_raw(c)) {
            (true, _) | (_, Class::Dropped) => [None; 3],
            (_, Class::Space) => [Some(' '), None, None],
            _ if classes::is_ideograph(c) => [Some(' '), Some(c), Some(' ')],
            _ => [Some(c), None, None],
        })
        .flatten()
        .nfd()
        .filter(|&c| !classes::is_mark(c))
        .flat_map(char::to_lowercase)
}

/// Collects characters into words and words into tokens.
struct Words<'a, Emit> {
    tokenizer: &'a Tokenizer,
    emit: Emit,
    /// The word so far, as UTF-8; no longer kept once it has too many characters.
    word: Vec<u8>,
    characters: usize,
    pieces: Vec<u32>,
    hashes: Vec<u32>,
}

impl<Emit: FnMut(u32)> Words<'_, Emit> {
    #[inline]
    fn ascii(&mut self, byte: u8) {
        const CLASSES: [Class; 128] = {
            let mut classes = [Class::Letter; 128];
            let mut byte = 0;
            while byte < 128 {
                classes[byte as usize] = classes::of_ascii(byte);
                byte += 1;
            }
            classes
        };
        match CLASSES[usize::from(byte & 127)] {
            Class::Dropped => {}
            Class::Space => self.finish(),
            Class::Punctuation => {
                self.finish();
                self.push(&[byte]);
                self.finish();
            }
            Class::Letter => self.push(&[byte.to_ascii_lowercase()]),
        }
    }

    fn character(&mut self, c: char) {
        let mut buffer = [0; 4];
        let bytes = c.encode_utf8(&mut buffer).as_bytes();
        match classes::of_normalised(c) {
            Class::Space => self.finish(),
            Class::Punctuation => {
                self.finish();
                self.push(bytes);
                self.finish();
            }
            Class::Dropped | Class::Letter => self.push(bytes),
        }
    }

    /// Adds a character to the word.
    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        self.characters += 1;
        if self.characters <= LONGEST_WORD {
            self.word.extend_from_slice(bytes);
        }
    }

    /// Ends the word, if there is one.
    #[inline]
    fn finish(&mut self) {
        if self.characters == 0 {
            return;
        }
        let known =
            self.characters <= LONGEST_WORD && self.tokenizer.vocabulary.split(&self.word, &mut self.pieces, &mut self.hashes);
        if known {
            self.pieces.iter().for_each(|&id| (self.emit)(id));
        } else {
            (self.emit)(self.tokenizer.unknown);
        }
        self.word.clear();
        self.characters = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<u32> {
        let tokenizer = Tokenizer::new("[UNK]\ncafe\n.\n中\nab\n##c\nσας\nß", 8, 0).unwrap();
        let mut ids = Vec::new();
        tokenizer.each_token(text, |id| ids.push(id));
        ids
    }

    #[test]
    fn text_is_cleaned_folded_and_split() {
        assert!(ids("").is_empty());
        assert_eq!(ids("Café. CAFE\u{301}.. cafe\u{0}\u{200B}"), [1, 2, 1, 2, 2, 1]);
        assert_eq!(ids("中中.\u{3000}abc"), [3, 3, 2, 4, 5]);
        assert_eq!(ids("a\u{7}b\u{AD}c"), [4, 5], "dropped characters do not split a word");
        assert_eq!(ids("σας ΣΑΣ"), [6, 0], "lower-casing does not look at the word's end");
        assert_eq!(ids("ẞ"), [7]);
    }

    #[test]
    fn a_word_of_more_than_a_hundred_characters_is_unknown() {
        let word = |letters: usize| format!("ab{}", "c".repeat(letters - 2));
        assert_eq!(ids(&word(100)).len(), 99);
        assert_eq!(ids(&word(101)), [0]);
        assert_eq!(ids(&word(100_000)), [0]);
    }
}
