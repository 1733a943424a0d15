//! What is refused, with which code and field, and that a refusal changes nothing.

use serde_json::json;
use vecino_engine::{
    Code,
    command::{ChunkDraft, ChunkPatch, Command, DocumentDraft, DocumentPatch, IndexDraft, LibraryDraft, OnConflict},
    db::Database,
    filter::Filter,
    model::{EmbeddingModel, FieldType, Timestamp},
    pool::Sequential,
    query::Query,
    storage::MemoryStorage,
};
use vecino_tests::{chunk, document};

const NOW: Timestamp = Timestamp::MIN;

fn put(library: &str, documents: Vec<DocumentDraft>) -> Command {
    Command::PutDocuments { library: library.into(), documents, on_conflict: OnConflict::Refuse, embedded_by: None, now: NOW }
}

fn library(name: &str) -> LibraryDraft {
    LibraryDraft { id: format!("id of {name}"), name: name.into(), ..LibraryDraft::default() }
}

fn one(change: impl FnOnce(&mut ChunkDraft)) -> Command {
    let mut draft = chunk("new", "text", &[1.0, 2.0]);
    change(&mut draft);
    put("books", vec![document("new", vec![draft])])
}

fn with_attributes(attributes: serde_json::Value) -> Command {
    let mut draft = document("new", vec![]);
    draft.attributes = serde_json::from_value(attributes).unwrap();
    put("books", vec![draft])
}

fn model(name: &str) -> Option<EmbeddingModel> {
    Some(EmbeddingModel { name: name.into(), fingerprint: "".into() })
}

/// Two libraries: `books`, cosine, two dimensions, one document; `strict`, euclidean, with a schema and a model.
fn database() -> Database<MemoryStorage> {
    let (mut database, _) = Database::open(MemoryStorage::default()).unwrap();
    database.execute(Command::CreateLibrary(library("books"))).unwrap();
    let mut known = document("known", vec![chunk("a", "text of a", &[1.0, 0.0]), chunk("b", "text of b", &[0.0, 1.0])]);
    known.attributes = serde_json::from_value(json!({"year": 1999, "shelf": "A", "rating": 4.5, "lent": false})).unwrap();
    database.execute(put("books", vec![known])).unwrap();
    let strict = LibraryDraft {
        metric: vecino_engine::distance::Metric::Euclidean,
        fields: vec![("when".into(), FieldType::Timestamp)],
        strict_schema: true,
        dimension: Some(2),
        embedding_model: model("one"),
        ..library("strict")
    };
    database.execute(Command::CreateLibrary(strict)).unwrap();
    database
}

