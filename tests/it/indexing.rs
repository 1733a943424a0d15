//! The index of a library follows its log: the same bytes however late its work is done, on however many threads, and over however
//! many restarts; and right answers all the while.

use std::collections::BTreeMap;

use serde_json::json;
use vecino_engine::{
    command::{ChunkPatch, Command, DocumentPatch, IndexDraft, LibraryDraft, OnConflict},
    db::Database,
    distance::Metric,
    filter::Filter,
    library::Library,
    model::{IndexType, RawAttributes, Timestamp},
    pool::Sequential,
    query::{Answer, Query},
    storage::MemoryStorage,
};
use vecino_tests::{chunk, document, rng::Rng};

use crate::threads::Threads;

const DIMENSION: usize = 12;
const INDEXES: [IndexType; 4] = [IndexType::KdTree, IndexType::Lsh, IndexType::Ivf, IndexType::Hnsw];

/// A history of writes, and what chunks there are.
struct History {
    rng: Rng,
    chunks: BTreeMap<String, Vec<f32>>,
    made: usize,
}

impl History {
    fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), chunks: BTreeMap::new(), made: 0 }
    }

    /// A vector in one of some clusters.
    fn vector(&mut self) -> Vec<f32> {
        let mut cluster = Rng::new(self.rng.below(20) as u64);
        let unit = |rng: &mut Rng| rng.below(2_001) as f32 / 1_000.0 - 1.0;
        (0..DIMENSION).map(|_| unit(&mut cluster) + 0.3 * unit(&mut self.rng)).collect()
    }

    fn some_chunk(&mut self) -> String {
        let at = self.rng.below(self.chunks.len());
        self.chunks.keys().nth(at).unwrap().clone()
    }

    fn next(&mut self) -> Command {
        let library = "l".to_owned();
        match self.rng.below(if self.chunks.is_empty() { 1 } else { 12 }) {
            0..=5 => self.put(1 + self.rng.clone().below(90)),
            6 | 7 => {
                let chunk = self.some_chunk();
                let vector = self.vector();
                self.chunks.insert(chunk.clone(), vector.clone());
                let patch = ChunkPatch { embedding: Some(vector), ..ChunkPatch::default() };
                Command::UpdateChunk { library, chunk, patch, embedded_by: None }
            }
            8..=10 => {
                let mut chunks: Vec<String> = (0..1 + self.rng.below(25)).map(|_| self.some_chunk()).collect();
                chunks.sort_unstable();
                chunks.dedup();
                chunks.iter().for_each(|id| drop(self.chunks.remove(id)));
                Command::DeleteChunks { library, chunks }
            }
            _ => Command::CutIndex { library },
        }
    }

    /// A new document with so many chunks.
    fn put(&mut self, count: usize) -> Command {
        self.made += 1;
        let made = self.made;
        let chunks = (0..count).map(|number| {
            let (id, vector) = (format!("c{made}-{number}"), self.vector());
            self.chunks.insert(id.clone(), vector.clone());
            chunk(&id, "text", &vector)
        });
        let documents = vec![document(&format!("d{made}"), chunks.collect())];
        Command::PutDocuments {
            library: "l".into(),
            documents,
            on_conflict: OnConflict::Refuse,
            embedded_by: None,
            now: Timestamp::MIN,
        }
    }
}

fn create(index_type: IndexType, metric: Metric) -> Database<MemoryStorage> {
    let (mut database, _) = Database::open(MemoryStorage::default()).unwrap();
    let index = IndexDraft { index_type: Some(index_type), ..IndexDraft::default() };
    let draft = LibraryDraft { id: "l".into(), name: "library".into(), metric, index, ..LibraryDraft::default() };
    database.execute(Command::CreateLibrary(draft)).unwrap();
    database
}

fn library(database: &Database<MemoryStorage>) -> &Library {
    database.state().library("l").unwrap()
}

