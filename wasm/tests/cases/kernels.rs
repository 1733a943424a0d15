//! The simd128 kernels against the canonical order, written down once more.

use vecino_engine::distance::{dot, dot_i8, dot_i8_many, dot_many, kernel_name, squared_l2, squared_l2_many};
use wasm_bindgen_test::wasm_bindgen_test;

use super::vector;

/// Sixteen lanes by the element's number, each multiplied and then added, folded in halves.
fn canonical(a: &[f32], b: &[f32], term: fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; 16];
    for (at, (x, y)) in a.iter().zip(b).enumerate() {
        lanes[at % 16] += term(*x, *y);
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}

fn product(x: f32, y: f32) -> f32 {
    x * y
}

fn square(x: f32, y: f32) -> f32 {
    (x - y) * (x - y)
}

fn codes(seed: usize, dimension: usize) -> Vec<i8> {
    vector(seed, dimension).iter().map(|x| (x * 128.0) as i8).collect()
}

fn integer(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(x, y)| i32::from(*x) * i32::from(*y)).sum()
}

/// Every remainder of every width, and the sizes of real models.
fn dimensions() -> impl Iterator<Item = usize> {
    (1..=150).chain([255, 256, 257, 383, 384, 512, 767, 768, 1024, 1536, 3072, 4097])
}

#[wasm_bindgen_test]
fn the_vector_instructions_are_in_use() {
    assert_eq!(kernel_name(), "simd128");
}

#[wasm_bindgen_test]
fn floats_are_summed_in_the_canonical_order() {
    for dimension in dimensions() {
        let (a, b) = (vector(dimension, dimension), vector(dimension + 7_777, dimension));
        // Unlike magnitudes, so that another order shows in the last bits.
        let a: Vec<f32> = a.iter().enumerate().map(|(at, x)| x * 10_f32.powi(at as i32 % 7 - 3)).collect();
        assert_eq!(dot(&a, &b).to_bits(), canonical(&a, &b, product).to_bits(), "dot, {dimension}");
        assert_eq!(squared_l2(&a, &b).to_bits(), canonical(&a, &b, square).to_bits(), "squared_l2, {dimension}");
    }
}

#[wasm_bindgen_test]
fn another_order_would_show() {
    let differs = |dimension: usize| {
        let (a, b) = (vector(dimension, dimension), vector(dimension + 7_777, dimension));
        let in_a_row = a.iter().zip(&b).fold(0.0, |sum, (x, y)| sum + x * y);
        dot(&a, &b).to_bits() != f32::to_bits(in_a_row)
    };
    assert!(dimensions().filter(|dimension| differs(*dimension)).count() > 50);
}

#[wasm_bindgen_test]
fn codes_are_summed_exactly() {
    for dimension in dimensions() {
        let (a, b) = (codes(dimension, dimension), codes(dimension + 9_999, dimension));
        assert_eq!(dot_i8(&a, &b), integer(&a, &b), "{dimension}");
        let lowest = vec![i8::MIN; dimension];
        assert_eq!(dot_i8(&lowest, &lowest), 16_384 * dimension as i32, "{dimension}");
    }
}

#[wasm_bindgen_test]
fn many_rows_have_the_bits_of_single_ones() {
    for dimension in dimensions() {
        let query = vector(3, dimension);
        let rows: Vec<Vec<f32>> = (0..7).map(|row| vector(row + 50, dimension)).collect();
        let mut found = Vec::new();
        dot_many(&query, &rows.concat(), dimension, &mut found);
        assert_eq!(found, rows.iter().map(|row| canonical(&query, row, product)).collect::<Vec<_>>(), "dot, {dimension}");
        squared_l2_many(&query, &rows.concat(), dimension, &mut found);
        assert_eq!(found, rows.iter().map(|row| canonical(&query, row, square)).collect::<Vec<_>>(), "l2, {dimension}");

        let query = codes(3, dimension);
        let rows: Vec<Vec<i8>> = (0..7).map(|row| codes(row + 50, dimension)).collect();
        let mut found = Vec::new();
        dot_i8_many(&query, &rows.concat(), dimension, &mut found);
        assert_eq!(found, rows.iter().map(|row| integer(&query, row)).collect::<Vec<_>>(), "i8, {dimension}");
    }
}
