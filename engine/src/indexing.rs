//! How the index of a library follows its log.
//!
//! An index is a function of the log. Records change slots; at positions that the records alone decide, a *cut* says: these slots
//! have changed since the last cut, and this is what the library looked like here. A cut waits until somebody runs an [`IndexJob`],
//! outside of all locks and as long as it takes, and installs what comes of it. Until then the old index serves: slots that it does
//! not know as they are now are compared one by one, so that every write is found at once and every removed chunk is gone at once.
//!
//! When a cut is made, by a record:
//! - the library asks for another type of index than the newest cut, or for a rebuild: the index is built anew over all rows;
//! - since the last cut as many slots have changed as are worth a batch, `batch`;
//! - a record says so ([`Record::IndexCut`](crate::record::Record)): hosts write one when a library has come to rest.
//!
//! Since a cut holds a version of the library (cheap, for libraries are persistent values), it does not matter how late it is
//! taken in: the bytes are the same. A copy that has caught up with a cut has the index that every other copy has at that cut.

use std::sync::Arc;

use imbl::Vector;

use crate::{
    calibrate::{self, Quality, Subject},
    codes::Codes,
    distance::Metric,
    index::{Rows, any::AnyIndex},
    library::Library,
    model::{Id, IndexParams, IndexSettings, IndexType},
    pool::Pool,
    slots::SlotSet,
    vectors::Vectors,
};

/// Chunks from which on [`IndexType::Auto`] builds a graph. Below, an exact scan of the codes takes a quarter of a millisecond.
pub const GRAPH_FROM: usize = 10_000;

/// Dimensions up to which [`IndexType::Auto`] builds a tree instead: exact, and quicker than a graph.
pub const TREE_UP_TO: usize = 6;

/// Changed slots that are worth a cut: of a large library a 64th, for copying its links costs less than making as many.
fn batch(rows: usize) -> usize {
    (rows / 64).max(256)
}

/// Cuts that wait are taken in together up to one in so many of the rows. More would keep queries comparing what is already linked.
const TOGETHER: usize = 16;

/// The index of a library, and what it has not taken in yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Indexing {
    /// What queries use.
    pub(crate) serving: Arc<Built>,
    /// Cuts that nobody has run yet, oldest first.
    pub(crate) waiting: Vector<Arc<Cut>>,
    /// Slots changed since the newest cut.
    pub(crate) changed: Arc<SlotSet>,
    /// Slots changed since the cut of `serving`.
    pub(crate) unlinked: Arc<SlotSet>,
    /// What the newest cut asks for.
    pub(crate) asked: Asked,
    /// Chunks at the newest cut.
    pub(crate) rows: usize,
}

/// What decides how an index is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Asked {
    /// Never [`IndexType::Auto`].
    pub(crate) index_type: IndexType,
    pub(crate) params: IndexParams,
}

impl Default for Asked {
    fn default() -> Self {
        Self { index_type: IndexType::Flat, params: IndexParams::default() }
    }
}

/// An index as of a cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Built {
    /// Sequence of the record that made the cut; 0 for a flat index.
    pub(crate) seq: u64,
    pub(crate) index: AnyIndex,
    /// The codes of all slots at the cut.
    pub(crate) codes: Codes,
    /// The rows of all slots at the cut, for a tree, which is opened from them; empty otherwise.
    pub(crate) vectors: Vectors,
    /// The slots in the index.
    pub(crate) linked: Arc<SlotSet>,
    /// The newest measurement.
    pub(crate) quality: Option<Quality>,
    /// Slots changed since the newest measurement.
    pub(crate) unmeasured: u64,
}

/// A position of the log at which the index is brought up to date.
#[derive(Debug)]
pub(crate) struct Cut {
    seq: u64,
    asked: Asked,
    metric: Metric,
    rebuild: bool,
    /// A host asked for it, and has the time for a measurement.
    at_rest: bool,
    changed: Arc<SlotSet>,
    live: Arc<SlotSet>,
    codes: Codes,
    vectors: Vectors,
}

/// What a record means for the index, beside the slots that it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Nothing.
    Change,
    /// The library has come to rest.
    Rest,
    /// The index is to be built anew.
    Rebuild,
}

impl Indexing {
    /// Notes that a slot got another row, or none.
    pub(crate) fn touch(&mut self, slot: u32) {
        if self.asked.index_type != IndexType::Flat {
            Arc::make_mut(&mut self.changed).insert(slot);
        }
        if !matches!(self.serving.index, AnyIndex::Flat(_)) {
            Arc::make_mut(&mut self.unlinked).insert(slot);
        }
    }

