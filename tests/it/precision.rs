//! Libraries without their float rows: every index answers from the codes, a file of them is all that is needed, and nobody takes it
//! for a whole one.

use vecino_engine::{
    Code,
    blob::{AlignedBytes, Blob},
    command::{Command, IndexDraft, LibraryDraft, OnConflict},
    db::Database,
    distance::Metric,
    library::Library,
    model::{IndexType, Timestamp},
    near::{Example, Refine},
    pool::Sequential,
    precision::Precision,
    query::{Answer, Include, Query},
    snapshot,
    storage::{MemoryStorage, Storage as _},
};
use vecino_tests::{chunk, document, rng::Rng};

use crate::threads::Threads;

const DIMENSION: usize = 40;
const CHUNKS: usize = 1_500;

fn vector(rng: &mut Rng) -> Vec<f32> {
    let mut cluster = Rng::new(rng.below(20) as u64);
    let unit = |rng: &mut Rng| rng.below(2_001) as f32 / 1_000.0 - 1.0;
    (0..DIMENSION).map(|_| unit(&mut cluster) + 0.4 * unit(rng)).collect()
}

/// A library with some chunks that its index has not taken in.
fn database(index_type: IndexType, metric: Metric) -> Database<MemoryStorage> {
    let (mut database, _) = Database::open(MemoryStorage::default()).unwrap();
    let index = IndexDraft { index_type: Some(index_type), ..IndexDraft::default() };
    let draft = LibraryDraft { id: "l".into(), name: "library".into(), metric, index, ..LibraryDraft::default() };
    database.execute(Command::CreateLibrary(draft)).unwrap();
    let mut rng = Rng::new(1);
    let (library, on_conflict, now) = ("l".to_owned(), OnConflict::Refuse, Timestamp::MIN);
    for (number, count) in [CHUNKS - 20, 20].into_iter().enumerate() {
        let chunks = (0..count).map(|at| chunk(&format!("c{number}-{at}"), "text", &vector(&mut rng))).collect();
        let documents = vec![document(&format!("d{number}"), chunks)];
        let put = Command::PutDocuments { library: library.clone(), documents, on_conflict, embedded_by: None, now };
        database.execute(put).unwrap();
        if number == 0 {
            database.execute(Command::CutIndex { library: library.clone() }).unwrap();
        }
        database.settle(&Sequential);
    }
    database
}

fn ask(library: &Library, embedding: Vec<f32>, target_recall: f32) -> Answer {
    let query = Query { embedding, target_recall: Some(target_recall), explain: true, ..Query::default() };
    library.query(&query, &Sequential).unwrap()
}

fn blob(bytes: &[u8]) -> Blob {
    Blob::new(AlignedBytes::from(bytes))
}

#[test]
fn every_index_answers_from_the_codes_alone() {
    let types = [IndexType::Flat, IndexType::KdTree, IndexType::Lsh, IndexType::Ivf, IndexType::Hnsw];
    for (index_type, metric) in types.into_iter().flat_map(|index_type| Metric::ALL.map(|metric| (index_type, metric))) {
        let database = database(index_type, metric);
        let whole = database.state().library("l").unwrap();
        let without = whole.without_floats();
        let (large, small) = (snapshot::to_bytes(whole).unwrap(), snapshot::to_bytes(&without).unwrap());
        let floats = CHUNKS * DIMENSION * 4;
        assert!(small.len() + floats <= large.len(), "{index_type:?}: {} and {}", small.len(), large.len());
        let from_small = snapshot::open_as("small", &blob(&small), None).unwrap().intact().unwrap();
        let from_large = snapshot::open_as("large", &blob(&large), Some(Precision::Int8)).unwrap().intact().unwrap();
        assert_eq!(snapshot::to_bytes(&from_small).unwrap(), small, "{index_type:?}");
        assert_eq!(snapshot::to_bytes(&from_large).unwrap(), small, "{index_type:?}");
        let (mut rng, mut kept) = (Rng::new(2), 0);
        for _ in 0..40 {
            let embedding = vector(&mut rng);
            let exact = ask(whole, embedding.clone(), 1.0);
            for target in [0.95, 1.0] {
                let answer = ask(&without, embedding.clone(), target);
                for other in [&from_small, &from_large] {
                    assert_eq!(ask(other, embedding.clone(), target), answer, "{index_type:?} {metric:?}");
                }
                let explain = answer.explain.as_ref().unwrap();
                assert_eq!((answer.hits.len(), explain.precision, explain.measured_recall), (10, "int8", None));
                for hit in &answer.hits {
                    // Near to the exact score, by the rounding of a code.
                    let row = whole.vectors().row(whole.slot(&hit.id).unwrap());
                    let query = if metric == Metric::Cosine { unit(&embedding) } else { embedding.clone() };
                    let right = f64::from(metric.score(metric.key(&query, row)));
                    assert!((hit.score - right).abs() <= 0.01 * right.abs().max(1.0), "{metric:?}: {} and {right}", hit.score);
                }
            }
            let answer = ask(&without, embedding, 1.0);
            kept += answer.hits.iter().filter(|hit| exact.hits.iter().any(|other| other.id == hit.id)).count();
        }
        assert!(kept >= 380, "{index_type:?} {metric:?}: {kept} of 400");
    }
}

