//! Random rotations by signs and Walsh-Hadamard transforms.

use crate::index::words::SplitMix;

/// The fewest dimensions to rotate in: vectors of fewer are padded with zeros, so that there are enough different directions.
const SMALLEST: usize = 64;

/// Flips of signs, each followed by a transform.
const ROUNDS: usize = 3;

/// A fixed linear map that keeps angles and multiplies lengths by a constant.
#[derive(Clone, Debug)]
pub(super) struct Rotation {
    /// For each round and element, the bits to flip: the sign's or none.
    flips: Vec<u32>,
}

impl Rotation {
    /// Elements of what a vector of `dimension` elements is rotated to.
    pub(super) fn width(dimension: usize) -> usize {
        dimension.next_power_of_two().max(SMALLEST)
    }

    pub(super) fn new(dimension: usize, random: &mut SplitMix) -> Self {
        let flips = (0..ROUNDS * Self::width(dimension)).map(|_| (random.next() >> 63 << 31) as u32).collect();
        Self { flips }
    }

    /// Rotates `vector`, padded with zeros to the width.
    pub(super) fn apply(&self, vector: &mut [f32]) {
        for flips in self.flips.chunks_exact(vector.len().max(1)) {
            for (x, flip) in vector.iter_mut().zip(flips) {
                *x = f32::from_bits(x.to_bits() ^ flip);
            }
            transform(vector);
        }
    }
}

/// Elements that are transformed together in the end.
const BLOCK: usize = 8;

/// The Walsh-Hadamard transform of a power of two of elements, at least [`BLOCK`], not normalised.
fn transform(vector: &mut [f32]) {
    let mut half = vector.len() / 2;
    while half >= BLOCK {
        for block in vector.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half /= 2;
    }
    for [a, b, c, d, e, f, g, h] in vector.as_chunks_mut::<BLOCK>().0 {
        let low = [*a + *e, *b + *f, *c + *g, *d + *h];
        let high = [*a - *e, *b - *f, *c - *g, *d - *h];
        [*a, *b, *c, *d] = four(low);
        [*e, *f, *g, *h] = four(high);
    }
}

#[inline(always)]
fn four([a, b, c, d]: [f32; 4]) -> [f32; 4] {
    let [a, b, c, d] = [a + c, b + d, a - c, b - d];
    [a + b, a - b, c + d, c - d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_keeps_products_up_to_a_factor() {
        for dimension in [1, 3, 64, 100, 384] {
            let width = Rotation::width(dimension);
            let mut random = SplitMix(7);
            let rotation = Rotation::new(dimension, &mut random);
            let [mut a, mut b] = [(); 2].map(|()| {
                let mut vector = vec![0.0; width];
                vector[..dimension].iter_mut().for_each(|x| *x = random.below(2_001) as f32 / 1_000.0 - 1.0);
                vector
            });
            let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
            let before = [product(&a, &a), product(&a, &b)];
            rotation.apply(&mut a);
            rotation.apply(&mut b);
            let factor = (width as f64).powi(3);
            for (before, after) in before.into_iter().zip([product(&a, &a), product(&a, &b)]) {
                assert!((before - after / factor).abs() < 1e-4 * dimension as f64);
            }
        }
    }
}
