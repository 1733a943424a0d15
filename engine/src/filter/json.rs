//! The tree and its JSON form.

use serde_json::{Map, Value as Json};

use super::Operator;
use crate::{
    error::{Code, Error, Result},
    model::{
        kind_of,
        limits::{MAX_FILTER_CONDITIONS, MAX_FILTER_DEPTH, MAX_IN_VALUES},
        shown,
    },
};

/// A filter as it was asked: well-formed and within the limits, but not yet resolved against a library's fields.
///
/// The tree has the shape of its JSON, so that every error can name its place. The default matches every row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    pub(super) clauses: Vec<Clause>,
}

/// One entry of a filter's object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Clause {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Filter),
    Field(Box<str>, Conditions),
}

/// What stands beside a field's name.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Conditions {
    /// A plain scalar, short for `$eq`.
    Plain(Json),
    /// An object of operators.
    Operators(Vec<Condition>),
}

/// One entry of an object of operators.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// An operator with its operand: a list of scalars for `$in` and `$nin`, a boolean for `$exists`, else a scalar.
    Operator(Operator, Json),
    Not(Vec<Condition>),
}

pub(super) const AND: &str = "$and";
pub(super) const OR: &str = "$or";
pub(super) const NOT: &str = "$not";

/// The path of the outermost object in errors.
pub(super) const ROOT: &str = "filter";

impl Filter {
    /// Reads the JSON form.
    ///
    /// The fields of errors begin with `filter`, such as `filter.$and[1].year.$gt`. The JSON may be nested to any depth.
    ///
    /// # Errors
    /// [`Code::UnknownOperator`], [`Code::WrongType`] for what does not have the form, [`Code::InvalidValue`] for an empty
    /// `$and` or `$or` or an empty object of operators, [`Code::LimitExceeded`].
    pub fn from_json(json: &Json) -> Result<Self> {
        Reader { conditions: 0 }.filter(json, 1).map_err(|error| error.within(ROOT))
    }

    /// The JSON form, equal to the one that was read.
    pub fn to_json(&self) -> Json {
        let list = |filters: &[Self]| filters.iter().map(Self::to_json).collect::<Json>();
        let entry = |clause: &Clause| match clause {
            Clause::And(filters) => (AND.to_owned(), list(filters)),
            Clause::Or(filters) => (OR.to_owned(), list(filters)),
            Clause::Not(filter) => (NOT.to_owned(), filter.to_json()),
            Clause::Field(name, Conditions::Plain(operand)) => (name.as_ref().to_owned(), operand.clone()),
            Clause::Field(name, Conditions::Operators(conditions)) => (name.as_ref().to_owned(), operators_to_json(conditions)),
        };
        Json::Object(self.clauses.iter().map(entry).collect())
    }
}

fn operators_to_json(conditions: &[Condition]) -> Json {
    let entry = |condition: &Condition| match condition {
        Condition::Operator(operator, operand) => (operator.as_str().to_owned(), operand.clone()),
        Condition::Not(conditions) => (NOT.to_owned(), operators_to_json(conditions)),
    };
    Json::Object(conditions.iter().map(entry).collect())
}

/// Reads one filter and counts its conditions. It recurses only after the depth is checked.
struct Reader {
    conditions: usize,
}

impl Reader {
    fn filter(&mut self, json: &Json, depth: usize) -> Result<Filter> {
        check_depth(depth)?;
        let Json::Object(entries) = json else {
            return Err(wrong("a filter is an object such as {\"year\": {\"$gte\": 2020}}", "object", json));
        };
        if entries.is_empty() {
            self.count()?;
        }
        let clauses = entries
            .iter()
            .map(|(key, json)| self.clause(key, json, depth).map_err(|error| error.within(shown(key))))
            .collect::<Result<_>>()?;
        Ok(Filter { clauses })
    }

    fn clause(&mut self, key: &str, json: &Json, depth: usize) -> Result<Clause> {
        Ok(match key {
            AND => Clause::And(self.filters(json, depth + 1)?),
            OR => Clause::Or(self.filters(json, depth + 1)?),
            NOT => Clause::Not(self.filter(json, depth + 1)?),
            _ if key.starts_with('$') => {
                let detail = if Operator::find(key).is_some() {
                    format!("{key} belongs within a field, as in {{\"year\": {{\"{key}\": ...}}}}; here stand {AND} {OR} {NOT}")
                } else {
                    format!(
                        "there is no operator {}; here stand {AND} {OR} {NOT}, and within a field {} {NOT}",
                        shown(key),
                        Operator::names(Operator::ALL.iter().copied())
                    )
                };
                return Err(Error::new(Code::UnknownOperator, detail));
            }
            _ => Clause::Field(key.into(), self.conditions(json, depth)?),
        })
    }

