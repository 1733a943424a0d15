//! Binding: names become fields, operands become values of the field's type.

use serde_json::Value as Json;

use super::{
    Filter, Operator, Order,
    eval::Item,
    json::{AND, Clause, Condition, Conditions, NOT, OR, ROOT},
    operand::{compare, exact},
};
use crate::{
    error::{Code, Error, Result},
    model::{FieldId, FieldType, Fields, FixedField, Scalar, kind_of, shown},
};

/// A filter that is resolved against the fields of one library, ready to be evaluated.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// Every one must match; with none, every row matches.
    All(Vec<Bound>),
    /// At least one must match.
    Any(Vec<Bound>),
    /// It must not match.
    Not(Box<Bound>),
    /// A value of the field must pass the test. Never true when the field is missing.
    Field(Target, Test),
}

/// The field that a test looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A fixed field.
    Fixed(FixedField),
    /// An attribute.
    Attribute(FieldId),
}

/// What one value of a field must be. Every scalar is of the field's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Anything.
    Exists,
    /// One of these, which are in ascending order without duplicates; possibly none.
    OneOf(Box<[Scalar]>),
    /// In this order to the scalar.
    Compare(Order, Scalar),
    /// An element of a list that equals this, or a single string with this part.
    Contains(Box<str>),
    /// A string that starts so.
    Prefix(Box<str>),
}

/// How many field names an error lists.
const NAMES_SHOWN: usize = 20;

impl Filter {
    /// Resolves the filter against the attribute fields of a library and the fixed fields.
    ///
    /// # Errors
    /// [`Code::UnknownField`], [`Code::WrongType`] for an operator or an operand that the field's type does not take, and
    /// [`Code::LimitExceeded`] for a long string. The field is the place in the filter, such as `filter.$and[1].year.$gt`.
    pub fn bind(&self, fields: &Fields) -> Result<Bound> {
        self.bind_at(fields).map_err(|error| error.within(ROOT).unfit())
    }

    /// As [`Filter::bind`], for documents: fields of chunks are refused, since a document has many of each.
    ///
    /// # Errors
    /// Those of [`Filter::bind`], and [`Code::UnknownField`] for a field of chunks.
    pub fn bind_to_documents(&self, fields: &Fields) -> Result<Bound> {
        let bound = self.bind(fields)?;
        match bound.field_of_chunks() {
            None => Ok(bound),
            Some(field) => {
                let name = field.as_str();
                let detail =
                    format!("'{name}' is a field of chunks, and this filter is about documents; their id is 'document_id'");
                Err(Error::new(Code::UnknownField, detail).field(format!("{ROOT}.{name}")).unfit())
            }
        }
    }

    // Recursion is bounded: a `Filter` is only made by `from_json`, which checks the depth.
    fn bind_at(&self, fields: &Fields) -> Result<Bound> {
        all(self.clauses.iter().map(|clause| match clause {
            Clause::And(filters) => Ok(Bound::All(bind_each(filters, fields).map_err(|error| error.within(AND))?)),
            Clause::Or(filters) => Ok(Bound::Any(bind_each(filters, fields).map_err(|error| error.within(OR))?)),
            Clause::Not(filter) => Ok(not(filter.bind_at(fields).map_err(|error| error.within(NOT))?)),
            Clause::Field(name, conditions) => bind_field(name, conditions, fields).map_err(|error| error.within(shown(name))),
        }))
    }
}

impl Bound {
    /// A fixed field that only chunks have, if the filter asks for one.
    fn field_of_chunks(&self) -> Option<FixedField> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().find_map(Self::field_of_chunks),
            Self::Not(part) => part.field_of_chunks(),
            Self::Field(Target::Fixed(field), _) => (!field.is_of_documents()).then_some(*field),
            Self::Field(Target::Attribute(_), _) => None,
        }
    }
}

fn bind_each(filters: &[Filter], fields: &Fields) -> Result<Vec<Bound>> {
    let bind = |(at, filter): (usize, &Filter)| filter.bind_at(fields).map_err(|error| error.within(format_args!("[{at}]")));
    filters.iter().enumerate().map(bind).collect()
}

fn bind_field(name: &str, conditions: &Conditions, fields: &Fields) -> Result<Bound> {
    let (target, kind) = resolve(name, fields)?;
    match conditions {
        Conditions::Plain(operand) => bind_operator(target, kind, Operator::Eq, operand),
        Conditions::Operators(conditions) => bind_conditions(target, kind, conditions),
    }
}

