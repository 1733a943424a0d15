//! Twins for x86-64: AVX2 and AVX-512, each with and without the dot-product instructions for bytes (VNNI).
//!
//! The kernels are private, and their tables are handed out by [`available`] alone, after the processor has been asked.
//! That is what makes calling them sound.

#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::is_x86_feature_detected as has;

use super::{BLOCK, Kernels, common_len, padded};

/// What this processor can run, the fastest last.
pub(super) fn available() -> impl Iterator<Item = &'static Kernels> {
    let avx2 = has!("avx2");
    let avx512 = has!("avx512f") && has!("avx512bw");
    [(avx2, &AVX2), (avx2 && has!("avxvnni"), &AVX2_VNNI), (avx512, &AVX512), (avx512 && has!("avx512vnni"), &AVX512_VNNI)]
        .into_iter()
        .filter_map(|(can, kernels)| can.then_some(kernels))
}

macro_rules! kernels {
    ($name:literal, $sum:ident, $sum_i8:ident) => {
        // SAFETY, for each: the table is reached only through `available`, which has checked the features of both kernels.
        Kernels {
            name: $name,
            // SAFETY: see the head of the macro.
            dot: |a, b| unsafe { $sum::<false, 1>(a, [b])[0] },
            // SAFETY: see the head of the macro.
            dot_x4: |query, rows| unsafe { $sum::<false, BLOCK>(query, rows) },
            // SAFETY: see the head of the macro.
            squared_l2: |a, b| unsafe { $sum::<true, 1>(a, [b])[0] },
            // SAFETY: see the head of the macro.
            squared_l2_x4: |query, rows| unsafe { $sum::<true, BLOCK>(query, rows) },
            // SAFETY: see the head of the macro.
            dot_i8: |a, b| unsafe { $sum_i8::<1>(a, [b])[0] },
            // SAFETY: see the head of the macro.
            dot_i8_x4: |query, rows| unsafe { $sum_i8::<BLOCK>(query, rows) },
        }
    };
}

static AVX2: Kernels = kernels!("avx2", sum_avx2, sum_i8_avx2);
static AVX2_VNNI: Kernels = kernels!("avx2-vnni", sum_avx2, sum_i8_avx2_vnni);
static AVX512: Kernels = kernels!("avx512", sum_avx512, sum_i8_avx512);
static AVX512_VNNI: Kernels = kernels!("avx512-vnni", sum_avx512, sum_i8_avx512_vnni);

/// The canonical sum of products or, if `SQUARED`, of squared differences, of `query` with each of `N` rows.
#[target_feature(enable = "avx2")]
fn sum_avx2<const SQUARED: bool, const N: usize>(query: &[f32], rows: [&[f32]; N]) -> [f32; N] {
    let len = common_len(query, &rows);
    let mut lanes = [(_mm256_setzero_ps(), _mm256_setzero_ps()); N];
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and no slice is shorter than `len`.
        let (q_low, q_high) = unsafe { load_avx2(query.as_ptr().add(at)) };
        for ((low, high), row) in lanes.iter_mut().zip(rows) {
            // SAFETY: as above.
            let (row_low, row_high) = unsafe { load_avx2(row.as_ptr().add(at)) };
            *low = step_avx2::<SQUARED>(*low, q_low, row_low);
            *high = step_avx2::<SQUARED>(*high, q_high, row_high);
        }
        at += 16;
    }
    if at < len {
        let query = padded::<f32, 16>(query, at, len);
        // SAFETY: the array has 16 elements.
        let (q_low, q_high) = unsafe { load_avx2(query.as_ptr()) };
        for ((low, high), row) in lanes.iter_mut().zip(rows) {
            let row = padded::<f32, 16>(row, at, len);
            // SAFETY: as above.
            let (row_low, row_high) = unsafe { load_avx2(row.as_ptr()) };
            *low = step_avx2::<SQUARED>(*low, q_low, row_low);
            *high = step_avx2::<SQUARED>(*high, q_high, row_high);
        }
    }
    lanes.map(|(low, high)| fold_avx2(_mm256_add_ps(low, high)))
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
fn step_avx2<const SQUARED: bool>(lanes: __m256, query: __m256, row: __m256) -> __m256 {
    if SQUARED {
        let difference = _mm256_sub_ps(query, row);
        _mm256_add_ps(lanes, _mm256_mul_ps(difference, difference))
    } else {
        _mm256_add_ps(lanes, _mm256_mul_ps(query, row))
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
fn sum_i8_avx2<const N: usize>(query: &[i8], rows: [&[i8]; N]) -> [i32; N] {
    let len = common_len(query, &rows);
    let mut sums = [_mm256_setzero_si256(); N];
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and no slice is shorter than `len`.
        let q = unsafe { load_i8_avx2(query.as_ptr().add(at)) };
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: as above.
            let row = unsafe { load_i8_avx2(row.as_ptr().add(at)) };
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(q, row));
        }
        at += 16;
    }
    if at < len {
        let query = padded::<i8, 16>(query, at, len);
        // SAFETY: the array has 16 elements.
        let q = unsafe { load_i8_avx2(query.as_ptr()) };
        for (sum, row) in sums.iter_mut().zip(rows) {
            let row = padded::<i8, 16>(row, at, len);
            // SAFETY: as above.
            let row = unsafe { load_i8_avx2(row.as_ptr()) };
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(q, row));
        }
    }
    sums.map(|sum| fold_i32_avx2(sum))
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

