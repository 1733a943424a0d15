//! The operators that a field takes.

use crate::model::FieldType;

macro_rules! operators {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $kinds:expr;)+) => {
        /// An operator within a field. What each means stands in the [module's tables](super).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Operator { $($(#[doc = $doc])+ $name,)+ }

        impl Operator {
            /// Every operator.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name in JSON.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text,)+ } }

            /// The types of field that take it.
            pub const fn kinds(self) -> &'static [FieldType] { match self { $(Self::$name => $kinds,)+ } }
        }
    };
}

const ALL: &[FieldType] =
    &[FieldType::Keyword, FieldType::Integer, FieldType::Float, FieldType::Boolean, FieldType::Timestamp, FieldType::Text];
const ORDERED: &[FieldType] = &[FieldType::Keyword, FieldType::Integer, FieldType::Float, FieldType::Timestamp];
const STRINGS: &[FieldType] = &[FieldType::Keyword, FieldType::Text];

operators! {
    /// Equals.
    Eq = "$eq", ALL;
    /// Does not equal.
    Ne = "$ne", ALL;
    /// Is greater.
    Gt = "$gt", ORDERED;
    /// Is greater or equal.
    Gte = "$gte", ORDERED;
    /// Is less.
    Lt = "$lt", ORDERED;
    /// Is less or equal.
    Lte = "$lte", ORDERED;
    /// Equals one of a list.
    In = "$in", ALL;
    /// Equals none of a list.
    Nin = "$nin", ALL;
    /// Whether there is a value.
    Exists = "$exists", ALL;
    /// A list has this element, or a string this part.
    Contains = "$contains", ALL;
    /// A string starts so.
    Prefix = "$prefix", STRINGS;
}

impl Operator {
    /// Finds an operator by its name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operator| operator.as_str() == name)
    }

    /// The names of every operator, for messages.
    pub(super) fn names(operators: impl IntoIterator<Item = Self>) -> String {
        operators.into_iter().map(Self::as_str).collect::<Vec<_>>().join(" ")
    }
}