fn ask(database: &Database<MemoryStorage>, embedding: &[f32], k: usize, target_recall: Option<f32>) -> Answer {
    let query = Query { embedding: embedding.to_vec(), k, target_recall, explain: true, ..Query::default() };
    database.query("l", &query, &Sequential).unwrap()
}

fn ids(answer: &Answer) -> Vec<&str> {
    answer.hits.iter().map(|hit| hit.id.as_str()).collect()
}

#[test]
fn bytes_depend_neither_on_when_the_work_is_done_nor_by_whom() {
    for (number, index_type) in (0..).zip(INDEXES) {
        let metric = Metric::ALL[number as usize % 3];
        let [mut at_once, mut late, mut restarted] = [(); 3].map(|()| create(index_type, metric));
        let (mut history, mut dice) = (History::new(number), Rng::new(100 + number));
        for step in 0..70 {
            let command = history.next();
            at_once.execute(command.clone()).unwrap();
            at_once.settle(&Sequential);
            late.execute(command.clone()).unwrap();
            restarted.execute(command).unwrap();
            if dice.once_in(6) {
                restarted.settle(&Threads(2));
                restarted.checkpoint().unwrap();
            }
            if dice.once_in(6) {
                restarted = Database::open(restarted.into_storage()).unwrap().0;
            }
            if step % 10 == 9 {
                assert_eq!(late.state_bytes().unwrap(), at_once.state_bytes().unwrap(), "{index_type:?} after {step} writes");
            }
        }
        assert!(library(&late).index_state().waiting > 3 && library(&at_once).index_state().serving == index_type);
        late.settle(&Threads(3));
        restarted.settle(&Threads(2));
        let expected = at_once.state_bytes().unwrap();
        assert_eq!(late.state_bytes().unwrap(), expected, "{index_type:?}, late");
        assert_eq!(restarted.state_bytes().unwrap(), expected, "{index_type:?}, restarted");
        assert_eq!(library(&at_once).chunk_count(), history.chunks.len());
    }
}

#[test]
fn every_write_is_seen_at_once_however_late_the_index_is() {
    for (number, index_type) in (0..).zip(INDEXES) {
        let [mut indexed, mut flat] = [index_type, IndexType::Flat].map(|index_type| create(index_type, Metric::Euclidean));
        let (mut history, mut dice) = (History::new(20 + number), Rng::new(number));
        for _ in 0..50 {
            let command = history.next();
            indexed.execute(command.clone()).unwrap();
            flat.execute(command).unwrap();
            if dice.once_in(4) {
                indexed.settle(&Sequential);
            }
            let query = history.vector();
            let expected = ask(&flat, &query, 10, None);
            assert_eq!(ids(&ask(&indexed, &query, 10, Some(1.0))), ids(&expected), "{index_type:?}");
            let found = ask(&indexed, &query, 10, None);
            assert_eq!(found.hits.len(), expected.hits.len(), "{index_type:?}");
            if index_type == IndexType::KdTree {
                assert_eq!(ids(&found), ids(&expected));
            }
            let all = ask(&indexed, &query, 10_000, None);
            let mut known: Vec<&str> = ids(&all);
            known.sort_unstable();
            assert!(known.iter().eq(history.chunks.keys()), "{index_type:?}: what is there is found, what is gone is not");
            let unlinked = library(&indexed).index_state().unlinked;
            assert!(unlinked == 0 || found.explain.as_ref().unwrap().unlinked <= unlinked);
            // The newest vectors are found by themselves, linked or not.
            for (id, vector) in history.chunks.iter().rev().take(3) {
                let nearest = &ask(&indexed, vector, 1, None).hits[0];
                assert!(nearest.id == *id || nearest.distance == 0.0, "{index_type:?}: {id} is not found");
            }
        }
    }
}

