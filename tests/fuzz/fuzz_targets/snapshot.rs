//! Snapshots: as they are, and with right checksums so that the sections behind them are reached.
#![no_main]

#[path = "../../src/forge.rs"]
#[allow(dead_code)]
mod forge;

use libfuzzer_sys::fuzz_target;
use vecino_engine::{
    pool::Sequential,
    query::{Include, Query},
    snapshot,
};

fuzz_target!(|bytes: &[u8]| {
    let mut forged = bytes.to_vec();
    forge::snapshot(&mut forged);
    for bytes in [bytes, &forged] {
        let Ok(snapshot::Opened { library, .. }) = snapshot::from_bytes("snapshot", bytes) else { continue };
        let dimension = library.info().contract.dimension.unwrap_or(1) as usize;
        let include = Include { embedding: true, ..Include::default() };
        let query = Query {
            embedding: vec![0.5; dimension],
            k: 5,
            filter: None,
            include,
            target_recall: None,
            effort: None,
            explain: true,
        };
        let _ = library.query(&query, &Sequential);
        let written = snapshot::to_bytes(&library).expect("a library that was opened can be written");
        let again = snapshot::from_bytes("written", &written).and_then(snapshot::Opened::intact);
        again.expect("what was written can be opened");
    }
});
