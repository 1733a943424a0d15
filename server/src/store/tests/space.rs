//! Full disks, and folders that stay small.

use super::*;

#[test]
fn a_full_disk_refuses_and_writing_resumes_by_itself() {
    let (store, storage) = store();
    run(&store, add("before")).unwrap();
    let length = storage.files.read("00000000000000000001.log").unwrap().unwrap().bytes().len();
    storage.set(|faults| faults.failing = Some(("append", Code::StorageFull)));
    let results: Vec<_> = (0..3).map(|number| run(&store, add(&format!("full-{number}"))).unwrap_err().code).collect();
    assert_eq!(results, [Code::StorageFull; 3]);
    assert_eq!(storage.files.read("00000000000000000001.log").unwrap().unwrap().bytes().len(), length, "the tail is cut");
    assert!(store.failure().is_none() && documents(&store.state()) == ["before"]);
    storage.set(|faults| faults.failing = None);
    assert_eq!(run(&store, add("after")), Ok(3));
    assert_eq!(documents(&reopened(&storage).0), ["after", "before"]);
}

#[test]
fn a_tail_that_cannot_be_cut_stops_writing() {
    let (store, storage) = store();
    storage.set(|faults| faults.failing = Some(("append", Code::StorageFull)));
    storage.set(|faults| faults.held = Some("truncate"));
    let writer = thread::spawn({
        let store = Arc::clone(&store);
        move || run(&store, add("a"))
    });
    storage.until_held();
    storage.set(|faults| (faults.held, faults.failing) = (None, Some(("truncate", Code::Storage))));
    assert_eq!(writer.join().unwrap().unwrap_err().code, Code::StorageFull);
    storage.set(|faults| faults.failing = None);
    assert!(run(&store, add("b")).unwrap_err().detail.contains("after a restart"));
}

#[test]
fn the_last_bytes_are_kept_for_what_makes_room() {
    let (store, storage) = store_with(StoreOptions { checkpoint_after: 0, reserve: 1_000_000, ..StoreOptions::default() });
    run(&store, add("a")).unwrap();
    storage.set(|faults| faults.free = Some(999_999));
    // The look at the disk is not older than a second.
    thread::sleep(Duration::from_millis(1_100));
    let error = run(&store, add("b")).unwrap_err();
    assert_eq!((error.code, error.received), (Code::StorageFull, Some(999_999.into())));
    run(&store, delete("a")).unwrap();
    storage.set(|faults| faults.free = Some(1_000_000));
    run(&store, add("b")).unwrap();
    assert_eq!(documents(&store.state()), ["b"]);
}

#[test]
fn a_checkpoint_that_finds_no_room_loses_nothing() {
    let (store, storage) = store();
    run(&store, add("a")).unwrap();
    storage.set(|faults| faults.failing = Some(("write", Code::StorageFull)));
    assert_eq!(store.checkpoint().unwrap_err().code, Code::StorageFull);
    run(&store, add("b")).unwrap();
    storage.set(|faults| faults.failing = None);
    assert_eq!(store.checkpoint().unwrap().seq, 3);
    run(&store, add("c")).unwrap();
    let (state, recovery) = reopened(&storage);
    assert_eq!((documents(&state).len(), recovery.snapshots, recovery.replayed), (3, 1, 1));
}

