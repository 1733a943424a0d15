use std::{fs, io, path::Path};

use tempfile::tempdir;
use vecino_engine::{Code, storage::Storage};

use super::*;

fn put(storage: &FileStorage, name: &str, bytes: &[u8]) {
    storage.write(name, &mut |out| out.write_all(bytes)).unwrap();
}

fn get(storage: &FileStorage, name: &str) -> Option<Vec<u8>> {
    storage.read(name).unwrap().map(|blob| blob.bytes().to_vec())
}

/// The code of the error, and the sentence.
fn refused(path: &Path) -> (Code, String) {
    let error = FileStorage::open(path).unwrap_err();
    (error.code, error.detail)
}

#[test]
fn files_live_and_last() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("deep/data");
    let storage = FileStorage::open(&path).unwrap();
    put(&storage, "a.log", b"one");
    storage.append("a.log", 3, b" two").unwrap();
    storage.append("a.log", 7, b" three").unwrap();
    storage.sync("a.log").unwrap();
    assert_eq!(get(&storage, "a.log").unwrap(), b"one two three");
    storage.truncate("a.log", 7).unwrap();
    storage.append("a.log", 7, b"!").unwrap();
    put(&storage, "b", b"");
    assert_eq!(storage.list().unwrap(), ["a.log", "b"]);
    drop(storage);
    let storage = FileStorage::open(&path).unwrap();
    assert_eq!(get(&storage, "a.log").unwrap(), b"one two!");
    assert_eq!(get(&storage, "b").unwrap(), b"");
    storage.remove("b").unwrap();
    storage.remove("b").unwrap();
    assert_eq!(get(&storage, "b"), None);
    // A file that was replaced is appended to, not the one that was open before.
    put(&storage, "a.log", b"new");
    storage.append("a.log", 3, b"er").unwrap();
    assert_eq!(get(&storage, "a.log").unwrap(), b"newer");
    assert_eq!(storage.append("none", 0, b"x").unwrap_err().code, Code::Storage);
    assert_eq!(storage.sync("none").unwrap_err().code, Code::Storage);
}

#[test]
fn a_file_is_begun_in_zeros_that_were_prepared() {
    let folder = tempdir().unwrap();
    let storage = FileStorage::open(folder.path()).unwrap();
    assert_eq!((storage.begin("a.log", b"one").unwrap(), storage.prepared()), (3, 0));
    storage.append("a.log", 3, b" two").unwrap();
    // More than is written at once.
    let prepared = (1 << 20) + 7;
    storage.prepare(prepared).unwrap();
    assert_eq!((storage.prepared(), storage.list().unwrap().len()), (prepared, 1));
    assert_eq!((storage.begin("b.log", b"one").unwrap(), storage.prepared()), (prepared, 0));
    storage.append("b.log", 3, b" two").unwrap();
    storage.append("b.log", prepared, b"three").unwrap();
    storage.sync("b.log").unwrap();
    let found = get(&storage, "b.log").unwrap();
    assert_eq!((found.len() as u64, &found[..7], &found[found.len() - 5..]), (prepared + 5, &b"one two"[..], &b"three"[..]));
    assert!(found[7..found.len() - 5].iter().all(|byte| *byte == 0));
    assert_eq!(get(&storage, "a.log").unwrap(), b"one two");
    storage.truncate("b.log", 7).unwrap();
    assert_eq!(get(&storage, "b.log").unwrap(), b"one two");
    // What is not wanted any more goes, and what a crash leaves.
    storage.prepare(100).unwrap();
    storage.prepare(0).unwrap();
    assert_eq!((storage.prepared(), fs::read_dir(folder.path()).unwrap().count()), (0, 3));
    storage.prepare(100).unwrap();
    drop(storage);
    let storage = FileStorage::open(folder.path()).unwrap();
    assert_eq!((storage.prepared(), fs::read_dir(folder.path()).unwrap().count()), (0, 3));
}

#[test]
fn what_was_read_stays_as_it_was() {
    let folder = tempdir().unwrap();
    let storage = FileStorage::open(folder.path()).unwrap();
    let large = vec![7; 1 << 20];
    for name in ["mapped.vecino", "read.log"] {
        put(&storage, name, &large);
        let blob = storage.read(name).unwrap().unwrap();
        assert_eq!(blob.bytes().as_ptr().align_offset(64), 0);
        put(&storage, name, b"small");
        storage.remove(name).unwrap();
        assert!(blob.bytes() == large);
    }
}

#[test]
fn a_write_that_fails_leaves_the_old_file() {
    let folder = tempdir().unwrap();
    let storage = FileStorage::open(folder.path()).unwrap();
    put(&storage, "a", b"old");
    let full = storage.write("a", &mut |out| {
        out.write_all(b"half")?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    });
    let error = full.unwrap_err();
    assert!(error.code == Code::StorageFull && error.detail.contains('a'), "{error}");
    assert_eq!(get(&storage, "a").unwrap(), b"old");
    assert_eq!(storage.list().unwrap(), ["a"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the file and the lock");
}

#[test]
fn unfinished_files_go_and_strange_ones_stay() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join(".tmp-x"), "half").unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let reading = FileStorage::open_read_only(folder.path()).unwrap();
    assert_eq!(reading.list().unwrap(), ["notes.txt"]);
    assert!(folder.path().join(".tmp-x").exists(), "reading changes nothing");
    drop(reading);
    let storage = FileStorage::open(folder.path()).unwrap();
    assert_eq!(storage.list().unwrap(), ["notes.txt"]);
    assert!(!folder.path().join(".tmp-x").exists());
}

#[test]
fn one_owner_at_a_time() {
    let folder = tempdir().unwrap();
    let storage = FileStorage::open(folder.path()).unwrap();
    let (code, why) = refused(folder.path());
    assert_eq!(code, Code::Locked);
    assert!(why.contains(&std::process::id().to_string()) && why.contains(&folder.path().display().to_string()), "{why}");
    assert_eq!(FileStorage::open_read_only(folder.path()).unwrap_err().code, Code::Locked);
    drop(storage);
    let (one, two) = (FileStorage::open_read_only(folder.path()).unwrap(), FileStorage::open_read_only(folder.path()).unwrap());
    assert_eq!(refused(folder.path()).0, Code::Locked, "somebody reads");
    let error = two.remove("a").unwrap_err();
    assert!(error.code == Code::Storage && error.detail.contains("read only"), "{error}");
    drop((one, two));
    FileStorage::open(folder.path()).unwrap();
}

#[test]
fn a_folder_that_is_none_is_refused() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [&file, &file.join("within")] {
        let (code, why) = refused(path);
        assert!(code == Code::Storage && why.contains("file"), "{why}");
    }
    assert_eq!(FileStorage::open_read_only(&folder.path().join("none")).unwrap_err().code, Code::Storage);
    assert!(!folder.path().join("none").exists());
}

#[cfg(unix)]
#[test]
fn the_folder_is_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    let path = folder.path().join("data");
    FileStorage::open(&path).unwrap();
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
}
