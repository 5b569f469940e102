//! The Merkle tree: a Jellyfish Merkle tree over SHA-256 of the keys.
//!
//! `jmt` defines the nodes and proves values. The next version is computed here, in one walk: with
//! its general update three quarters of the time went into maps of nodes (ADR 16).

mod change;
mod child;
mod inner;
mod memory;
mod node;
mod path;
mod update;
mod warm;

use jmt::storage::{HasPreimage, LeafNode, Node, NodeKey, TreeReader};
use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue};
use sha2::{Digest, Sha256};

use super::db::{self, Database};
use super::error::{Result, StoreError};
use super::history;
use path::Path;

pub(super) use change::Change;
pub(super) use memory::Memory;
pub(super) use update::{TreeUpdate, update};

/// The digest of a key or of a value. The tree hashes every key, so that its shape does not depend
/// on who chooses the keys.
pub(super) fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The root of the empty tree.
pub(super) const EMPTY_ROOT: [u8; 32] = Tree::EMPTY_ROOT.0;

type Tree<'a> = JellyfishMerkleTree<'a, Stored<'a>, Sha256>;

/// The root hash of a stored version.
pub(super) fn root(db: &Database, version: u64) -> Result<[u8; 32]> {
    let stored = Stored { db, empty: false };
    Ok(Tree::new(&stored)
        .get_root_hash(version)
        .map_err(tree_error)?
        .0)
}

/// The value of `key` at a stored version, with the proof that it is there, or that nothing is.
pub(super) fn prove(
    db: &Database,
    key: &[u8],
    version: u64,
) -> Result<(Option<Vec<u8>>, ics23::CommitmentProof)> {
    let stored = Stored { db, empty: false };
    Tree::new(&stored)
        .get_with_ics23_proof(key.to_vec(), version)
        .map_err(tree_error)
}

/// Where the database has a node of `jmt`.
fn node_key(key: &NodeKey) -> Vec<u8> {
    let nibbles = key.nibble_path().nibbles().map(u8::from);
    let path = nibbles.fold(Path::ROOT, |path, nibble| path.child(nibble.into()));
    path.key(key.version())
}

/// Recovers the error that a reader below handed to `jmt`.
fn tree_error(error: anyhow::Error) -> StoreError {
    error
        .downcast()
        .unwrap_or_else(|error| StoreError::Tree(format!("{error:#}")))
}

/// The tree in the database.
struct Stored<'a> {
    db: &'a Database,
    /// Nothing was ever stored: the root is the empty one.
    empty: bool,
}

impl TreeReader for Stored<'_> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        if self.empty && key.nibble_path().is_empty() {
            return Ok(Some(Node::Null));
        }
        let stored = node_key(key);
        // A missing root would be taken for the empty tree, so what is missing is an error here.
        let bytes = self
            .db
            .get(db::TREE, &stored)?
            .ok_or_else(|| StoreError::corrupt(&stored, "a node of the tree is missing"))?;
        let node =
            borsh::from_slice(&bytes).map_err(|error| StoreError::corrupt(&stored, error))?;
        Ok(Some(node))
    }

    fn get_value_option(
        &self,
        max_version: u64,
        key_hash: KeyHash,
    ) -> anyhow::Result<Option<OwnedValue>> {
        let Some(key) = self.preimage(key_hash)? else {
            return Ok(None);
        };
        Ok(history::find(self.db, db::VALUES, &key, max_version)?.and_then(|row| row.value))
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        anyhow::bail!("only the restoration of a tree asks for its rightmost leaf")
    }
}

impl HasPreimage for Stored<'_> {
    fn preimage(&self, key_hash: KeyHash) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(self.db.get(db::PREIMAGES, &key_hash.0)?)
    }
}
