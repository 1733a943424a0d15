//! The log's bytes. Everything is little endian; checksums are CRC-32C (Castagnoli).
//!
//! A **segment** is a header of 32 bytes and then frames, and after the last one any number of zeros, over which later frames are
//! written:
//!
//! | bytes | segment header |
//! |---|---|
//! | 8 | `VECINOLG` |
//! | 4 | format version, 3; in version 2 no zeros follow the last frame |
//! | 4 | chain: checksum of the last frame of the segment before, 0 in the first |
//! | 8 | sequence of the first record |
//! | 4 | 0 |
//! | 4 | checksum of the 28 bytes before |
//!
//! | bytes | frame |
//! |---|---|
//! | 4 | length of the payload |
//! | 4 | checksum of the payload, continued from the chain (the checksum of the frame before, or of the segment header) |
//! | 8 | sequence of the first record in it |
//! | 4 | how many of the records before it were not yet synced when it was written |
//! | 4 | checksum of the 20 bytes before |
//! | n | payload: records, each a length of 4 bytes and postcard bytes; then one byte `0xFF` |
//!
//! The last byte is never zero, nor is the length, so that neither end of a frame looks like a hole (below).
//!
//! One frame is one `append`, and is there as a whole or not at all. A frame that was synced is there for ever; so only frames
//! after the last sync can be torn by a crash, and [`read_segment`] can tell a torn tail from damage:
//!
//! - bytes that end before the frame does (zeros at the end of the file do not count), or a frame with a hole (a 512-byte sector of
//!   the file in which all that belongs to the frame is zero: a page that never reached the disk), in the last segment, when no frame
//!   behind it says that it was synced: **torn**. Nobody was told that it is on the disk; it is cut, with all behind it.
//! - anything else that does not fit (a wrong checksum, a sequence out of order, a bad frame that was synced): **damage**. It is
//!   an error that names the offset; nothing is cut.

use crate::{
    error::{Code, Error, Result},
    model::limits::MAX_RECORD_BYTES,
    record::Record,
};

/// Version of the log format.
pub const LOG_VERSION: u32 = 3;
/// The oldest version that is read.
const OLDEST_VERSION: u32 = 2;
/// Bytes of a segment header.
pub const SEGMENT_HEADER: usize = 32;
/// Bytes of a frame header.
pub const FRAME_HEADER: usize = 24;
/// Bytes that a disk writes as one.
const SECTOR: usize = 512;
const MAGIC: &[u8; 8] = b"VECINOLG";
/// Bytes of a payload, at most.
const MAX_PAYLOAD: usize = 1 << 31;
/// Last byte of a payload.
const END: u8 = 0xFF;

/// Where a log goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Sequence of the next record, from 1.
    pub next_seq: u64,
    /// Checksum that the next frame continues.
    pub chain: u32,
}

