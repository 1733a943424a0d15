//! Matrices in `.npy` files.
#![no_main]
#![allow(dead_code)]

#[path = "../../../bench/src/npy.rs"]
mod npy;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = npy::floats(bytes);
    let _ = npy::integers(bytes);
});
