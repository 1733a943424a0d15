//! Every twin against the definition, and the definition against numbers written down.

use proptest::prelude::*;

use super::*;

/// The longest vectors; Miri is too slow for more.
const LONGEST: usize = if cfg!(miri) { 70 } else { 4_200 };

/// Equal bits; any NaN equals any other, see the module.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// The first kernel in which `twin` differs from the definition.
fn difference(twin: &Kernels, a: &[f32], b: &[f32]) -> Option<&'static str> {
    let truth = &scalar::KERNELS;
    if !same((twin.dot)(a, b), (truth.dot)(a, b)) {
        return Some("dot");
    }
    (!same((twin.squared_l2)(a, b), (truth.squared_l2)(a, b))).then_some("squared_l2")
}

fn difference_i8(twin: &Kernels, a: &[i8], b: &[i8]) -> Option<&'static str> {
    ((twin.dot_i8)(a, b) != (scalar::KERNELS.dot_i8)(a, b)).then_some("dot_i8")
}

/// Numbers whose sums round: a fixed sequence, the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.next() as f32 / 1_073_741_824.0 - 1.0) * 1.1).collect()
    }

    fn bytes(&mut self, len: usize) -> Vec<i8> {
        (0..len).map(|_| (self.next() >> 9) as i8).collect()
    }
}

/// Floats of every size, with many subnormals, zeros of both signs and magnitudes that overflow together.
fn special() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => -2.0_f32..2.0,
        3 => any::<f32>().prop_filter("finite", |x| x.is_finite()),
        1 => (0_u32..0x0080_0000).prop_map(f32::from_bits),
        1 => prop::sample::select(vec![0.0, -0.0, f32::MIN_POSITIVE, -1e-45, 1e-23, -1e-23]),
        1 => prop::sample::select(vec![f32::MAX, f32::MIN, 1.8e19, -1.9e19]),
    ]
}

/// Usually one kind of number in the whole vector, so that sums of subnormals are seen as well as those that overflow.
fn vectors(dim: usize) -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    let of =
        move |element: BoxedStrategy<f32>| (prop::collection::vec(element.clone(), dim), prop::collection::vec(element, dim));
    prop_oneof![of((-2.0_f32..2.0).boxed()), of((-2e-22_f32..2e-22).boxed()), of(special().boxed()),]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn floats_agree((a, b) in (1_usize..=LONGEST).prop_flat_map(vectors)) {
        for twin in twins() {
            prop_assert_eq!(difference(twin, &a, &b), None, "{}", twin.name);
        }
    }

    #[test]
    fn short_floats_agree((a, b) in (1_usize..=70).prop_flat_map(vectors)) {
        for twin in twins() {
            prop_assert_eq!(difference(twin, &a, &b), None, "{}", twin.name);
        }
    }

    #[test]
    fn bytes_agree((a, b) in (1_usize..=LONGEST).prop_flat_map(|dim| (
        prop::collection::vec(any::<i8>(), dim),
        prop::collection::vec(any::<i8>(), dim),
    ))) {
        for twin in twins() {
            prop_assert_eq!(difference_i8(twin, &a, &b), None, "{}", twin.name);
        }
    }

    #[test]
    fn blocks_agree_with_rows_one_by_one(dim in 1_usize..100, count in 0_usize..14, seed: u64) {
        let mut numbers = Numbers(seed);
        let (query, rows) = (numbers.floats(dim), numbers.floats(dim * count));
        let mut out = vec![9.0; 3];
        for metric in Metric::ALL {
            keys(metric, &query, &rows, dim, &mut out);
            let single: Vec<f32> = rows.chunks(dim).map(|row| metric.key(&query, row)).collect();
            prop_assert_eq!(&out, &single);
        }
        let (query, rows) = (numbers.bytes(dim), numbers.bytes(dim * count));
        let mut out = vec![9; 3];
        dot_i8_many(&query, &rows, dim, &mut out);
        let single: Vec<i32> = rows.chunks(dim).map(|row| dot_i8(&query, row)).collect();
        prop_assert_eq!(out, single);
    }
}

#[test]
fn every_length_agrees_at_any_alignment() {
    let mut numbers = Numbers(1);
    let (floats, bytes) = (numbers.floats(2 * LONGEST + 17), numbers.bytes(2 * LONGEST + 17));
    for twin in twins() {
        for dim in 0..=LONGEST {
            let (from, to) = (dim % 17, dim % 17 + dim);
            let found = difference(twin, &floats[from..to], &floats[to..to + dim]);
            assert_eq!(found, None, "{} at {dim}", twin.name);
            let found = difference_i8(twin, &bytes[from..to], &bytes[to..to + dim]);
            assert_eq!(found, None, "{} at {dim}", twin.name);
        }
    }
}

#[test]
fn more_than_the_definition_is_tested() {
    let names: Vec<&str> = twins().iter().map(|twin| twin.name).collect();
    println!("twins: {names:?}");
    assert_eq!(names[0], "scalar");
    assert_eq!(kernel_name(), names[names.len() - 1]);
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        assert!(names.contains(&"avx2"));
    }
    #[cfg(target_arch = "aarch64")]
    assert!(names.contains(&"neon"));
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    assert!(names.contains(&"simd128"));
}