/// The header of a segment that begins at `position`.
pub fn segment_header(position: Position) -> [u8; SEGMENT_HEADER] {
    let mut header = [0; SEGMENT_HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&LOG_VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&position.chain.to_le_bytes());
    header[16..24].copy_from_slice(&position.next_seq.to_le_bytes());
    let sum = crc32c::crc32c(&header[..28]);
    header[28..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// The position after a segment header, for the frames that follow it.
pub fn after_header(header: &[u8; SEGMENT_HEADER], position: Position) -> Position {
    Position { chain: u32_at(header, 28), ..position }
}

/// A frame in the making. It is used again and again, so that its memory is.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    bytes: Vec<u8>,
    records: u32,
}

impl Frame {
    /// Adds a record.
    ///
    /// # Errors
    /// [`Code::LimitExceeded`] when the record is too large, or the frame with it; the frame is as before then.
    pub fn push(&mut self, record: &Record) -> Result<()> {
        if self.bytes.is_empty() {
            self.bytes.resize(FRAME_HEADER, 0);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let encoded = postcard::serialize_with_flavor(record, Tail(&mut self.bytes));
        let result = encoded.map_err(|error| Error::new(Code::Storage, error.to_string())).and_then(|()| {
            let (length, whole) = (self.bytes.len() - start - 4, self.bytes.len() - FRAME_HEADER + 1);
            if length > MAX_RECORD_BYTES {
                return Err(Error::limit("bytes of one record in the log", MAX_RECORD_BYTES, length));
            }
            if whole > MAX_PAYLOAD {
                return Err(Error::limit("bytes of one frame in the log", MAX_PAYLOAD, whole));
            }
            Ok(length as u32)
        });
        match result {
            Ok(length) => {
                self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
                self.records += 1;
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(start);
                Err(error)
            }
        }
    }

    /// Records in it.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Bytes that it will have in the log, at most.
    pub fn len(&self) -> usize {
        self.bytes.len().max(FRAME_HEADER) + 1
    }

    /// Whether there is no record in it.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Takes all records out.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records = 0;
    }

    /// The bytes for the log at `position`, where the last `unsynced` records before it are not yet synced, and the position
    /// behind it. The frame must have a record; it is cleared before it is used again.
    pub fn seal(&mut self, position: Position, unsynced: u32) -> (&[u8], Position) {
        self.bytes.resize(self.bytes.len().max(FRAME_HEADER), 0);
        self.bytes.push(END);
        let (header, payload) = self.bytes.split_at_mut(FRAME_HEADER);
        let sum = crc32c::crc32c_append(position.chain, payload);
        header[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&sum.to_le_bytes());
        header[8..16].copy_from_slice(&position.next_seq.to_le_bytes());
        header[16..20].copy_from_slice(&unsynced.to_le_bytes());
        let header_sum = crc32c::crc32c(&header[..20]);
        header[20..].copy_from_slice(&header_sum.to_le_bytes());
        (&self.bytes, Position { next_seq: position.next_seq + u64::from(self.records), chain: sum })
    }
}

/// Appends what postcard makes to bytes.
struct Tail<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Tail<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// What a segment holds.
#[derive(Debug)]
pub struct Segment {
    /// The records with their sequences.
    pub records: Vec<(u64, Record)>,
    /// Bytes up to the end of the last whole frame.
    pub valid_len: u64,
    /// Bytes of a torn frame after that.
    pub torn: u64,
    /// Where the log goes on.
    pub end: Position,
}

/// Reads a segment. `start` is where the segment before it ended, `None` for the first one that is kept; `name` stands in messages.
///
/// A torn tail is reported, not an error; the caller knows whether a later segment makes it one.
///
/// # Errors
/// [`Code::Damaged`] with the offset, or [`Code::UnsupportedVersion`].
pub fn read_segment(name: &str, bytes: &[u8], start: Option<Position>) -> Result<Segment> {
    let Some(header) = bytes.first_chunk::<SEGMENT_HEADER>() else {
        return Err(Error::damaged(
            name,
            bytes.len() as u64,
            format!("a segment header has {SEGMENT_HEADER} bytes; the file ends before"),
        )
        .numbers(SEGMENT_HEADER, bytes.len()));
    };
    if &header[..8] != MAGIC {
        return Err(Error::damaged(name, 0, "it does not begin with the mark of a Vecino log"));
    }
    let version = u32_at(header, 8);
    if !(OLDEST_VERSION..=LOG_VERSION).contains(&version) {
        let known = format!("{OLDEST_VERSION} to {LOG_VERSION}");
        let detail = format!("{name} has log format {version}; this build reads the formats {known}");
        return Err(Error::new(Code::UnsupportedVersion, detail).numbers(known, version));
    }
    let sum = crc32c::crc32c(&header[..28]);
    if sum != u32_at(header, 28) {
        return Err(Error::damaged(name, 28, "the checksum of the segment header is wrong").numbers(sum, u32_at(header, 28)));
    }
    let found = Position { next_seq: u64_at(header, 16), chain: u32_at(header, 12) };
    if let Some(expected) = start.filter(|expected| *expected != found) {
        return Err(
            Error::damaged(name, 12, "it does not continue the segment before it").numbers(expected.next_seq, found.next_seq)
        );
    }
    let bytes = written(bytes);
    let mut segment =
        Segment { records: Vec::new(), valid_len: SEGMENT_HEADER as u64, torn: 0, end: after_header(header, found) };
    while let Some(next) = read_frame(name, bytes, segment.valid_len as usize, segment.end, &mut segment.records)? {
        (segment.valid_len, segment.end) = next;
    }
    segment.torn = bytes.len() as u64 - segment.valid_len;
    Ok(segment)
}

/// A segment without the zeros at its end, which are no part of a frame that is whole; with its header in any case.
pub fn written(bytes: &[u8]) -> &[u8] {
    const PIECE: usize = 4096;
    let pieces = bytes.rchunks(PIECE).take_while(|piece| **piece == [0; PIECE]).count();
    let bytes = &bytes[..bytes.len() - pieces * PIECE];
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..end.max(SEGMENT_HEADER.min(bytes.len()))]
}