#[test]
fn commands_are_refused_with_code_and_field_and_change_nothing() {
    use Code::*;
    let mut database = database();
    let before = database.state_bytes().unwrap();
    let long = |chars: usize| "ä".repeat(chars);
    let nothing = || DocumentPatch::default();
    let cases: Vec<(Command, Code, &str)> = vec![
        (Command::CreateLibrary(library("books")), LibraryExists, "id"),
        (Command::CreateLibrary(LibraryDraft { id: "x".into(), ..library("books") }), LibraryExists, "name"),
        (Command::CreateLibrary(LibraryDraft { id: "x".into(), ..library("id of books") }), LibraryExists, "name"),
        (Command::CreateLibrary(library(" ")), EmptyText, "name"),
        (Command::CreateLibrary(LibraryDraft { id: String::new(), ..library("x") }), InvalidValue, "id"),
        (Command::CreateLibrary(LibraryDraft { id: "i".repeat(256), ..library("x") }), LimitExceeded, "id"),
        (Command::CreateLibrary(LibraryDraft { id: "x".into(), ..library(&"n".repeat(256)) }), LimitExceeded, "name"),
        (
            Command::CreateLibrary(LibraryDraft { dimension: Some(0), ..library("x") }),
            InvalidValue,
            "metadata.embedding_dimension",
        ),
        (
            Command::CreateLibrary(LibraryDraft { dimension: Some(16_385), ..library("x") }),
            InvalidValue,
            "metadata.embedding_dimension",
        ),
        (
            Command::CreateLibrary(LibraryDraft { fields: vec![("title".into(), FieldType::Text)], ..library("x") }),
            InvalidValue,
            "schema.fields.title",
        ),
        (
            Command::UpdateLibrary {
                library: "books".into(),
                name: Some("strict".into()),
                description: None,
                index: IndexDraft::default(),
            },
            LibraryExists,
            "name",
        ),
        (
            Command::UpdateLibrary {
                library: "books".into(),
                name: None,
                description: Some(long(10_001)),
                index: IndexDraft::default(),
            },
            LimitExceeded,
            "metadata.description",
        ),
        (Command::DeleteLibrary { library: "nobody".into() }, LibraryNotFound, "library"),
        (put("nobody", vec![]), LibraryNotFound, "library"),
        (put("books", vec![document("known", vec![])]), DocumentExists, "documents[0].id"),
        (put("books", vec![document("x", vec![]), document("x", vec![])]), DocumentExists, "documents[1].id"),
        (put("books", vec![document("", vec![])]), InvalidValue, "documents[0].id"),
        (
            put("books", vec![DocumentDraft { title: "\t".into(), ..document("x", vec![]) }]),
            EmptyText,
            "documents[0].metadata.title",
        ),
        (
            put("books", vec![DocumentDraft { author: Some(long(2_001)), ..document("x", vec![]) }]),
            LimitExceeded,
            "documents[0].metadata.author",
        ),
        (
            put("books", vec![DocumentDraft { tags: vec!["t".into(); 65], ..document("x", vec![]) }]),
            LimitExceeded,
            "documents[0].metadata.tags",
        ),
        (put("books", (0..1_001).map(|n| document(&n.to_string(), vec![])).collect()), LimitExceeded, "documents"),
        (one(|chunk| chunk.text = "  \n".into()), EmptyText, "documents[0].chunks[0].text"),
        (one(|chunk| chunk.text = long(10_001)), LimitExceeded, "documents[0].chunks[0].text"),
        (one(|chunk| chunk.embedding = vec![1.0; 3]), WrongDimension, "documents[0].chunks[0].embedding"),
        (one(|chunk| chunk.embedding = vec![]), InvalidValue, "documents[0].chunks[0].embedding"),
        (one(|chunk| chunk.embedding = vec![1.0, f32::NAN]), NotFinite, "documents[0].chunks[0].embedding"),
        (one(|chunk| chunk.embedding = vec![f32::NEG_INFINITY, 1.0]), NotFinite, "documents[0].chunks[0].embedding"),
        (one(|chunk| chunk.embedding = vec![1.1e16, 1.0]), NotFinite, "documents[0].chunks[0].embedding"),
        (one(|chunk| chunk.embedding = vec![0.0, -0.0]), ZeroVector, "documents[0].chunks[0].embedding"),
        (one(|chunk| chunk.id = "a".into()), ChunkExists, "documents[0].chunks[0].id"),
        (
            put("books", vec![document("x", vec![chunk("c", "t", &[1.0, 0.0]), chunk("c", "t", &[1.0, 0.0])])]),
            ChunkExists,
            "documents[0].chunks[1].id",
        ),
        (with_attributes(json!({"year": "late"})), WrongType, "documents[0].attributes.year"),
        (with_attributes(json!({"year": 1.5})), WrongType, "documents[0].attributes.year"),
        (with_attributes(json!({"shelf": 3})), WrongType, "documents[0].attributes.shelf"),
        (with_attributes(json!({"lent": "no"})), WrongType, "documents[0].attributes.lent"),
        (with_attributes(json!({"new": {"a": 1}})), WrongType, "documents[0].attributes.new"),
        (with_attributes(json!({"new": [1, "two"]})), WrongType, "documents[0].attributes.new"),
        (with_attributes(json!({"new": [[1]]})), WrongType, "documents[0].attributes.new"),
        (with_attributes(json!({"author": "x"})), InvalidValue, "documents[0].attributes.author"),
        (with_attributes(json!({"$eq": "x"})), InvalidValue, "documents[0].attributes.$eq"),
        (with_attributes(json!({"shelf": "s".repeat(1_025)})), LimitExceeded, "documents[0].attributes.shelf"),
        (with_attributes((0..65).map(|n| (format!("f{n}"), json!(n))).collect()), LimitExceeded, "documents[0].attributes"),
        (
            Command::UpdateDocument { library: "books".into(), document: "x".into(), patch: nothing() },
            DocumentNotFound,
            "document",
        ),
        (
            Command::UpdateDocument {
                library: "books".into(),
                document: "known".into(),
                patch: DocumentPatch { title: Some(String::new()), ..nothing() },
            },
            EmptyText,
            "metadata.title",
        ),
        (
            Command::DeleteDocuments { library: "books".into(), documents: vec!["known".into(), "x".into()] },
            DocumentNotFound,
            "document",
        ),
        (Command::DeleteChunks { library: "books".into(), chunks: vec!["a".into(), "x".into()] }, ChunkNotFound, "chunk"),
        (
            Command::UpdateChunk {
                library: "books".into(),
                chunk: "a".into(),
                patch: ChunkPatch { text: Some("other".into()), ..ChunkPatch::default() },
                embedded_by: None,
            },
            InvalidValue,
            "embedding",
        ),
        (
            Command::AddChunks {
                library: "books".into(),
                document: "known".into(),
                chunks: vec![chunk("n", "t", &[1.0, 1.0])],
                embedded_by: model("one"),
                now: NOW,
            },
            EmbeddingModel,
            "embedding",
        ),
        (
            Command::PutDocuments {
                library: "strict".into(),
                documents: vec![document("x", vec![chunk("n", "t", &[1.0, 1.0])])],
                on_conflict: OnConflict::Refuse,
                embedded_by: model("other"),
                now: NOW,
            },
            EmbeddingModel,
            "embedding",
        ),
        (
            put("strict", vec![DocumentDraft { attributes: [("other".to_owned(), json!(1))].into(), ..document("x", vec![]) }]),
            UnknownField,
            "documents[0].attributes.other",
        ),
        (
            put(
                "strict",
                vec![DocumentDraft { attributes: [("when".to_owned(), json!("soon"))].into(), ..document("x", vec![]) }],
            ),
            WrongType,
            "documents[0].attributes.when",
        ),
    ];
    for (number, (command, code, field)) in cases.into_iter().enumerate() {
        let shown = format!("case {number}: {}", format!("{command:?}").chars().take(200).collect::<String>());
        let error = database.execute(command).expect_err(&shown);
        assert_eq!((error.code, error.field.as_deref()), (code, Some(field)), "{shown}: {error}");
        assert_eq!(database.state_bytes().unwrap(), before, "{shown}");
    }
    assert_eq!(database.state().seq(), 3);
}

