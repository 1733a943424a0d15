//! A document into passages, each of a size that can be embedded.
//!
//! Sentences are put together as long as they fit the budget; a passage starts with the last sentences of the one before, so
//! that what is said across a boundary is found. Where a paragraph ends in the second half of a passage, the passage ends
//! there, too. A sentence over the budget is cut at line ends, else between words, else anywhere.
//!
//! The tokens of a sentence are counted once, and those of each passage once more: a sum of sentences need not be the count
//! of the whole, and the limits hold for the whole. So the work is proportional to the text.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// No passage has more characters than this, however few its tokens are.
pub const MAX_PASSAGE_CHARACTERS: usize = 10_000;

/// The size of passages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitOptions {
    /// No passage has more tokens than this. Default: 200.
    pub max_tokens: usize,
    /// The whole sentences that a passage repeats of the one before have at most so many tokens. Default: 40.
    pub overlap_tokens: usize,
}

impl Default for SplitOptions {
    fn default() -> Self {
        SplitOptions { max_tokens: 200, overlap_tokens: 40 }
    }
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Where it is, in bytes. It neither starts nor ends with white space.
    pub range: Range<usize>,
    /// How many tokens it has.
    pub tokens: usize,
}

/// Options that lead nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// Passages of no tokens.
    #[error("max_tokens is 0; a passage needs at least 1")]
    NoTokens,
    /// Passages that repeat all of the one before.
    #[error("overlap_tokens is {overlap_tokens}, but must be less than max_tokens, which is {max_tokens}")]
    Overlap {
        /// The overlap asked for.
        overlap_tokens: usize,
        /// The budget asked for.
        max_tokens: usize,
    },
}

/// Splits a text into passages, in order. Everything but white space is in one of them; a text of white space has none.
///
/// `count_tokens` counts as the embedder does. Should a single character have more tokens than a passage may have, it is a
/// passage nevertheless.
///
/// # Errors
/// When the budget is nothing, or no more than the overlap.
pub fn split(text: &str, options: &SplitOptions, count_tokens: &dyn Fn(&str) -> usize) -> Result<Vec<Passage>, SplitError> {
    let &SplitOptions { max_tokens, overlap_tokens } = options;
    if max_tokens == 0 {
        return Err(SplitError::NoTokens);
    }
    if overlap_tokens >= max_tokens {
        return Err(SplitError::Overlap { overlap_tokens, max_tokens });
    }
    let pieces = Cutter::cut(text, max_tokens, count_tokens);
    let packer = Packer { pieces: &pieces, options };
    let mut passages = Vec::new();
    for plan in packer.pack() {
        emit(text, &pieces[plan.start..plan.end], max_tokens, count_tokens, &mut passages);
    }
    Ok(passages)
}

/// Adds the passage that consists of the pieces; or two halves of it, should it be over the budget though the sum of its
/// pieces is not.
fn emit(text: &str, pieces: &[Piece], max_tokens: usize, count_tokens: &dyn Fn(&str) -> usize, passages: &mut Vec<Passage>) {
    let [first, ..] = pieces else {
        return;
    };
    let range = first.range.start..pieces[pieces.len() - 1].range.end;
    let tokens = count_tokens(&text[range.clone()]);
    if tokens <= max_tokens || pieces.len() == 1 {
        passages.push(Passage { range, tokens });
    } else {
        let (left, right) = pieces.split_at(pieces.len() / 2);
        emit(text, left, max_tokens, count_tokens, passages);
        emit(text, right, max_tokens, count_tokens, passages);
    }
}

/// What passages are made of: a sentence, or a part of one that is too long.
struct Piece {
    /// Where it is in the text, in bytes and in characters, without white space around it.
    range: Range<usize>,
    characters: Range<usize>,
    /// With those of the white space after it, if it has any.
    tokens: usize,
    /// The tokens of all pieces before it.
    tokens_before: usize,
    starts_paragraph: bool,
}

