//! Lines of a file that is imported.
#![no_main]
#![allow(dead_code)]

#[path = "../../../server/src/commands/document.rs"]
mod document;
#[path = "../../../server/src/json.rs"]
mod json;
#[path = "../../../server/src/commands/lines.rs"]
mod lines;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut lines = lines::Lines::new(bytes, 4096);
    while let Some(line) = lines.next_line().expect("bytes in memory can be read") {
        if let Some(line) = line.content {
            let _ = document::Document::read(&line);
        }
    }
});
