//! Twins for x86-64: AVX2 and AVX-512, each with and without the dot-product instructions for bytes (VNNI).
//!
//! The kernels are private, and their tables are handed out by [`available`] alone, after the processor has been asked.
//! That is what makes calling them sound.

#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::is_x86_feature_detected as has;

use super::{Kernels, padded};

/// What this processor can run, the fastest last.
pub(super) fn available() -> impl Iterator<Item = &'static Kernels> {
    let avx2 = has!("avx2");
    let avx512 = has!("avx512f") && has!("avx512bw");
    [(avx2, &AVX2), (avx2 && has!("avxvnni"), &AVX2_VNNI), (avx512, &AVX512), (avx512 && has!("avx512vnni"), &AVX512_VNNI)]
        .into_iter()
        .filter_map(|(can, kernels)| can.then_some(kernels))
}

/// Whether the processor is one of AMD's, whose prefetchers follow a scan across pages: on Zen 4, a scan of floats in one thread
/// reads 20.0 GB/s, and 15.3 when its rows are asked for 8 KiB ahead (the best plain sum: 23.8).
pub(super) fn is_amd() -> bool {
    // Miri has no processor to ask.
    if cfg!(miri) {
        return false;
    }
    let vendor = __cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"AuthenticAMD"
}

macro_rules! kernels {
    ($name:literal, $sum:ident, $sum_i8:ident) => {
        // SAFETY, for each: the table is reached only through `available`, which has checked the features of both kernels.
        Kernels {
            name: $name,
            // SAFETY: see the head of the macro.
            dot: |a, b| unsafe { $sum::<false>(a, b) },
            // SAFETY: see the head of the macro.
            squared_l2: |a, b| unsafe { $sum::<true>(a, b) },
            // SAFETY: see the head of the macro.
            dot_i8: |a, b| unsafe { $sum_i8(a, b) },
        }
    };
}

static AVX2: Kernels = kernels!("avx2", sum_avx2, sum_i8_avx2);
static AVX2_VNNI: Kernels = kernels!("avx2-vnni", sum_avx2, sum_i8_avx2_vnni);
static AVX512: Kernels = kernels!("avx512", sum_avx512, sum_i8_avx512);
static AVX512_VNNI: Kernels = kernels!("avx512-vnni", sum_avx512, sum_i8_avx512_vnni);

/// The canonical sum of products or, if `SQUARED`, of squared differences.
#[target_feature(enable = "avx2")]
fn sum_avx2<const SQUARED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let len = a.len().min(b.len());
    let (mut low, mut high) = (_mm256_setzero_ps(), _mm256_setzero_ps());
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and neither slice is shorter than `len`.
        let ((a_low, a_high), (b_low, b_high)) = unsafe { (load_avx2(a.as_ptr().add(at)), load_avx2(b.as_ptr().add(at))) };
        low = step_avx2::<SQUARED>(low, a_low, b_low);
        high = step_avx2::<SQUARED>(high, a_high, b_high);
        at += 16;
    }
    if at < len {
        let (a, b) = (padded::<f32, 16>(a, at, len), padded::<f32, 16>(b, at, len));
        // SAFETY: both arrays have 16 elements.
        let ((a_low, a_high), (b_low, b_high)) = unsafe { (load_avx2(a.as_ptr()), load_avx2(b.as_ptr())) };
        low = step_avx2::<SQUARED>(low, a_low, b_low);
        high = step_avx2::<SQUARED>(high, a_high, b_high);
    }
    fold_avx2(_mm256_add_ps(low, high))
}

