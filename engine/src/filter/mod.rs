//! Filters: which chunks a query may answer with.
//!
//! A [`Filter`] is a tree that mirrors its JSON form. [`Filter::bind`] resolves its names and operands against the fields of
//! one library and gives a [`Bound`] filter; [`Bound::matches`] says whether a row, that is a chunk with what it inherits from
//! its document, passes. Evaluation is exact: no rounding, no guess, and whatever cannot be meant is refused with the place
//! in the filter, never answered with an empty result.
//!
//! # The form
//!
//! A filter is a JSON object. All its entries must hold, so `{}` matches every row. An entry is one of
//!
//! - `"$and": [filter, ...]`, `"$or": [filter, ...]` with at least one filter, and `"$not": filter`;
//! - a field's name with a plain string, number or boolean, which is short for `$eq`;
//! - a field's name with an object of one or more operators, all of which must hold. There, `"$not": {operators}` holds
//!   when the operators within do not all hold.
//!
//! # The operators
//!
//! | Operator | Operand | Types of field | Meaning for one value |
//! |---|---|---|---|
//! | `$eq` | a value | all | equals the operand |
//! | `$ne` | a value | all | the negation of `$eq` |
//! | `$gt` `$gte` `$lt` `$lte` | a value | keyword, integer, float, timestamp | is greater, greater or equal, less, less or equal |
//! | `$in` | a list of values | all | equals one of the operands; an empty list matches nothing |
//! | `$nin` | a list of values | all | the negation of `$in` |
//! | `$exists` | true or false | all | whether the field has a value |
//! | `$contains` | a value | all; of the fixed fields only strings | see below |
//! | `$prefix` | a string | keyword, text | starts with the operand |
//!
//! - **Lists.** An operator holds for a list when it holds for any element. Each operator asks for itself: `[0, 9]` passes
//!   `{"$gt": 5, "$lt": 5}`. The negations `$ne`, `$nin` and `$not` are negations of that: `$ne` holds when *no* element equals.
//! - **`$contains`.** In a list, an element equals the operand. A single string has the operand as a part; the empty string
//!   is a part of all. Any other single value counts as a list of one.
//! - **Strings** are compared by their bytes: case counts, and nothing is normalised.
//! - **Numbers** are compared by their exact value, whole or not: `2.0` equals the integer 2, `{"$gt": 1999.5}` works on
//!   integers, 9007199254740993 is not 9007199254740992.0, and `{"$eq": 2.5}` on an integer field is legal and matches
//!   nothing. `-0.0` equals 0.
//! - **Timestamps** are RFC 3339 or dates (midnight UTC); digits below a microsecond are cut off, as they are in stored values.
//!
//! # A missing field
//!
//! A field is missing from a row when neither the chunk nor its document has a value for it. An empty list has no value, so
//! it is missing too: a first value of `[]` cannot even fix a field's type, and a document without tags has an empty list of
//! tags. A name that the library has never seen is not a missing field but [`UnknownField`](crate::Code::UnknownField).
//!
//! | Operator | When the field is missing |
//! |---|---|
//! | `$eq` `$gt` `$gte` `$lt` `$lte` `$in` `$contains` `$prefix` | false |
//! | `$ne` `$nin` | true |
//! | `$exists: true` | false |
//! | `$exists: false` | true |
//! | `$not` | the negation of what is within |
//!
//! # Limits
//!
//! The levels of a filter ([`MAX_FILTER_DEPTH`](crate::model::limits::MAX_FILTER_DEPTH)): the outermost object is the first,
//! each `$and`, `$or` and `$not` adds one. Its conditions
//! ([`MAX_FILTER_CONDITIONS`](crate::model::limits::MAX_FILTER_CONDITIONS)): every operator of a field, `$not` aside, and every
//! `{}` is one. The values of each `$in` and `$nin` ([`MAX_IN_VALUES`](crate::model::limits::MAX_IN_VALUES)). A string operand
//! is a text of at most [`MAX_TEXT_ATTRIBUTE_CHARS`](crate::model::limits::MAX_TEXT_ATTRIBUTE_CHARS).

mod bind;
mod eval;
mod json;
mod operand;
mod operator;
mod postings;
#[cfg(test)]
mod tests;

pub(crate) use bind::resolve;
pub use bind::{Bound, Target, Test};
pub(crate) use eval::Item;
pub use eval::{Cell, Row};
pub use json::Filter;
pub use operand::Order;
pub use operator::Operator;
pub(crate) use postings::{Posting, Postings};
pub use postings::{PostingsDone, PostingsJob};