#[test]
fn queries_are_refused_with_code_and_field() {
    let database = database();
    let ask = |embedding: &[f32], k: usize, filter: serde_json::Value| {
        let filter = Some(Filter::from_json(&filter)?);
        let query = Query { embedding: embedding.to_vec(), k, filter, ..Query::default() };
        database.query("books", &query, &Sequential)
    };
    let good = [1.0, 1.0];
    assert_eq!(ask(&good, 1, json!({"year": {"$gt": 1990}})).unwrap().returned, 1);
    let cases = [
        (ask(&[1.0], 1, json!({})), Code::WrongDimension, "embedding"),
        (ask(&[1.0; 3], 1, json!({})), Code::WrongDimension, "embedding"),
        (ask(&[f32::NAN, 1.0], 1, json!({})), Code::NotFinite, "embedding"),
        (ask(&[0.0, 0.0], 1, json!({})), Code::ZeroVector, "embedding"),
        (ask(&good, 0, json!({})), Code::InvalidValue, "k"),
        (ask(&good, 10_001, json!({})), Code::InvalidValue, "k"),
        (ask(&good, 1, json!({"yaer": 1999})), Code::UnknownField, "filter.yaer"),
        (ask(&good, 1, json!({"year": "1999"})), Code::WrongType, "filter.year"),
        (ask(&good, 1, json!({"year": {"$near": 1}})), Code::UnknownOperator, "filter.year.$near"),
    ];
    for (result, code, field) in cases {
        let error = result.unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (code, Some(field)), "{error}");
    }
    let query = Query { embedding: good.to_vec(), k: 1, ..Query::default() };
    assert_eq!(database.query("nobody", &query, &Sequential).unwrap_err().code, Code::LibraryNotFound);
    assert_eq!(database.query("books", &query, &Sequential).unwrap().returned, 1);
}

