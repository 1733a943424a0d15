//! Int8 codes: a quarter of the memory, sums that are exact integers, and a proved bound on what was lost.
//!
//! A row `x` becomes `x = s c + e`: a scale `s = max|x_i| / 127`, a code `c` of integers in -127..=127, and a residual `e`
//! that is not kept. What is kept is an upper bound on its length. [`dot_i8`](super::dot_i8) of two codes times both scales
//! then estimates the dot product, and [`Estimator::interval`] says how far off the exact key can be. An exact search may
//! scan the codes alone and read float rows only where the intervals leave a doubt.
//!
//! # The bound
//! Let `P = q . x` in real numbers, and `E = s_q s_x (c_q . c_x)`. From `q = s_q c_q + e_q` and `x = s_x c_x + e_x`,
//!
//! ```text
//! P - E = q . e_x + e_q . (x - e_x)
//! |P - E| <= |q||e_x| + |e_q||x| + |e_q||e_x|                            (Cauchy-Schwarz)
//! ```
//!
//! The canonical kernel returns not `P` but a rounded `K`. With `u = 2^-24`, an element passes one rounded product, at most
//! `ceil(d/16)` additions in its lane and 4 in the tree, so with `k = ceil(d/16) + 5` roundings
//!
//! ```text
//! |K - P| <= k u / (1 - k u) * sum |q_i x_i| + d 2^-150  <=  2 k u |q||x| + 2^-126
//! ```
//!
//! where `d 2^-150` is the underflow of the products (sums do not underflow). The *slack* is `2 u (ceil(d/16) + 8)`, applied
//! to `(|q| + |e_q|)(|x| + |e_x|)`; at 384 dimensions it is 3.8e-6. It exceeds what is needed by more than `2 u`, which
//! covers the roundings of the estimate and of the bound itself: some twenty operations in f64, of 2^-53 each. Together
//!
//! ```text
//! |K - E| <= |q||e_x| + |e_q||x| + |e_q||e_x| + slack (|q| + |e_q|)(|x| + |e_x|) + 2^-126
//! ```
//!
//! For the squared distance `D = |q|^2 + |x|^2 - 2P` the first three terms count twice. The kernel has `k = ceil(d/16) + 7`
//! (a difference, used twice, and a square), applied to `D <= (|q| + |x|)^2`. The lengths are known as upper bounds `n`
//! with `n^2 - |x|^2 <= 2^-21 n^2 + 2^-147`, hence
//!
//! ```text
//! |K - (n_q^2 + n_x^2 - 2E)| <= 2 (...) + (slack + 2^-20) (|q| + |e_q| + |x| + |e_x|)^2 + 2^-126
//! ```
//!
//! Where that square comes near the largest float, the kernel may overflow and the interval is everything.

use super::Metric;

/// The largest magnitude of an element of a code.
const LARGEST: f32 = 127.0;

/// From here to twice as far, neighbouring floats are 1 apart: a sum with a small number is rounded to an integer.
const ROUNDER: f32 = (3 << 22) as f32;

/// Covers underflow, see the module.
const UNDERFLOW: f64 = f32::MIN_POSITIVE as f64;

/// What the squares of the stored lengths may be too large by, relatively.
const NORM_SLACK: f64 = 1.0 / (1 << 20) as f64;

/// What belongs to a code: its scale, and how well it fits its row. 12 bytes, all finite and at least 0 for a finite row
/// (a length beyond the largest float is `+inf`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fit {
    /// What one unit of the code is worth: `max|x_i| / 127`.
    pub scale: f32,
    /// At least the length of the residual, by less than one part in four million.
    pub residual: f32,
    /// At least the length of the row, by less than one part in four million.
    pub norm: f32,
}

/// Writes the code of `row` into `out`, of the same length, and returns the scale. Elements lie in -127..=127; a zero row (or
/// one below the resolution of floats) has scale 0 and a zero code.
///
/// An element is `x_i / s`, rounded to the nearest integer and from halfway to the even one, by adding and dropping a large
/// number: that is IEEE arithmetic alone, hence the same on every machine, and quick.
///
/// Cost: two passes, some 200 ns for 384 dimensions.
pub fn encode(row: &[f32], out: &mut [i8]) -> f32 {
    debug_assert_eq!(row.len(), out.len());
    let largest = row.iter().fold(0, |max, x| x.abs().to_bits().max(max));
    let scale = f32::from_bits(largest) / LARGEST;
    if scale == 0.0 || !scale.is_finite() {
        out.fill(0);
        return 0.0;
    }
    for (code, x) in out.iter_mut().zip(row) {
        // Only a subnormal scale is coarse enough for the limits to bind.
        let steps = (x / scale).clamp(-LARGEST, LARGEST);
        // The lowest byte of the sum is the rounded integer, in two's complement.
        *code = (steps + ROUNDER).to_bits() as i8;
    }
    scale
}

