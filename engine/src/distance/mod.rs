//! How near two vectors are, to the bit, on every machine.
//!
//! Floating-point addition is not associative: the same dot product summed in another order has other last bits, and other
//! last bits can swap two results. A server on x86-64, a phone on ARM and a browser tab must give one ranking, so the order
//! of every sum is fixed here, once, and called *canonical*:
//!
//! - sixteen lanes start at `+0.0`; lane `l` takes the elements `i` with `i % 16 == l`, in ascending `i`;
//! - each step is a multiplication, rounded, then an addition, rounded: never a fused multiply-add, never relaxed SIMD;
//! - what is left after the last sixteen goes to lanes 0, 1, 2, ... of the same sums;
//! - the lanes fold in a fixed tree: 16 to 8 (`s[i] + s[i + 8]`), 8 to 4, 4 to 2, 2 to 1.
//!
//! Sixteen lanes are one AVX-512 register, two of AVX2, four of NEON or wasm: wide enough to keep up with memory on
//! all of them. `scalar.rs` is the definition; every other file holds a *twin* of it, proved equal bit for bit by the tests.
//! The twin is chosen once per process, by what the processor can do, and the choice changes nothing but the time.
//!
//! Sums over int8 codes are integers, hence exact in any order; see [`codes`].
//!
//! # Slices of different lengths
//! Callers hand in vectors of equal length. If they do not, the common prefix is used: a wrong answer, never a wrong read.
//!
//! # Not a number
//! With finite input the only way to NaN is overflow (`inf - inf`), whose sign differs between processors. Every twin gives
//! NaN for the same input, and [`Metric::key`] turns it into `+inf`, the farthest key.

pub mod codes;
mod metric;
#[cfg(target_arch = "aarch64")]
mod neon;
mod norm;
mod scalar;
#[cfg(test)]
mod tests;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

pub use metric::Metric;
pub use norm::{NormError, normalise};

/// Lanes of the canonical order.
const LANES: usize = 16;

/// How far ahead of a scan its rows are fetched, in bytes. The prefetchers of most processors stop at the end of a page, 4 KiB.
const AHEAD: usize = 8 << 10;

/// The bytes that a cache moves together. Where lines are longer, some prefetches are in vain.
const CACHE_LINE: usize = 64;

/// One implementation of every kernel.
///
/// Each takes one pair of rows. Measuring a query against four rows at once was tried and is slower: four streams upset the
/// prefetchers, and processors overlap one row with the next by themselves.
struct Kernels {
    name: &'static str,
    dot: fn(&[f32], &[f32]) -> f32,
    squared_l2: fn(&[f32], &[f32]) -> f32,
    dot_i8: fn(&[i8], &[i8]) -> i32,
}

/// What this machine can run, the definition first and the fastest last.
fn twins() -> Vec<&'static Kernels> {
    #[cfg(target_arch = "aarch64")]
    use neon::available;
    #[cfg(not(any(
        target_arch = "aarch64",
        target_arch = "x86_64",
        all(target_arch = "wasm32", target_feature = "simd128")
    )))]
    use std::iter::empty as available;
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    use wasm::available;
    #[cfg(target_arch = "x86_64")]
    use x86::available;

    std::iter::once(&scalar::KERNELS).chain(available()).collect()
}

#[inline]
fn kernels() -> &'static Kernels {
    static CHOSEN: OnceLock<&'static Kernels> = OnceLock::new();
    CHOSEN.get_or_init(|| twins().pop().unwrap_or(&scalar::KERNELS))
}

/// The name of the kernels in use, for diagnostics: `scalar`, `avx2`, `avx2-vnni`, `avx512`, `avx512-vnni`, `neon`,
/// `neon-dotprod` or `simd128`. No answer depends on it.
pub fn kernel_name() -> &'static str {
    kernels().name
}

/// The dot product of `a` and `b`, summed in the canonical order. Never `-0.0`.
///
/// Cost: one pass over both, some 12 ns for 384 dimensions in cache.
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    (kernels().dot)(a, b)
}

/// The squared Euclidean distance between `a` and `b`, summed in the canonical order. At least 0, never `-0.0`.
#[inline]
pub fn squared_l2(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    (kernels().squared_l2)(a, b)
}

