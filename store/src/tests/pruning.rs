use crate::StoreError;
use crate::rows::prune;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

type Writes = BTreeMap<String, Option<String>>;

fn blocks() -> impl Strategy<Value = Vec<Writes>> {
    vec(
        btree_map("[a-c]{1,2}", proptest::option::of("[xyz]"), 0..10),
        1..12,
    )
}

fn write(state: &mut State, writes: &Writes, reads: bool) {
    for (key, value) in writes {
        if reads {
            state.get(key).expect("a value or none");
        }
        match value {
            Some(value) => {
                state.put(key, value.as_str()).expect("a put");
                state.put_payload(key, value.as_str()).expect("a put");
            }
            None => {
                state.delete(key).expect("a delete");
                state.delete_payload(key).expect("a delete");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The newest versions stay unchanged, older ones report that they are pruned, and no row of
    /// them stays in the database: whether or not the written values were read before, and whether
    /// or not the rows of the block before were written by then.
    #[test]
    fn keeps_what_it_should(
        blocks in blocks(),
        keep in 1_u64..5,
        reopen in any::<bool>(),
        reads in any::<bool>(),
        hurry in any::<bool>(),
    ) {
        let folder = folder();
        let mut store = open(&folder, keep);
        let mut versions = vec![Map::new()];
        let mut held = Vec::new();
        // Empty blocks at the end, until everything before is obsolete.
        let quiet = keep as usize + 1;
        for writes in blocks.iter().chain(std::iter::repeat_n(&Writes::new(), quiet)) {
            commit(&store, |state| write(state, writes, reads));
            if hurry {
                continue;
            }
            versions.push(contents(&store.snapshot()));
            held.push(store.snapshot());
            if reopen {
                held.clear();
                drop(store);
                store = open(&folder, keep);
            }
            let latest = store.head().height;
            for version in 1..=latest {
                let kept = version + keep > latest;
                match store.snapshot_at(version) {
                    Ok(snapshot) => {
                        prop_assert!(kept);
                        let expected = &versions[version as usize];
                        prop_assert_eq!(&contents(&snapshot), expected);
                        prop_assert_eq!(snapshot.root_hash().expect("a root"), naive_root(expected));
                    }
                    Err(StoreError::Pruned { oldest, .. }) => {
                        prop_assert!(!kept && oldest == latest + 1 - keep);
                    }
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                }
            }
            for snapshot in &held {
                let gone = matches!(snapshot.get("a"), Err(StoreError::Pruned { .. }));
                prop_assert_eq!(gone, snapshot.version() + keep <= latest);
                prop_assert_eq!(snapshot.scan("", None, 9).is_err(), gone);
                prop_assert_eq!(snapshot.root_hash().is_err(), gone);
                prop_assert_eq!(snapshot.payload("a").is_err(), gone);
            }
        }

        let live = contents(&store.snapshot());
        prop_assert_eq!(rows(&store, db::CURRENT), live.len());
        prop_assert_eq!(rows(&store, db::VALUES), live.len());
        prop_assert_eq!(rows(&store, db::PAYLOADS), live.len());
        prop_assert_eq!(rows(&store, db::PREIMAGES), live.len());
        let fresh_folder = tempfile::tempdir().expect("a temporary folder");
        let fresh = open(&fresh_folder, 0);
        commit(&fresh, |state| {
            live.iter().for_each(|(key, value)| state.put(key, value.as_slice()).expect("a put"));
        });
        // The same nodes as a freshly built tree, and the roots of the earlier versions, at least
        // one, since the stale entries of a block are processed by the next one.
        let older_roots = (keep as usize - 1).max(1);
        prop_assert_eq!(rows(&store, db::TREE), rows(&fresh, db::TREE) + older_roots);
    }
}

/// The number of rows with a stale entry.
fn stale_rows(store: &Store) -> usize {
    each_row(store, db::STALE)
        .map(|(note, list)| 1 + prune::split_list(&note, &list).expect("a list").len())
        .sum()
}

#[test]
fn a_note_cut_short_is_an_error() {
    let list = [0, 2, b'a', b'b', 0, 1, b'c'];
    assert_eq!(
        prune::split_list(b"note", &list).expect("a list"),
        [&b"ab"[..], b"c"]
    );
    assert!(prune::split_list(b"note", &[]).expect("no list").is_empty());
    for cut in [1, 2, 3, 5, 6] {
        assert!(prune::split_list(b"note", &list[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn a_backlog_is_worked_off_in_portions() {
    let folder = folder();
    let keys: Vec<_> = (0..3000).map(|number| format!("k/{number:04}")).collect();
    {
        let store = open(&folder, 0);
        for height in 1..=6_u64 {
            commit(&store, |state| {
                keys.iter()
                    .for_each(|key| state.put_u64(key, height).expect("a put"));
            });
        }
        commit(&store, |state| {
            keys.iter()
                .for_each(|key| state.delete(key).expect("a delete"))
        });
    }
    let store = open(&folder, 2);
    let mut backlog = stale_rows(&store);
    assert!(backlog > 6 * keys.len());
    while rows(&store, db::VALUES) > 1 {
        let height = commit(&store, |state| state.put("height", "now").expect("a put")).height;
        assert!(height < 100, "{backlog} stale rows are left");
        let left = stale_rows(&store);
        assert!(backlog - left <= 2000 && contents(&store.snapshot()).len() == 1);
        backlog = left;
    }
    assert_eq!(rows(&store, db::PREIMAGES), 1);
}

#[test]
fn a_longer_memory_does_not_bring_back_what_is_gone() {
    let folder = folder();
    {
        let store = open(&folder, 2);
        (0..5_u8).for_each(|value| {
            commit(&store, |state| state.put("key", [value]).expect("a put"));
        });
    }
    let store = open(&folder, 0);
    commit(&store, |_| {});
    assert!(matches!(
        store.snapshot_at(3),
        Err(StoreError::Pruned {
            version: 3,
            oldest: 4
        })
    ));
    assert_eq!(
        store
            .snapshot_at(4)
            .expect("kept")
            .get("key")
            .expect("a get"),
        Some(vec![3])
    );
}

/// A block may write a key again whose deletion it prunes.
#[test]
fn a_key_can_come_back_while_its_deletion_is_forgotten() {
    let folder = folder();
    let store = open(&folder, 1);
    commit(&store, |state| state.put("key", "1").expect("a put"));
    commit(&store, |state| state.delete("key").expect("a delete"));
    commit(&store, |state| state.put("key", "2").expect("a put"));
    commit(&store, |_| {});
    let snapshot = store.snapshot();
    assert_eq!(snapshot.get("key").expect("a get"), Some(b"2".to_vec()));
    assert!(
        snapshot
            .prove("other")
            .expect("a proof needs the preimage of key")
            .0
            .is_none()
    );
}