/// # Safety
/// `from` points at 16 readable floats.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_avx2(from: *const f32) -> (__m256, __m256) {
    // SAFETY: the caller vouches for 16 floats; the load needs no alignment.
    unsafe { (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn step_avx2<const SQUARED: bool>(lanes: __m256, a: __m256, b: __m256) -> __m256 {
    if SQUARED {
        let difference = _mm256_sub_ps(a, b);
        _mm256_add_ps(lanes, _mm256_mul_ps(difference, difference))
    } else {
        _mm256_add_ps(lanes, _mm256_mul_ps(a, b))
    }
}

/// The last three levels of the tree: 8 to 4, to 2, to 1.
#[inline]
#[target_feature(enable = "avx2")]
fn fold_avx2(eight: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

/// Bytes are widened to 16 bits first: `maddubs` on bytes would saturate. `madd` adds pairs of products into 32 bits, exact
/// because a pair is at most `2 * 128 * 128`.
#[target_feature(enable = "avx2")]
fn sum_i8_avx2(a: &[i8], b: &[i8]) -> i32 {
    let len = a.len().min(b.len());
    let mut sum = _mm256_setzero_si256();
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and neither slice is shorter than `len`.
        let (a, b) = unsafe { (load_i8_avx2(a.as_ptr().add(at)), load_i8_avx2(b.as_ptr().add(at))) };
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
        at += 16;
    }
    if at < len {
        let (a, b) = (padded::<i8, 16>(a, at, len), padded::<i8, 16>(b, at, len));
        // SAFETY: both arrays have 16 elements.
        let (a, b) = unsafe { (load_i8_avx2(a.as_ptr()), load_i8_avx2(b.as_ptr())) };
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
    }
    fold_i32_avx2(sum)
}

/// Sixteen bytes, widened to 16 bits each.
///
/// # Safety
/// `from` points at 16 readable bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_i8_avx2(from: *const i8) -> __m256i {
    // SAFETY: the caller vouches for 16 bytes; the load needs no alignment.
    unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast())) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn fold_i32_avx2(eight: __m256i) -> i32 {
    let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
    let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)))
}

/// `dpbusd` multiplies unsigned by signed bytes and adds four products into 32 bits, without saturation. `a` is made
/// unsigned by adding 128 (flipping its top bit), and `128 * b`, summed beside, is taken off again at the end. All of it
/// is arithmetic modulo 2^32, so an intermediate wrap is harmless.
#[target_feature(enable = "avx2,avxvnni")]
fn sum_i8_avx2_vnni(a: &[i8], b: &[i8]) -> i32 {
    let len = a.len().min(b.len());
    let flip = _mm256_set1_epi8(i8::MIN);
    let (mut sum, mut excess) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    let mut at = 0;
    while at + 32 <= len {
        // SAFETY: `at + 32 <= len`, and neither slice is shorter than `len`; the loads need no alignment.
        let (a, b) = unsafe { (_mm256_loadu_si256(a.as_ptr().add(at).cast()), _mm256_loadu_si256(b.as_ptr().add(at).cast())) };
        sum = _mm256_dpbusd_avx_epi32(sum, _mm256_xor_si256(a, flip), b);
        excess = _mm256_dpbusd_avx_epi32(excess, flip, b);
        at += 32;
    }
    if at < len {
        let (a, b) = (padded::<i8, 32>(a, at, len), padded::<i8, 32>(b, at, len));
        // SAFETY: both arrays have 32 elements; the loads need no alignment.
        let (a, b) = unsafe { (_mm256_loadu_si256(a.as_ptr().cast()), _mm256_loadu_si256(b.as_ptr().cast())) };
        sum = _mm256_dpbusd_avx_epi32(sum, _mm256_xor_si256(a, flip), b);
        excess = _mm256_dpbusd_avx_epi32(excess, flip, b);
    }
    fold_i32_avx2(_mm256_sub_epi32(sum, excess))
}

