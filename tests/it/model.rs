//! Random commands against the naive model: with restarts, checkpoints and crashes in between, the engine holds what the model
//! holds, answers as the model answers, and has the same bytes whichever way its state came about.

use proptest::prelude::*;
use serde_json::json;
use vecino_engine::{
    command::{ChunkPatch, Command, LibraryDraft, OnConflict},
    db::Database,
    distance::Metric,
    filter::Filter,
    host::Host,
    library::Library,
    pool::Sequential,
    query::{Include, Query},
    storage::MemoryStorage,
};
use vecino_tests::{FakeHost, chunk, document, faulty::Faulty, oracle::Oracle};

const DIMENSION: usize = 3;

/// A step of a random history, with numbers that are read modulo what exists.
#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Delete(u8),
    Put { library: u8, documents: Vec<(u8, Vec<[i8; DIMENSION]>)> },
    Remove { library: u8, document: u8 },
    Add { library: u8, document: u8, chunks: Vec<[i8; DIMENSION]> },
    RemoveChunk { library: u8, chunk: u16 },
    Change { library: u8, chunk: u16, vector: [i8; DIMENSION] },
    Checkpoint,
    Restart,
    Crash { at: u8, command: Box<Step> },
}

fn vector() -> impl Strategy<Value = [i8; DIMENSION]> {
    // Few distinct values, so that there are ties; never zero.
    [1i8..4, -2i8..3, -2i8..3]
}

fn step() -> impl Strategy<Value = Step> {
    let vectors = || prop::collection::vec(vector(), 0..5);
    let change = prop_oneof![
        2 => (0u8..3).prop_map(Step::Create),
        1 => (0u8..3).prop_map(Step::Delete),
        8 => (0u8..3, prop::collection::vec((0u8..8, vectors()), 1..4)).prop_map(|(library, documents)| Step::Put { library, documents }),
        2 => (0u8..3, 0u8..8).prop_map(|(library, document)| Step::Remove { library, document }),
        3 => (0u8..3, 0u8..8, vectors()).prop_map(|(library, document, chunks)| Step::Add { library, document, chunks }),
        3 => (0u8..3, any::<u16>()).prop_map(|(library, chunk)| Step::RemoveChunk { library, chunk }),
        3 => (0u8..3, any::<u16>(), vector()).prop_map(|(library, chunk, vector)| Step::Change { library, chunk, vector }),
        2 => Just(Step::Checkpoint),
    ];
    let change = change.boxed();
    prop_oneof![
        20 => change.clone(),
        2 => Just(Step::Restart),
        2 => (0u8..12, change).prop_map(|(at, command)| Step::Crash { at, command: Box::new(command) }),
    ]
}

/// The engine under test, the model, and an engine that never restarts nor makes a checkpoint.
struct World {
    disk: Faulty,
    database: Option<Database<Faulty>>,
    straight: Database<MemoryStorage>,
    oracle: Oracle,
    host: FakeHost,
}

impl World {
    fn new() -> Self {
        let disk = Faulty::default();
        Self {
            database: Some(Database::open(disk.clone()).unwrap().0),
            straight: Database::open(MemoryStorage::default()).unwrap().0,
            oracle: Oracle::default(),
            host: FakeHost::default(),
            disk,
        }
    }

    fn database(&mut self) -> &mut Database<Faulty> {
        self.database.as_mut().unwrap()
    }