    fn install(&mut self, built: Arc<Built>) {
        self.serving = built;
        let mut unlinked = SlotSet::default();
        for cut in &self.waiting {
            unlinked.union(&cut.changed);
        }
        unlinked.union(&self.changed);
        self.unlinked = Arc::new(unlinked);
    }
}

impl Library {
    /// Makes a cut if the record `seq`, which has just been applied, is an occasion for one.
    pub(crate) fn cut(&mut self, seq: u64, occasion: Occasion) {
        let settings = &self.info.index;
        let rows = self.live.len();
        let asked = Asked { index_type: self.wanted(settings, rows), params: settings.params };
        let rebuild = asked != self.indexing.asked || occasion == Occasion::Rebuild;
        let changed = self.indexing.changed.len();
        let due = changed >= batch(self.indexing.rows) || occasion == Occasion::Rest && changed > 0;
        if asked.index_type == IndexType::Flat {
            if rebuild {
                self.indexing = Indexing { asked, ..Indexing::default() };
            }
            return;
        }
        if !rebuild && !due {
            return;
        }
        if rebuild {
            // What they would have changed is made anew.
            self.indexing.waiting.clear();
        }
        self.indexing.waiting.push_back(Arc::new(Cut {
            seq,
            asked,
            metric: self.info.contract.metric,
            rebuild,
            at_rest: occasion == Occasion::Rest,
            changed: std::mem::take(&mut self.indexing.changed),
            live: self.live.clone(),
            codes: self.codes.clone(),
            vectors: self.vectors.clone(),
        }));
        self.indexing.asked = asked;
        self.indexing.rows = rows;
    }

    /// The type of index for so many rows. Between a quarter of a threshold and the threshold, what there is stays.
    fn wanted(&self, settings: &IndexSettings, rows: usize) -> IndexType {
        if self.vectors.dimension() == 0 {
            // Until the first vector fixes it, there is nothing that an index could be built for.
            return IndexType::Flat;
        }
        if settings.index_type != IndexType::Auto {
            return settings.index_type;
        }
        let grown = if self.vectors.dimension() <= TREE_UP_TO { IndexType::KdTree } else { IndexType::Hnsw };
        let stays = self.indexing.asked.index_type == grown && rows > GRAPH_FROM / 4;
        if rows >= GRAPH_FROM || stays { grown } else { IndexType::Flat }
    }

    /// The next piece of work for the index, if any waits. Cheap.
    ///
    /// It is one cut, or several that wait, as far as they are a small part of the rows: they share one copy of the links.
    pub fn index_job(&self) -> Option<IndexJob> {
        let waiting = &self.indexing.waiting;
        let rows = waiting.front()?.live.len();
        let mut slots = 0;
        let small = |cut: &&Arc<Cut>| {
            let first = slots == 0;
            slots += cut.slots();
            first || slots <= rows / TOGETHER
        };
        let cuts = waiting.iter().take_while(small).cloned().collect();
        Some(IndexJob { library: self.info.id.clone(), base: self.indexing.serving.clone(), cuts })
    }

    /// Puts an index in the place of the old one. It is left out when it is not the one that was waited for.
    pub(crate) fn install(&mut self, done: &IndexDone) {
        let indexing = &mut self.indexing;
        if let Some(last) = indexing.waiting.iter().position(|cut| cut.seq == done.built.seq) {
            indexing.waiting = indexing.waiting.skip(last + 1);
            indexing.install(done.built.clone());
        }
    }

    /// This library with all waiting work done: what every copy becomes at this position of the log. `pool` must not stop.
    pub fn settled(&self, pool: &dyn Pool) -> Self {
        let mut library = self.clone();
        while let Some(done) = library.index_job().and_then(|job| job.run(pool)) {
            library.install(&done);
        }
        library
    }

    /// What the index is, and what it waits for.
    pub fn index_state(&self) -> IndexState<'_> {
        IndexState {
            serving: self.indexing.serving.index.index_type(),
            asked: self.indexing.asked.index_type,
            seq: self.indexing.serving.seq,
            unlinked: self.indexing.unlinked.len(),
            waiting: self.indexing.waiting.len(),
            changed: self.indexing.changed.len(),
            memory: self.indexing.serving.index.memory(),
            quality: self.indexing.serving.quality.as_ref(),
        }
    }
}

/// What a library's index is, and what it waits for.
#[derive(Clone, Copy, Debug)]
pub struct IndexState<'a> {
    /// The type of the index that serves queries.
    pub serving: IndexType,
    /// The type that is served, or built.
    pub asked: IndexType,
    /// Sequence of the last write that the serving index has taken in; 0 for a flat one, which needs not.
    pub seq: u64,
    /// Slots that queries compare one by one, since the index does not know them as they are now.
    pub unlinked: usize,
    /// Cuts that wait to be taken in.
    pub waiting: usize,
    /// Slots changed since the newest cut.
    pub changed: usize,
    /// Bytes of links and lists, codes and rows not counted.
    pub memory: usize,
    /// The newest measurement.
    pub quality: Option<&'a Quality>,
}

