//! Scrolling: everything that a filter lets through, part by part, in the order of a field.
//!
//! A part goes on after the [`Position`] of the last item before it. What is written meanwhile does not shift the others: an item
//! that stays is seen once, unless its own value of the field changes.

use std::{cmp::Ordering, collections::BinaryHeap};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Code, Error, Result},
    filter::{Filter, Item, Row, Target, resolve},
    library::{DocumentEntry, Library},
    model::{FieldType, FixedField, Scalar},
    rows::DocumentRow,
};

/// A wish to scroll.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scroll {
    /// Which items; all of them without one.
    pub filter: Option<Filter>,
    /// The order; that of the ids without one.
    pub order_by: Option<OrderBy>,
    /// Where to go on.
    pub after: Option<Position>,
    /// How many items, at most.
    pub limit: usize,
}

/// An order by a field. Items without a value come last; equal ones are in the order of their ids. Of a list, the element counts
/// that comes first in that order.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderBy {
    /// The field's name.
    pub field: String,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// The place of an item in an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The item's id.
    pub id: String,
    /// Its value of the field that gives the order.
    pub value: Option<Scalar>,
}

/// A part of what is scrolled through.
#[derive(Clone, Debug, PartialEq)]
pub struct Part<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next part begins, if there is one.
    pub next: Option<Position>,
}

impl Library {
    /// Slots of the chunks that a filter lets through.
    ///
    /// Cost: without an order, the way to the next `limit` chunks that match; with one, a pass over the metadata of all chunks.
    ///
    /// # Errors
    /// Those of [`Filter::bind`], [`Code::UnknownField`] for the field of the order, [`Code::InvalidValue`] for a position that
    /// is of another order.
    pub fn scroll_chunks(&self, scroll: &Scroll) -> Result<Part<u32>> {
        let filter = scroll.filter.as_ref().map(|filter| filter.bind(self.fields())).transpose()?;
        let order = scroll.order_by.as_ref().map(|order| self.order(order)).transpose()?;
        let passes = |slot: &u32| self.row(*slot).is_some_and(|row| filter.as_ref().is_none_or(|filter| filter.matches(&row)));
        let id = |slot: u32| self.chunk_at(slot).map_or("", |chunk| chunk.id.as_str());
        let Some(order) = order else {
            let after = check_position(scroll, None)?.map(|position| position.id.as_str());
            return Ok(in_order(self.chunks_after(after).filter(passes), scroll.limit, |slot| id(*slot).to_owned()));
        };
        let slots: Vec<u32> = self.live().iter().filter(passes).collect();
        let rows: Vec<_> = slots.iter().filter_map(|slot| Some((*slot, self.row(*slot)?))).collect();
        let entries = rows.iter().map(|(slot, row)| order.entry(id(*slot), row, *slot));
        order.part(entries, scroll)
    }

    /// The documents that a filter lets through. The filter and the order are about documents.
    ///
    /// # Errors
    /// As [`Library::scroll_chunks`]; fields of chunks are unknown.
    pub fn scroll_documents(&self, scroll: &Scroll) -> Result<Part<&DocumentEntry>> {
        let filter = scroll.filter.as_ref().map(|filter| filter.bind_to_documents(self.fields())).transpose()?;
        let order = scroll.order_by.as_ref().map(|order| self.order(order)).transpose()?;
        let passes = |entry: &&DocumentEntry| filter.as_ref().is_none_or(|filter| self.document_matches(entry, filter));
        let Some(order) = order else {
            let after = check_position(scroll, None)?.map(|position| position.id.as_str());
            return Ok(in_order(self.documents_after(after).filter(passes), scroll.limit, |entry| entry.document.id.to_string()));
        };
        if let Target::Fixed(field) = order.target
            && !field.is_of_documents()
        {
            let detail = format!("'{}' is a field of chunks, and these are documents", field.as_str());
            return Err(Error::new(Code::UnknownField, detail).field("order_by.field").unfit());
        }
        let rows: Vec<DocumentRow<'_>> = self.documents_after(None).filter(passes).map(DocumentRow).collect();
        let entries = rows.iter().map(|row| order.entry(row.0.document.id.as_str(), row, row.0));
        order.part(entries, scroll)
    }

