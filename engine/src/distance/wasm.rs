//! The twin for WebAssembly with 128-bit SIMD. Which of the two is used is settled when the module is built, because a module
//! with instructions that the browser lacks does not load. Relaxed SIMD is not used: it may fuse.

#![allow(unsafe_code)]

use std::arch::wasm32::*;

use super::{Kernels, padded};

/// What the module was built for.
pub(super) fn available() -> impl Iterator<Item = &'static Kernels> {
    std::iter::once(&KERNELS)
}

static KERNELS: Kernels = Kernels { name: "simd128", dot: sum::<false>, squared_l2: sum::<true>, dot_i8: sum_i8 };

/// Lanes 0..4, 4..8, 8..12 and 12..16.
type Lanes = [v128; 4];

/// The canonical sum of products or, if `SQUARED`, of squared differences.
fn sum<const SQUARED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let len = a.len().min(b.len());
    let mut lanes = [f32x4_splat(0.0); 4];
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and neither slice is shorter than `len`.
        let (a, b) = unsafe { (load(a.as_ptr().add(at)), load(b.as_ptr().add(at))) };
        step::<SQUARED>(&mut lanes, a, b);
        at += 16;
    }
    if at < len {
        let (a, b) = (padded::<f32, 16>(a, at, len), padded::<f32, 16>(b, at, len));
        // SAFETY: both arrays have 16 elements.
        let (a, b) = unsafe { (load(a.as_ptr()), load(b.as_ptr())) };
        step::<SQUARED>(&mut lanes, a, b);
    }
    fold(lanes)
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
fn step<const SQUARED: bool>(lanes: &mut Lanes, a: Lanes, b: Lanes) {
    for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
        *lane = if SQUARED {
            let difference = f32x4_sub(a, b);
            f32x4_add(*lane, f32x4_mul(difference, difference))
        } else {
            f32x4_add(*lane, f32x4_mul(a, b))
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
fn sum_i8(a: &[i8], b: &[i8]) -> i32 {
    let len = a.len().min(b.len());
    let mut sum = i32x4_splat(0);
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and neither slice is shorter than `len`; the loads need no alignment.
        let (a, b) = unsafe { (v128_load(a.as_ptr().add(at).cast()), v128_load(b.as_ptr().add(at).cast())) };
        sum = step_i8(sum, a, b);
        at += 16;
    }
    if at < len {
        let (a, b) = (padded::<i8, 16>(a, at, len), padded::<i8, 16>(b, at, len));
        // SAFETY: both arrays have 16 elements; the loads need no alignment.
        let (a, b) = unsafe { (v128_load(a.as_ptr().cast()), v128_load(b.as_ptr().cast())) };
        sum = step_i8(sum, a, b);
    }
    let two = i32x4_add(sum, i32x4_shuffle::<2, 3, 0, 1>(sum, sum));
    i32x4_extract_lane::<0>(two).wrapping_add(i32x4_extract_lane::<1>(two))
}

#[inline(always)]
fn step_i8(sum: v128, a: v128, b: v128) -> v128 {
    let low = i32x4_dot_i16x8(i16x8_extend_low_i8x16(a), i16x8_extend_low_i8x16(b));
    let high = i32x4_dot_i16x8(i16x8_extend_high_i8x16(a), i16x8_extend_high_i8x16(b));
    i32x4_add(sum, i32x4_add(low, high))
}
