//! The Merkle tree: a Jellyfish Merkle tree over SHA-256 of the keys.
//!
//! `jmt` defines the nodes and proves values. The next version is computed here, in one walk: with
//! `jmt`'s general update three quarters of the time went into maps of nodes (ADR 16).

mod node;
mod path;
mod update;

use jmt::storage::{HasPreimage, LeafNode, Node, NodeKey, TreeReader};
use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue};
use sha2::Sha256;

use crate::error::{Result, StoreError};
use crate::rows::{Database, db, history};
use path::Path;

pub(crate) use node::TreeTop;
pub(crate) use update::{KeyUpdate, TreeUpdate, update};

/// The root of the empty tree.
pub(crate) const EMPTY_ROOT: [u8; 32] = Tree::EMPTY_ROOT.0;

type Tree<'a> = JellyfishMerkleTree<'a, NodeReader<'a>, Sha256>;

/// The root hash of a stored version.
pub(crate) fn root(db: &Database, version: u64) -> Result<[u8; 32]> {
    let tree = NodeReader { db };
    let root = Tree::new(&tree).get_root_hash(version);
    Ok(root.map_err(tree_error)?.0)
}

/// The value of `key` at a stored version, with the proof that it is there, or that nothing is.
pub(crate) fn prove(
    db: &Database,
    key: &[u8],
    version: u64,
) -> Result<(Option<Vec<u8>>, ics23::CommitmentProof)> {
    let tree = NodeReader { db };
    Tree::new(&tree)
        .get_with_ics23_proof(key.to_vec(), version)
        .map_err(tree_error)
}

/// The database key of a node of `jmt`.
fn node_key(key: &NodeKey) -> Vec<u8> {
    let nibbles = key.nibble_path().nibbles().map(u8::from);
    let path = nibbles.fold(Path::ROOT, |path, nibble| path.child(nibble.into()));
    path.key(key.version())
}

/// Recovers the error that [`NodeReader`] handed to `jmt`.
fn tree_error(error: anyhow::Error) -> StoreError {
    error
        .downcast()
        .unwrap_or_else(|error| StoreError::Tree(format!("{error:#}")))
}

/// Reads the nodes in the database for `jmt`.
struct NodeReader<'a> {
    db: &'a Database,
}

impl TreeReader for NodeReader<'_> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        let stored = node_key(key);
        // `jmt` would take a missing root for the empty tree, so a missing node is an error here.
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

impl HasPreimage for NodeReader<'_> {
    fn preimage(&self, key_hash: KeyHash) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(self.db.get(db::PREIMAGES, &key_hash.0)?)
    }
}