/// A sum in plain order, a fused one and a saturating one are all wrong by little; the comparison must see it.
#[test]
fn a_wrong_twin_is_found_out() {
    fn plain(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }
    fn fused(a: &[f32], b: &[f32]) -> f32 {
        let mut lanes = [0.0_f32; LANES];
        for (i, (x, y)) in a.iter().zip(b).enumerate() {
            lanes[i % LANES] = x.mul_add(*y, lanes[i % LANES]);
        }
        (scalar::KERNELS.dot)(&lanes, &[1.0; LANES])
    }
    fn saturating(a: &[i8], b: &[i8]) -> i32 {
        let pairs = a.chunks(2).zip(b.chunks(2));
        pairs.map(|(a, b)| i32::from((scalar::KERNELS.dot_i8)(a, b).clamp(-32_768, 32_767) as i16)).sum()
    }
    let truth = &scalar::KERNELS;
    let mut numbers = Numbers(2);
    let (a, b) = (numbers.floats(40), numbers.floats(40));
    for dot in [plain, fused] {
        let wrong = Kernels { dot, ..*truth };
        assert_eq!(difference(&wrong, &a, &b), Some("dot"));
    }
    let wrong = Kernels { squared_l2: truth.dot, ..*truth };
    assert_eq!(difference(&wrong, &a, &b), Some("squared_l2"));
    let wrong = Kernels { dot_i8: saturating, ..*truth };
    assert_eq!(difference_i8(&wrong, &[i8::MIN; 40], &[i8::MIN; 40]), Some("dot_i8"));
}

/// The canonical order, on numbers small enough to follow: 1e8 swallows a 1 that is added to it.
#[test]
fn the_order_is_the_one_that_is_written_down() {
    let ones = [1.0_f32; 40];
    let mut v = [0.0_f32; 40];
    (v[0], v[16], v[32]) = (1e8, 1.0, -1e8);
    assert_eq!(dot(&v, &ones), 0.0, "one lane, in ascending order");
    (v[16], v[1]) = (0.0, 1.0);
    assert_eq!(dot(&v, &ones), 1.0, "two lanes that never met before");

    let (mut v, ones) = ([0.0_f32; 16], [1.0; 16]);
    (v[0], v[8], v[4], v[12]) = (1e8, -1e8, 1.0, 1.0);
    assert_eq!(dot(&v, &ones), 2.0, "lanes 0 and 8 fold first");
    (v[8], v[4]) = (1.0, -1e8);
    assert_eq!(dot(&v, &ones), 0.0, "then 0 and 4");
}

/// Bits that every machine must give; this is the test that compares x86-64, ARM and wasm with one another.
#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn the_bits_are_the_same_everywhere() {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bits: u32| hash = (hash ^ u64::from(bits)).wrapping_mul(0x0100_0000_01b3);
    let mut numbers = Numbers(3);
    for dim in 1..=400 {
        let (mut query, mut row) = (numbers.floats(dim), numbers.floats(dim));
        take(dot(&query, &row).to_bits());
        take(squared_l2(&query, &row).to_bits());
        normalise(&mut query).unwrap();
        normalise(&mut row).unwrap();
        let (mut query_code, mut row_code) = (vec![0; dim], vec![0; dim]);
        let query_fit = codes::Fit::encode(&query, &mut query_code);
        let row_fit = codes::Fit::encode(&row, &mut row_code);
        let product = dot_i8(&query_code, &row_code);
        for metric in Metric::ALL {
            let estimator = codes::Estimator::new(metric, dim, &query_fit);
            let (least, greatest) = estimator.interval(&row_fit, product);
            let key = metric.key(&query, &row);
            for number in [key, metric.score(key), metric.distance(key), least, greatest] {
                take(number.to_bits());
            }
            take(estimator.key(&row_fit, product).to_bits());
        }
    }
    assert_eq!(hash, 0xe892_eafb_2503_5b1b);
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn integers_do_not_overflow_at_the_largest_dimension() {
    const DIM: usize = 131_071;
    let (least, most) = (vec![i8::MIN; DIM], vec![i8::MAX; DIM]);
    for twin in twins() {
        for (a, b, product) in
            [(&least, &least, 128 * 128), (&most, &most, 127 * 127), (&least, &most, -128 * 127), (&most, &least, -128 * 127)]
        {
            let exact = i32::try_from(DIM as i64 * product).unwrap();
            assert_eq!((twin.dot_i8)(a, b), exact, "{}", twin.name);
        }
    }
    assert!(i32::try_from((DIM as i64 + 1) * 128 * 128).is_err());
}

/// Twins keep to the common prefix, so that a broken rule of lengths is never a read out of bounds.
#[test]
fn unequal_lengths_use_the_common_prefix() {
    let mut numbers = Numbers(4);
    let (floats, bytes) = (numbers.floats(100), numbers.bytes(100));
    for twin in twins() {
        for (long, short) in [(100, 37), (64, 16), (33, 0)] {
            let floats_expected = (scalar::KERNELS.dot)(&floats[..short], &floats[..short]);
            let bytes_expected = (scalar::KERNELS.dot_i8)(&bytes[..short], &bytes[..short]);
            for (a, b) in [(long, short), (short, long)] {
                assert!(same((twin.dot)(&floats[..a], &floats[..b]), floats_expected));
                assert_eq!((twin.dot_i8)(&bytes[..a], &bytes[..b]), bytes_expected);
            }
        }
    }
}

#[test]
fn nothing_in_nothing_out() {
    let mut out = vec![1.0];
    dot_many(&[], &[], 0, &mut out);
    assert!(out.is_empty());
    dot_many(&[1.0, 2.0], &[], 2, &mut out);
    assert!(out.is_empty());
    assert_eq!(dot(&[], &[]).to_bits(), 0);
    assert_eq!(dot_i8(&[], &[]), 0);
}