/// As [`sum_avx2`], all sixteen lanes in one register.
#[target_feature(enable = "avx512f")]
fn sum_avx512<const SQUARED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let len = a.len().min(b.len());
    let mut lanes = _mm512_setzero_ps();
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and neither slice is shorter than `len`; the loads need no alignment.
        let (a, b) = unsafe { (_mm512_loadu_ps(a.as_ptr().add(at)), _mm512_loadu_ps(b.as_ptr().add(at))) };
        lanes = step_avx512::<SQUARED>(lanes, a, b);
        at += 16;
    }
    if at < len {
        let mask = (1_u16 << (len - at)) - 1;
        // SAFETY: the mask has `len - at` bits, fewer than 16, and what it leaves out is not read but zero.
        let (a, b) =
            unsafe { (_mm512_maskz_loadu_ps(mask, a.as_ptr().add(at)), _mm512_maskz_loadu_ps(mask, b.as_ptr().add(at))) };
        lanes = step_avx512::<SQUARED>(lanes, a, b);
    }
    let high = _mm512_shuffle_f32x4::<0b11_10_11_10>(lanes, lanes);
    fold_avx2(_mm512_castps512_ps256(_mm512_add_ps(lanes, high)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn step_avx512<const SQUARED: bool>(lanes: __m512, a: __m512, b: __m512) -> __m512 {
    if SQUARED {
        let difference = _mm512_sub_ps(a, b);
        _mm512_add_ps(lanes, _mm512_mul_ps(difference, difference))
    } else {
        _mm512_add_ps(lanes, _mm512_mul_ps(a, b))
    }
}

/// As [`sum_i8_avx2`], 32 bytes at a time.
#[target_feature(enable = "avx512f,avx512bw")]
fn sum_i8_avx512(a: &[i8], b: &[i8]) -> i32 {
    let len = a.len().min(b.len());
    let mut sum = _mm512_setzero_si512();
    let mut at = 0;
    while at + 32 <= len {
        // SAFETY: `at + 32 <= len`, and neither slice is shorter than `len`.
        let (a, b) = unsafe { (load_i8_avx512(a.as_ptr().add(at)), load_i8_avx512(b.as_ptr().add(at))) };
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
        at += 32;
    }
    if at < len {
        let (a, b) = (padded::<i8, 32>(a, at, len), padded::<i8, 32>(b, at, len));
        // SAFETY: both arrays have 32 elements.
        let (a, b) = unsafe { (load_i8_avx512(a.as_ptr()), load_i8_avx512(b.as_ptr())) };
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
    }
    _mm512_reduce_add_epi32(sum)
}

/// # Safety
/// `from` points at 32 readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn load_i8_avx512(from: *const i8) -> __m512i {
    // SAFETY: the caller vouches for 32 bytes; the load needs no alignment.
    unsafe { _mm512_cvtepi8_epi16(_mm256_loadu_si256(from.cast())) }
}

/// As [`sum_i8_avx2_vnni`], 64 bytes at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn sum_i8_avx512_vnni(a: &[i8], b: &[i8]) -> i32 {
    let len = a.len().min(b.len());
    let flip = _mm512_set1_epi8(i8::MIN);
    let (mut sum, mut excess) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    let mut at = 0;
    while at + 64 <= len {
        // SAFETY: `at + 64 <= len`, and neither slice is shorter than `len`; the loads need no alignment.
        let (a, b) = unsafe { (_mm512_loadu_si512(a.as_ptr().add(at).cast()), _mm512_loadu_si512(b.as_ptr().add(at).cast())) };
        sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(a, flip), b);
        excess = _mm512_dpbusd_epi32(excess, flip, b);
        at += 64;
    }
    if at < len {
        let mask = (1_u64 << (len - at)) - 1;
        // SAFETY: the mask has `len - at` bits, fewer than 64, and what it leaves out is not read but zero.
        let (a, b) =
            unsafe { (_mm512_maskz_loadu_epi8(mask, a.as_ptr().add(at)), _mm512_maskz_loadu_epi8(mask, b.as_ptr().add(at))) };
        sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(a, flip), b);
        excess = _mm512_dpbusd_epi32(excess, flip, b);
    }
    _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, excess))
}

/// Asks the cache for the line at `address`, which need not be readable.
#[inline(always)]
pub(super) fn prefetch(address: *const u8) {
    // SAFETY: SSE is part of x86-64, and a prefetch never faults.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}
