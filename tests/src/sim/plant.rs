//! Bugs that a test plants, to see that the simulation finds them. None of them can be switched on outside of it.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Syncs of files do nothing.
    FileNotSynced,
    /// Syncs of the folder do nothing.
    FolderNotSynced,
    /// A file gets its name before it is synced.
    RenameBeforeSync,
    /// A write is answered before it is synced.
    AnswerBeforeSync,
    /// The log is read as if its checksums were right.
    ChecksumIgnored,
    /// A torn tail is cut with a part of the frame before it.
    TailCutTooFar,
    /// Readers see a write before it is in the log.
    ApplyBeforeAppend,
}

impl Plant {
    /// Every bug.
    pub const ALL: [Self; 7] = [
        Self::FileNotSynced,
        Self::FolderNotSynced,
        Self::RenameBeforeSync,
        Self::AnswerBeforeSync,
        Self::ChecksumIgnored,
        Self::TailCutTooFar,
        Self::ApplyBeforeAppend,
    ];
}

/// Makes the checksums of a segment of the log right, whatever its payloads are.
pub(super) fn forgive(segment: &mut [u8]) {
    use vecino_engine::codec::{FRAME_HEADER, SEGMENT_HEADER};
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if segment.len() < SEGMENT_HEADER {
        return;
    }
    let mut chain = crc32c::crc32c(&segment[..28]);
    segment[28..32].copy_from_slice(&chain.to_le_bytes());
    let mut at = SEGMENT_HEADER;
    while segment.len() - at >= FRAME_HEADER {
        let end = at + FRAME_HEADER + word(segment, at) as usize;
        let Some(payload) = segment.get(at + FRAME_HEADER..end) else { return };
        chain = crc32c::crc32c_append(chain, payload);
        segment[at + 4..at + 8].copy_from_slice(&chain.to_le_bytes());
        let header = crc32c::crc32c(&segment[at..at + FRAME_HEADER - 4]);
        segment[at + FRAME_HEADER - 4..at + FRAME_HEADER].copy_from_slice(&header.to_le_bytes());
        at = end;
    }
}
