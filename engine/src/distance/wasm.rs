//! The twin for WebAssembly with 128-bit SIMD. Which of the two is used is settled when the module is built, because a module
//! with instructions that the browser lacks does not load. Relaxed SIMD is not used: it may fuse.

#![allow(unsafe_code)]

use std::arch::wasm32::*;

use super::{BLOCK, Kernels, common_len, padded};

/// What the module was built for.
pub(super) fn available() -> impl Iterator<Item = &'static Kernels> {
    std::iter::once(&KERNELS)
}

static KERNELS: Kernels = Kernels {
    name: "simd128",
    dot: |a, b| sum::<false, 1>(a, [b])[0],
    dot_x4: sum::<false, BLOCK>,
    squared_l2: |a, b| sum::<true, 1>(a, [b])[0],
    squared_l2_x4: sum::<true, BLOCK>,
    dot_i8: |a, b| sum_i8::<1>(a, [b])[0],
    dot_i8_x4: sum_i8::<BLOCK>,
};

/// Lanes 0..4, 4..8, 8..12 and 12..16.
type Lanes = [v128; 4];

/// The canonical sum of products or, if `SQUARED`, of squared differences, of `query` with each of `N` rows.
fn sum<const SQUARED: bool, const N: usize>(query: &[f32], rows: [&[f32]; N]) -> [f32; N] {
    let len = common_len(query, &rows);
    let mut lanes = [[f32x4_splat(0.0); 4]; N];
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and no slice is shorter than `len`.
        let q = unsafe { load(query.as_ptr().add(at)) };
        for (lanes, row) in lanes.iter_mut().zip(rows) {
            // SAFETY: as above.
            step::<SQUARED>(lanes, q, unsafe { load(row.as_ptr().add(at)) });
        }
        at += 16;
    }
    if at < len {
        let query = padded::<f32, 16>(query, at, len);
        // SAFETY: the array has 16 elements.
        let q = unsafe { load(query.as_ptr()) };
        for (lanes, row) in lanes.iter_mut().zip(rows) {
            let row = padded::<f32, 16>(row, at, len);
            // SAFETY: as above.
            step::<SQUARED>(lanes, q, unsafe { load(row.as_ptr()) });
        }
    }
    lanes.map(fold)
}

/// # Safety
/// `from` points at 16 readable floats.
#[inline(always)]
unsafe fn load(from: *const f32) -> Lanes {
    let from: *const v128 = from.cast();
    // SAFETY: the caller vouches for 16 floats, four vectors; `v128_load` needs no alignment.
    unsafe { [v128_load(from), v128_load(from.add(1)), v128_load(from.add(2)), v128_load(from.add(3))] }
}

#[inline(always)]
fn step<const SQUARED: bool>(lanes: &mut Lanes, query: Lanes, row: Lanes) {
    for ((lane, q), r) in lanes.iter_mut().zip(query).zip(row) {
        *lane = if SQUARED {
            let difference = f32x4_sub(q, r);
            f32x4_add(*lane, f32x4_mul(difference, difference))
        } else {
            f32x4_add(*lane, f32x4_mul(q, r))
        };
    }
}

#[inline(always)]
fn fold([a, b, c, d]: Lanes) -> f32 {
    let four = f32x4_add(f32x4_add(a, c), f32x4_add(b, d));
    let two = f32x4_add(four, i32x4_shuffle::<2, 3, 0, 1>(four, four));
    f32x4_extract_lane::<0>(two) + f32x4_extract_lane::<1>(two)
}

/// Bytes are widened to 16 bits, and pairs of products added into 32, exact because a pair is at most `2 * 128 * 128`.
fn sum_i8<const N: usize>(query: &[i8], rows: [&[i8]; N]) -> [i32; N] {
    let len = common_len(query, &rows);
    let mut sums = [i32x4_splat(0); N];
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and no slice is shorter than `len`; the load needs no alignment.
        let q = unsafe { v128_load(query.as_ptr().add(at).cast()) };
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: as above.
            let row = unsafe { v128_load(row.as_ptr().add(at).cast()) };
            *sum = step_i8(*sum, q, row);
        }
        at += 16;
    }
    if at < len {
        let query = padded::<i8, 16>(query, at, len);
        // SAFETY: the array has 16 elements; the load needs no alignment.
        let q = unsafe { v128_load(query.as_ptr().cast()) };
        for (sum, row) in sums.iter_mut().zip(rows) {
            let row = padded::<i8, 16>(row, at, len);
            // SAFETY: as above.
            *sum = step_i8(*sum, q, unsafe { v128_load(row.as_ptr().cast()) });
        }
    }
    sums.map(|sum| {
        let two = i32x4_add(sum, i32x4_shuffle::<2, 3, 0, 1>(sum, sum));
        i32x4_extract_lane::<0>(two).wrapping_add(i32x4_extract_lane::<1>(two))
    })
}

#[inline(always)]
fn step_i8(sum: v128, query: v128, row: v128) -> v128 {
    let low = i32x4_dot_i16x8(i16x8_extend_low_i8x16(query), i16x8_extend_low_i8x16(row));
    let high = i32x4_dot_i16x8(i16x8_extend_high_i8x16(query), i16x8_extend_high_i8x16(row));
    i32x4_add(sum, i32x4_add(low, high))
}
