//! The three metrics, and what their numbers mean.

use serde::{Deserialize, Serialize};

use super::{dot, squared_l2};

/// How nearness is measured. Fixed for the life of a library.
///
/// The engine ranks by a *key*, lower is nearer; users see a *distance*, lower is nearer, and a *score*, higher is better.
///
/// | metric      | key          | distance              | score                      |
/// |-------------|--------------|-----------------------|----------------------------|
/// | `cosine`    | `-dot(q, x)` | `1 - cos`, in [0, 2]  | `cos`, in [-1, 1]          |
/// | `euclidean` | `\|q - x\|^2` | `\|q - x\|`, at least 0 | `1 / (1 + distance)`, in [0, 1] |
/// | `dot`       | `-dot(q, x)` | `-dot(q, x)`          | `dot(q, x)`                |
///
/// Under cosine the rows and the query are already of unit length (see [`normalise`](super::normalise)). The order of the
/// variants is part of the file format.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The angle between two vectors; their lengths do not count.
    #[default]
    Cosine,
    /// The straight-line distance.
    Euclidean,
    /// The inner product, where a longer vector counts for more.
    Dot,
}

impl Metric {
    /// Every metric, in the order of the file format.
    pub const ALL: [Self; 3] = [Self::Cosine, Self::Euclidean, Self::Dot];

    /// The name used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
            Self::Dot => "dot",
        }
    }

    /// The key of `row` for `query`: lower is nearer, the same bits on every machine. Never NaN and never `-0.0`, so that
    /// equal keys have equal bits; a sum that overflows into NaN gives `+inf`.
    ///
    /// Both have the library's dimension. Cost: one pass over both.
    #[inline]
    pub fn key(self, query: &[f32], row: &[f32]) -> f32 {
        self.key_from_sum(match self {
            Self::Cosine | Self::Dot => dot(query, row),
            Self::Euclidean => squared_l2(query, row),
        })
    }

    /// `0.0 - sum` negates and turns both zeros into `+0.0`.
    #[inline]
    pub(super) fn key_from_sum(self, sum: f32) -> f32 {
        if sum.is_nan() {
            return f32::INFINITY;
        }
        match self {
            Self::Cosine | Self::Dot => 0.0 - sum,
            Self::Euclidean => sum,
        }
    }

    /// The distance that a key stands for; lower is nearer. Ascending in the key.
    ///
    /// A cosine is clamped into [-1, 1] first: rounding can bring the product of two unit vectors a little outside.
    #[inline]
    pub fn distance(self, key: f32) -> f32 {
        match self {
            Self::Cosine => 1.0 - self.score(key),
            Self::Euclidean => key.sqrt(),
            Self::Dot => key,
        }
    }

    /// The score that a key stands for; higher is better. Descending in the key.
    #[inline]
    pub fn score(self, key: f32) -> f32 {
        match self {
            Self::Cosine => (0.0 - key).clamp(-1.0, 1.0),
            Self::Euclidean => 1.0 / (1.0 + self.distance(key)),
            Self::Dot => 0.0 - key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_written_as_its_name() {
        for metric in Metric::ALL {
            let json = serde_json::to_string(&metric).unwrap();
            assert_eq!(json, format!("\"{}\"", metric.as_str()));
            assert_eq!(serde_json::from_str::<Metric>(&json).unwrap(), metric);
        }
        assert_eq!(Metric::default(), Metric::Cosine);
        assert!(serde_json::from_str::<Metric>("\"l2\"").is_err());
    }

    #[test]
    fn the_three_numbers_of_a_pair() {
        let (query, row) = ([3.0, 4.0], [3.0, 0.0]);
        for (metric, key, distance, score) in [
            (Metric::Cosine, -9.0, 0.0, 1.0),
            (Metric::Euclidean, 16.0, 4.0, 0.2),
            (Metric::Dot, -9.0, -9.0, 9.0),
        ] {
            assert_eq!(metric.key(&query, &row), key);
            assert_eq!(metric.distance(key), distance);
            assert_eq!(metric.score(key), score);
        }
        assert_eq!(Metric::Cosine.distance(0.25), 1.25);
        assert_eq!(Metric::Cosine.score(0.25), -0.25);
        assert_eq!(Metric::Cosine.distance(1.000_001), 2.0);
    }

    #[test]
    fn no_number_is_a_negative_zero() {
        let (query, row) = ([0.0, -1.0], [-1.0, 0.0]);
        for metric in Metric::ALL {
            let key = metric.key(
                &query,
                if metric == Metric::Euclidean {
                    &query
                } else {
                    &row
                },
            );
            assert_eq!(key.to_bits(), 0, "{metric:?}");
            assert!(metric.distance(key).is_sign_positive());
            assert!(metric.score(key).is_sign_positive());
        }
    }

    #[test]
    fn an_overflow_is_farthest_rather_than_nan() {
        let mut query = [0.0_f32; 32];
        let mut row = [1e30_f32; 32];
        (query[0], query[8]) = (1e30, -1e30);
        assert!(dot(&query, &row).is_nan());
        assert_eq!(Metric::Dot.key(&query, &row), f32::INFINITY);
        row[8] = 0.0;
        assert_eq!(Metric::Dot.key(&query, &row), f32::NEG_INFINITY);
    }
}
