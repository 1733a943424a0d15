//! The definition of every kernel, in plain Rust. The twins follow it, never the reverse.

use super::{BLOCK, Kernels, LANES};

pub(super) static KERNELS: Kernels = Kernels {
    name: "scalar",
    dot,
    dot_x4: |query, rows| rows.map(|row| dot(query, row)),
    squared_l2,
    squared_l2_x4: |query, rows| rows.map(|row| squared_l2(query, row)),
    dot_i8,
    dot_i8_x4,
};

fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |x, y| x * y)
}

fn squared_l2(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |x, y| {
        let difference = x - y;
        difference * difference
    })
}

fn dot_i8_x4(query: &[i8], rows: [&[i8]; BLOCK]) -> [i32; BLOCK] {
    rows.map(|row| dot_i8(query, row))
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