/// Reads the frame at `offset`: its end, or `None` at the end of the valid bytes.
fn read_frame(
    name: &str,
    bytes: &[u8],
    offset: usize,
    position: Position,
    records: &mut Vec<(u64, Record)>,
) -> Result<Option<(u64, Position)>> {
    let rest = &bytes[offset..];
    let at = offset as u64;
    let Some(header) = rest.first_chunk::<FRAME_HEADER>() else { return Ok(None) };
    if u32_at(header, 20) != crc32c::crc32c(&header[..20]) {
        if has_hole(offset, header) && !was_synced(rest, position) {
            return Ok(None);
        }
        return Err(Error::damaged(name, at, "the checksum of a frame header is wrong"));
    }
    let (length, sum, seq) = (u32_at(header, 0) as usize, u32_at(header, 4), u64_at(header, 8));
    if seq != position.next_seq {
        return Err(Error::damaged(name, at, "a frame is out of sequence").numbers(position.next_seq, seq));
    }
    let Some(payload) = rest[FRAME_HEADER..].get(..length) else { return Ok(None) };
    let end = offset + FRAME_HEADER + length;
    let found = crc32c::crc32c_append(position.chain, payload);
    if found != sum {
        if has_hole(offset, &rest[..FRAME_HEADER + length]) && !was_synced(&rest[FRAME_HEADER + length..], position) {
            return Ok(None);
        }
        return Err(Error::damaged(name, at, "the checksum of a frame is wrong").numbers(sum, found));
    }
    let next_seq = take_records(name, at, payload, seq, |seq, record| records.push((seq, record)))?;
    Ok(Some((end as u64, Position { next_seq, chain: sum })))
}

/// Takes the records out of a payload that is whole; the sequence after them.
fn take_records(name: &str, at: u64, payload: &[u8], first: u64, mut take: impl FnMut(u64, Record)) -> Result<u64> {
    let mut seq = first;
    let Some((&END, mut left)) = payload.split_last() else {
        return Err(Error::damaged(name, at, "a frame does not end with its mark"));
    };
    while !left.is_empty() {
        let record = take_record(&mut left).ok_or_else(|| Error::damaged(name, at, format!("record {seq} cannot be decoded")))?;
        take(seq, record);
        seq += 1;
    }
    Ok(seq)
}

fn take_record(left: &mut &[u8]) -> Option<Record> {
    let length = u32::from_le_bytes(*left.first_chunk()?) as usize;
    let bytes = left.get(4..4usize.checked_add(length)?)?;
    let (record, rest) = postcard::take_from_bytes(bytes).ok()?;
    *left = &left[4 + length..];
    rest.is_empty().then_some(record)
}

/// Whether some sector of the file holds nothing but zeros where the frame lies in it.
fn has_hole(offset: usize, frame: &[u8]) -> bool {
    let first = (SECTOR - offset % SECTOR).min(frame.len());
    let (head, rest) = frame.split_at(first);
    std::iter::once(head).chain(rest.chunks(SECTOR)).any(|part| part.iter().all(|byte| *byte == 0))
}

