//! The next version of the tree.
//!
//! One walk over the sorted changes, from the root down and back, reads, writes and hashes every
//! node at most once; below the root it is on all processors. A leaf stands where its key's digest
//! first differs from all others, so the shape of the tree depends on its keys alone.

use std::sync::Arc;

use rayon::prelude::*;

use super::super::db::{self, Database};
use super::super::error::{Result, StoreError};
use super::node::{Child, Children, Hash, Leaf, NO_HASH, Node, hash_of, leaves};
use super::path::Path;

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
    fn nibble(&self, depth: usize) -> usize {
        nibble(&self.key, depth)
    }
}

/// A node that the version writes.
pub(in super::super) struct NewNode {
    path: Path,
    /// Its stored form.
    pub bytes: Arc<[u8]>,
    is_inner: bool,
}

impl NewNode {
    /// Its key in the database.
    pub fn key(&self, version: u64) -> Vec<u8> {
        self.path.key(version)
    }

    /// Where it is kept in memory: an inner node unless it is very deep. A leaf is hardly read
    /// again (see [`Update::change_child`]).
    pub fn place(&self) -> Option<u64> {
        self.path.place().filter(|_| self.is_inner)
    }
}

/// What an update makes of the tree.
pub(in super::super) struct TreeUpdate {
    pub root: Hash,
    /// In the order of their paths.
    pub nodes: Vec<NewNode>,
    /// Keys of the nodes that only versions before the update need.
    pub stale: Vec<Vec<u8>>,
}

/// The tree at `version` after `changes`, on top of the version `base`; 0 for none.
pub(in super::super) fn update(
    db: &Database,
    base: u64,
    version: u64,
    mut changes: Vec<Change>,
) -> Result<TreeUpdate> {
    changes.par_sort_unstable_by_key(|change| change.key);
    let mut update = Update::new(db, version);
    let before = match base {
        0 => Node::Null,
        base => update.take(base, Path::ROOT)?,
    };
    let root = update.change(before, Path::ROOT, &changes)?;
    let root = update.write_root(root);
    update.nodes.par_sort_unstable_by_key(|node| node.path);
    Ok(TreeUpdate {
        root,
        nodes: update.nodes,
        stale: update.stale,
    })
}

/// What stands somewhere after the changes.
enum Subtree {
    Nothing,
    /// Not written yet: it may stand higher up.
    Leaf(Leaf),
    /// Written.
    Internal(Child),
}

struct Update<'a> {
    db: &'a Database,
    version: u64,
    nodes: Vec<NewNode>,
    stale: Vec<Vec<u8>>,
    /// Room to encode a node.
    bytes: Vec<u8>,
}