impl Fit {
    /// Encodes `row` into `out` (see [`encode`]) and measures the fit.
    pub fn encode(row: &[f32], out: &mut [i8]) -> Self {
        let scale = encode(row, out);
        Self::measure(row, out, scale)
    }

    /// Measures how well `scale * code` fits `row`; any code and any scale will do.
    ///
    /// Cost: one pass in f64, in eight sums that do not wait for each other, in this order everywhere.
    pub fn measure(row: &[f32], code: &[i8], scale: f32) -> Self {
        debug_assert_eq!(row.len(), code.len());
        let (mut residuals, mut norms) = ([0.0_f64; 8], [0.0_f64; 8]);
        let mut add = |lane: usize, x: f32, code: i8| {
            let x = f64::from(x);
            // The product is exact (24 + 7 bits), and no square of a float underflows in f64.
            let error = x - f64::from(scale) * f64::from(code);
            residuals[lane] += error * error;
            norms[lane] += x * x;
        };
        let ((rows, row_end), (codes, code_end)) = (row.as_chunks::<8>(), code.as_chunks::<8>());
        for (xs, codes) in rows.iter().zip(codes) {
            (0..8).for_each(|lane| add(lane, xs[lane], codes[lane]));
        }
        row_end.iter().zip(code_end).enumerate().for_each(|(lane, (x, code))| add(lane, *x, *code));
        let (residual, norm): (f64, f64) = (residuals.iter().sum(), norms.iter().sum());
        Self { scale, residual: round_up(residual.sqrt()), norm: round_up(norm.sqrt()) }
    }
}

/// At least the real number that `computed` stands for, if that was computed with a relative error below 2^-30.
fn round_up(computed: f64) -> f32 {
    if computed == 0.0 { 0.0 } else { (computed as f32).next_up() }
}

/// Estimates keys for one query from codes. See the module for the bound and its proof.
#[derive(Clone, Copy, Debug)]
pub struct Estimator {
    metric: Metric,
    slack: f64,
    scale: f64,
    residual: f64,
    norm: f64,
}

impl Estimator {
    /// For a query of `dim` elements whose code has the fit `query`.
    pub fn new(metric: Metric, dim: usize, query: &Fit) -> Self {
        Self {
            metric,
            slack: (dim.div_ceil(16) + 8) as f64 * f64::from(f32::EPSILON),
            scale: f64::from(query.scale),
            residual: f64::from(query.residual),
            norm: f64::from(query.norm),
        }
    }

    /// The estimated key of a row, given [`dot_i8`](super::dot_i8) of both codes: lower is nearer, the same bits on every
    /// machine, never `-0.0`.
    #[inline]
    pub fn key(&self, row: &Fit, dot_i8: i32) -> f32 {
        0.0 + self.estimate(row, dot_i8) as f32
    }

    /// The least and the greatest that [`Metric::key`] of the row can be. The exact key lies between them, ends included.
    ///
    /// Both ends are `-inf` and `+inf` where float sums may overflow. Cost: a few ns.
    #[inline]
    pub fn interval(&self, row: &Fit, dot_i8: i32) -> (f32, f32) {
        let (residual, norm) = (f64::from(row.residual), f64::from(row.norm));
        let reach = self.norm + self.residual + norm + residual;
        let square = reach * reach;
        // False also for a NaN, from a row that was not finite.
        let bounded = square <= f64::from(f32::MAX) / 4.0;
        if !bounded {
            return (f32::NEG_INFINITY, f32::INFINITY);
        }
        let lost = self.norm * residual + self.residual * norm + self.residual * residual;
        let error = match self.metric {
            Metric::Cosine | Metric::Dot => lost + self.slack * (self.norm + self.residual) * (norm + residual),
            Metric::Euclidean => 2.0 * lost + (self.slack + NORM_SLACK) * square,
        } + UNDERFLOW;
        let estimate = self.estimate(row, dot_i8);
        (((estimate - error) as f32).next_down(), ((estimate + error) as f32).next_up())
    }

    /// A test that the rows pass whose key can be `limit` or less, and few others. For rows of which neither norm nor residual is
    /// more than in `most`.
    pub fn screen(&self, most: &Fit, limit: f32) -> Screen {
        let (low, high) = self.interval(&Fit { scale: 0.0, ..*most }, 0);
        let reach = self.norm + self.residual + f64::from(most.norm) + f64::from(most.residual);
        // Half of the interval is more than the error of any of the rows; the rest covers the roundings of the test.
        let error = (f64::from(high) - f64::from(low)) / 2.0 + reach * reach / f64::from(1 << 20);
        let (squares, own, times) = match self.metric {
            Metric::Cosine | Metric::Dot => (0.0, 0.0, 1.0),
            Metric::Euclidean => (1.0, self.norm * self.norm, 2.0),
        };
        let ceiling = ((f64::from(limit) - own + error) as f32).next_up();
        Screen { squares, factor: times * self.scale as f32, ceiling }
    }