fn bind_conditions(target: Target, kind: FieldType, conditions: &[Condition]) -> Result<Bound> {
    all(conditions.iter().map(|condition| match condition {
        Condition::Not(conditions) => Ok(not(bind_conditions(target, kind, conditions).map_err(|error| error.within(NOT))?)),
        Condition::Operator(operator, operand) => {
            bind_operator(target, kind, *operator, operand).map_err(|error| error.within(operator.as_str()))
        }
    }))
}

fn bind_operator(target: Target, kind: FieldType, operator: Operator, operand: &Json) -> Result<Bound> {
    check_takes(target, kind, operator)?;
    let test = match operator {
        Operator::Eq | Operator::Ne => Test::OneOf(exact(kind, operand)?.into_iter().collect()),
        Operator::In | Operator::Nin => one_of(kind, operand)?,
        Operator::Gt => compare(Order::Greater, kind, operand)?,
        Operator::Gte => compare(Order::GreaterOrEqual, kind, operand)?,
        Operator::Lt => compare(Order::Less, kind, operand)?,
        Operator::Lte => compare(Order::LessOrEqual, kind, operand)?,
        Operator::Exists => Test::Exists,
        Operator::Contains => match exact(kind, operand)? {
            Some(Scalar::String(text)) => Test::Contains(text),
            other => Test::OneOf(other.into_iter().collect()),
        },
        Operator::Prefix => match exact(kind, operand)? {
            Some(Scalar::String(text)) => Test::Prefix(text),
            _ => return Err(Error::new(Code::WrongType, "$prefix takes a string").numbers("string", kind_of(operand))),
        },
    };
    let field = Bound::Field(target, test);
    let negated = match operator {
        Operator::Ne | Operator::Nin => true,
        Operator::Exists => *operand == Json::Bool(false),
        _ => false,
    };
    Ok(if negated { not(field) } else { field })
}

fn one_of(kind: FieldType, operand: &Json) -> Result<Test> {
    let mut values = Vec::new();
    for (at, item) in operand.as_array().into_iter().flatten().enumerate() {
        values.extend(exact(kind, item).map_err(|error| error.within(format_args!("[{at}]")))?);
    }
    values.sort_unstable_by(|left, right| Item::from(left).cmp(&Item::from(right)));
    values.dedup();
    Ok(Test::OneOf(values.into()))
}

/// Finds a field by its name, among the fixed fields and the attribute fields of a library.
///
/// # Errors
/// [`Code::UnknownField`], without a place.
pub(crate) fn resolve(name: &str, fields: &Fields) -> Result<(Target, FieldType)> {
    if let Some(fixed) = FixedField::find(name) {
        return Ok((Target::Fixed(fixed), fixed.kind()));
    }
    if let Some((id, kind)) = fields.find(name) {
        return Ok((Target::Attribute(id), kind));
    }
    let count = fields.named().count() + FixedField::ALL.len();
    let attributes = fields.named().map(|(_, field)| field.name.as_ref());
    let fixed = FixedField::ALL.iter().map(|field| field.as_str());
    let known: Vec<&str> = attributes.chain(fixed).take(NAMES_SHOWN).collect();
    let more = match count - known.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let detail = format!("the library has no field '{}'; it has {}{more}", shown(name), known.join(", "));
    Err(Error::new(Code::UnknownField, detail).numbers(known, shown(name)).unfit())
}

/// Whether the operator fits the field at all.
fn check_takes(target: Target, kind: FieldType, operator: Operator) -> Result<()> {
    let takes = |operator: Operator| {
        operator.kinds().contains(&kind)
            && (operator != Operator::Contains
                || Operator::Prefix.kinds().contains(&kind)
                || matches!(target, Target::Attribute(_)))
    };
    if takes(operator) {
        return Ok(());
    }
    let taken = Operator::names(Operator::ALL.iter().copied().filter(|operator| takes(*operator)));
    let detail = format!("a field of type {} does not take {}; it takes {taken} $not", kind.as_str(), operator.as_str());
    Err(Error::new(Code::WrongType, detail).numbers(taken, operator.as_str()))
}

/// The conjunction, without a level for a single part.
fn all(parts: impl Iterator<Item = Result<Bound>>) -> Result<Bound> {
    let mut parts: Vec<Bound> = parts.collect::<Result<_>>()?;
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => Ok(only),
        (last, _) => {
            parts.extend(last);
            Ok(Bound::All(parts))
        }
    }
}

/// The negation; two of them cancel out.
fn not(bound: Bound) -> Bound {
    match bound {
        Bound::Not(inner) => *inner,
        other => Bound::Not(Box::new(other)),
    }
}
