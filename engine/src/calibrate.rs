//! How good an index is, measured by itself: recall by effort, so that a query can ask for recall.
//!
//! After a build, and when a large part of the rows has changed, some of the library's own vectors are looked for at several
//! efforts and compared with exact search, without a filter and under filters of several widths. What comes of it depends on the
//! rows and the index alone, never on time or on queries, so every copy of a library chooses the same effort.
//!
//! A row finds its neighbours too easily by its own links, which were made for just that, so a graph is asked as if the row were not
//! in it. That is a little too hard, for other rows' links count on it; the mean of both ways promised too much where rows lie in
//! clusters: 0.977 measured, 0.932 found.
//!
//! Cost: an exact scan for each probe and narrow filter, and some dozen searches; on all threads of the pool.

use serde::{Deserialize, Serialize};

use crate::{
    codes::Codes,
    distance::Metric,
    index::{Search, VectorIndex, any::AnyIndex, flat::Flat},
    model::IndexType,
    pool::{self, Pool, Sequential},
    slots::SlotSet,
    vectors::Vectors,
};

/// Neighbours that are looked for.
pub const K: usize = 10;

/// Rows that are looked for, where there is time for them.
pub(crate) const PROBES: usize = 128;

/// Rows that are looked for while many more are being written. What so few tell is less sure; it is measured anew at rest.
pub(crate) const HASTY_PROBES: usize = 48;

/// Shares of all rows that the filters let through.
const SHARES: [f32; 4] = [1.0, 0.3, 0.1, 0.03];

/// So many of the nearest hold [`K`] that the filter of the second share lets through, nearly always.
const NEAR: usize = 64;

/// More effort than what reaches this is not tried: what asks for more is compared with all rows.
const ENOUGH: f32 = 0.998;

/// Fewer rows than this tell nothing about recall: a search compares most of them.
const FEW: usize = 256;

/// Measured recall by effort.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Sequence of the last write that the measured index knew of.
    pub seq: u64,
    /// Vectors in the index then.
    pub chunks: u32,
    /// Vectors of the library that were looked for.
    pub probes: u32,
    /// A curve for each width of filter, the widest first.
    pub curves: Vec<Curve>,
}

/// Recall by effort for filters that let a share of the rows through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Curve {
    /// The share, 1 without a filter.
    pub selectivity: f32,
    /// By rising effort.
    pub points: Vec<Point>,
}

/// The recall of one effort.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Point {
    /// `ef` of HNSW, `nprobe` of IVF, candidates of LSH.
    pub effort: u32,
    /// The share of the true ten nearest that was found, on average.
    pub recall: f32,
    /// Vectors compared for a query, on average.
    pub visited: u32,
}

/// A recall as it is shown: the same number as text and as a value, which a 32-bit float with few digits is not.
pub(crate) fn shown(recall: f32) -> f64 {
    (f64::from(recall) * 1e6).round() / 1e6
}

/// What is measured.
pub(crate) struct Subject<'a> {
    pub(crate) index: &'a AnyIndex,
    pub(crate) vectors: &'a Vectors,
    pub(crate) codes: &'a Codes,
    pub(crate) metric: Metric,
    /// The rows in the index.
    pub(crate) linked: &'a SlotSet,
}

/// Measures an index by up to so many probes. `None` for one that is exact or has few rows.
pub(crate) fn measure(subject: &Subject<'_>, probes: usize, seq: u64, pool: &dyn Pool) -> Option<Quality> {
    let efforts = efforts(subject.index.index_type());
    if efforts.is_empty() || subject.linked.len() < FEW {
        return None;
    }
    let probes: Vec<u32> = subject.linked.every(subject.linked.len().div_ceil(probes)).collect();
    let filters = SHARES.map(|share| if share < 1.0 { sample(subject.linked, share) } else { subject.linked.clone() });
    let truths = pool::map(pool, probes.len(), |number| subject.truths(probes[number], &filters));
    let curves: [Curve; SHARES.len()] = std::array::from_fn(|at| {
        let truth: Vec<Truth> = truths.iter().map(|truths| truths[at]).collect();
        subject.curve(SHARES[at], &filters[at], &probes, &truth, efforts, pool)
    });
    Some(Quality { seq, chunks: subject.linked.len() as u32, probes: probes.len() as u32, curves: curves.into() })
}

/// The efforts that are tried.
fn efforts(index_type: IndexType) -> &'static [u32] {
    match index_type {
        IndexType::Auto | IndexType::Flat | IndexType::KdTree => &[],
        IndexType::Lsh => &[250, 500, 1_000, 2_000, 4_000, 6_000, 8_000, 12_000, 16_000, 24_000, 32_000, 64_000],
        IndexType::Ivf => &[2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384],
        IndexType::Hnsw => &[10, 13, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512],
    }
}