#[test]
fn wrong_dimensions_say_both_numbers() {
    let error = database().execute(one(|chunk| chunk.embedding = vec![1.0; 3])).unwrap_err();
    assert_eq!((error.expected, error.received), (Some(json!(2)), Some(json!(3))));
}

#[test]
fn chunks_inherit_the_attributes_of_their_document() {
    let mut database = database();
    let mut own = chunk("c", "text", &[1.0, 1.0]);
    own.attributes.insert("year".into(), json!(2020));
    let add =
        Command::AddChunks { library: "books".into(), document: "known".into(), chunks: vec![own], embedded_by: None, now: NOW };
    database.execute(add).unwrap();
    let found = |filter: serde_json::Value| {
        let filter = Some(Filter::from_json(&filter).unwrap());
        let query = Query { embedding: vec![1.0, 0.5], k: 9, filter, ..Query::default() };
        let mut ids: Vec<String> =
            database.query("books", &query, &Sequential).unwrap().hits.into_iter().map(|hit| hit.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(found(json!({"year": 1999})), ["a", "b"]);
    assert_eq!(found(json!({"year": 2020})), ["c"]);
    assert_eq!(found(json!({"shelf": "A"})), ["a", "b", "c"]);
    assert_eq!(found(json!({"title": {"$contains": "known"}, "chunk_index": {"$gte": 1}})), ["b", "c"]);
    assert_eq!(found(json!({"document_id": "known", "id": {"$in": ["b", "x"]}})), ["b"]);
}

#[test]
fn a_batch_may_move_chunk_ids_between_the_documents_that_it_replaces() {
    let mut database = database();
    let other = document("other", vec![chunk("c", "text of c", &[1.0, 1.0])]);
    database.execute(put("books", vec![other])).unwrap();
    let documents = vec![
        document("known", vec![chunk("c", "moved", &[1.0, 0.0])]),
        document("other", vec![chunk("a", "moved", &[0.0, 1.0])]),
    ];
    let replace = |documents| Command::PutDocuments {
        library: "books".into(),
        documents,
        on_conflict: OnConflict::Replace,
        embedded_by: None,
        now: NOW,
    };
    database.execute(replace(documents)).unwrap();
    let library = database.state().library("books").unwrap();
    let owner = |chunk: &str| {
        let entry = library.chunk_at(library.slot(chunk).unwrap()).unwrap();
        library.document_at(entry.document).unwrap().document.id.to_string()
    };
    assert_eq!((owner("c"), owner("a"), library.chunk_count()), ("known".into(), "other".into(), 2));
    let stolen = replace(vec![document("third", vec![chunk("a", "stolen", &[0.0, 1.0])])]);
    assert_eq!(database.execute(stolen).unwrap_err().code, Code::ChunkExists);
}