    /// The command that a step means, `None` where it is no command or would be refused.
    fn command(&self, step: &Step) -> Option<Command> {
        let name = |library: u8| format!("library-{library}");
        let known = |library: u8| self.oracle.libraries.get(&name(library));
        let floats = |vector: &[i8; DIMENSION]| vector.map(f32::from);
        let chunks = |vectors: &[[i8; DIMENSION]]| {
            vectors
                .iter()
                .map(|vector| chunk(&self.host.new_id(), &format!("text {vector:?}"), &floats(vector)))
                .collect::<Vec<_>>()
        };
        let nth_chunk = |library: u8, number: u16| {
            let all: Vec<_> = known(library)?.chunks().map(|chunk| chunk.id.clone()).collect();
            all.get(number as usize % all.len().max(1)).cloned()
        };
        Some(match step {
            Step::Create(library) => {
                known(*library).is_none().then_some(())?;
                let metric = Metric::ALL[usize::from(*library)];
                let draft = LibraryDraft {
                    id: name(*library),
                    name: format!("Name {library}"),
                    metric,
                    now: self.host.now(),
                    ..LibraryDraft::default()
                };
                Command::CreateLibrary(draft)
            }
            Step::Delete(library) => known(*library).map(|_| Command::DeleteLibrary { library: name(*library) })?,
            Step::Put { library, documents } => {
                known(*library)?;
                let mut drafts = std::collections::BTreeMap::new();
                for (number, vectors) in documents {
                    let mut draft = document(&format!("document-{number}"), chunks(vectors));
                    draft.attributes.insert("number".into(), json!(number));
                    drafts.insert(*number, draft);
                }
                Command::PutDocuments {
                    library: name(*library),
                    documents: drafts.into_values().collect(),
                    on_conflict: OnConflict::Replace,
                    embedded_by: None,
                    now: self.host.now(),
                }
            }
            Step::Remove { library, document } => {
                let id = format!("document-{document}");
                known(*library)?.documents.contains_key(&id).then_some(())?;
                Command::DeleteDocuments { library: name(*library), documents: vec![id] }
            }
            Step::Add { library, document, chunks: vectors } => {
                let id = format!("document-{document}");
                known(*library)?.documents.contains_key(&id).then_some(())?;
                let now = self.host.now();
                Command::AddChunks { library: name(*library), document: id, chunks: chunks(vectors), embedded_by: None, now }
            }
            Step::RemoveChunk { library, chunk } => {
                Command::DeleteChunks { library: name(*library), chunks: vec![nth_chunk(*library, *chunk)?] }
            }
            Step::Change { library, chunk, vector } => {
                let patch = ChunkPatch { embedding: Some(floats(vector).to_vec()), ..ChunkPatch::default() };
                Command::UpdateChunk { library: name(*library), chunk: nth_chunk(*library, *chunk)?, patch, embedded_by: None }
            }
            Step::Checkpoint | Step::Restart | Step::Crash { .. } => return None,
        })
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Checkpoint => drop(self.database().checkpoint().unwrap()),
            Step::Restart => {
                self.database.take().unwrap().close().unwrap();
                self.database = Some(Database::open(self.disk.clone()).unwrap().0);
            }
            Step::Crash { at, command } => self.crash(usize::from(*at), command),
            change => {
                if let Some(command) = self.command(change) {
                    self.database().execute(command.clone()).unwrap();
                    self.acknowledged(command);
                }
            }
        }
        self.compare();
    }

    fn acknowledged(&mut self, command: Command) {
        self.oracle.apply(&command);
        self.straight.execute(command).unwrap();
    }

    /// The disk stops at its `at`th step while `step` is carried out; then the database is opened again.
    fn crash(&mut self, at: usize, step: &Step) {
        let command = self.command(step);
        self.disk.fail_at(at);
        let database = self.database();
        let before = database.state().seq();
        let acknowledged = match &command {
            Some(command) => database.execute(command.clone()).map_or(0, |written| written.seq),
            None => database.checkpoint().map_or(0, |_| before),
        };
        self.database = None;
        self.disk = self.disk.after_crash();
        self.database = Some(Database::open(self.disk.clone()).unwrap().0);
        let after = self.database().state().seq();
        assert!(after >= acknowledged, "{after} records are left of {acknowledged} that were acknowledged");
        // What was not acknowledged may be there all the same: it was appended, and then its sync failed.
        if let (Some(command), true) = (command, after > before) {
            self.acknowledged(command);
        }
    }

    fn compare(&mut self) {
        assert_eq!(self.database().state_bytes().unwrap(), self.straight.state_bytes().unwrap());
        let state = self.database.as_ref().unwrap().state();
        assert_eq!(state.libraries().count(), self.oracle.libraries.len());
        for (id, expected) in &self.oracle.libraries {
            let library = state.find(id).unwrap();
            assert_eq!(library.document_count(), expected.documents.len());
            assert_eq!(library.chunk_count(), expected.chunks().count());
            for document in expected.documents.values() {
                let entry = library.document(&document.id).unwrap();
                let ids: Vec<_> = entry.chunks.iter().map(|slot| library.chunk_at(*slot).unwrap().id.to_string()).collect();
                assert_eq!(ids, document.chunks.iter().map(|chunk| chunk.id.clone()).collect::<Vec<_>>());
            }
            for chunk in expected.chunks() {
                assert_eq!(&*library.chunk(&chunk.id).unwrap().text, chunk.text);
            }
            self.compare_answers(library, id);
        }
    }

    fn compare_answers(&self, library: &Library, id: &str) {
        let expected = &self.oracle.libraries[id];
        for limit in [None, Some(4)] {
            let filter = limit.map(|limit| Filter::from_json(&json!({"number": {"$lt": limit}})).unwrap());
            if filter.is_some() && library.fields().find("number").is_none() {
                continue;
            }
            let query = Query { embedding: vec![1.0, 0.5, -1.0], k: 7, filter, include: Include::default(), explain: true };
            let answer = library.query(&query, &Sequential).unwrap();
            let all = expected.nearest(&query.embedding, |document, _| {
                limit.is_none_or(|limit| document.attributes["number"].as_i64().unwrap() < limit)
            });
            assert_eq!(answer.returned, all.len().min(7));
            assert_eq!(answer.exhausted, all.len() <= 7);
            let metric = expected.metric;
            let distances: Vec<f64> = all.iter().take(7).map(|(key, _)| f64::from(metric.distance(*key))).collect();
            assert_eq!(answer.hits.iter().map(|hit| hit.distance).collect::<Vec<_>>(), distances);
            let found: Vec<(f32, u32)> =
                answer.hits.iter().map(|hit| (key_of(&all, &hit.id), library.slot(&hit.id).unwrap())).collect();
            assert!(
                found.is_sorted_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).is_lt()),
                "nearest first, ties by slot: {found:?}"
            );
            let explain = answer.explain.unwrap();
            assert_eq!((explain.matching, explain.visited), (all.len(), all.len()));
            assert_eq!(explain.fewer_because.is_some(), all.len() < 7);
        }
    }
}

fn key_of(all: &[(f32, String)], id: &str) -> f32 {
    all.iter().find(|(_, known)| known == id).unwrap().0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_engine_holds_what_the_model_holds(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
    }
}
