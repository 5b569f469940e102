//! What an update is given, and what it writes.

use super::child::Hash;
use super::inner::Patch;
use super::node::{Leaf, Node};
use super::path::{Path, nibble};

/// What happens to a key.
#[derive(Clone, Copy)]
pub(in super::super) struct Change {
    /// Its digest.
    pub key: Hash,
    /// Whether it is in the tree before.
    pub existed: bool,
    /// The digest of its value; `None`: deleted.
    pub value: Option<Hash>,
}

impl Change {
    /// Where its way goes on below a node at `depth`.
    pub(super) fn nibble(&self, depth: usize) -> usize {
        nibble(&self.key, depth)
    }

    /// What stands for the key; `None`: nothing.
    pub(super) fn leaf(&self) -> Option<Leaf> {
        Some(Leaf {
            key: self.key,
            value: self.value?,
        })
    }
}

/// A node that the version writes.
pub(in super::super) struct NewNode {
    pub(super) path: Path,
    pub(super) content: Content,
}

/// What stands in a new node.
pub(super) enum Content {
    Whole(Node),
    /// What makes it of the inner node in memory.
    Patch(Patch),
}
