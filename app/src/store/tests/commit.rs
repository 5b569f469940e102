use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::store::StoreError;

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
    let changes = state.into_changes().expect("balanced layers");
    store.root_after(&changes).expect("a root");
    let prepared = store.prepare(changes, 2).expect("a block");
    assert_ne!(prepared.app_hash(), head.app_hash);
    assert_eq!((store.head(), all_rows(&store)), (head, before.clone()));
    drop((prepared, store));
    let store = open(&folder, 0);
    assert_eq!((store.head(), all_rows(&store)), (head, before));
}

/// Copies the files of a database that is open: what a killed process leaves behind.
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

#[test]
fn a_killed_process_loses_no_commit_and_never_half_of_one() {
    let folder = folder();
    let store = open(&folder, 0);
    let first = put(&store, "1");
    let second = put(&store, "2");
    assert_eq!(open(&copy_files(folder.path()), 0).head(), second);

    // As if the power had failed while the second commit was on its way to the disk.
    let torn = copy_files(folder.path());
    let log = fs::read_dir(torn.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .max_by_key(|path| fs::metadata(path).expect("a log").len())
        .expect("a write-ahead log");
    let length = fs::metadata(&log).expect("a log").len();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&log)
        .expect("a log");
    file.set_len(length - 3).expect("a shorter log");
    let store = open(&torn, 0);
    assert_eq!(store.head(), first);
    assert_eq!(
        store.snapshot().get("key").expect("a get"),
        Some(b"1".to_vec())
    );
    assert_eq!(put(&store, "2"), second);
}

#[test]
fn genesis_is_written_with_the_first_block() {
    let folder = folder();
    let store = open(&folder, 0);
    let mut state = State::new(store.snapshot());
    state.put("genesis", "1").expect("a put");
    state.put("both", "1").expect("a put");
    let genesis = state.into_changes().expect("balanced layers");
    let genesis_root = store.root_after(&genesis).expect("a root");
    let map = Map::from([
        (b"both".into(), b"1".into()),
        (b"genesis".into(), b"1".into()),
    ]);
    assert_eq!(genesis_root, naive_root(&map));
    assert_eq!(store.head().height, 0);

    let mut state = State::with_changes(store.snapshot(), genesis.clone());
    assert_eq!(state.get("genesis").expect("a get"), Some(b"1".to_vec()));
    state.put("both", "2").expect("a put");
    let changes = state.into_changes().expect("balanced layers");
    let head = store
        .commit(store.prepare(changes, 40).expect("a block"))
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
    // A root, and a note on the root before.
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
    let changes = crate::store::Changes::default;
    assert!(matches!(
        store.prepare(changes(), 0),
        Err(StoreError::Height { .. })
    ));
    let stale = store.prepare(changes(), 3).expect("a first block");
    put(&store, "1");
    for height in [0, 1, 3] {
        let refused = store.prepare(changes(), height);
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
