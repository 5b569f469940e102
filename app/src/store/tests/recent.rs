use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

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

    /// A node that was restarted after every block remembers nothing, and gets the same state.
    #[test]
    fn memory_changes_no_result(blocks in vec(btree_map(any::<u8>(), any::<Option<u8>>(), 0..40), 1..8)) {
        let (warm, cold) = (folder(), folder());
        let store = open(&warm, 2);
        for puts in &blocks {
            let restarted = open(&cold, 2);
            prop_assert_eq!(contents(&restarted.snapshot()), contents(&store.snapshot()));
            for key in puts.keys().map(|key| format!("key/{key}")) {
                let (warm, cold) = (store.snapshot().get(&key), restarted.snapshot().get(&key));
                prop_assert_eq!(warm.unwrap(), cold.unwrap());
            }
            prop_assert_eq!(apply(&restarted, puts), apply(&store, puts));
        }
        prop_assert_eq!(all_rows(&open(&cold, 2)), all_rows(&store));
    }
}

#[test]
fn what_is_deleted_is_forgotten() {
    let folder = folder();
    let store = open(&folder, 0);
    let keys = |of: std::ops::Range<u8>, value| of.map(|key| (key, value)).collect::<Puts>();
    apply(&store, &keys(0..200, Some(1)));
    let recent = store.inner.db.recent();
    assert!(recent.value(b"key/7").is_some());
    apply(&store, &keys(0..200, None));
    assert!(recent.value(b"key/7").is_none());
    assert_eq!(store.snapshot().get("key/7").expect("a get"), None);
    // The same nodes again, at the places of those of two versions ago.
    let head = apply(&store, &keys(0..200, Some(1)));
    assert_eq!(head.app_hash, naive_root(&contents(&store.snapshot())));
}
