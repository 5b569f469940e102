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

    /// A node that is restarted after every block has nothing in memory and another number of
    /// threads, and gets the same state.
    #[test]
    fn restarts_and_threads_change_no_result(
        blocks in vec(btree_map(any::<u8>(), any::<Option<u8>>(), 0..40), 1..8),
    ) {
        let (running, restarted) = (folder(), folder());
        let [one, many] = [1, 7].map(|threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
        });
        let store = open(&running, 2);
        for puts in &blocks {
            let restarted = open(&restarted, 2);
            prop_assert_eq!(contents(&restarted.snapshot()), contents(&store.snapshot()));
            for key in puts.keys().map(|key| format!("key/{key}")) {
                let values = [&store, &restarted].map(|store| store.snapshot().get(&key));
                let [running, restarted] = values.map(|value| value.unwrap());
                prop_assert_eq!(running, restarted);
            }
            let head = one.install(|| apply(&restarted, puts));
            prop_assert_eq!(head, many.install(|| apply(&store, puts)));
        }
        prop_assert_eq!(all_rows(&open(&restarted, 2)), all_rows(&store));
    }
}

#[test]
fn deleted_keys_are_gone_and_can_come_back() {
    let folder = folder();
    let store = open(&folder, 0);
    let keys = |value| (0..200).map(|key| (key, value)).collect::<Puts>();
    apply(&store, &keys(Some(1)));
    apply(&store, &keys(None));
    store.flush().expect("the rows are written");
    assert_eq!(store.snapshot().get("key/7").expect("a get"), None);
    // The same tree nodes, at the same paths as two versions ago.
    let head = apply(&store, &keys(Some(1)));
    assert_eq!(head.app_hash, naive_root(&contents(&store.snapshot())));
}
