//! Segments of the log: as they are, and with right checksums so that the records behind them are reached.
#![no_main]

#[path = "../../src/forge.rs"]
#[allow(dead_code)]
mod forge;

use libfuzzer_sys::fuzz_target;
use vecino_engine::{codec, state::State};

fuzz_target!(|bytes: &[u8]| {
    let mut forged = bytes.to_vec();
    forge::segment(&mut forged);
    for bytes in [bytes, &forged] {
        if let Ok(segment) = codec::read_segment("log", bytes, None) {
            assert!(segment.valid_len + segment.torn == codec::written(bytes).len() as u64);
            let mut state = State::default();
            segment.records.into_iter().for_each(|(seq, record)| state.apply(seq, record));
        }
    }
});
