//! One log for every index: its snapshots have the same bytes, and its answers the same bits, on every machine and any number of
//! threads. The numbers are compared in a tab and on a server.

use vecino_engine::{
    command::{ChunkDraft, Command, DocumentDraft, IndexDraft, LibraryDraft, OnConflict},
    db::Database,
    distance::Metric,
    model::{IndexType, Timestamp},
    pool::{Pool, Sequential},
    query::Query,
    snapshot,
    storage::MemoryStorage,
};

const DIMENSION: usize = 12;

/// Numbers between -1 and 1 that look random and are the same everywhere.
pub(crate) fn vector(seed: usize, dimension: usize) -> Vec<f32> {
    let mut state = seed as u64 ^ 0x9E37_79B9_7F4A_7C15;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    };
    (0..dimension).map(|_| next()).collect()
}

/// Of all indexes under all metrics. Whoever changes how an index is built, or the format, writes the new number here.
pub(crate) const SUM: u64 = 3_741_843_750_605_355_144;

/// A sum over the snapshot, with float rows and without, and over answers of both, for each index and metric.
pub(crate) fn sum(pool: &dyn Pool) -> u64 {
    let types = [IndexType::Flat, IndexType::KdTree, IndexType::Lsh, IndexType::Ivf, IndexType::Hnsw];
    let mut sum = 0xCBF2_9CE4_8422_2325;
    let mut add =
        |bytes: &[u8]| sum = bytes.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3));
    for (index_type, metric) in types.into_iter().flat_map(|index_type| Metric::ALL.map(|metric| (index_type, metric))) {
        let database = database(index_type, metric, pool);
        let whole = database.state().library("l").unwrap();
        for library in [whole, &whole.without_floats()] {
            add(&snapshot::to_bytes(library).unwrap());
            for seed in 0..20 {
                let embedding = vector(50_000 + seed, DIMENSION);
                let answer = library.query(&Query { embedding, k: 20, ..Query::default() }, &Sequential).unwrap();
                for hit in answer.hits {
                    add(hit.id.as_bytes());
                    add(&hit.score.to_le_bytes());
                }
            }
        }
    }
    sum
}

/// A library with a past: batches, removals, changes in place, and a tail that its index has not taken in.
fn database(index_type: IndexType, metric: Metric, pool: &dyn Pool) -> Database<MemoryStorage> {
    let (mut database, _) = Database::open(MemoryStorage::default()).unwrap();
    let library = || "l".to_owned();
    let index = IndexDraft { index_type: Some(index_type), ..IndexDraft::default() };
    let create = LibraryDraft { id: library(), name: library(), metric, index, ..LibraryDraft::default() };
    database.execute(Command::CreateLibrary(create)).unwrap();
    let put = |document: usize, count: usize| {
        let chunk = |number: usize| ChunkDraft {
            id: format!("{document}-{number}"),
            text: "text".into(),
            embedding: vector(1_000 * document + number, DIMENSION),
            ..ChunkDraft::default()
        };
        let chunks = (0..count).map(chunk).collect();
        let documents =
            vec![DocumentDraft { id: format!("d{document}"), title: "title".into(), chunks, ..DocumentDraft::default() }];
        Command::PutDocuments {
            library: library(),
            documents,
            on_conflict: OnConflict::Replace,
            embedded_by: None,
            now: Timestamp::MIN,
        }
    };
    for document in 0..4 {
        database.execute(put(document, 300)).unwrap();
        database.settle(pool);
    }
    let chunks = (0..300).step_by(3).map(|number| format!("1-{number}")).collect();
    database.execute(Command::DeleteChunks { library: library(), chunks }).unwrap();
    database.execute(put(2, 250)).unwrap();
    database.execute(Command::CutIndex { library: library() }).unwrap();
    database.execute(put(9, 40)).unwrap();
    database.settle(pool);
    database
}