/// Whether some frame header in `rest` says that the record at `position` was synced when that frame was written.
fn was_synced(rest: &[u8], position: Position) -> bool {
    rest.windows(FRAME_HEADER).any(|header| {
        let synced = u64_at(header, 8).saturating_sub(u64::from(u32_at(header, 16)));
        synced > position.next_seq && u32_at(header, 20) == crc32c::crc32c(&header[..20])
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// What a damaged segment still holds.
#[derive(Debug, Default)]
pub struct Scanned {
    /// The records of whole frames: the offset of the frame, the sequence, the record.
    pub records: Vec<(u64, u64, Record)>,
    /// Each damaged place.
    pub damage: Vec<Error>,
}

/// Reads a segment beyond its damage: goes on after a frame whose header is whole, and else with the next header that is.
/// A torn tail counts as damage here.
pub fn scan_segment(name: &str, bytes: &[u8]) -> Scanned {
    let mut scanned = Scanned::default();
    if let Err(error) = read_segment(name, bytes.get(..SEGMENT_HEADER).unwrap_or(bytes), None) {
        scanned.damage.push(error);
    }
    let Some(header) = bytes.first_chunk::<SEGMENT_HEADER>() else { return scanned };
    let (mut offset, mut chain) = (SEGMENT_HEADER, u32_at(header, 28));
    let bytes = written(bytes);
    while offset < bytes.len() {
        let (rest, at) = (&bytes[offset..], offset as u64);
        let whole = rest.first_chunk::<FRAME_HEADER>().filter(|header| u32_at(*header, 20) == crc32c::crc32c(&header[..20]));
        let Some(header) = whole else {
            scanned.damage.push(Error::damaged(name, at, "the header of a frame is damaged or incomplete"));
            // If the damage spared it, this is what the next frame continues.
            chain = rest.get(4..8).map_or(0, |sum| u32_at(sum, 0));
            let next = rest
                .windows(FRAME_HEADER)
                .skip(1)
                .position(|header| u32_at(header, 20) == crc32c::crc32c(&header[..20]) && u32_at(header, 0) > 0);
            let Some(next) = next else { break };
            offset += 1 + next;
            continue;
        };
        let (length, sum, seq) = (u32_at(header, 0) as usize, u32_at(header, 4), u64_at(header, 8));
        let Some(payload) = rest[FRAME_HEADER..].get(..length) else {
            scanned.damage.push(Error::damaged(name, at, format!("the frame of record {seq} is incomplete")));
            break;
        };
        if crc32c::crc32c_append(chain, payload) == sum {
            let records = &mut scanned.records;
            if let Err(error) = take_records(name, at, payload, seq, |seq, record| records.push((at, seq, record))) {
                scanned.damage.push(error);
            }
        } else {
            let why = format!("the frame of record {seq} is damaged, or cannot be verified since the one before it is");
            scanned.damage.push(Error::damaged(name, at, why));
        }
        chain = sum;
        offset += FRAME_HEADER + length;
    }
    scanned
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Id;

    const START: Position = Position { next_seq: 1, chain: 0 };

    fn deletion(id: &str) -> Record {
        Record::LibraryDeleted { library: Id::new(id).unwrap() }
    }

    /// Appends a frame; the position behind it.
    fn append(bytes: &mut Vec<u8>, position: Position, records: &[Record], unsynced: u32) -> Position {
        let mut frame = Frame::default();
        records.iter().for_each(|record| frame.push(record).unwrap());
        let (sealed, next) = frame.seal(position, unsynced);
        bytes.extend_from_slice(sealed);
        next
    }

    /// A segment of frames with these many records each.
    fn segment(frames: &[usize]) -> (Vec<u8>, Vec<(u64, Record)>, Vec<usize>) {
        let header = segment_header(START);
        let (mut bytes, mut position) = (header.to_vec(), after_header(&header, START));
        let (mut records, mut ends) = (Vec::new(), vec![bytes.len()]);
        for count in frames {
            let batch: Vec<Record> =
                (0..*count as u64).map(|n| deletion(&"library".repeat(1 + (position.next_seq + n) as usize % 30))).collect();
            position = append(&mut bytes, position, &batch, 0);
            records.extend((position.next_seq - *count as u64..).zip(batch));
            ends.push(bytes.len());
        }
        (bytes, records, ends)
    }

    #[test]
    fn what_is_written_is_read() {
        let (bytes, records, _) = segment(&[1, 3, 2]);
        let found = read_segment("log", &bytes, None).unwrap();
        assert_eq!(found.records, records);
        assert_eq!((found.valid_len, found.torn, found.end.next_seq), (bytes.len() as u64, 0, 7));
    }

    #[test]
    fn a_frame_is_used_again() {
        let mut frame = Frame::default();
        assert!(frame.is_empty());
        frame.push(&deletion("a")).unwrap();
        let length = frame.len();
        let first = frame.seal(START, 0).0.to_vec();
        assert_eq!((first.len(), frame.records()), (length, 1));
        frame.clear();
        frame.push(&deletion("a")).unwrap();
        assert_eq!(frame.seal(START, 0).0, first);
    }

    #[test]
    fn every_cut_is_a_torn_tail() {
        let (bytes, records, ends) = segment(&[1, 3, 2]);
        for len in SEGMENT_HEADER..bytes.len() {
            let found = read_segment("log", &bytes[..len], None).unwrap();
            let end = ends.iter().rev().find(|end| **end <= len).unwrap();
            // Zeros at the end may be a part of the frame or what was there before.
            let torn = bytes[*end..len].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            assert_eq!((found.valid_len, found.torn), (*end as u64, torn as u64));
            assert_eq!(found.records, records[..found.records.len()]);
        }
        for len in 0..SEGMENT_HEADER {
            assert_eq!(read_segment("log", &bytes[..len], None).unwrap_err().code, Code::Damaged);
        }
    }

    #[test]
    fn zeros_behind_the_last_frame_are_nothing() {
        let (bytes, records, _) = segment(&[1, 3, 2]);
        for zeros in [1, 31, 511, 4_096, 70_000] {
            let longer = [bytes.as_slice(), &vec![0; zeros]].concat();
            assert_eq!(written(&longer), bytes);
            let found = read_segment("log", &longer, None).unwrap();
            assert_eq!((found.valid_len, found.torn, found.end.next_seq), (bytes.len() as u64, 0, 7));
            let scanned = scan_segment("log", &longer);
            assert!(scanned.damage.is_empty() && scanned.records.len() == records.len(), "{:?}", scanned.damage);
            // A frame of which only the end has reached the disk, and one of which only the beginning has.
            let next = bytes.len();
            let mut torn = longer.clone();
            let end = append(&mut torn, found.end, &vec![deletion(&"x".repeat(200)); 20], 0);
            let frame = torn.split_off(longer.len());
            torn.splice(next..(next + frame.len()).min(torn.len()), frame.iter().copied());
            assert_eq!(read_segment("log", &torn, None).unwrap().end, end);
            let sector = (next + FRAME_HEADER).next_multiple_of(SECTOR);
            torn[sector..sector + SECTOR].fill(0);
            let cut = read_segment("log", &torn, None).unwrap();
            assert_eq!((cut.records.len(), cut.torn), (records.len(), (written(&torn).len() - next) as u64));
            torn[next..sector].fill(0);
            assert_eq!(read_segment("log", &torn, None).unwrap().valid_len, next as u64);
        }
        assert_eq!(written(&[0; 10]), [0; 10]);
        assert_eq!(written(&[0; 5_000]), [0; SEGMENT_HEADER]);
    }

    #[test]
    fn segments_of_version_2_are_read() {
        let (mut bytes, records, ends) = segment(&[0]);
        assert!(records.is_empty());
        bytes.truncate(ends[0]);
        bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
        let sum = crc32c::crc32c(&bytes[..28]);
        bytes[28..32].copy_from_slice(&sum.to_le_bytes());
        append(&mut bytes, Position { next_seq: 1, chain: sum }, &[deletion("a")], 0);
        assert_eq!(read_segment("log", &bytes, None).unwrap().records.len(), 1);
        for version in [1_u32, 4] {
            bytes[8..12].copy_from_slice(&version.to_le_bytes());
            assert_eq!(read_segment("log", &bytes, None).unwrap_err().code, Code::UnsupportedVersion);
        }
    }

    #[test]
    fn every_flipped_bit_is_damage() {
        let (bytes, ..) = segment(&[1, 3, 2]);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let error = read_segment("log", &bad, None).unwrap_err();
            assert!(matches!(error.code, Code::Damaged | Code::UnsupportedVersion), "bit {bit}: {error}");
        }
    }

    #[test]
    fn sectors_that_never_reached_the_disk_are_a_torn_tail_only_at_the_end() {
        let (bytes, records, ends) = segment(&[4, 200]);
        let last = ends[1];
        let sectors: Vec<usize> = (last.next_multiple_of(SECTOR)..bytes.len()).step_by(SECTOR).collect();
        assert!(sectors.len() > 20);
        let with_holes = |holes: &[usize]| {
            let mut holed = bytes.clone();
            for start in holes {
                let end = (start + SECTOR).min(holed.len());
                holed[*start..end].fill(0);
            }
            holed
        };
        for sector in &sectors {
            let found = read_segment("log", &with_holes(&[*sector]), None).unwrap();
            assert_eq!((found.records.len(), found.valid_len), (4, last as u64));
        }
        // The part of the frame in the sector that it shares with the frame before.
        let mut holed = bytes.clone();
        holed[last..sectors[0]].fill(0);
        assert_eq!(read_segment("log", &holed, None).unwrap().records, records[..4]);
        // The same hole with another frame behind it was acknowledged: damage.
        let mut longer = with_holes(&sectors[3..4]);
        let end = read_segment("log", &bytes, None).unwrap().end;
        append(&mut longer, end, &[deletion("after")], 0);
        assert_eq!(read_segment("log", &longer, None).unwrap_err().code, Code::Damaged);
        let mut longer = holed.clone();
        append(&mut longer, end, &[deletion("after")], 0);
        assert_eq!(read_segment("log", &longer, None).unwrap_err().code, Code::Damaged);
        // And one behind it that was written before the hole's frame was synced changes nothing.
        for unsynced in [200, 204] {
            for mut longer in [holed.clone(), with_holes(&sectors[3..4])] {
                append(&mut longer, end, &[deletion("after")], unsynced);
                let found = read_segment("log", &longer, None).unwrap();
                assert_eq!((found.records.len(), found.valid_len), (4, last as u64));
            }
        }
        // Without a hole it is damage, synced or not.
        let mut longer = bytes.clone();
        longer[last + 100] ^= 1;
        append(&mut longer, end, &[deletion("after")], 200);
        assert_eq!(read_segment("log", &longer, None).unwrap_err().code, Code::Damaged);
    }

    #[test]
    fn a_segment_that_does_not_continue_the_one_before_is_damage() {
        let (bytes, ..) = segment(&[1]);
        assert!(read_segment("log", &bytes, Some(START)).is_ok());
        for other in [Position { next_seq: 2, chain: 0 }, Position { next_seq: 1, chain: 1 }] {
            assert_eq!(read_segment("log", &bytes, Some(other)).unwrap_err().code, Code::Damaged);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), keep in 0usize..200) {
            let (valid, ..) = segment(&[2, 1]);
            bytes.splice(0..0, valid[..keep.min(valid.len())].iter().copied());
            let _ = read_segment("log", &bytes, None);
        }
    }
}