    #[inline]
    fn estimate(&self, row: &Fit, dot_i8: i32) -> f64 {
        let product = self.scale * f64::from(row.scale) * f64::from(dot_i8);
        let norm = f64::from(row.norm);
        match self.metric {
            Metric::Cosine | Metric::Dot => 0.0 - product,
            Metric::Euclidean => (self.norm * self.norm + norm * norm - 2.0 * product).max(0.0),
        }
    }
}

/// See [`Estimator::screen`]: a few operations on 32-bit floats a row, where an interval takes some twenty on longer ones.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    squares: f32,
    factor: f32,
    ceiling: f32,
}

impl Screen {
    /// Whether the key of a row may be within the limit.
    #[inline(always)]
    pub fn passes(&self, scale: f32, norm: f32, dot_i8: i32) -> bool {
        let least = self.squares * (norm * norm) - self.factor * (scale * dot_i8 as f32);
        // What is not a number passes: its interval is everything.
        least <= self.ceiling || least.is_nan() || self.ceiling.is_nan()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::distance::{dot, dot_i8, normalise};

    fn coded(row: &[f32]) -> (Vec<i8>, Fit) {
        let mut code = vec![0; row.len()];
        let fit = Fit::encode(row, &mut code);
        (code, fit)
    }

    /// An element at one of several orders of magnitude, or a special one.
    fn element() -> impl Strategy<Value = f32> {
        prop_oneof![
            8 => -1.0_f32..1.0,
            2 => (-1.0_f32..1.0).prop_map(|x| x * 1e-3),
            1 => Just(0.0),
            1 => Just(-0.0),
            1 => any::<i16>().prop_map(|x| f32::from(x) * 1e-42),
        ]
    }

    /// Two vectors of one length, each times a power of ten, the second sometimes close to the first.
    fn pair() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        let size = prop_oneof![6 => -3_i32..3, 1 => -44_i32..18, 1 => 15_i32..36];
        (1_usize..600, [size.clone(), size], any::<bool>()).prop_flat_map(|(dim, sizes, close)| {
            let vector = || prop::collection::vec(element(), dim);
            (vector(), vector()).prop_map(move |(mut a, mut b)| {
                a.iter_mut().for_each(|x| *x *= 10_f32.powi(sizes[0]));
                if close {
                    b.iter_mut().zip(&a).for_each(|(y, x)| *y = x * (1.0 + *y * 1e-3));
                } else {
                    b.iter_mut().for_each(|y| *y *= 10_f32.powi(sizes[1]));
                }
                (a, b)
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn the_exact_key_lies_in_the_interval((mut q, mut x) in pair()) {
            for metric in Metric::ALL {
                if metric == Metric::Cosine && (normalise(&mut q).is_err() || normalise(&mut x).is_err()) {
                    continue;
                }
                let ((q_code, q_fit), (x_code, x_fit)) = (coded(&q), coded(&x));
                let estimator = Estimator::new(metric, q.len(), &q_fit);
                let product = dot_i8(&q_code, &x_code);
                let (least, greatest) = estimator.interval(&x_fit, product);
                let key = metric.key(&q, &x);
                prop_assert!(least <= key && key <= greatest, "{metric:?}: {least} <= {key} <= {greatest}");
                let estimate = estimator.key(&x_fit, product);
                prop_assert!(least <= estimate && estimate <= greatest);
                // A row passes every limit that its key can be within, also among rows that are longer and fit worse.
                for (longer, worse) in [(1.0, 1.0), (3.0, 1.5)] {
                    let most = Fit { norm: x_fit.norm * longer, residual: x_fit.residual * worse, ..x_fit };
                    for limit in [least, key, greatest, f32::INFINITY] {
                        prop_assert!(estimator.screen(&most, limit).passes(x_fit.scale, x_fit.norm, product), "{metric:?} {limit}");
                    }
                }
            }
        }

        #[test]
        fn a_code_is_in_range_and_as_near_as_it_can_be((row, _) in pair()) {
            let (code, fit) = coded(&row);
            let largest = row.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
            prop_assert_eq!(fit.scale, largest / 127.0);
            let mut squares = 0.0_f64;
            for (&x, &c) in row.iter().zip(&code) {
                prop_assert!(c != i8::MIN);
                let e = f64::from(x) - f64::from(c) * f64::from(fit.scale);
                squares += e * e;
                if fit.scale.is_normal() {
                    prop_assert!(e.abs() <= 0.500_01 * f64::from(fit.scale));
                }
            }
            let residual = squares.sqrt();
            prop_assert!(f64::from(fit.residual) >= residual);
            prop_assert!(f64::from(fit.residual) <= residual * (1.0 + 2.5e-7) + 1e-44);
        }
    }

    fn pseudo_random(dim: usize, mut seed: u32) -> Vec<f32> {
        (0..dim)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / 8_388_608.0 - 1.0
            })
            .collect()
    }

    #[test]
    fn the_interval_is_narrow_and_not_for_free() {
        let [mut q, mut x] = [1, 2].map(|seed| pseudo_random(384, seed));
        normalise(&mut q).unwrap();
        normalise(&mut x).unwrap();
        let ((q_code, q_fit), (x_code, x_fit)) = (coded(&q), coded(&x));
        let product = dot_i8(&q_code, &x_code);
        let estimator = Estimator::new(Metric::Cosine, 384, &q_fit);
        let (least, greatest) = estimator.interval(&x_fit, product);
        assert!(greatest - least < 0.02);

        let [perfect_q, perfect_x] = [q_fit, x_fit].map(|fit| Fit { residual: 0.0, ..fit });
        let (least, greatest) = Estimator::new(Metric::Cosine, 384, &perfect_q).interval(&perfect_x, product);
        let key = Metric::Cosine.key(&q, &x);
        assert!(key < least || greatest < key, "without residuals the bound must break");
    }

    /// Rows that their codes render without loss, so that the rounding of the float kernels is all that is left.
    #[test]
    fn the_slack_covers_the_rounding_of_the_kernels() {
        let mut rounded = 0;
        for dim in 1..700 {
            let [q, x] = [3, 4].map(|seed| {
                let mut row = pseudo_random(dim, seed + dim as u32);
                row.iter_mut().for_each(|x| *x = (*x * 126.0).round() * 4_097.0);
                row[0] = 127.0 * 4_097.0;
                row
            });
            let ((q_code, q_fit), (x_code, x_fit)) = (coded(&q), coded(&x));
            assert_eq!((q_fit.residual, x_fit.residual), (0.0, 0.0));
            let product = dot_i8(&q_code, &x_code);
            for metric in [Metric::Dot, Metric::Euclidean] {
                let estimator = Estimator::new(metric, dim, &q_fit);
                let (least, greatest) = estimator.interval(&x_fit, product);
                let key = metric.key(&q, &x);
                assert!(least <= key && key <= greatest, "{metric:?} at {dim}");
                rounded += u32::from(estimator.key(&x_fit, product) != key);
            }
        }
        assert!(rounded > 700);
    }

    #[test]
    fn codes_that_are_known() {
        let (code, fit) = coded(&[127.0, -127.0, 0.5, -0.501, 0.499, -1.5, 2.5, -0.0]);
        assert_eq!(code, [127, -127, 0, -1, 0, -2, 2, 0]);
        assert_eq!(fit.scale, 1.0);

        let zero = coded(&[0.0, -0.0, 0.0]);
        assert_eq!(zero, (vec![0; 3], Fit::default()));
        assert_eq!(Estimator::new(Metric::Dot, 3, &zero.1).key(&fit, 0).to_bits(), 0);

        let (code, fit) = coded(&[f32::MAX, f32::MIN, f32::MAX / 4.0]);
        assert_eq!(code, [127, -127, 32]);
        assert_eq!(fit.norm, f32::INFINITY);
        assert_eq!(Estimator::new(Metric::Dot, 3, &fit).interval(&fit, dot_i8(&code, &code)), (f32::NEG_INFINITY, f32::INFINITY));
    }

    #[test]
    fn subnormal_rows_are_coded_as_well_as_they_can_be() {
        for bits in 1..2_000 {
            let row = [f32::from_bits(bits), -f32::from_bits(bits / 2)];
            let (code, fit) = coded(&row);
            let lost = f64::from(row[0]) - f64::from(fit.scale) * f64::from(code[0]);
            assert!(f64::from(fit.residual) >= lost.abs());
            assert!(fit.norm >= dot(&row, &row).sqrt());
        }
    }

    #[test]
    fn a_row_that_is_not_finite_does_no_harm() {
        let (_, good) = coded(&[1.0, 2.0]);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let (code, fit) = coded(&[1.0, bad]);
            assert_eq!((code, fit.scale), (vec![0, 0], 0.0));
            let estimator = Estimator::new(Metric::Dot, 2, &good);
            assert_eq!(estimator.interval(&fit, 0), (f32::NEG_INFINITY, f32::INFINITY));
        }
    }
}