#[test]
fn the_old_index_serves_until_the_new_one_is_ready() {
    let mut database = create(IndexType::Flat, Metric::Cosine);
    let mut history = History::new(1);
    (0..12).for_each(|_| {
        database.execute(history.put(100)).unwrap();
    });
    let mut before = IndexType::Flat;
    for index_type in INDEXES.into_iter().chain([IndexType::Hnsw, IndexType::Auto]) {
        let index = IndexDraft { index_type: Some(index_type), ..IndexDraft::default() };
        database.execute(Command::ChooseIndex { library: "l".into(), index, rebuild: false }).unwrap();
        let after = if index_type == IndexType::Auto { IndexType::Flat } else { index_type };
        let state = library(&database).index_state();
        let at_once = after == IndexType::Flat || after == before;
        assert_eq!((state.serving, state.asked), (if at_once { after } else { before }, after));
        database.execute(history.put(40)).unwrap();
        let query = history.vector();
        assert_eq!(ask(&database, &query, 10_000, None).hits.len(), history.chunks.len());
        database.settle(&Sequential);
        let state = library(&database).index_state();
        assert_eq!((state.serving, state.waiting), (after, 0));
        assert!(state.unlinked < 256 && ask(&database, &query, 10, None).explain.unwrap().index == after.as_str());
        before = after;
    }
}

#[test]
fn an_index_asked_for_before_the_first_vector_is_built_for_its_dimension() {
    for index_type in INDEXES {
        let mut database = create(index_type, Metric::Cosine);
        for rebuild in [false, true] {
            let command = Command::ChooseIndex { library: "l".into(), index: IndexDraft::default(), rebuild };
            database.execute(command).unwrap();
            database.execute(Command::CutIndex { library: "l".into() }).unwrap();
        }
        database.settle(&Sequential);
        database.checkpoint().unwrap();
        database.execute(History::new(2).put(300)).unwrap();
        database.settle(&Sequential);
        let bytes = database.state_bytes().unwrap();
        database.checkpoint().unwrap();
        let (database, recovery) = Database::open(database.into_storage()).unwrap();
        assert_eq!((recovery.repaired, library(&database).index_state().serving), (Vec::new(), index_type));
        assert_eq!(database.state_bytes().unwrap(), bytes);
    }
}

#[test]
fn a_rebuild_gives_the_bytes_of_a_fresh_build() {
    for index_type in INDEXES {
        let [mut one, mut other] = [(); 2].map(|()| create(index_type, Metric::Cosine));
        let mut history = History::new(5);
        for _ in 0..6 {
            let command = history.put(120);
            one.execute(command.clone()).unwrap();
            one.settle(&Sequential);
            other.execute(command).unwrap();
        }
        for database in [&mut one, &mut other] {
            let command = Command::ChooseIndex { library: "l".into(), index: IndexDraft::default(), rebuild: true };
            database.execute(command).unwrap();
            assert_eq!(database.settle(&Threads(2)), 1, "earlier work is not done in vain");
        }
        assert_eq!(one.state_bytes().unwrap(), other.state_bytes().unwrap(), "{index_type:?}");
    }
}

