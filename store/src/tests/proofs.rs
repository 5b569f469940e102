use crate::StoreError;
use ics23::{HostFunctionsManager, verify_membership, verify_non_membership};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

/// Checks that the snapshot's proof for `key` proves its answer and nothing else.
fn verify(snapshot: &Snapshot, key: &[u8]) {
    let spec = jmt::ics23_spec();
    let root = snapshot.root_hash().expect("a root").to_vec();
    let (value, proof) = snapshot.prove(key).expect("a proof");
    assert_eq!(value, snapshot.get(key).expect("a get"));
    let member =
        |value: &[u8]| verify_membership::<HostFunctionsManager>(&proof, &spec, &root, key, value);
    let absent = verify_non_membership::<HostFunctionsManager>(&proof, &spec, &root, key);
    match value {
        Some(value) => {
            assert!(member(&value) && !absent, "{}", key.escape_ascii());
            assert!(!member(&[&value[..], b"!"].concat()));
        }
        None => assert!(absent && !member(b"1"), "{}", key.escape_ascii()),
    }
    let mut other_root = root.clone();
    other_root[0] ^= 1;
    assert!(!verify_non_membership::<HostFunctionsManager>(
        &proof,
        &spec,
        &other_root,
        key
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every key and every absent key has a valid proof at every version.
    #[test]
    fn every_answer_is_proven(
        blocks in vec(btree_map("[a-d]{1,2}", proptest::option::of("[xy]{1,2}"), 1..12), 1..5),
        first in 1_u64..5,
    ) {
        let folder = folder();
        let store = open(&folder, 0);
        for (height, writes) in (first..).zip(&blocks) {
            let mut state = State::new(store.snapshot());
            for (key, value) in writes {
                match value {
                    Some(value) => state.put(key, value.as_str()).expect("a put"),
                    None => state.delete(key).expect("a delete"),
                }
            }
            let writes = state.into_writes().expect("balanced layers");
            store.commit(store.stage(writes, height).expect("a block")).expect("a commit");
        }
        for version in first..first + blocks.len() as u64 {
            let snapshot = store.snapshot_at(version).expect("a kept version");
            if contents(&snapshot).is_empty() {
                let no_proof = matches!(snapshot.prove("a"), Err(StoreError::NoProof { .. }));
                prop_assert!(no_proof);
                continue;
            }
            for key in blocks.iter().flat_map(BTreeMap::keys) {
                verify(&snapshot, key.as_bytes());
            }
            for absent in ["zz", "not/there", "not a key", "a\0\0\0\0\0\0\0\0\0"] {
                verify(&snapshot, absent.as_bytes());
            }
        }
    }
}

#[test]
fn what_has_no_proof_says_so() {
    let folder = folder();
    let store = open(&folder, 0);
    assert!(matches!(
        store.snapshot().prove("a"),
        Err(StoreError::NoProof { .. })
    ));
    commit(&store, |state| state.put("a", "1").expect("a put"));
    assert!(matches!(
        store.snapshot().prove(""),
        Err(StoreError::NoProof { .. })
    ));
    verify(&store.snapshot(), b"a");
    verify(&store.snapshot(), b"b");
}
