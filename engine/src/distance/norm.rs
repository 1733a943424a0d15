//! Unit length, for the cosine metric.

use thiserror::Error;

use super::dot;

/// Below this squared length the direction of a vector is mostly rounding error.
const SMALLEST: f32 = 1e-30;

/// Why a vector has no direction to keep.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum NormError {
    /// The vector is zero, or nearly so.
    #[error(
        "the squared length of the vector is {squared:e}, too small for a direction (at least 1e-30 is needed)"
    )]
    TooSmall {
        /// The squared length, in the canonical order.
        squared: f32,
    },
    /// An element is not finite, or the squared length overflows a 32-bit float.
    #[error("the squared length of the vector is {squared}, not a finite number")]
    NotFinite {
        /// The squared length, in the canonical order.
        squared: f32,
    },
}

/// Divides `v` by its length, with operations that IEEE 754 rounds in one way only: the same bits on every machine.
///
/// The result has length 1 within some 1e-6. Doing it twice may change last bits, so it is done once, when a vector enters.
/// On an error `v` is left as it was. Cost: two passes.
///
/// # Errors
/// [`NormError`] with the squared length, if that is below 1e-30 or not finite.
pub fn normalise(v: &mut [f32]) -> Result<(), NormError> {
    let squared = dot(v, v);
    if !squared.is_finite() {
        return Err(NormError::NotFinite { squared });
    }
    if squared < SMALLEST {
        return Err(NormError::TooSmall { squared });
    }
    let length = squared.sqrt();
    for element in v {
        *element /= length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_becomes_one() {
        let mut v = [3.0, 0.0, -4.0];
        normalise(&mut v).unwrap();
        assert_eq!(v, [0.6, 0.0, -0.8]);

        let mut long: Vec<f32> = (0..1_537_u16).map(|i| f32::from(i) - 700.0).collect();
        normalise(&mut long).unwrap();
        assert!((dot(&long, &long) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_vector_without_direction_is_refused_and_left_alone() {
        for (bad, squared) in [
            (vec![], 0.0),
            (vec![0.0; 5], 0.0),
            (vec![9e-16], 9e-16_f32 * 9e-16),
        ] {
            let mut v = bad.clone();
            assert_eq!(normalise(&mut v), Err(NormError::TooSmall { squared }));
            assert_eq!(v, bad);
        }
        for bad in [
            [f32::NAN, 1.0],
            [f32::INFINITY, 1.0],
            [1.0, f32::NEG_INFINITY],
            [1e20, 1.0],
        ] {
            let mut v = bad;
            let error = normalise(&mut v).unwrap_err();
            assert!(matches!(error, NormError::NotFinite { squared } if !squared.is_finite()));
            assert_eq!(v.map(f32::to_bits), bad.map(f32::to_bits));
        }
        assert_eq!(normalise(&mut [1.1e-15]), Ok(()));
    }
}