fn unit(row: &[f32]) -> Vec<f32> {
    let mut row = row.to_vec();
    vecino_engine::distance::normalise(&mut row).unwrap();
    row
}

#[test]
fn vectors_that_are_shown_are_what_the_codes_stand_for() {
    let database = database(IndexType::Hnsw, Metric::Cosine);
    let whole = database.state().library("l").unwrap();
    let without = whole.without_floats();
    let (exact, shown) = (whole.chunk("c0-7").unwrap().embedding, without.chunk("c0-7").unwrap().embedding);
    let largest = exact.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    assert!(shown != exact && shown.iter().zip(&exact).all(|(a, b)| (a - b).abs() <= largest / 253.0));
    let include = Include { embedding: true, ..Include::default() };
    let query = Query { embedding: exact, k: 1, include, ..Query::default() };
    let hit = &without.query(&query, &Sequential).unwrap().hits[0];
    assert_eq!((hit.id.as_str(), hit.embedding.as_ref().unwrap()), ("c0-7", &shown));
    let like = without.direction(&[Example::Chunk("c0-7".into())], &[]).unwrap();
    assert_eq!(like.embedding, shown);
    let groups = without.query_groups(&query, 3, &Refine::default(), &Sequential).unwrap();
    assert_eq!(groups.groups[0].hits[0].id, "c0-7");
}

#[test]
fn a_file_without_floats_is_never_taken_for_a_whole_one() {
    let database = database(IndexType::Hnsw, Metric::Cosine);
    let small = snapshot::to_bytes(&database.state().library("l").unwrap().without_floats()).unwrap();
    let refused = snapshot::open("small.vecino", &blob(&small)).unwrap_err();
    assert_eq!((refused.code, refused.field.as_deref()), (Code::Damaged, Some("small.vecino")));
    assert!(refused.detail.contains("VECS is missing"), "{}", refused.detail);
    // In the place of a snapshot of a data folder.
    let mut database = database;
    database.checkpoint().unwrap();
    let storage = database.into_storage();
    let name = storage.list().unwrap().into_iter().find(|name| name.ends_with(".vecino")).unwrap();
    storage.write(&name, &mut |file| file.write_all(&small)).unwrap();
    assert_eq!(Database::open(storage).unwrap_err().code, Code::Damaged);
}

#[test]
fn damage_is_told_or_does_no_harm() {
    let database = database(IndexType::Hnsw, Metric::Euclidean);
    let library = database.state().library("l").unwrap().without_floats();
    let small = snapshot::to_bytes(&library).unwrap();
    let embedding = vector(&mut Rng::new(3));
    let exact = ask(&library, embedding.clone(), 1.0).hits;
    let mut opened = 0;
    for at in (0..small.len()).step_by(small.len() / 300) {
        let mut damaged = small.clone();
        damaged[at] ^= 4;
        let Ok(snapshot::Opened { library, damage }) = snapshot::open_as("damaged", &blob(&damaged), None) else { continue };
        assert_eq!(damage.len(), 1, "byte {at}");
        assert_eq!(ask(&library, embedding.clone(), 0.9).hits, exact, "byte {at}");
        opened += 1;
    }
    assert!(opened > 0);
}

#[test]
fn threads_change_no_answer() {
    let database = database(IndexType::Flat, Metric::Dot);
    let library = database.state().library("l").unwrap().without_floats();
    let query = Query { embedding: vector(&mut Rng::new(4)), k: 200, ..Query::default() };
    assert_eq!(library.query(&query, &Sequential).unwrap(), library.query(&query, &Threads(3)).unwrap());
}
