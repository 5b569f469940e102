use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::StoreError;
use crate::commit::write_set::RedoRecord;

use super::*;

fn put(store: &Store, value: &str) -> Head {
    commit(store, |state| state.put("key", value).expect("a put"))
}

#[test]
fn what_is_not_committed_leaves_nothing() {
    let folder = folder();
    let store = open(&folder, 0);
    put(&store, "1");
    let (head, before) = (store.head(), all_rows(&store));
    let mut state = State::new(store.snapshot());
    state.put("key", "2").expect("a put");
    state.put_payload("payload", "2").expect("a put");
    let writes = state.into_writes().expect("balanced layers");
    store.root_after(&writes).expect("a root");
    let staged = store.stage(writes, 2).expect("a block");
    assert_ne!(staged.app_hash(), head.app_hash);
    assert_eq!((store.head(), all_rows(&store)), (head, before.clone()));
    drop((staged, store));
    let store = open(&folder, 0);
    assert_eq!((store.head(), all_rows(&store)), (head, before));
}

/// Copies the files of an open database, as a killed process would leave them.
fn copy_files(from: &Path) -> TempDir {
    let copy = folder();
    for entry in fs::read_dir(from)
        .expect("the folder")
        .map(|entry| entry.expect("an entry"))
    {
        if entry.file_name() != "LOCK" {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("a copy");
        }
    }
    copy
}

/// Truncates the newest log file, as if the power had failed while it was written.
fn tear_log(folder: &TempDir) {
    let log = fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .max_by_key(|path| fs::metadata(path).expect("a log").len())
        .expect("a write-ahead log");
    let length = fs::metadata(&log).expect("a log").len();
    let file = fs::OpenOptions::new().write(true).open(&log);
    file.expect("a log")
        .set_len(length - 3)
        .expect("a shorter log");
}

#[test]
fn a_killed_process_loses_no_commit_and_never_half_of_one() {
    let folder = folder();
    let store = open(&folder, 0);
    put(&store, "1");
    let second = put(&store, "2");
    // The rows may or may not be written by now.
    assert_eq!(open(&copy_files(folder.path()), 0).head(), second);
    store.flush().expect("the rows are written");
    let whole = copy_files(folder.path());
    let torn = copy_files(folder.path());
    tear_log(&torn);
    for (folder, name) in [(whole, "whole"), (torn, "torn")] {
        let again = open(&folder, 0);
        assert_eq!(again.head(), second, "{name}");
        assert_eq!(contents(&again.snapshot()), contents(&store.snapshot()));
        assert_eq!(all_rows(&again), all_rows(&store), "{name}");
    }
}

/// A process that is killed during a commit.
#[test]
fn a_commit_counts_once_its_redo_record_is_on_the_disk() {
    let folder = folder();
    let store = open(&folder, 0);
    let first = put(&store, "1");
    store.flush().expect("the rows are written");
    let mut state = State::new(store.snapshot());
    state.put("key", "2").expect("a put");
    state.put_payload("payload", "3").expect("a put");
    let writes = state.into_writes().expect("balanced layers");
    let staged = store.stage(writes, 2).expect("a block");
    let redo = RedoRecord::encode(&staged.head, &staged.writes).expect("writes");
    store.storage().db.write_redo(&redo).expect("a write");

    let torn = copy_files(folder.path());
    tear_log(&torn);
    assert_eq!(open(&torn, 0).head(), first);
    let after = copy_files(folder.path());
    let head = store.commit(staged).expect("a commit");
    let recovered = open(&after, 0);
    assert_eq!(recovered.head(), head);
    let snapshot = recovered.snapshot();
    assert_eq!(snapshot.get("key").expect("a get"), Some(b"2".to_vec()));
    let payload = snapshot.payload("payload").expect("a payload");
    assert_eq!(payload, Some(b"3".to_vec()));
    assert_eq!(all_rows(&recovered), all_rows(&store));
    assert_eq!(put(&recovered, "4"), put(&store, "4"));
}