/// What is cut, and so where: each into the next.
#[derive(Clone, Copy)]
enum Part {
    Paragraph,
    Sentence,
    Line,
    Word,
    Fragment,
}

/// Cuts a text into pieces.
struct Cutter<'a> {
    text: &'a str,
    max_tokens: usize,
    count_tokens: &'a dyn Fn(&str) -> usize,
    pieces: Vec<Piece>,
    starts_paragraph: bool,
    /// The end of the last piece, in bytes and in characters.
    at: (usize, usize),
}

impl<'a> Cutter<'a> {
    fn cut(text: &'a str, max_tokens: usize, count_tokens: &'a dyn Fn(&str) -> usize) -> Vec<Piece> {
        let mut cutter = Cutter { text, max_tokens, count_tokens, pieces: Vec::new(), starts_paragraph: true, at: (0, 0) };
        for paragraph in paragraphs(text) {
            cutter.starts_paragraph = true;
            cutter.divide(paragraph, Part::Paragraph);
        }
        cutter.pieces
    }

    /// Adds a part as a piece if it fits, else in smaller parts.
    fn add(&mut self, range: Range<usize>, part: Part) {
        let Some(range) = trimmed(self.text, range) else {
            return;
        };
        let content = &self.text[range.clone()];
        let characters = content.chars().count();
        // The white space after it will be inside a passage, unless it is the last piece there.
        let after = &self.text[range.end..];
        let gap = after.len() - after.trim_start().len();
        let tokens = (self.count_tokens)(&self.text[range.start..range.end + gap]);
        let fits = tokens <= self.max_tokens || gap > 0 && (self.count_tokens)(content) <= self.max_tokens;
        if fits && characters <= MAX_PASSAGE_CHARACTERS || characters == 1 {
            self.push(range, characters, tokens);
        } else {
            self.divide(range, part);
        }
    }

    fn divide(&mut self, range: Range<usize>, part: Part) {
        let content = &self.text[range.clone()];
        let mut end = range.start;
        let mut add = |length: usize, part| {
            self.add(end..end + length, part);
            end += length;
        };
        match part {
            Part::Paragraph => {
                // To the sentence rules a line end is a sentence end, which it is not in wrapped text.
                let unwrapped = content.replace(['\n', '\r'], " ");
                unwrapped.split_sentence_bounds().for_each(|sentence| add(sentence.len(), Part::Sentence));
            }
            Part::Sentence => content.split_inclusive('\n').for_each(|line| add(line.len(), Part::Line)),
            Part::Line => content.split_inclusive(char::is_whitespace).for_each(|word| add(word.len(), Part::Word)),
            Part::Word => content.split_word_bounds().for_each(|fragment| add(fragment.len(), Part::Fragment)),
            Part::Fragment => {
                let half = content.chars().count().div_ceil(2);
                let step = half.min(MAX_PASSAGE_CHARACTERS);
                let mut rest = content;
                while !rest.is_empty() {
                    let length = rest.char_indices().nth(step).map_or(rest.len(), |(at, _)| at);
                    add(length, Part::Fragment);
                    rest = &rest[length..];
                }
            }
        }
    }

    fn push(&mut self, range: Range<usize>, characters: usize, tokens: usize) {
        let (bytes_before, characters_before) = self.at;
        let start = characters_before + self.text[bytes_before..range.start].chars().count();
        let end = start + characters;
        self.at = (range.end, end);
        self.pieces.push(Piece {
            range,
            characters: start..end,
            tokens,
            tokens_before: self.pieces.last().map_or(0, |piece| piece.tokens_before + piece.tokens),
            starts_paragraph: std::mem::take(&mut self.starts_paragraph),
        });
    }
}

