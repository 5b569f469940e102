//! Tests of the store against simple models.

mod commit;
mod determinism;
mod model;
mod open;
mod proofs;
mod pruning;
mod state;

use std::collections::BTreeMap;

use rocksdb::IteratorMode;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::rows::db;
use crate::{Head, Snapshot, State, Store};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(folder: &TempDir, keep_versions: u64) -> Store {
    Store::open(folder.path(), keep_versions).expect("the database opens")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Commits the block after the newest one.
fn commit(store: &Store, write: impl FnOnce(&mut State)) -> Head {
    let mut state = State::new(store.snapshot());
    write(&mut state);
    let writes = state.into_writes().expect("balanced layers");
    let staged = store
        .stage(writes, store.head().height + 1)
        .expect("a valid block");
    store.commit(staged).expect("a commit")
}

fn contents(snapshot: &Snapshot) -> Map {
    snapshot
        .scan("", None, usize::MAX)
        .expect("a scan")
        .into_iter()
        .collect()
}

type Row = (Box<[u8]>, Box<[u8]>);

/// The rows of a column family, including those of the last commit.
fn each_row<'a>(store: &'a Store, family: &str) -> impl Iterator<Item = Row> + 'a {
    store.flush().expect("the rows are written");
    let db = &store.storage().db;
    db.rocks()
        .iterator_cf(db.family(family).expect("a family"), IteratorMode::Start)
        .map(|row| row.expect("a row"))
}

/// The number of rows in a column family.
fn rows(store: &Store, family: &str) -> usize {
    each_row(store, family).count()
}

fn all_rows(store: &Store) -> Vec<usize> {
    [
        db::TREE,
        db::CURRENT,
        db::VALUES,
        db::PREIMAGES,
        db::PAYLOADS,
        db::STALE,
        db::META,
    ]
    .map(|family| rows(store, family))
    .to_vec()
}

/// The root of a sparse Merkle tree, straight from its definition.
fn naive_root(map: &Map) -> [u8; 32] {
    fn node(leaves: &[([u8; 32], [u8; 32])], depth: usize) -> [u8; 32] {
        match leaves {
            [] => *b"SPARSE_MERKLE_PLACEHOLDER_HASH__",
            [(key, value)] => digest(&[b"JMT::LeafNode", key, value]),
            _ => {
                let bit = |hash: &[u8; 32]| hash[depth / 8] >> (7 - depth % 8) & 1;
                let middle = leaves.partition_point(|(key, _)| bit(key) == 0);
                let (left, right) = leaves.split_at(middle);
                digest(&[
                    b"JMT::IntrnalNode",
                    &node(left, depth + 1),
                    &node(right, depth + 1),
                ])
            }
        }
    }
    fn digest(parts: &[&[u8]]) -> [u8; 32] {
        Sha256::digest(parts.concat()).into()
    }
    let mut leaves: Vec<_> = map
        .iter()
        .map(|(key, value)| (digest(&[key]), digest(&[value])))
        .collect();
    leaves.sort();
    node(&leaves, 0)
}