/// The exact integer dot product of two int8 codes.
///
/// It cannot overflow up to 131,071 dimensions, whatever the values (`131,071 * 128 * 128 < 2^31`), which is twice the
/// largest dimension that a library may have. Beyond that it wraps, alike on every machine.
#[inline]
pub fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
    debug_assert_eq!(a.len(), b.len());
    (kernels().dot_i8)(a, b)
}

/// Asks the cache for `row`, ahead of its use. Worth a third of the time where rows are visited out of order, as in a graph:
/// ask for all of a node's neighbours, then measure them. Elsewhere than on x86-64 and ARM it does nothing;
/// nowhere does it change an answer.
#[inline]
pub fn prefetch<T>(row: &[T]) {
    #[cfg(target_arch = "aarch64")]
    use neon::prefetch;
    #[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
    use scalar::prefetch;
    #[cfg(target_arch = "x86_64")]
    use x86::prefetch;

    for line in (0..size_of_val(row)).step_by(CACHE_LINE) {
        prefetch(row.as_ptr().cast::<u8>().wrapping_add(line));
    }
}

/// The dot products of `query` with every row of `rows`, a contiguous block of rows of `dim` elements each. The sums replace
/// what is in `out`, in row order, with the same bits as [`dot`] row by row.
///
/// Needs `query.len() == dim` and a whole number of rows; a broken last row is left out, and `dim == 0` gives nothing.
///
/// Cost: the speed of memory for blocks beyond the cache. Allocates only what `out` lacks.
pub fn dot_many(query: &[f32], rows: &[f32], dim: usize, out: &mut Vec<f32>) {
    scan(query, rows, dim, out, kernels().dot);
}

/// The squared Euclidean distances of `query` to every row of `rows`; otherwise as [`dot_many`].
pub fn squared_l2_many(query: &[f32], rows: &[f32], dim: usize, out: &mut Vec<f32>) {
    scan(query, rows, dim, out, kernels().squared_l2);
}

/// The integer dot products of `query` with every code of `rows`; otherwise as [`dot_many`].
pub fn dot_i8_many(query: &[i8], rows: &[i8], dim: usize, out: &mut Vec<i32>) {
    scan(query, rows, dim, out, kernels().dot_i8);
}

/// The keys of every row of `rows` for `query`, in row order, with the same bits as [`Metric::key`] row by row; otherwise
/// as [`dot_many`].
pub fn keys(metric: Metric, query: &[f32], rows: &[f32], dim: usize, out: &mut Vec<f32>) {
    match metric {
        Metric::Cosine | Metric::Dot => dot_many(query, rows, dim, out),
        Metric::Euclidean => squared_l2_many(query, rows, dim, out),
    }
    for key in out {
        *key = metric.key_from_sum(*key);
    }
}

/// Whether the processor's own prefetchers follow a scan best when nothing is asked for ahead of it.
fn prefetchers_follow_scans() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        static IS_AMD: OnceLock<bool> = OnceLock::new();
        *IS_AMD.get_or_init(x86::is_amd)
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn scan<T, S>(query: &[T], rows: &[T], dim: usize, out: &mut Vec<S>, kernel: fn(&[T], &[T]) -> S) {
    debug_assert_eq!(query.len(), dim);
    debug_assert!(dim == 0 || rows.len().is_multiple_of(dim));
    out.clear();
    if dim == 0 {
        return;
    }
    let ahead = if prefetchers_follow_scans() { rows.len() } else { AHEAD.div_ceil(dim.saturating_mul(size_of::<T>())) };
    let mut later = rows.chunks_exact(dim).skip(ahead);
    out.extend(rows.chunks_exact(dim).map(|row| {
        if let Some(later) = later.next() {
            prefetch(later);
        }
        kernel(query, row)
    }));
}

/// The elements from `at` to `len`, fewer than `W`, followed by zeros. A zero pair adds `+0.0` to a lane, which changes no
/// bit: a lane is never `-0.0`, as it starts at `+0.0` and a sum is `-0.0` only if both its terms are.
#[allow(dead_code, reason = "where there is no twin")]
#[inline(always)]
fn padded<T: Copy + Default, const W: usize>(from: &[T], at: usize, len: usize) -> [T; W] {
    let mut tail = [T::default(); W];
    for (to, from) in tail.iter_mut().zip(from.iter().take(len).skip(at)) {
        *to = *from;
    }
    tail
}
