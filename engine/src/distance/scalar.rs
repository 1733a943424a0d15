//! The definition of every kernel, in plain Rust. The twins follow it, never the reverse.

use super::{Kernels, LANES};

pub(super) static KERNELS: Kernels = Kernels { name: "scalar", dot, squared_l2, dot_i8 };

fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |x, y| x * y)
}

fn squared_l2(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |x, y| {
        let difference = x - y;
        difference * difference
    })
}

fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).fold(0_i32, |sum, (&x, &y)| sum.wrapping_add(i32::from(x) * i32::from(y)))
}

/// The canonical order. Rust never fuses `lane + term` into one rounding, whatever the target.
#[inline(always)]
fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let len = a.len().min(b.len());
    let (a_whole, a_tail) = a[..len].as_chunks::<LANES>();
    let (b_whole, b_tail) = b[..len].as_chunks::<LANES>();

    let mut lanes = [0.0_f32; LANES];
    for (a, b) in a_whole.iter().zip(b_whole) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(a).zip(b) {
            *lane += term(x, y);
        }
    }
    for ((lane, &x), &y) in lanes.iter_mut().zip(a_tail).zip(b_tail) {
        *lane += term(x, y);
    }

    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

/// Nothing, where there is no such instruction.
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
#[inline(always)]
pub(super) fn prefetch(_: *const u8) {}
