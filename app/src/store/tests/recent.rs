use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::super::StoreError;
use super::super::current::Row;
use super::super::recent::Recent;
use super::*;

/// Puts and deletions of one block.
type Puts = BTreeMap<u8, Option<u8>>;

fn apply(store: &Store, puts: &Puts) -> Head {
    commit(store, |state| {
        for (key, value) in puts {
            let key = format!("key/{key}");
            match value {
                Some(value) => state.put(key, [*value]).expect("a put"),
                None => state.delete(key).expect("a delete"),
            }
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A node that was restarted after every block remembers nothing, has another number of threads,
    /// and gets the same state; so does one that forgets parts of the tree.
    #[test]
    fn memory_changes_no_result(
        blocks in vec((btree_map(any::<u8>(), any::<Option<u8>>(), 0..40), 0_usize..20_000), 1..8),
    ) {
        let (warm, cold, forgetful) = (folder(), folder(), folder());
        let partly = open(&forgetful, 2);
        let [one, many] = [1, 7].map(|threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
        });
        let store = open(&warm, 2);
        for (puts, room) in &blocks {
            let restarted = open(&cold, 2);
            prop_assert_eq!(contents(&restarted.snapshot()), contents(&store.snapshot()));
            for key in puts.keys().map(|key| format!("key/{key}")) {
                let (warm, cold) = (store.snapshot().get(&key), restarted.snapshot().get(&key));
                prop_assert_eq!(warm.unwrap(), cold.unwrap());
            }
            let cold = one.install(|| apply(&restarted, puts));
            prop_assert_eq!(cold, many.install(|| apply(&store, puts)));
            prop_assert_eq!(cold, apply(&partly, puts));
            partly.flush().unwrap();
            partly.inner.storage.recent.tree_mut().shrink(*room);
        }
        prop_assert_eq!(all_rows(&open(&cold, 2)), all_rows(&store));
        prop_assert_eq!(all_rows(&partly), all_rows(&store));
    }
}

#[test]
fn what_is_deleted_is_gone() {
    let folder = folder();
    let store = open(&folder, 0);
    let keys = |of: std::ops::Range<u8>, value| of.map(|key| (key, value)).collect::<Puts>();
    let apply = |puts| {
        let head = apply(&store, &puts);
        store.flush().expect("the rows are written");
        head
    };
    apply(keys(0..200, Some(1)));
    let in_memory = |key: &[u8]| {
        let row = store
            .inner
            .storage
            .recent
            .value(key, || panic!("it is loaded"));
        row.expect("nothing is loaded").is_some()
    };
    assert!(in_memory(b"key/7"));
    apply(keys(0..200, None));
    assert!(!in_memory(b"key/7"));
    assert_eq!(store.snapshot().get("key/7").expect("a get"), None);
    // The same nodes again, at the places of those of two versions ago.
    let head = apply(keys(0..200, Some(1)));
    assert_eq!(head.app_hash, naive_root(&contents(&store.snapshot())));
}

/// Reading may fill the memory while a commit changes what is read.
#[test]
fn what_was_read_does_not_hide_what_was_committed_meanwhile() {
    for newer in [Some(row(2)), None] {
        let recent = Recent::new();
        let expected = newer.as_ref().map(|row| row.version);
        let found = recent.value(b"key", || {
            recent.update(vec![(b"key".to_vec(), newer)]);
            Ok(Some(row(1)))
        });
        assert_eq!(found.unwrap().map(|row| row.version), Some(1));
        let kept = recent.value(b"key", || Ok(None)).unwrap();
        assert_eq!(kept.map(|row| row.version), expected);
    }
}

#[test]
fn what_was_read_is_read_once() {
    for found in [Some(row(1)), None] {
        let recent = Recent::new();
        let error = || Err(StoreError::EmptyValue { key: "key".into() });
        assert!(recent.value(b"key", error).is_err());
        let expected = found.is_some();
        assert_eq!(
            recent.value(b"key", || Ok(found)).unwrap().is_some(),
            expected
        );
        assert_eq!(recent.value(b"key", error).unwrap().is_some(), expected);
    }
}

fn row(version: u64) -> Row {
    Row {
        version,
        bytes: [1].into(),
    }
}