/// The stretches of text that end with a blank line.
fn paragraphs(text: &str) -> Vec<Range<usize>> {
    let mut paragraphs = Vec::new();
    let (mut start, mut end) = (0, 0);
    for line in text.split_inclusive('\n') {
        end += line.len();
        if line.trim().is_empty() {
            paragraphs.push(start..end);
            start = end;
        }
    }
    paragraphs.push(start..end);
    paragraphs
}

/// The range without white space at its ends; none if nothing remains.
fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let content = text[range.clone()].trim_start();
    let start = range.end - content.len();
    let length = content.trim_end().len();
    (length > 0).then_some(start..start + length)
}

/// Puts pieces together.
struct Packer<'a> {
    pieces: &'a [Piece],
    options: &'a SplitOptions,
}

/// The pieces of a passage: those from `start` to before `fresh` are in the passage before it, too.
struct Plan {
    start: usize,
    fresh: usize,
    end: usize,
}

impl Packer<'_> {
    fn pack(&self) -> Vec<Plan> {
        let all = self.pieces.len();
        let mut plans = Vec::new();
        let (mut start, mut fresh) = (0, 0);
        while fresh < all {
            let mut end = fresh + 1;
            while end < all && self.fits(start..end + 1) {
                end += 1;
            }
            if end < all {
                end = self.paragraph_end(start, fresh, end);
            }
            plans.push(Plan { start, fresh, end });
            start = self.overlap(start, end, end + 1);
            fresh = end;
        }
        self.balance(&mut plans);
        plans
    }

    /// The last end of a paragraph that leaves the passage at least half full; `end` if there is none.
    fn paragraph_end(&self, start: usize, fresh: usize, end: usize) -> usize {
        (fresh + 1..=end)
            .rev()
            .take_while(|&end| self.tokens(start..end) * 2 >= self.options.max_tokens)
            .find(|&end| self.pieces[end].starts_paragraph)
            .unwrap_or(end)
    }

    /// The first of the pieces before `end` that the next passage, which has to reach `next_end`, repeats.
    fn overlap(&self, start: usize, end: usize, next_end: usize) -> usize {
        let &SplitOptions { max_tokens, overlap_tokens } = self.options;
        // The same part of the characters as of the tokens: pieces may have many of those and none of these.
        let characters = MAX_PASSAGE_CHARACTERS / max_tokens.div_ceil(overlap_tokens.max(1));
        let next_end = next_end.min(self.pieces.len());
        (start + 1..end)
            .rev()
            .take_while(|&first| {
                self.tokens(first..end) <= overlap_tokens
                    && self.characters(first..end) <= characters
                    && self.fits(first..next_end)
            })
            .last()
            .unwrap_or(end)
    }

    /// A last passage with little new in it reads badly: it gets a fair share of what it has and the one before has.
    fn balance(&self, plans: &mut [Plan]) {
        let [.., before, last] = plans else {
            return;
        };
        if self.tokens(last.fresh..last.end) * 4 >= self.options.max_tokens {
            return;
        }
        let shares = (before.fresh + 1..last.end)
            .filter(|&cut| self.fits(before.start..cut) && self.fits(cut..last.end))
            .min_by_key(|&cut| self.tokens(before.start..cut).abs_diff(self.tokens(cut..last.end)));
        if let Some(cut) = shares {
            before.end = cut;
            last.fresh = cut;
            last.start = self.overlap(before.start, cut, last.end);
        }
    }

    fn fits(&self, pieces: Range<usize>) -> bool {
        pieces.len() == 1
            || self.tokens(pieces.clone()) <= self.options.max_tokens && self.characters(pieces) <= MAX_PASSAGE_CHARACTERS
    }

    fn tokens(&self, pieces: Range<usize>) -> usize {
        let last = &self.pieces[pieces.end - 1];
        last.tokens_before + last.tokens - self.pieces[pieces.start].tokens_before
    }

    fn characters(&self, pieces: Range<usize>) -> usize {
        self.pieces[pieces.end - 1].characters.end - self.pieces[pieces.start].characters.start
    }
}

#[cfg(test)]
mod tests;
