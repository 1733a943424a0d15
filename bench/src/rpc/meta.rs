//! Metadata of rows: JSON lines in the order of the rows.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};
use vecino_engine::slots::SlotSet;

/// The rows whose `field` equals `value`. Numbers are equal when their values are, whatever their spelling.
pub(crate) fn matching(path: &Path, rows: usize, field: &str, value: &Value) -> Result<SlotSet> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file: Box<dyn Read> = match path.extension() {
        Some(ending) if ending == "gz" => Box::new(MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut allowed = SlotSet::default();
    let mut row = 0;
    for line in BufReader::with_capacity(1 << 16, file).lines() {
        let place = || format!("{}, line {}", path.display(), row + 1);
        let line = line.with_context(place)?;
        let fields: Map<String, Value> = serde_json::from_str(&line).with_context(place)?;
        if fields.get(field).is_some_and(|found| equal(found, value)) {
            allowed.insert(u32::try_from(row).with_context(place)?);
        }
        row += 1;
    }
    ensure!(row == rows, "{} has {row} lines for {rows} vectors", path.display());
    Ok(allowed)
}

fn equal(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}