#[test]
fn a_redo_record_with_another_app_hash_is_an_error() {
    let folder = folder();
    let store = open(&folder, 0);
    let head = put(&store, "1");
    let lie = Head { height: 2, ..head };
    let mut state = State::new(store.snapshot());
    state.put("key", "2").expect("a put");
    let writes = state.into_writes().expect("balanced layers");
    for redo in [RedoRecord::encode(&lie, &writes).expect("writes"), vec![1]] {
        store.storage().db.write_redo(&redo).expect("a write");
        let refused = Store::open(copy_files(folder.path()).path(), 0);
        let error = refused.err().expect("a refusal");
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }
}

/// Readers of the newest version find its values before they are written, and also after writing
/// failed.
#[test]
fn a_version_that_cannot_be_written_stops_the_store_but_is_not_lost() {
    let folder = folder();
    let store = open(&folder, 1);
    put(&store, "1");
    store.flush().expect("the rows are written");
    let stale = store.storage().db.family(db::STALE).expect("a family");
    let nonsense = [1_u64.to_be_bytes().as_slice(), &[9]].concat();
    let rocks = store.storage().db.rocks();
    rocks.put_cf(stale, &nonsense, "").expect("a put");

    let head = commit(&store, |state| {
        state.put("key", "2").expect("a put");
        state.put("more", "2").expect("a put");
        state.put_payload("payload", "2").expect("a put");
    });
    for _ in 0..2 {
        let error = store.flush().expect_err("a note that is not one");
        assert!(
            matches!(error, StoreError::NotWritten { height: 2, .. }),
            "{error}"
        );
        let refused = store.stage(crate::WriteSet::default(), 3);
        assert!(matches!(refused, Err(StoreError::NotWritten { .. })));
    }
    let expected = Map::from([(b"key".into(), b"2".into()), (b"more".into(), b"2".into())]);
    let snapshot = store.snapshot();
    assert_eq!(contents(&snapshot), expected);
    assert_eq!(snapshot.get("more").expect("a get"), Some(b"2".to_vec()));
    let payload = snapshot.payload("payload").expect("a payload");
    assert_eq!(payload, Some(b"2".to_vec()));
    let mut state = State::new(snapshot);
    state.put("key", "3").expect("a put");
    let listed = state.scan("", None, 9).expect("a scan");
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].1, b"3");

    rocks.delete_cf(stale, &nonsense).expect("a deletion");
    drop((state, store));
    let store = open(&folder, 1);
    assert_eq!(store.head(), head);
    assert_eq!(contents(&store.snapshot()), expected);
}

#[test]
fn genesis_is_written_with_the_first_block() {
    let folder = folder();
    let store = open(&folder, 0);
    let mut state = State::new(store.snapshot());
    state.put("genesis", "1").expect("a put");
    state.put("both", "1").expect("a put");
    let genesis = state.into_writes().expect("balanced layers");
    let genesis_root = store.root_after(&genesis).expect("a root");
    let map = Map::from([
        (b"both".into(), b"1".into()),
        (b"genesis".into(), b"1".into()),
    ]);
    assert_eq!(genesis_root, naive_root(&map));
    assert_eq!(store.head().height, 0);

    let mut state = State::with_writes(store.snapshot(), genesis.clone());
    assert_eq!(state.get("genesis").expect("a get"), Some(b"1".to_vec()));
    state.put("both", "2").expect("a put");
    let writes = state.into_writes().expect("balanced layers");
    let head = store
        .commit(store.stage(writes, 40).expect("a block"))
        .expect("a commit");
    assert_eq!((head.height, head.initial_height), (40, 40));
    put(&store, "next");

    assert_eq!(
        contents(&store.snapshot_at(0).expect("the empty version")),
        Map::new()
    );
    assert!(matches!(
        store.snapshot_at(39),
        Err(StoreError::Pruned { oldest: 40, .. })
    ));
    assert_eq!(contents(&store.snapshot_at(40).expect("kept")).len(), 2);
    assert_eq!(contents(&store.snapshot_at(41).expect("kept")).len(), 3);
    assert!(matches!(
        store.snapshot_at(42),
        Err(StoreError::Future { latest: 41, .. })
    ));
    assert_eq!(store.head().initial_height, 40);
}