/// Bringing an index up to a cut, or from one to the next: to be run on any thread.
#[derive(Debug)]
pub struct IndexJob {
    library: Id,
    base: Arc<Built>,
    /// Oldest first; never empty.
    cuts: Vec<Arc<Cut>>,
}

/// What a job made, for [`State::install`](crate::state::State::install).
#[derive(Clone, Debug)]
pub struct IndexDone {
    pub(crate) library: Id,
    built: Arc<Built>,
}

impl IndexJob {
    /// The library that it is for.
    pub fn library(&self) -> &Id {
        &self.library
    }

    /// Slots that it takes in or out.
    pub fn slots(&self) -> usize {
        self.cuts.iter().map(|cut| cut.slots()).sum()
    }

    /// Does the work. What comes of it depends on the log alone, never on `pool`; `None` if that has [stopped](Pool::stopped).
    ///
    /// Cost: a copy of the links, then what the index needs to take the changed slots in; now and then a measurement of recall.
    pub fn run(self, pool: &dyn Pool) -> Option<IndexDone> {
        let Self { library, base, cuts } = self;
        let copy = base.to_change(&cuts);
        let built = cuts.iter().fold(copy, |built, cut| built.up_to(cut, pool));
        (!pool.stopped()).then(|| IndexDone { library, built: Arc::new(built) })
    }
}

impl Cut {
    /// Slots that it takes in or out.
    fn slots(&self) -> usize {
        if self.rebuild { self.live.len() } else { self.changed.len() }
    }
}

impl Built {
    /// A copy that can be brought up to these cuts. Nothing is copied that they would not keep.
    fn to_change(&self, cuts: &[Arc<Cut>]) -> Self {
        let end = cuts.last().map_or(0, |cut| cut.codes.rows());
        let rebuild = cuts.first().is_some_and(|cut| cut.rebuild);
        Self {
            index: if rebuild { AnyIndex::default() } else { self.index.with_room(end) },
            codes: self.codes.clone(),
            vectors: self.vectors.clone(),
            linked: self.linked.clone(),
            quality: self.quality.clone(),
            ..*self
        }
    }

    /// The index as of the next cut.
    fn up_to(self, cut: &Cut, pool: &dyn Pool) -> Self {
        let after = Rows { vectors: &cut.vectors, codes: Some(&cut.codes) };
        let mut index;
        if cut.rebuild {
            index = AnyIndex::new(cut.asked.index_type, cut.vectors.dimension(), cut.metric, &cut.asked.params);
            index.update(after, &[], after, &cut.live.iter().collect::<Vec<_>>(), pool);
        } else {
            index = self.index;
            let gone: Vec<u32> = cut.changed.iter().filter(|slot| self.linked.contains(*slot)).collect();
            let new: Vec<u32> = cut.changed.iter().filter(|slot| cut.live.contains(*slot)).collect();
            let before = Rows { vectors: &cut.vectors, codes: Some(&self.codes) };
            index.update(before, &gone, after, &new, pool);
        }
        let mut built = Self {
            seq: cut.seq,
            index,
            codes: cut.codes.clone(),
            vectors: if cut.asked.index_type == IndexType::KdTree { cut.vectors.clone() } else { Vectors::default() },
            linked: cut.live.clone(),
            quality: self.quality,
            unmeasured: self.unmeasured + cut.changed.len() as u64,
        };
        if cut.rebuild || built.is_worth_measuring(cut.at_rest) {
            let subject =
                Subject { index: &built.index, vectors: &cut.vectors, codes: &cut.codes, metric: cut.metric, linked: &cut.live };
            let probes = if cut.rebuild || cut.at_rest { calibrate::PROBES } else { calibrate::HASTY_PROBES };
            built.quality = calibrate::measure(&subject, probes, cut.seq, pool);
            built.unmeasured = 0;
        }
        built
    }

    /// Whether so much has changed since the newest measurement that it may not hold any more: as many rows as there were, or, when
    /// there is time, a tenth, or any after one in haste.
    fn is_worth_measuring(&self, at_rest: bool) -> bool {
        let Some(quality) = &self.quality else { return true };
        let hasty = quality.probes <= calibrate::HASTY_PROBES as u32;
        let share = if at_rest { 10 } else { 1 };
        self.unmeasured >= u64::from(quality.chunks) / share || at_rest && hasty
    }
}