/// `dpbusd` multiplies unsigned by signed bytes and adds four products into 32 bits, without saturation. The row is made
/// unsigned by adding 128 (flipping its top bit), and `128 * query`, summed beside, is taken off again at the end. All of it
/// is arithmetic modulo 2^32, so an intermediate wrap is harmless.
#[target_feature(enable = "avx2,avxvnni")]
fn sum_i8_avx2_vnni<const N: usize>(query: &[i8], rows: [&[i8]; N]) -> [i32; N] {
    let len = common_len(query, &rows);
    let flip = _mm256_set1_epi8(i8::MIN);
    let mut excess = _mm256_setzero_si256();
    let mut sums = [_mm256_setzero_si256(); N];
    let mut at = 0;
    while at + 32 <= len {
        // SAFETY: `at + 32 <= len`, and no slice is shorter than `len`; the load needs no alignment.
        let q = unsafe { _mm256_loadu_si256(query.as_ptr().add(at).cast()) };
        excess = _mm256_dpbusd_avx_epi32(excess, flip, q);
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: as above.
            let row = unsafe { _mm256_loadu_si256(row.as_ptr().add(at).cast()) };
            *sum = _mm256_dpbusd_avx_epi32(*sum, _mm256_xor_si256(row, flip), q);
        }
        at += 32;
    }
    if at < len {
        let query = padded::<i8, 32>(query, at, len);
        // SAFETY: the array has 32 elements; the load needs no alignment.
        let q = unsafe { _mm256_loadu_si256(query.as_ptr().cast()) };
        excess = _mm256_dpbusd_avx_epi32(excess, flip, q);
        for (sum, row) in sums.iter_mut().zip(rows) {
            let row = padded::<i8, 32>(row, at, len);
            // SAFETY: as above.
            let row = unsafe { _mm256_loadu_si256(row.as_ptr().cast()) };
            *sum = _mm256_dpbusd_avx_epi32(*sum, _mm256_xor_si256(row, flip), q);
        }
    }
    sums.map(|sum| fold_i32_avx2(_mm256_sub_epi32(sum, excess)))
}

