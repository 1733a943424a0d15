//! Twins for 64-bit ARM, where NEON is always there. The dot-product instruction for bytes is asked for.

#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::{BLOCK, Kernels, common_len, padded};

/// What this processor can run, the fastest last.
pub(super) fn available() -> impl Iterator<Item = &'static Kernels> {
    [(true, &NEON), (is_aarch64_feature_detected!("dotprod"), &NEON_DOTPROD)]
        .into_iter()
        .filter_map(|(can, kernels)| can.then_some(kernels))
}

static NEON: Kernels = Kernels {
    name: "neon",
    dot: |a, b| sum::<false, 1>(a, [b])[0],
    dot_x4: sum::<false, BLOCK>,
    squared_l2: |a, b| sum::<true, 1>(a, [b])[0],
    squared_l2_x4: sum::<true, BLOCK>,
    dot_i8: |a, b| sum_i8::<1>(a, [b])[0],
    dot_i8_x4: sum_i8::<BLOCK>,
};

static NEON_DOTPROD: Kernels = Kernels {
    name: "neon-dotprod",
    // SAFETY: the table is reached only through `available`, which has checked `dotprod`.
    dot_i8: |a, b| unsafe { sum_i8_dotprod::<1>(a, [b])[0] },
    // SAFETY: as above.
    dot_i8_x4: |query, rows| unsafe { sum_i8_dotprod::<BLOCK>(query, rows) },
    dot: |a, b| sum::<false, 1>(a, [b])[0],
    dot_x4: sum::<false, BLOCK>,
    squared_l2: |a, b| sum::<true, 1>(a, [b])[0],
    squared_l2_x4: sum::<true, BLOCK>,
};

/// Lanes 0..4, 4..8, 8..12 and 12..16.
type Lanes = [float32x4_t; 4];

/// The canonical sum of products or, if `SQUARED`, of squared differences, of `query` with each of `N` rows.
fn sum<const SQUARED: bool, const N: usize>(query: &[f32], rows: [&[f32]; N]) -> [f32; N] {
    let len = common_len(query, &rows);
    let mut lanes = [[zero(); 4]; N];
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
fn step<const SQUARED: bool>(lanes: &mut Lanes, query: Lanes, row: Lanes) {
    for ((lane, q), r) in lanes.iter_mut().zip(query).zip(row) {
        // SAFETY: NEON is always there, see `zero`.
        unsafe {
            *lane = if SQUARED {
                let difference = vsubq_f32(q, r);
                vaddq_f32(*lane, vmulq_f32(difference, difference))
            } else {
                vaddq_f32(*lane, vmulq_f32(q, r))
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
fn sum_i8<const N: usize>(query: &[i8], rows: [&[i8]; N]) -> [i32; N] {
    let len = common_len(query, &rows);
    // SAFETY: NEON is always there, see `zero`.
    let mut sums = [unsafe { vdupq_n_s32(0) }; N];
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and no slice is shorter than `len`.
        let q = unsafe { vld1q_s8(query.as_ptr().add(at)) };
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: as above.
            *sum = step_i8(*sum, q, unsafe { vld1q_s8(row.as_ptr().add(at)) });
        }
        at += 16;
    }
    if at < len {
        let query = padded::<i8, 16>(query, at, len);
        // SAFETY: the array has 16 elements.
        let q = unsafe { vld1q_s8(query.as_ptr()) };
        for (sum, row) in sums.iter_mut().zip(rows) {
            let row = padded::<i8, 16>(row, at, len);
            // SAFETY: as above.
            *sum = step_i8(*sum, q, unsafe { vld1q_s8(row.as_ptr()) });
        }
    }
    // SAFETY: NEON is always there, see `zero`.
    sums.map(|sum| unsafe { vaddvq_s32(sum) })
}

#[inline(always)]
fn step_i8(sum: int32x4_t, query: int8x16_t, row: int8x16_t) -> int32x4_t {
    // SAFETY: NEON is always there, see `zero`.
    unsafe {
        let low = vmull_s8(vget_low_s8(query), vget_low_s8(row));
        let high = vmull_high_s8(query, row);
        vpadalq_s16(vpadalq_s16(sum, low), high)
    }
}

/// `sdot` adds four products of bytes into 32 bits, exactly.
#[target_feature(enable = "neon,dotprod")]
fn sum_i8_dotprod<const N: usize>(query: &[i8], rows: [&[i8]; N]) -> [i32; N] {
    let len = common_len(query, &rows);
    let mut sums = [vdupq_n_s32(0); N];
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and no slice is shorter than `len`.
        let q = unsafe { vld1q_s8(query.as_ptr().add(at)) };
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: as above.
            *sum = sdot(*sum, q, unsafe { vld1q_s8(row.as_ptr().add(at)) });
        }
        at += 16;
    }
    if at < len {
        let query = padded::<i8, 16>(query, at, len);
        // SAFETY: the array has 16 elements.
        let q = unsafe { vld1q_s8(query.as_ptr()) };
        for (sum, row) in sums.iter_mut().zip(rows) {
            let row = padded::<i8, 16>(row, at, len);
            // SAFETY: as above.
            *sum = sdot(*sum, q, unsafe { vld1q_s8(row.as_ptr()) });
        }
    }
    sums.map(|sum| vaddvq_s32(sum))
}

/// The intrinsic `vdotq_s32` is not in stable Rust yet (rust-lang/rust#117224).
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot(mut sum: int32x4_t, query: int8x16_t, row: int8x16_t) -> int32x4_t {
    // SAFETY: one instruction on three registers; this function has the feature that it needs.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {query:v}.16b, {row:v}.16b",
            sum = inout(vreg) sum,
            query = in(vreg) query,
            row = in(vreg) row,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}
