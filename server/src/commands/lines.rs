//! A file of lines, read piece by piece: however long it is, and whatever is in it, memory stays bounded.

use std::io::{self, BufRead};

/// Bytes that a line may have.
pub const MAX_LINE_BYTES: usize = 64 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A line with something in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: u64,
    /// Bytes of the file up to its end.
    pub end: u64,
    /// What is in it, without white space around it; `None` when that is too long to be kept.
    pub content: Option<Vec<u8>>,
}

/// Reads lines. Those of white space are counted and passed over; a byte order mark at the start is, too.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    max_bytes: usize,
    number: u64,
    end: u64,
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most `max_bytes` each.
    pub fn new(reader: R, max_bytes: usize) -> Self {
        Self { reader, max_bytes, number: 0, end: 0 }
    }

    /// The next line that is not white space; `None` at the end.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            let Some(content) = self.any_line()? else { return Ok(None) };
            let content = content.map(|bytes| {
                let start = if self.number == 1 && bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
                bytes[start..].trim_ascii().to_vec()
            });
            if content.as_ref().is_none_or(|bytes| !bytes.is_empty()) {
                return Ok(Some(Line { number: self.number, end: self.end, content }));
            }
        }
    }

    /// The next line of any content, `None` inside for one that is too long.
    fn any_line(&mut self) -> io::Result<Option<Option<Vec<u8>>>> {
        let start = self.end;
        let mut content = Some(Vec::new());
        loop {
            let available = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            let found = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..found.unwrap_or(available.len())];
            content = content.filter(|kept| kept.len() + part.len() <= self.max_bytes);
            if let Some(kept) = &mut content {
                kept.extend_from_slice(part);
            }
            let used = part.len() + usize::from(found.is_some());
            self.reader.consume(used);
            self.end += used as u64;
            if used == 0 && self.end == start {
                return Ok(None);
            }
            if found.is_some() || used == 0 {
                self.number += 1;
                return Ok(Some(content));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn read(bytes: &[u8], buffer: usize, max_bytes: usize) -> Vec<(u64, u64, Option<String>)> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, bytes), max_bytes);
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            all.push((line.number, line.end, line.content.map(|content| String::from_utf8(content).unwrap())));
        }
        all
    }

    #[test]
    fn lines_keep_their_numbers_whatever_the_buffer() {
        let text = b"\xEF\xBB\xBFone\r\n\n  \ntwo two\nlast";
        for buffer in [1, 2, 3, 7, 100] {
            let expected = [(1, 8, Some("one".into())), (4, 20, Some("two two".into())), (5, 24, Some("last".into()))];
            assert_eq!(read(text, buffer, 100), expected, "buffer {buffer}");
        }
        assert_eq!(read(b"", 8, 100), []);
        assert_eq!(read(b"\n\n", 8, 100), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_reported_and_the_next_one_read() {
        for buffer in [1, 4, 100] {
            let expected = [(1, 6, None), (2, 11, Some("1234".into())), (3, 16, None)];
            assert_eq!(read(b"12345\n1234\n12345", buffer, 4), expected, "buffer {buffer}");
        }
    }
}
