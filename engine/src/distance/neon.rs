//! Twins for 64-bit ARM, where NEON is always there. The dot-product instruction for bytes is asked for.

#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::{Kernels, padded};

/// What this processor can run, the fastest last.
pub(super) fn available() -> impl Iterator<Item = &'static Kernels> {
    [(true, &NEON), (is_aarch64_feature_detected!("dotprod"), &NEON_DOTPROD)]
        .into_iter()
        .filter_map(|(can, kernels)| can.then_some(kernels))
}

static NEON: Kernels = Kernels { name: "neon", dot: sum::<false>, squared_l2: sum::<true>, dot_i8: sum_i8 };

static NEON_DOTPROD: Kernels = Kernels {
    name: "neon-dotprod",
    dot: sum::<false>,
    squared_l2: sum::<true>,
    // SAFETY: the table is reached only through `available`, which has checked `dotprod`.
    dot_i8: |a, b| unsafe { sum_i8_dotprod(a, b) },
};

/// Lanes 0..4, 4..8, 8..12 and 12..16.
type Lanes = [float32x4_t; 4];

/// The canonical sum of products or, if `SQUARED`, of squared differences.
fn sum<const SQUARED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let len = a.len().min(b.len());
    let mut lanes = [zero(); 4];
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

#[inline(always)]
fn zero() -> float32x4_t {
    // SAFETY: NEON is part of every aarch64 processor that Rust's targets stand for.
    unsafe { vdupq_n_f32(0.0) }
}

/// # Safety
/// `from` points at 16 readable floats.
#[inline(always)]
unsafe fn load(from: *const f32) -> Lanes {
    // SAFETY: the caller vouches for 16 floats; the load needs no alignment beyond that of a float.
    unsafe { [vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))] }
}

/// A multiplication and an addition, not `vfmaq_f32`, which would round once instead of twice.
#[inline(always)]
fn step<const SQUARED: bool>(lanes: &mut Lanes, a: Lanes, b: Lanes) {
    for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
        // SAFETY: NEON is always there, see `zero`.
        unsafe {
            *lane = if SQUARED {
                let difference = vsubq_f32(a, b);
                vaddq_f32(*lane, vmulq_f32(difference, difference))
            } else {
                vaddq_f32(*lane, vmulq_f32(a, b))
            };
        }
    }
}

#[inline(always)]
fn fold([a, b, c, d]: Lanes) -> f32 {
    // SAFETY: NEON is always there, see `zero`.
    unsafe {
        let four = vaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d));
        let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
        vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
    }
}

/// Each product is widened to 16 bits (at most `128 * 128`, which fits) and pairs of products are added into 32.
fn sum_i8(a: &[i8], b: &[i8]) -> i32 {
    let len = a.len().min(b.len());
    // SAFETY: NEON is always there, see `zero`.
    let mut sum = unsafe { vdupq_n_s32(0) };
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and neither slice is shorter than `len`.
        let (a, b) = unsafe { (vld1q_s8(a.as_ptr().add(at)), vld1q_s8(b.as_ptr().add(at))) };
        sum = step_i8(sum, a, b);
        at += 16;
    }
    if at < len {
        let (a, b) = (padded::<i8, 16>(a, at, len), padded::<i8, 16>(b, at, len));
        // SAFETY: both arrays have 16 elements.
        let (a, b) = unsafe { (vld1q_s8(a.as_ptr()), vld1q_s8(b.as_ptr())) };
        sum = step_i8(sum, a, b);
    }
    // SAFETY: NEON is always there, see `zero`.
    unsafe { vaddvq_s32(sum) }
}

#[inline(always)]
fn step_i8(sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: NEON is always there, see `zero`.
    unsafe {
        let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
        let high = vmull_high_s8(a, b);
        vpadalq_s16(vpadalq_s16(sum, low), high)
    }
}

/// `sdot` adds four products of bytes into 32 bits, exactly.
#[target_feature(enable = "neon,dotprod")]
fn sum_i8_dotprod(a: &[i8], b: &[i8]) -> i32 {
    let len = a.len().min(b.len());
    let mut sum = vdupq_n_s32(0);
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and neither slice is shorter than `len`.
        let (a, b) = unsafe { (vld1q_s8(a.as_ptr().add(at)), vld1q_s8(b.as_ptr().add(at))) };
        sum = sdot(sum, a, b);
        at += 16;
    }
    if at < len {
        let (a, b) = (padded::<i8, 16>(a, at, len), padded::<i8, 16>(b, at, len));
        // SAFETY: both arrays have 16 elements.
        let (a, b) = unsafe { (vld1q_s8(a.as_ptr()), vld1q_s8(b.as_ptr())) };
        sum = sdot(sum, a, b);
    }
    vaddvq_s32(sum)
}

/// The intrinsic `vdotq_s32` is not in stable Rust yet (rust-lang/rust#117224).
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: one instruction on three registers; this function has the feature that it needs.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// Asks the cache for the line at `address`, which need not be readable.
#[inline(always)]
pub(super) fn prefetch(address: *const u8) {
    // SAFETY: a prefetch never faults and changes nothing but the cache. (The intrinsic is not in stable Rust yet.)
    unsafe {
        asm!(
            "prfm pldl1keep, [{address}]",
            address = in(reg) address,
            options(readonly, nostack, preserves_flags),
        );
    }
}
