//! Plans for indexes.

use std::ops::RangeInclusive;

use crate::{
    command::IndexDraft,
    error::{Code, Error, Result},
    library::Library,
    model::{IndexParams, IndexSettings},
    plan::Plan,
    record::Record,
};

pub(super) fn choose(library: &Library, draft: &IndexDraft, rebuild: bool) -> Result<Plan> {
    let settings = settings(library.info.index, draft)?;
    if settings == library.info.index && !rebuild {
        return Ok(Plan { record: None, skipped: 0, affected: 0 });
    }
    Ok(Plan::of(Record::IndexChosen { library: library.info.id.clone(), settings, rebuild }))
}

pub(super) fn cut(library: &Library) -> Plan {
    let due = library.index_state().changed > 0;
    Plan::of_many(usize::from(due), || Record::IndexCut { library: library.info.id.clone() })
}

/// The settings that a draft makes of others.
pub(super) fn settings(old: IndexSettings, draft: &IndexDraft) -> Result<IndexSettings> {
    let params = draft.params.unwrap_or(old.params);
    check_params(&params)?;
    let target_recall = draft.target_recall.unwrap_or(old.target_recall);
    check_target_recall(target_recall)?;
    Ok(IndexSettings { index_type: draft.index_type.unwrap_or(old.index_type), params, target_recall })
}

/// Checks a target, of a library or of a query.
///
/// # Errors
/// [`Code::InvalidValue`] with the field `target_recall`.
pub(crate) fn check_target_recall(target: f32) -> Result<()> {
    if target > 0.0 && target <= 1.0 {
        return Ok(());
    }
    let detail = format!("a target recall is above 0 and at most 1, received {target}");
    Err(Error::new(Code::InvalidValue, detail).field("target_recall").numbers("above 0, at most 1", f64::from(target)))
}

fn check_params(params: &IndexParams) -> Result<()> {
    let limits: [(&str, Option<u32>, RangeInclusive<u32>); 4] = [
        ("m", params.m.map(u32::from), 2..=128),
        ("ef_construction", params.ef_construction.map(u32::from), 1..=4_096),
        ("lists", params.lists, 1..=65_536),
        ("tables", params.tables.map(u32::from), 1..=64),
    ];
    for (name, value, range) in limits {
        if let Some(value) = value.filter(|value| !range.contains(value)) {
            let detail = format!("{name} is {} to {}, received {value}", range.start(), range.end());
            let limit = if value < *range.start() { *range.start() } else { *range.end() };
            return Err(Error::new(Code::InvalidValue, detail).field(format!("index_params.{name}")).numbers(limit, value));
        }
    }
    Ok(())
}