impl<'a> Update<'a> {
    fn new(db: &'a Database, version: u64) -> Self {
        Self {
            db,
            version,
            nodes: Vec::new(),
            stale: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Reads a node that this version replaces.
    fn take(&mut self, version: u64, path: Path) -> Result<Node> {
        let key = path.key(version);
        let recent = path.place().and_then(|place| self.db.recent().node(place));
        let node = match recent.filter(|row| row.version == version) {
            Some(row) => Node::decode(&key, &row.bytes)?,
            None => self.read(&key)?,
        };
        self.stale.push(key);
        Ok(node)
    }

    fn read(&self, key: &[u8]) -> Result<Node> {
        let bytes = self
            .db
            .rocks()
            .get_pinned_cf(self.db.family(db::TREE)?, key)?
            .ok_or_else(|| StoreError::corrupt(key, "a node of the tree is missing"))?;
        Node::decode(key, &bytes)
    }

    fn write(&mut self, path: Path, node: &Node) {
        self.bytes.clear();
        node.encode(&mut self.bytes);
        self.nodes.push(NewNode {
            path,
            bytes: self.bytes.as_slice().into(),
            is_inner: matches!(node, Node::Internal(_)),
        });
    }

    /// Changes what stands at `path`, where `before` was taken.
    fn change(&mut self, before: Node, path: Path, changes: &[Change]) -> Result<Subtree> {
        match before {
            Node::Null => self.build(path, &puts(changes)),
            Node::Leaf(leaf) => self.build(path, &with_leaf(leaf, changes)),
            Node::Internal(children) => self.change_children(*children, path, changes),
        }
    }

    fn change_children(
        &mut self,
        mut children: Children,
        path: Path,
        changes: &[Change],
    ) -> Result<Subtree> {
        let subtrees = if path == Path::ROOT {
            self.change_side_by_side(&children, changes)?
        } else {
            let of_children = changes.chunk_by(|a, b| a.nibble(path.depth) == b.nibble(path.depth));
            of_children
                .map(|of_child| self.change_below(&children, path, of_child))
                .collect::<Result<_>>()?
        };
        let mut new_leaves = [None; 16];
        for (index, subtree) in subtrees {
            (children[index], new_leaves[index]) = self.child(subtree);
        }
        self.join(children, new_leaves, path)
    }

    /// Changes the subtrees below the root on all processors.
    fn change_side_by_side(
        &mut self,
        children: &Children,
        changes: &[Change],
    ) -> Result<Vec<(usize, Subtree)>> {
        let of_children = changes.par_chunk_by(|a, b| a.nibble(0) == b.nibble(0));
        let parts = of_children.map(|of_child| {
            let mut part = Update::new(self.db, self.version);
            let changed = part.change_below(children, Path::ROOT, of_child)?;
            Ok((changed, part))
        });
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let subtrees = parts.into_iter().map(|(changed, part)| {
            self.nodes.extend(part.nodes);
            self.stale.extend(part.stale);
            changed
        });
        Ok(subtrees.collect())
    }

    /// Changes what stands below the node at `path`, on the way of all these changes.
    fn change_below(
        &mut self,
        children: &Children,
        path: Path,
        changes: &[Change],
    ) -> Result<(usize, Subtree)> {
        let index = changes
            .first()
            .map_or(0, |change| change.nibble(path.depth));
        let below = path.child(index);
        let subtree = match children[index] {
            Some(child) => self.change_child(child, below, changes)?,
            None => self.build(below, &puts(changes))?,
        };
        Ok((index, subtree))
    }

    fn change_child(&mut self, child: Child, path: Path, changes: &[Change]) -> Result<Subtree> {
        // A leaf alone is that of the key which existed: there is no need to read it.
        if child.leaves.is_none() && changes.iter().any(|change| change.existed) {
            self.stale.push(path.key(child.version));
            return self.build(path, &puts(changes));
        }
        let before = self.take(child.version, path)?;
        self.change(before, path, changes)
    }

    /// A tree of nothing but these leaves, which are sorted.
    fn build(&mut self, path: Path, leaves: &[Leaf]) -> Result<Subtree> {
        match leaves {
            [] => return Ok(Subtree::Nothing),
            [leaf] => return Ok(Subtree::Leaf(*leaf)),
            _ => {}
        }
        let (mut children, mut new_leaves) = ([None; 16], [None; 16]);
        for of_child in
            leaves.chunk_by(|a, b| nibble(&a.key, path.depth) == nibble(&b.key, path.depth))
        {
            let Some(index) = of_child.first().map(|leaf| nibble(&leaf.key, path.depth)) else {
                continue;
            };
            let subtree = self.build(path.child(index), of_child)?;
            (children[index], new_leaves[index]) = self.child(subtree);
        }
        self.join(children, new_leaves, path)
    }

    /// A subtree as its parent knows it, and the leaf that it is if it is not written yet.
    fn child(&self, subtree: Subtree) -> (Option<Child>, Option<Leaf>) {
        match subtree {
            Subtree::Nothing => (None, None),
            Subtree::Internal(child) => (Some(child), None),
            Subtree::Leaf(leaf) => {
                let child = Child {
                    hash: leaf.hash(),
                    version: self.version,
                    leaves: None,
                };
                (Some(child), Some(leaf))
            }
        }
    }

    /// The inner node of these children, unless it has none, or a leaf alone.
    fn join(
        &mut self,
        children: Children,
        new_leaves: [Option<Leaf>; 16],
        path: Path,
    ) -> Result<Subtree> {
        let mut present = children
            .iter()
            .enumerate()
            .filter_map(|(index, child)| Some((index, (*child)?)));
        match (present.next(), present.next()) {
            (None, _) => return Ok(Subtree::Nothing),
            (Some((index, child)), None) if child.leaves.is_none() => {
                let leaf = match new_leaves[index] {
                    Some(leaf) => leaf,
                    None => self.take_leaf(child.version, path.child(index))?,
                };
                return Ok(Subtree::Leaf(leaf));
            }
            _ => {}
        }
        for (index, leaf) in new_leaves.into_iter().enumerate() {
            if let Some(leaf) = leaf {
                self.write(path.child(index), &Node::Leaf(leaf));
            }
        }
        self.write(path, &Node::Internal(Box::new(children)));
        Ok(Subtree::Internal(Child {
            hash: hash_of(&children),
            version: self.version,
            leaves: Some(leaves(&children)),
        }))
    }

    /// A leaf that did not change, but is left alone.
    fn take_leaf(&mut self, version: u64, path: Path) -> Result<Leaf> {
        match self.take(version, path)? {
            Node::Leaf(leaf) => Ok(leaf),
            _ => Err(StoreError::corrupt(
                &path.key(version),
                "not a leaf of the tree",
            )),
        }
    }

    /// Every version has a root of its own. Returns its hash.
    fn write_root(&mut self, root: Subtree) -> Hash {
        match root {
            Subtree::Nothing => {
                self.write(Path::ROOT, &Node::Null);
                NO_HASH
            }
            Subtree::Leaf(leaf) => {
                self.write(Path::ROOT, &Node::Leaf(leaf));
                leaf.hash()
            }
            Subtree::Internal(child) => child.hash,
        }
    }
}

/// The nibble of a digest below a node of this depth.
fn nibble(key: &Hash, depth: usize) -> usize {
    // Two different digests part before the end.
    let byte = key.get(depth / 2).copied().unwrap_or(0);
    usize::from(byte >> (4 * (1 - depth % 2)) & 0x0f)
}

fn puts(changes: &[Change]) -> Vec<Leaf> {
    let put = |change: &Change| {
        Some(Leaf {
            key: change.key,
            value: change.value?,
        })
    };
    changes.iter().filter_map(put).collect()
}

/// The leaves after the changes where only `leaf` was before.
fn with_leaf(leaf: Leaf, changes: &[Change]) -> Vec<Leaf> {
    let mut leaves = puts(changes);
    if let Err(place) = changes.binary_search_by_key(&leaf.key, |change| change.key) {
        let before = changes.iter().take(place);
        let place = before.filter(|change| change.value.is_some()).count();
        leaves.insert(place, leaf);
    }
    leaves
}