/// As [`sum_avx2`], all sixteen lanes in one register.
#[target_feature(enable = "avx512f")]
fn sum_avx512<const SQUARED: bool, const N: usize>(query: &[f32], rows: [&[f32]; N]) -> [f32; N] {
    let len = common_len(query, &rows);
    let mut lanes = [_mm512_setzero_ps(); N];
    let mut at = 0;
    while at + 16 <= len {
        // SAFETY: `at + 16 <= len`, and no slice is shorter than `len`; the load needs no alignment.
        let q = unsafe { _mm512_loadu_ps(query.as_ptr().add(at)) };
        for (lanes, row) in lanes.iter_mut().zip(rows) {
            // SAFETY: as above.
            let row = unsafe { _mm512_loadu_ps(row.as_ptr().add(at)) };
            *lanes = step_avx512::<SQUARED>(*lanes, q, row);
        }
        at += 16;
    }
    if at < len {
        let mask = (1_u16 << (len - at)) - 1;
        // SAFETY: the mask has `len - at` bits, fewer than 16, and what it leaves out is not read but zero.
        let q = unsafe { _mm512_maskz_loadu_ps(mask, query.as_ptr().add(at)) };
        for (lanes, row) in lanes.iter_mut().zip(rows) {
            // SAFETY: as above.
            let row = unsafe { _mm512_maskz_loadu_ps(mask, row.as_ptr().add(at)) };
            *lanes = step_avx512::<SQUARED>(*lanes, q, row);
        }
    }
    lanes.map(|lanes| {
        let high = _mm512_shuffle_f32x4::<0b11_10_11_10>(lanes, lanes);
        fold_avx2(_mm512_castps512_ps256(_mm512_add_ps(lanes, high)))
    })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn step_avx512<const SQUARED: bool>(lanes: __m512, query: __m512, row: __m512) -> __m512 {
    if SQUARED {
        let difference = _mm512_sub_ps(query, row);
        _mm512_add_ps(lanes, _mm512_mul_ps(difference, difference))
    } else {
        _mm512_add_ps(lanes, _mm512_mul_ps(query, row))
    }
}

/// As [`sum_i8_avx2`], 32 bytes at a time.
#[target_feature(enable = "avx512f,avx512bw")]
fn sum_i8_avx512<const N: usize>(query: &[i8], rows: [&[i8]; N]) -> [i32; N] {
    let len = common_len(query, &rows);
    let mut sums = [_mm512_setzero_si512(); N];
    let mut at = 0;
    while at + 32 <= len {
        // SAFETY: `at + 32 <= len`, and no slice is shorter than `len`.
        let q = unsafe { load_i8_avx512(query.as_ptr().add(at)) };
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: as above.
            let row = unsafe { load_i8_avx512(row.as_ptr().add(at)) };
            *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(q, row));
        }
        at += 32;
    }
    if at < len {
        let query = padded::<i8, 32>(query, at, len);
        // SAFETY: the array has 32 elements.
        let q = unsafe { load_i8_avx512(query.as_ptr()) };
        for (sum, row) in sums.iter_mut().zip(rows) {
            let row = padded::<i8, 32>(row, at, len);
            // SAFETY: as above.
            let row = unsafe { load_i8_avx512(row.as_ptr()) };
            *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(q, row));
        }
    }
    sums.map(|sum| _mm512_reduce_add_epi32(sum))
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
fn sum_i8_avx512_vnni<const N: usize>(query: &[i8], rows: [&[i8]; N]) -> [i32; N] {
    let len = common_len(query, &rows);
    let flip = _mm512_set1_epi8(i8::MIN);
    let mut excess = _mm512_setzero_si512();
    let mut sums = [_mm512_setzero_si512(); N];
    let mut at = 0;
    while at + 64 <= len {
        // SAFETY: `at + 64 <= len`, and no slice is shorter than `len`; the load needs no alignment.
        let q = unsafe { _mm512_loadu_si512(query.as_ptr().add(at).cast()) };
        excess = _mm512_dpbusd_epi32(excess, flip, q);
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: as above.
            let row = unsafe { _mm512_loadu_si512(row.as_ptr().add(at).cast()) };
            *sum = _mm512_dpbusd_epi32(*sum, _mm512_xor_si512(row, flip), q);
        }
        at += 64;
    }
    if at < len {
        let mask = (1_u64 << (len - at)) - 1;
        // SAFETY: the mask has `len - at` bits, fewer than 64, and what it leaves out is not read but zero.
        let q = unsafe { _mm512_maskz_loadu_epi8(mask, query.as_ptr().add(at)) };
        excess = _mm512_dpbusd_epi32(excess, flip, q);
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: as above.
            let row = unsafe { _mm512_maskz_loadu_epi8(mask, row.as_ptr().add(at)) };
            *sum = _mm512_dpbusd_epi32(*sum, _mm512_xor_si512(row, flip), q);
        }
    }
    sums.map(|sum| _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, excess)))
}
