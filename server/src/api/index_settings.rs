//! The settings of an index as clients write them: what JSON takes for the same number is the same here.

use serde::{Deserialize, Deserializer};
use vecino_engine::model::IndexParams;

use super::input::{Whole, optional_object};

/// The parameters of an index, in which whole numbers may be written with a point.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParamsInput {
    m: Option<Whole>,
    ef_construction: Option<Whole>,
    lists: Option<Whole>,
    tables: Option<Whole>,
}

/// Reads the parameters of an index, or null. What does not fit its bits becomes the largest number, which every limit refuses.
pub(super) fn index_params<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IndexParams>, D::Error> {
    let input: Option<ParamsInput> = optional_object(deserializer)?;
    let short = |number: Option<Whole>| number.map(|Whole(number)| u16::try_from(number).unwrap_or(u16::MAX));
    Ok(input.map(|ParamsInput { m, ef_construction, lists, tables }| IndexParams {
        m: short(m),
        ef_construction: short(ef_construction),
        lists: lists.map(|Whole(number)| u32::try_from(number).unwrap_or(u32::MAX)),
        tables: short(tables),
    }))
}

/// Reads a share, above 0 and at most 1, or null: on which side of the bounds it is does not change where 32 bits round it.
pub(super) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f32>, D::Error> {
    let wide: Option<f64> = Option::deserialize(deserializer)?;
    Ok(wide.map(|wide| match wide as f32 {
        0.0 if wide > 0.0 => f32::MIN_POSITIVE,
        1.0 if wide > 1.0 => 1.0_f32.next_up(),
        near => near,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_stays_on_its_side() {
        let read = |text: &str| share(&mut serde_json::Deserializer::from_str(text)).unwrap();
        assert_eq!([read("0.5"), read("1"), read("null"), read("0")], [Some(0.5), Some(1.0), None, Some(0.0)]);
        assert!(read("5e-324").is_some_and(|share| share > 0.0) && read("1.00000000001").is_some_and(|share| share > 1.0));
    }
}