/// A share of the slots, by their hash.
fn sample(slots: &SlotSet, share: f32) -> SlotSet {
    let limit = (f64::from(share) * 4_294_967_296.0) as u64;
    let hash = |slot: u32| (u64::from(slot) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    slots.iter().filter(|slot| hash(*slot) < limit).collect()
}

impl Subject<'_> {
    /// What is to be found of a probe under each filter; the first lets everything through. Most of the nearest under a wide filter
    /// are near without it, and known then without a scan of their own.
    fn truths(&self, probe: u32, filters: &[SlotSet; SHARES.len()]) -> [Truth; SHARES.len()] {
        let near = Flat.search(&Search { k: NEAR, ..self.search(probe, 0, &filters[0]) });
        std::array::from_fn(|at| {
            let allowed = &filters[at];
            let mut nearest = neighbours(near.nearest.iter().filter(|(_, slot)| allowed.contains(*slot)), probe);
            if nearest.len() < K && near.nearest.len() == NEAR {
                nearest = neighbours(&Flat.search(&self.search(probe, 0, allowed)).nearest, probe);
            }
            Truth { count: nearest.len(), farthest: nearest.last().copied().unwrap_or(f32::NEG_INFINITY) }
        })
    }

    fn curve(
        &self,
        selectivity: f32,
        allowed: &SlotSet,
        probes: &[u32],
        truth: &[Truth],
        efforts: &[u32],
        pool: &dyn Pool,
    ) -> Curve {
        let wanted: usize = truth.iter().map(|truth| truth.count).sum();
        let mut points = Vec::new();
        for &effort in efforts.iter().take_while(|_| !pool.stopped()) {
            let found = pool::map(pool, probes.len(), |number| self.ask(probes[number], effort, allowed, truth[number]));
            let hits: usize = found.iter().map(|(hits, _)| hits).sum();
            let visited: usize = found.iter().map(|(_, visited)| visited).sum();
            let recall = if wanted == 0 { 1.0 } else { hits as f32 / wanted as f32 };
            points.push(Point { effort, recall, visited: (visited / probes.len().max(1)) as u32 });
            if recall >= ENOUGH {
                break;
            }
        }
        Curve { selectivity, points }
    }

    /// The neighbours found, and the rows compared.
    fn ask(&self, probe: u32, effort: u32, allowed: &SlotSet, truth: Truth) -> (usize, usize) {
        let search = self.search(probe, effort as usize, allowed);
        let found = self.index.search_without(&search, probe).unwrap_or_else(|| self.index.search(&search));
        (neighbours(&found.nearest, probe).iter().filter(|key| **key <= truth.farthest).count(), found.visited)
    }

    fn search<'a>(&'a self, probe: u32, effort: usize, allowed: &'a SlotSet) -> Search<'a> {
        Search {
            vectors: self.vectors,
            codes: Some(self.codes),
            metric: self.metric,
            query: self.vectors.row(probe),
            // The probe may find itself.
            k: K + 1,
            effort,
            allowed,
            pool: &Sequential,
        }
    }
}

/// The nearest of a probe. Of rows that are equally far, one counts as much as another: of many copies an index finds some.
#[derive(Clone, Copy)]
struct Truth {
    count: usize,
    /// The key of the last.
    farthest: f32,
}

/// The keys of the nearest but the probe itself.
fn neighbours<'a>(nearest: impl IntoIterator<Item = &'a (f32, u32)>, probe: u32) -> Vec<f32> {
    nearest.into_iter().filter(|(_, slot)| *slot != probe).map(|(key, _)| *key).take(K).collect()
}

impl Quality {
    /// The least effort that reaches a recall under a filter of this selectivity, with the recall that was measured for it. Between
    /// two filters that were measured, the harder counts. `None` when no effort that was tried does.
    ///
    /// So few probes may have been lucky ones: where it can be had, the effort reaches more by what one may expect their average to be
    /// off, some `sqrt(r (1 - r) / 4 n)`. (Neighbours of a probe are found or missed together, hence not `10 n`.)
    pub fn effort(&self, target: f32, selectivity: f32) -> Option<Point> {
        let narrower = self.curves.iter().position(|curve| curve.selectivity <= selectivity).unwrap_or(self.curves.len());
        let on_both_sides = self.curves.iter().take(narrower + 1).skip(narrower.saturating_sub(usize::from(selectivity < 1.0)));
        let chance = (target * (1.0 - target) / (4 * self.probes.max(1)) as f32).sqrt();
        let surely = (target + chance).min(ENOUGH);
        let reach = |curve: &Curve| {
            let reached = |recall| curve.points.iter().find(|point| point.recall >= recall).copied();
            reached(surely.max(target)).or_else(|| curve.points.last().copied().filter(|point| point.recall >= target))
        };
        on_both_sides.map(reach).try_fold(None, |hardest: Option<Point>, point| {
            let point = point?;
            Some(Some(hardest.filter(|hardest| hardest.effort >= point.effort).unwrap_or(point)))
        })?
    }
}
