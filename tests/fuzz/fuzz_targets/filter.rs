//! Filters in JSON: one that is taken means the same after it was written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vecino_engine::filter::Filter;

fuzz_target!(|bytes: &[u8]| {
    let Ok(json) = serde_json::from_slice(bytes) else { return };
    if let Ok(filter) = Filter::from_json(&json) {
        let again = Filter::from_json(&filter.to_json()).expect("a filter that was written can be read");
        assert_eq!(filter, again);
    }
});
