//! Makes the checksums of files right, whatever else is wrong with them: so that tests reach what lies behind the checksums.

use vecino_engine::codec::{FRAME_HEADER, SEGMENT_HEADER};

/// A segment of the log, as far as its frames can be followed.
pub fn segment(bytes: &mut [u8]) {
    if bytes.len() < SEGMENT_HEADER {
        return;
    }
    let mut chain = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&chain.to_le_bytes());
    let mut at = SEGMENT_HEADER;
    while bytes.len() - at >= FRAME_HEADER {
        let end = at + FRAME_HEADER + word(bytes, at) as usize;
        let Some(payload) = bytes.get(at + FRAME_HEADER..end) else { return };
        chain = crc32c::crc32c_append(chain, payload);
        bytes[at + 4..at + 8].copy_from_slice(&chain.to_le_bytes());
        let header = crc32c::crc32c(&bytes[at..at + FRAME_HEADER - 4]);
        bytes[at + FRAME_HEADER - 4..at + FRAME_HEADER].copy_from_slice(&header.to_le_bytes());
        at = end;
    }
}

/// A snapshot, as far as its sections lie inside it.
pub fn snapshot(bytes: &mut [u8]) {
    const HEADER: usize = 64;
    const ENTRY: usize = 24;
    if bytes.len() < HEADER {
        return;
    }
    let table_end = (word(bytes, 12) as usize).checked_mul(ENTRY).and_then(|len| len.checked_add(HEADER));
    let Some(table_end) = table_end.filter(|end| *end <= bytes.len()) else { return };
    for entry in (HEADER..table_end).step_by(ENTRY) {
        let (offset, len) = (word(bytes, entry + 8) as usize, word(bytes, entry + 16) as usize);
        if let Some(section) = bytes.get(offset..offset.saturating_add(len)) {
            let sum = crc32c::crc32c(section);
            bytes[entry + 4..entry + 8].copy_from_slice(&sum.to_le_bytes());
        }
    }
    let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..60]), &bytes[HEADER..table_end]);
    bytes[60..64].copy_from_slice(&sum.to_le_bytes());
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