    fn filters(&mut self, json: &Json, depth: usize) -> Result<Vec<Filter>> {
        let Json::Array(items) = json else {
            return Err(wrong("this operator takes a list of filters", "list", json));
        };
        if items.is_empty() {
            return Err(Error::new(Code::InvalidValue, "this operator takes at least one filter").numbers(1, 0));
        }
        let item = |(at, item)| self.filter(item, depth).map_err(|error| error.within(format_args!("[{at}]")));
        items.iter().enumerate().map(item).collect()
    }

    fn conditions(&mut self, json: &Json, depth: usize) -> Result<Conditions> {
        if let Json::Object(entries) = json {
            return Ok(Conditions::Operators(self.operators(entries, depth)?));
        }
        self.count()?;
        Ok(Conditions::Plain(scalar(json)?))
    }

    fn operators(&mut self, entries: &Map<String, Json>, depth: usize) -> Result<Vec<Condition>> {
        if entries.is_empty() {
            let detail = format!("this takes one or more of {} {NOT}", Operator::names(Operator::ALL.iter().copied()));
            return Err(Error::new(Code::InvalidValue, detail).numbers(1, 0));
        }
        entries.iter().map(|(key, json)| self.condition(key, json, depth).map_err(|error| error.within(shown(key)))).collect()
    }

    fn condition(&mut self, key: &str, json: &Json, depth: usize) -> Result<Condition> {
        if key == NOT {
            check_depth(depth + 1)?;
            let Json::Object(entries) = json else {
                return Err(wrong("within a field, $not takes an object of operators", "object", json));
            };
            return Ok(Condition::Not(self.operators(entries, depth + 1)?));
        }
        let Some(operator) = Operator::find(key) else {
            let names = Operator::names(Operator::ALL.iter().copied());
            let detail = format!("there is no operator {} within a field; known are {names} {NOT}", shown(key));
            return Err(Error::new(Code::UnknownOperator, detail));
        };
        self.count()?;
        let operand = match operator {
            Operator::In | Operator::Nin => scalars(json)?,
            Operator::Exists if !json.is_boolean() => return Err(wrong("$exists takes true or false", "boolean", json)),
            _ => scalar(json)?,
        };
        Ok(Condition::Operator(operator, operand))
    }

    fn count(&mut self) -> Result<()> {
        self.conditions += 1;
        if self.conditions > MAX_FILTER_CONDITIONS {
            let detail = format!("a filter has at most {MAX_FILTER_CONDITIONS} conditions; this is number {}", self.conditions);
            return Err(Error::new(Code::LimitExceeded, detail).numbers(MAX_FILTER_CONDITIONS, self.conditions));
        }
        Ok(())
    }
}

fn check_depth(depth: usize) -> Result<()> {
    if depth > MAX_FILTER_DEPTH {
        let detail = format!("a filter has at most {MAX_FILTER_DEPTH} levels; this is level {depth}");
        return Err(Error::new(Code::LimitExceeded, detail).numbers(MAX_FILTER_DEPTH, depth));
    }
    Ok(())
}

fn wrong(detail: &str, expected: &str, json: &Json) -> Error {
    Error::new(Code::WrongType, format!("{detail}; received {}", kind_of(json))).numbers(expected, kind_of(json))
}

/// An operand that is one value.
fn scalar(json: &Json) -> Result<Json> {
    let hint = match json {
        Json::String(_) | Json::Number(_) | Json::Bool(_) => return Ok(json.clone()),
        Json::Null => "a field is compared with a value; for a missing field, use {\"$exists\": false}",
        Json::Array(_) => "a field is compared with one value; for one of a list, use {\"$in\": [...]}",
        Json::Object(_) => "an operator compares with one value",
    };
    Err(wrong(hint, "string, number or boolean", json))
}

/// An operand that is a list of values.
fn scalars(json: &Json) -> Result<Json> {
    let Json::Array(items) = json else {
        return Err(wrong("this operator takes a list of values", "list", json));
    };
    if items.len() > MAX_IN_VALUES {
        return Err(Error::limit("values of $in or $nin", MAX_IN_VALUES, items.len()));
    }
    let item = |(at, item): (usize, &Json)| match item {
        Json::String(_) | Json::Number(_) | Json::Bool(_) => Ok(item.clone()),
        _ => {
            let error = wrong("the list holds strings, numbers or booleans", "string, number or boolean", item);
            Err(error.within(format_args!("[{at}]")))
        }
    };
    Ok(Json::Array(items.iter().enumerate().map(item).collect::<Result<_>>()?))
}
