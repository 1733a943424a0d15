//! Recall of queries as they come: a gauge that tells, and decides nothing.
//!
//! The effort of a query comes from what a library has measured on its own vectors, so that every copy chooses the same. Real
//! queries may be of another kind. One in `EVERY` that an approximate index has answered is answered exactly as well, later, on
//! one thread of low priority that rests a hundred times as long as it works; what comes while it is busy is passed over. The last
//! `WINDOW` of each library are kept, in memory alone.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;
use utoipa::ToSchema;
use vecino_engine::{
    Code, Error, Result,
    library::Library,
    model::Id,
    near::Refine,
    pool::Sequential,
    query::{Answer, Include, Query},
};

use crate::store::give_way;

/// One query in so many is sampled.
const EVERY: u64 = 64;

/// Sampled queries of a library that count.
const WINDOW: usize = 128;

/// Libraries of which samples are kept.
const MOST_LIBRARIES: usize = 1_024;

/// The thread rests so many times as long as it has worked, but not longer than [`LONGEST_REST`].
const REST: u32 = 100;
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Recall of sampled queries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct LiveRecall {
    /// The share of the true nearest that the answers held, on average.
    pub recall: f64,
    /// How many queries it is the average of: the last ones that were sampled, 128 at most.
    pub queries: usize,
}

/// The gauge.
#[derive(Debug)]
pub(crate) struct Sampler {
    asked: AtomicU64,
    work: SyncSender<Sample>,
    tallies: Arc<Mutex<Tallies>>,
}

type Tallies = BTreeMap<Id, VecDeque<f64>>;

/// A query, and what was found.
#[derive(Debug)]
pub(crate) struct Sample {
    library: Library,
    query: Query,
    refine: Refine,
    /// Distances of the hits.
    found: Vec<f64>,
}

impl Sample {
    /// `None` for an answer that is exact.
    pub(crate) fn of(library: &Library, query: Query, refine: &Refine, answer: &Answer) -> Option<Self> {
        answer.explain.as_ref().filter(|explain| explain.effort.is_some())?;
        let found = answer.hits.iter().map(|hit| hit.distance).collect();
        Some(Self { library: library.clone(), query, refine: refine.clone(), found })
    }

    /// The share of the exact answer that was found. Of hits that are equally far, one counts as much as another.
    fn recall(self) -> Option<f64> {
        let include = Include { text: false, metadata: false, attributes: false, embedding: false };
        let exact = Query { target_recall: Some(1.0), effort: None, explain: false, include, ..self.query };
        let hits = self.library.query_refined(&exact, &self.refine, &Sequential).ok()?.hits;
        let farthest = hits.last()?.distance;
        let kept = self.found.iter().filter(|distance| **distance <= farthest).count();
        Some(kept.min(hits.len()) as f64 / hits.len() as f64)
    }
}

impl Sampler {
    /// # Errors
    /// [`Code::Storage`] when no thread can be started.
    pub(crate) fn start() -> Result<Self> {
        let (work, waiting) = sync_channel(1);
        let tallies = Arc::<Mutex<Tallies>>::default();
        let kept = Arc::clone(&tallies);
        // It ends with the sender.
        let thread = thread::Builder::new().name("vecino-recall".to_owned()).spawn(move || measure(&waiting, &kept));
        thread.map_err(|error| Error::new(Code::Storage, format!("cannot start a thread: {error}")))?;
        Ok(Self { asked: AtomicU64::new(0), work, tallies })
    }

    /// Counts a query. Whether it is to be sampled: the first one, and then one in [`EVERY`].
    pub(crate) fn is_due(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(EVERY)
    }

    /// Takes a sample, unless enough wait.
    pub(crate) fn take(&self, sample: Sample) {
        let _ = self.work.try_send(sample);
    }

    /// What is known of a library.
    pub(crate) fn of(&self, library: &Id) -> Option<LiveRecall> {
        average(lock(&self.tallies).get(library).into_iter().flatten())
    }

    /// What is known of all libraries together.
    pub(crate) fn of_all(&self) -> Option<LiveRecall> {
        average(lock(&self.tallies).values().flatten())
    }
}

fn average<'a>(recalls: impl Iterator<Item = &'a f64>) -> Option<LiveRecall> {
    let (mut sum, mut queries) = (0.0, 0);
    recalls.for_each(|recall| (sum, queries) = (sum + recall, queries + 1));
    (queries > 0).then(|| LiveRecall { recall: (sum / queries as f64 * 1e6).round() / 1e6, queries })
}

fn lock(tallies: &Mutex<Tallies>) -> MutexGuard<'_, Tallies> {
    tallies.lock().unwrap_or_else(PoisonError::into_inner)
}

fn measure(waiting: &Receiver<Sample>, tallies: &Mutex<Tallies>) {
    give_way();
    for sample in waiting {
        let (library, begun) = (sample.library.info().id.clone(), Instant::now());
        if let Some(recall) = sample.recall() {
            note(&mut lock(tallies), library, recall);
        }
        thread::sleep((begun.elapsed() * REST).min(LONGEST_REST));
    }
}

fn note(tallies: &mut Tallies, library: Id, recall: f64) {
    if tallies.len() >= MOST_LIBRARIES && !tallies.contains_key(&library) {
        tallies.pop_first();
    }
    let tally = tallies.entry(library).or_default();
    if tally.len() >= WINDOW {
        tally.pop_front();
    }
    tally.push_back(recall);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_samples_count_and_room_is_limited() {
        let mut tallies = Tallies::new();
        let id = |number: usize| Id::new(&format!("l{number:05}")).unwrap();
        (0..WINDOW).for_each(|_| note(&mut tallies, id(0), 0.0));
        (0..WINDOW / 2).for_each(|_| note(&mut tallies, id(0), 1.0));
        assert_eq!(average(tallies[&id(0)].iter()), Some(LiveRecall { recall: 0.5, queries: WINDOW }));
        assert_eq!(average([].iter()), None);
        (1..MOST_LIBRARIES + 9).for_each(|number| note(&mut tallies, id(number), 1.0));
        assert_eq!(tallies.len(), MOST_LIBRARIES);
        note(&mut tallies, id(MOST_LIBRARIES + 8), 0.0);
        assert_eq!(tallies.len(), MOST_LIBRARIES);
    }
}
