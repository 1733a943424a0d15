//! Operands as values of their field's type, without rounding.

use std::cmp::Ordering;

use serde_json::{Number, Value as Json};

use super::bind::Test;
use crate::{
    error::Result,
    model::{FieldType, Scalar},
};

/// How a value must lie to an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Greater than it.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
    /// Less than it.
    Less,
    /// Less or equal.
    LessOrEqual,
}

impl Order {
    /// Whether a value that compares so with the operand passes.
    pub const fn admits(self, ordering: Ordering) -> bool {
        match self {
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }

    const fn upward(self) -> bool {
        matches!(self, Self::Greater | Self::GreaterOrEqual)
    }
}

/// Where a number lies among the values of a field's type.
enum Place {
    /// Below every value.
    Below,
    /// Above every value.
    Above,
    /// At this value or directly beside it: no other value lies between the two. The ordering is that of the value to the
    /// number.
    At(Scalar, Ordering),
}

/// The value of type `kind` that equals the operand, or `None` when a legal operand equals no value of that type.
pub(super) fn exact(kind: FieldType, json: &Json) -> Result<Option<Scalar>> {
    Ok(match place(kind, json)? {
        Place::At(scalar, Ordering::Equal) => Some(scalar),
        _ => None,
    })
}

/// The test that the values of type `kind` lie in this order to the operand.
pub(super) fn compare(order: Order, kind: FieldType, json: &Json) -> Result<Test> {
    Ok(match place(kind, json)? {
        Place::Below if order.upward() => Test::Exists,
        Place::Above if !order.upward() => Test::Exists,
        Place::Below | Place::Above => Test::OneOf(Box::default()),
        Place::At(scalar, side) => {
            let order = match (side, order.upward()) {
                (Ordering::Equal, _) => order,
                // The value itself is on the wrong side of the operand, or on the right one.
                (Ordering::Less, true) => Order::Greater,
                (Ordering::Less, false) => Order::LessOrEqual,
                (Ordering::Greater, true) => Order::GreaterOrEqual,
                (Ordering::Greater, false) => Order::Less,
            };
            Test::Compare(order, scalar)
        }
    })
}

fn place(kind: FieldType, json: &Json) -> Result<Place> {
    let exactly = |scalar| Place::At(scalar, Ordering::Equal);
    let placed = match (kind, json) {
        (FieldType::Integer, Json::Number(number)) => among_integers(number),
        (FieldType::Float, Json::Number(number)) => among_floats(number),
        // A fixed field of the keyword type may be longer than a keyword attribute.
        (FieldType::Keyword, Json::String(_)) => return FieldType::Text.scalar(json).map(exactly),
        _ => None,
    };
    placed.map_or_else(|| kind.scalar(json).map(exactly), Ok)
}

fn among_integers(number: &Number) -> Option<Place> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if let Some(whole) = number.as_i64() {
        return Some(Place::At(Scalar::Integer(whole), Ordering::Equal));
    }
    if number.is_u64() {
        return Some(Place::Above);
    }
    let value = number.as_f64().filter(|value| value.is_finite())?;
    let floor = value.floor();
    Some(if floor >= BEYOND {
        Place::Above
    } else if floor < -BEYOND {
        Place::Below
    } else {
        // Exact: a whole number within the range of i64.
        let side = if floor == value { Ordering::Equal } else { Ordering::Less };
        Place::At(Scalar::Integer(floor as i64), side)
    })
}

fn among_floats(number: &Number) -> Option<Place> {
    let nearest = number.as_f64().filter(|value| value.is_finite())? + 0.0;
    let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    // Exact: what is nearest to a whole number of 64 bits is a whole number far within i128.
    let side = whole.map_or(Ordering::Equal, |whole| (nearest as i128).cmp(&whole));
    Some(Place::At(Scalar::Float(nearest), side))
}