#[test]
fn empty_blocks_keep_the_root() {
    let folder = folder();
    let store = open(&folder, 0);
    let empty = store.head().app_hash;
    assert_eq!(commit(&store, |_| {}).app_hash, empty);
    assert_eq!(commit(&store, |_| {}).app_hash, empty);
    let head = put(&store, "1");
    assert_eq!(commit(&store, |_| {}).app_hash, head.app_hash);
    let before = all_rows(&store);
    let same = put(&store, "1");
    assert_eq!(same.app_hash, head.app_hash);
    // A root, and a stale entry of the previous root.
    let added: Vec<_> = all_rows(&store)
        .iter()
        .zip(before)
        .map(|(now, before)| now - before)
        .collect();
    assert_eq!(added, [1, 0, 0, 0, 0, 1, 0]);
    assert_eq!(
        commit(&store, |state| state.delete("key").expect("a delete")).app_hash,
        empty
    );
}

#[test]
fn versions_are_consecutive_heights() {
    let folder = folder();
    let store = open(&folder, 0);
    let writes = crate::WriteSet::default;
    assert!(matches!(
        store.stage(writes(), 0),
        Err(StoreError::Height { .. })
    ));
    let stale = store.stage(writes(), 3).expect("a first block");
    put(&store, "1");
    for height in [0, 1, 3] {
        let refused = store.stage(writes(), height);
        assert!(
            matches!(refused, Err(StoreError::Height { latest: 1, .. })),
            "{height}"
        );
    }
    let refused = store.commit(stale);
    assert!(matches!(
        refused,
        Err(StoreError::Superseded {
            base: 0,
            latest: 1,
            ..
        })
    ));
}

#[test]
fn readers_see_one_version_while_blocks_are_written() {
    let folder = folder();
    let store = open(&folder, 2);
    let keys: Vec<_> = (0..50).map(|number| format!("k/{number}")).collect();
    let write = |height: u64| {
        commit(&store, |state| {
            keys.iter()
                .for_each(|key| state.put_u64(key, height).expect("a put"));
        })
    };
    write(1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut read = 0_u32;
            while !done.load(Ordering::Relaxed) || read == 0 {
                let snapshot = store.snapshot();
                let version = snapshot.version().to_be_bytes();
                let one = snapshot
                    .get("k/0")
                    .map(|value| assert_eq!(value, Some(version.into())));
                let all = snapshot.scan("k/", None, usize::MAX).map(|entries| {
                    assert_eq!(entries.len(), keys.len());
                    assert!(entries.iter().all(|(_, value)| *value == version));
                });
                match one.and(all) {
                    Ok(()) => read += 1,
                    Err(error) => assert!(error.is_unavailable_version(), "{error}"),
                }
            }
        });
        (2..60).for_each(|height| {
            write(height);
        });
        done.store(true, Ordering::Relaxed);
        reader.join().expect("the reader saw whole versions");
    });
}

/// The root of fixed contents must never change.
#[test]
fn root_is_pinned() {
    let folder = folder();
    let store = open(&folder, 0);
    let head = commit(&store, |state| {
        state
            .put_u128("bank/balance/poq1abc/upoq", 1_000_000)
            .expect("a put");
        state.put_u64("auth/next_account", 7).expect("a put");
        state
            .put_payload("tasks/prompt/1", "not in the tree")
            .expect("a put");
    });
    assert_eq!(
        hex::encode(head.app_hash),
        "da73badd8f3bd352a495d1f29d993e0dc3d8cff06529672d6dcff100ff9f5a32"
    );
}