#[test]
fn a_checkpoint_that_found_no_room_is_tried_again_by_itself() {
    // Due after every write.
    let (store, storage) = store_with(StoreOptions { checkpoint_after: 1, ..StoreOptions::default() });
    storage.set(|faults| faults.failing = Some(("write", Code::StorageFull)));
    run(&store, add("a")).unwrap();
    while !store.shared.schedule.has_failed() {
        thread::yield_now();
    }
    storage.set(|faults| faults.failing = None);
    // Nobody writes any more.
    while reopened(&storage).1.replayed > 0 {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(documents(&reopened(&storage).0), ["a"]);
}

#[test]
fn writes_go_on_while_snapshots_are_written() {
    let (store, storage) = store();
    run(&store, add("a")).unwrap();
    let segments = || storage.list().unwrap().iter().filter(|name| name.ends_with(".log")).count();
    let before = segments();
    // The log is cut first, and then the snapshot is held.
    storage.set(|faults| faults.held = Some("write"));
    let checkpoint = thread::spawn({
        let store = Arc::clone(&store);
        move || store.checkpoint()
    });
    storage.until_held();
    assert_eq!(segments(), before, "the new segment is held, too");
    storage.set(|faults| faults.held = None);
    assert_eq!(checkpoint.join().unwrap().unwrap().seq, 2);
    let (held, released) = (Arc::clone(&storage), Arc::clone(&storage));
    run(&store, add("b")).unwrap();
    let checkpoint = thread::spawn({
        let store = Arc::clone(&store);
        move || store.checkpoint()
    });
    // Whatever the checkpoint is at, writes do not wait for more than the cut.
    for number in 0..100 {
        run(&store, add(&format!("c{number}"))).unwrap();
        if number == 50 {
            held.set(|faults| faults.held = None);
        }
    }
    checkpoint.join().unwrap().unwrap();
    released.set(|faults| faults.held = None);
    assert_eq!(documents(&reopened(&storage).0).len(), 102);
}

/// Bytes of all files.
fn size(storage: &Faulty) -> u64 {
    let names = storage.list().unwrap();
    names.iter().map(|name| storage.read(name).unwrap().map_or(0, |blob| blob.bytes().len() as u64)).sum()
}

#[test]
fn the_folder_stays_within_three_times_the_data() {
    let (store, storage) = store_with(StoreOptions { checkpoint_after: 1 << 30, ..StoreOptions::default() });
    let texts: Vec<String> = (0..40).map(|number| format!("{number} {}", "x".repeat(9_000))).collect();
    let document = |number: usize, round: usize| {
        let chunk = |(place, text): (usize, &String)| ChunkDraft {
            id: format!("{number}-{place}"),
            text: format!("{round} {text}"),
            embedding: vec![1.0, 2.0],
            ..ChunkDraft::default()
        };
        let mut command = put(&format!("{number}"), &[], OnConflict::Replace);
        if let Command::PutDocuments { documents, .. } = &mut command {
            documents[0].chunks = texts.iter().enumerate().map(chunk).collect();
        }
        command
    };
    // Ten documents of 360 kB, written twenty times over, and some deleted in between.
    let (mut largest, mut live) = (0, 0);
    for round in 0..20 {
        for number in 0..10 {
            if round % 3 == 2 && number % 2 == 0 {
                run(&store, delete(&number.to_string())).unwrap();
            }
            store.write_blocking(document(number, round), Durability::Logged, |_, _| {}).unwrap();
            largest = largest.max(if round > 0 { size(&storage) } else { 0 });
        }
        if round == 0 {
            store.checkpoint().unwrap();
            live = size(&storage);
        }
    }
    assert!(live > 3_500_000, "{live}");
    assert!(largest <= 3 * live, "{largest} bytes for {live} bytes of data");
    assert_eq!(documents(&reopened(&storage).0).len(), 10);
}

#[test]
fn a_deletion_makes_room_however_short_it_is() {
    let (store, storage) = store_with(StoreOptions::default());
    let mut command = put("a", &[], OnConflict::Refuse);
    if let Command::PutDocuments { documents, .. } = &mut command {
        let chunk = |number: usize| ChunkDraft {
            id: number.to_string(),
            text: "x".repeat(9_000),
            embedding: vec![1.0, 2.0],
            ..ChunkDraft::default()
        };
        documents[0].chunks = (0..400).map(chunk).collect();
    }
    run(&store, command).unwrap();
    store.checkpoint().unwrap();
    assert!(size(&storage) > 3_600_000);
    // Nothing else is written afterwards.
    run(&store, delete("a")).unwrap();
    // What is left is hardly more than the zeros of a segment.
    while size(&storage) > 600_000 {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(documents(&reopened(&storage).0).is_empty());
}