    fn order(&self, order_by: &OrderBy) -> Result<Order> {
        let (target, kind) = resolve(&order_by.field, self.fields()).map_err(|error| error.within("order_by.field"))?;
        if target == Target::Fixed(FixedField::Text) {
            let detail = "texts have no order that would be of use; order by another field";
            return Err(Error::new(Code::InvalidValue, detail).field("order_by.field"));
        }
        Ok(Order { target, kind, descending: order_by.descending })
    }
}

/// Takes the first items of those that are in order already.
fn in_order<T>(mut items: impl Iterator<Item = T>, limit: usize, id: impl Fn(&T) -> String) -> Part<T> {
    let taken: Vec<T> = items.by_ref().take(limit).collect();
    let last = taken.last().map(|item| Position { id: id(item), value: None });
    Part { next: last.filter(|_| items.next().is_some()), items: taken }
}

/// The position, if it is one of this order.
fn check_position(scroll: &Scroll, kind: Option<FieldType>) -> Result<Option<&Position>> {
    let Some(position) = &scroll.after else { return Ok(None) };
    let fits = match (&position.value, kind) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(value), Some(kind)) => matches!(
            (value, kind),
            (Scalar::String(_), FieldType::Keyword | FieldType::Text)
                | (Scalar::Integer(_), FieldType::Integer)
                | (Scalar::Float(_), FieldType::Float)
                | (Scalar::Boolean(_), FieldType::Boolean)
                | (Scalar::Timestamp(_), FieldType::Timestamp)
        ),
    };
    if fits {
        return Ok(Some(position));
    }
    let detail = "this cursor is of another order: ask for the following part as for the one before";
    Err(Error::new(Code::InvalidValue, detail).field("cursor").unfit())
}

/// An order, resolved.
struct Order {
    target: Target,
    kind: FieldType,
    descending: bool,
}

/// An item with what gives it its place.
struct Entry<'a, T> {
    value: Option<Item<'a>>,
    id: &'a str,
    descending: bool,
    item: Option<T>,
}

impl Order {
    fn entry<'a, T>(&self, id: &'a str, row: &'a dyn Row, item: T) -> Entry<'a, T> {
        let mut first: Option<Item<'a>> = None;
        self.target.values(row, &mut |value| {
            if first.is_none_or(|first| directed(value.cmp(&first), self.descending).is_lt()) {
                first = Some(value);
            }
        });
        Entry { value: first, id, descending: self.descending, item: Some(item) }
    }

    /// The first entries after the position, by a heap of no more than are wanted.
    fn part<'a, T>(&self, entries: impl Iterator<Item = Entry<'a, T>>, scroll: &'a Scroll) -> Result<Part<T>> {
        let after = check_position(scroll, Some(self.kind))?.map(|position| Entry::<T> {
            value: position.value.as_ref().map(Item::from),
            id: &position.id,
            descending: self.descending,
            item: None,
        });
        let mut first = BinaryHeap::with_capacity(scroll.limit.saturating_add(2).min(4096));
        for entry in entries.filter(|entry| after.as_ref().is_none_or(|after| entry > after)) {
            first.push(entry);
            if first.len() > scroll.limit + 1 {
                first.pop();
            }
        }
        let mut first = first.into_sorted_vec();
        let more = first.len() > scroll.limit;
        first.truncate(scroll.limit);
        let position = |entry: &Entry<'_, T>| Position { id: entry.id.to_owned(), value: entry.value.map(Item::to_scalar) };
        let next = first.last().filter(|_| more).map(position);
        Ok(Part { items: first.into_iter().filter_map(|entry| entry.item).collect(), next })
    }
}

fn directed(ordering: Ordering, descending: bool) -> Ordering {
    if descending { ordering.reverse() } else { ordering }
}

impl<T> Ord for Entry<'_, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        let values = match (&self.value, &other.value) {
            (Some(left), Some(right)) => directed(left.cmp(right), self.descending),
            (left, right) => right.is_some().cmp(&left.is_some()),
        };
        values.then_with(|| self.id.cmp(other.id))
    }
}

impl<T> PartialOrd for Entry<'_, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Entry<'_, T> {}
