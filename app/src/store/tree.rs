//! The Merkle tree: a Jellyfish Merkle tree over SHA-256 of the keys.

use std::collections::{BTreeMap, BTreeSet};

use jmt::storage::{HasPreimage, LeafNode, Node, NodeBatch, NodeKey, TreeReader};
use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue};
use sha2::{Digest, Sha256};

use super::db::{self, Database};
use super::error::{Result, StoreError};
use super::history;

/// The tree hashes every key, so that its shape does not depend on who chooses the keys.
pub(super) fn hash(key: &[u8]) -> KeyHash {
    KeyHash(Sha256::digest(key).into())
}

/// The root of the empty tree.
pub(super) const EMPTY_ROOT: [u8; 32] = Tree::EMPTY_ROOT.0;

type Tree<'a> = JellyfishMerkleTree<'a, Stored<'a>, Sha256>;

/// What an update makes of the tree; keys and nodes in their stored form.
pub(super) struct TreeUpdate {
    pub root: [u8; 32],
    pub nodes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys of the nodes that only versions before the update need.
    pub stale: BTreeSet<Vec<u8>>,
}

/// The tree at `version` after `puts` and `deletes`, on top of the version before.
///
/// `jmt` deletes key by key, but has a batch insertion that hashes every inner node once, in about
/// half the time. So the deletions come first, and the insertions are made on top of their unsaved
/// outcome. The tree's shape depends on its keys alone, so the order does not show in the root.
pub(super) fn update(
    db: &Database,
    base: u64,
    version: u64,
    puts: Vec<(KeyHash, OwnedValue)>,
    deletes: Vec<KeyHash>,
) -> Result<TreeUpdate> {
    let stored = Stored {
        db,
        empty: base == 0,
    };
    let deletes = deletes.into_iter().map(|key| (key, None));
    let (root, deleted) = JellyfishMerkleTree::<_, Sha256>::new(&stored)
        .put_value_set(deletes, version)
        .map_err(tree_error)?;
    let mut stale: BTreeSet<_> = deleted
        .stale_node_index_batch
        .into_iter()
        .map(|index| index.node_key)
        .collect();
    let mut nodes = deleted.node_batch.nodes().clone();
    let mut root = root.0;
    if !puts.is_empty() {
        let unsaved = Unsaved {
            below: &stored,
            version,
            nodes: &deleted.node_batch,
        };
        let (roots, inserted) = JellyfishMerkleTree::<_, Sha256>::new(&unsaved)
            .batch_put_value_sets(vec![puts], None, version)
            .map_err(tree_error)?;
        for index in inserted.stale_node_index_batch {
            // A node that the deletions made and the insertions replaced was never stored.
            if nodes.remove(&index.node_key).is_none() {
                stale.insert(index.node_key);
            }
        }
        nodes.extend(
            inserted
                .node_batch
                .nodes()
                .iter()
                .map(|(key, node)| (key.clone(), node.clone())),
        );
        root = roots
            .first()
            .ok_or_else(|| StoreError::Tree("no root".into()))?
            .0;
    }
    let mut stale: BTreeSet<_> = stale.iter().map(node_key).collect();
    if base > 0 {
        // `jmt` leaves this out when the root stays as it is.
        stale.insert(root_key(base));
    }
    Ok(TreeUpdate {
        root,
        nodes: encode_nodes(&nodes)?,
        stale,
    })
}

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

/// `version ‖ number of nibbles ‖ nibbles`, big-endian: the nodes of a version follow each other.
fn node_key(key: &NodeKey) -> Vec<u8> {
    let path = key.nibble_path();
    let mut bytes = root_key(key.version());
    let mut nibbles = path.nibbles().map(u8::from);
    while let Some(high) = nibbles.next() {
        bytes.push(high << 4 | nibbles.next().unwrap_or(0));
    }
    // At most 64 nibbles: a key hash has 32 bytes.
    bytes[8] = path.num_nibbles() as u8;
    bytes
}

fn root_key(version: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16);
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.push(0);
    bytes
}

fn encode_nodes(nodes: &BTreeMap<NodeKey, Node>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    nodes
        .iter()
        .map(|(key, node)| {
            let node = borsh::to_vec(node).map_err(|error| StoreError::Tree(error.to_string()))?;
            Ok((node_key(key), node))
        })
        .collect()
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

/// The tree of `version` that is not stored yet, seen as the one of the version before.
struct Unsaved<'a> {
    below: &'a Stored<'a>,
    version: u64,
    nodes: &'a NodeBatch,
}

impl TreeReader for Unsaved<'_> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        let node = if key.nibble_path().is_empty() {
            self.nodes
                .get_node(&NodeKey::new(self.version, key.nibble_path().clone()))
        } else if key.version() == self.version {
            self.nodes.get_node(key)
        } else {
            return self.below.get_node_option(key);
        };
        node.cloned().map(Some).ok_or_else(|| {
            StoreError::corrupt(&node_key(key), "a new node of the tree is missing").into()
        })
    }

    fn get_value_option(&self, _: u64, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        anyhow::bail!("an insertion reads no values")
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        self.below.get_rightmost_leaf()
    }
}