#[test]
fn filters_mean_the_same_with_postings_and_without() {
    let [mut posted, mut plain] = [(); 2].map(|()| create(IndexType::Flat, Metric::Cosine));
    let (mut history, mut dice) = (History::new(30), Rng::new(31));
    let filters = [
        json!({"colour": "red"}),
        json!({"colour": {"$ne": "red"}}),
        json!({"number": {"$gte": 3, "$lt": 7}}),
        json!({"number": {"$gt": 90}}),
        json!({"marks": {"$in": [1, 5, 9]}}),
        json!({"marks": {"$contains": 2}}),
        json!({"colour": {"$contains": "e"}}),
        json!({"colour": {"$prefix": "gr"}}),
        json!({"weight": {"$exists": false}}),
        json!({"$or": [{"weight": {"$lte": 0.5}}, {"text": {"$contains": "x"}}]}),
        json!({"$and": [{"colour": {"$nin": ["red", "blue"]}}, {"title": {"$contains": "7"}}, {"chunk_index": {"$lt": 9}}]}),
        json!({"$not": {"$and": [{"number": 4}, {"chunk_index": {"$gte": 2}}]}}),
        json!({"document_id": {"$in": ["d3", "d5", "d9999"]}}),
        json!({"tags": "even"}),
        json!({}),
    ];
    let mut estimates = 0;
    for step in 0..90 {
        let mut command = if history.chunks.len() < 2_400 {
            history.put(80)
        } else if dice.once_in(5) {
            let attributes = RawAttributes::from([("colour".to_owned(), json!("violet"))]);
            let patch = DocumentPatch { attributes, ..DocumentPatch::default() };
            Command::UpdateDocument { library: "l".into(), document: format!("d{}", 1 + dice.below(20)), patch }
        } else {
            history.next()
        };
        if let Command::PutDocuments { documents, .. } = &mut command {
            for document in documents {
                document.tags = if dice.once_in(2) { vec!["even".into(), "more".into()] } else { Vec::new() };
                document.attributes.insert("colour".into(), json!(dice.pick(&["red", "green", "blue", "grey"])));
                for (number, chunk) in document.chunks.iter_mut().enumerate() {
                    chunk.attributes.insert("number".into(), json!(dice.below(10)));
                    chunk.attributes.insert("marks".into(), json!([number % 10, dice.below(10)]));
                    if dice.once_in(3) {
                        chunk.attributes.insert("weight".into(), json!(dice.below(100) as f64 / 100.0));
                        chunk.attributes.insert("colour".into(), json!("red"));
                    }
                }
            }
        }
        posted.execute(command.clone()).unwrap();
        plain.execute(command).unwrap();
        if dice.once_in(6) {
            posted.settle(&Sequential);
        }
        for filter in &filters {
            let filter = Filter::from_json(filter).unwrap();
            let bound = filter.bind(library(&plain).fields()).unwrap();
            let slots = |database| library(database).matching(&bound).iter().collect::<Vec<_>>();
            assert_eq!(slots(&posted), slots(&plain), "{bound:?} after {step} writes");
            estimates += usize::from(library(&posted).estimated_selectivity(&bound).is_some());
            assert_eq!(library(&plain).estimated_selectivity(&bound), None);
        }
    }
    assert!(estimates > 300, "{estimates} filters were looked up in postings");
}

#[test]
fn a_library_grows_a_graph_by_itself_and_knows_how_good_it_is() {
    let mut database = create(IndexType::Auto, Metric::Cosine);
    let mut history = History::new(9);
    while history.chunks.len() + 500 < vecino_engine::indexing::GRAPH_FROM {
        database.execute(history.put(500)).unwrap();
    }
    let state = library(&database).index_state();
    assert_eq!((state.serving, state.waiting), (IndexType::Flat, 0));
    database.execute(history.put(500)).unwrap();
    assert_eq!(library(&database).index_state().waiting, 1);
    let query = history.vector();
    let exact = ask(&database, &query, 10, None);
    assert_eq!(exact.explain.as_ref().unwrap().strategy, "exact_scan");
    database.settle(&Threads(2));
    let quality = library(&database).quality_view();
    assert_eq!((quality.index.as_str(), quality.exact), ("hnsw", false));
    assert!(
        quality.measured_recall.unwrap() >= 0.95 && quality.probes.unwrap() >= 100 && quality.curves.len() == 4,
        "{quality:?}"
    );
    let mut found = 0;
    for _ in 0..100 {
        let query = history.vector();
        let (truth, answer) = (ask(&database, &query, 10, Some(1.0)), ask(&database, &query, 10, None));
        assert_eq!(answer.explain.as_ref().unwrap().strategy, "index");
        found += ids(&answer).iter().filter(|id| ids(&truth).contains(id)).count();
    }
    assert!(found >= 930, "{found} of 1,000 neighbours were found");
    // Most of it goes again, and with it the graph.
    let gone: Vec<String> = history.chunks.keys().skip(2_000).cloned().collect();
    for chunks in gone.chunks(1_000) {
        database.execute(Command::DeleteChunks { library: "l".into(), chunks: chunks.to_vec() }).unwrap();
    }
    database.settle(&Sequential);
    assert_eq!(library(&database).index_state().serving, IndexType::Flat);
}
