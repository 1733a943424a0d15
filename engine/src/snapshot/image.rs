//! The `STAT` section: how far the index of a library is.

use std::sync::Arc;

use imbl::Vector;
use serde::{Deserialize, Serialize};

use crate::{
    calibrate::Quality,
    distance::codes::Fit,
    index::any::AnyIndex,
    indexing::{Asked, Built, Indexing},
    library::Library,
    model::IndexType,
    precision::Precision,
    slots::SlotSet,
};

/// The `STAT` section.
#[derive(Serialize, Deserialize)]
pub(super) struct IndexImage {
    asked: Asked,
    /// Sequence of the newest cut.
    seq: u64,
    /// Chunks at that cut.
    rows: u64,
    /// Slots changed since.
    changed: Vec<u32>,
    /// Those of them that are in the index.
    linked: Vec<u32>,
    /// What those were at the cut, where the index asks for it.
    before: Vec<Before>,
    quality: Option<Quality>,
    unmeasured: u64,
}

/// A row as the index knows it.
#[derive(Serialize, Deserialize)]
enum Before {
    /// Its code.
    Code { scale: f32, norm: f32, residual: f32, code: Vec<u8> },
    /// The row itself.
    Row(Vec<f32>),
}

impl IndexImage {
    /// Of a library without work that waits.
    pub(super) fn of(library: &Library) -> Self {
        let Indexing { serving, changed, asked, rows, .. } = &library.indexing;
        let linked: Vec<u32> = changed.intersection(&serving.linked).collect();
        let view = serving.codes.view(library.info.contract.metric);
        let before = |slot: &u32| match serving.index.index_type() {
            IndexType::Hnsw => {
                let Fit { scale, norm, residual } = view.fit(*slot);
                let code = bytemuck::cast_slice(view.code(*slot)).to_vec();
                Some(Before::Code { scale, norm, residual, code })
            }
            IndexType::KdTree => Some(Before::Row(serving.vectors.row(*slot).to_vec())),
            IndexType::Auto | IndexType::Flat | IndexType::Lsh | IndexType::Ivf => None,
        };
        Self {
            asked: *asked,
            seq: serving.seq,
            rows: *rows as u64,
            before: linked.iter().filter_map(before).collect(),
            changed: changed.iter().collect(),
            linked,
            quality: serving.quality.clone(),
            unmeasured: serving.unmeasured,
        }
    }

    /// The indexing of a library whose codes and vectors are there.
    pub(super) fn open(self, library: &Library, index: &[u8]) -> Result<Indexing, &'static str> {
        let tree_without_rows = self.asked.index_type == IndexType::KdTree && library.precision() == Precision::Int8;
        if self.asked.index_type == IndexType::Flat || tree_without_rows {
            return Ok(Indexing { asked: self.asked, ..Indexing::default() });
        }
        let known = |slots: &[u32]| slots.iter().all(|slot| (*slot as usize) < library.vectors.rows());
        if !known(&self.changed) || !known(&self.linked) {
            return Err("the index names slots that do not exist");
        }
        let changed: SlotSet = self.changed.into_iter().collect();
        let mut linked = library.live.without(&changed);
        let (mut codes, mut vectors) = (library.codes.clone(), library.vectors.clone());
        for (at, slot) in self.linked.iter().enumerate() {
            linked.insert(*slot);
            match self.before.get(at) {
                Some(Before::Code { scale, norm, residual, code }) => {
                    let fit = Fit { scale: *scale, residual: *residual, norm: *norm };
                    codes.set_code(*slot, bytemuck::cast_slice(code), fit).ok_or("a code of the index has a wrong length")?;
                }
                Some(Before::Row(row)) if row.len() == vectors.dimension() => vectors.set(*slot, row),
                Some(Before::Row(_)) => return Err("a row of the index has a wrong length"),
                None => {}
            }
        }
        let metric = library.info.contract.metric;
        let built = Built {
            seq: self.seq,
            index: AnyIndex::from_bytes(self.asked.index_type, metric, &vectors, index)?,
            codes,
            vectors: if self.asked.index_type == IndexType::KdTree { vectors } else { Default::default() },
            linked: Arc::new(linked),
            quality: self.quality,
            unmeasured: self.unmeasured,
        };
        let changed = Arc::new(changed);
        Ok(Indexing {
            serving: Arc::new(built),
            waiting: Vector::new(),
            unlinked: changed.clone(),
            changed,
            asked: self.asked,
            rows: usize::try_from(self.rows).unwrap_or(usize::MAX),
        })
    }
}
