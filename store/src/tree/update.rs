//! The next version of the tree.
//!
//! One walk over the sorted updates, from the root down and back, reads, writes and hashes every
//! node at most once; below the root it runs in parallel. A leaf is where its key's digest first
//! differs from all others, so the shape of the tree depends on its keys alone.

use std::sync::Arc;

use rayon::prelude::*;

use super::node::{Child, Hash, InnerNode, Leaf, NO_HASH, Node, TreeTop, WIDTH, leaves};
use super::path::{Path, nibble};
use crate::error::{Result, StoreError};
use crate::limits::TREE_TOP_DEPTH;
use crate::rows::{Database, db};

/// A write of a key.
#[derive(Clone, Copy)]
pub(crate) struct KeyUpdate {
    /// The digest of the key.
    pub key: Hash,
    /// Whether the key is in the tree before.
    pub existed: bool,
    /// The digest of the value; `None`: deleted.
    pub value: Option<Hash>,
}

impl KeyUpdate {
    /// The nibble of the key below a node at `depth`.
    fn nibble(&self, depth: usize) -> usize {
        nibble(&self.key, depth)
    }

    /// The leaf of the key; `None` if it is deleted.
    fn leaf(&self) -> Option<Leaf> {
        Some(Leaf {
            key: self.key,
            value: self.value?,
        })
    }
}

/// The result of an update: the rows of the new nodes, and the keys of those that only older
/// versions need.
pub(crate) struct TreeUpdate {
    pub root: Hash,
    pub top: TreeTop,
    pub nodes: Vec<NodeRow>,
    pub stale: Vec<Vec<u8>>,
}

/// The key and the stored form of a node.
pub(crate) type NodeRow = (Vec<u8>, Vec<u8>);

/// The tree at `version` after `updates`, on top of the version `base`; 0 for none. `top` is used if
/// it is that of `base`.
pub(crate) fn update(
    db: &Database,
    top: &TreeTop,
    base: u64,
    version: u64,
    mut updates: Vec<KeyUpdate>,
) -> Result<TreeUpdate> {
    updates.par_sort_unstable_by_key(|update| update.key);
    let mut walk = Walk::new(db, version);
    let root = match base {
        0 => walk.put(Path::ROOT, &updates)?,
        base => walk.change(base, top.as_deref(), Path::ROOT, &updates)?,
    };
    let (root, top) = walk.write_root(root);
    // RocksDB inserts rows faster in the order of their keys.
    walk.nodes.par_sort_unstable();
    Ok(TreeUpdate {
        root,
        top,
        nodes: walk.nodes,
        stale: walk.stale,
    })
}

/// The subtree at a path after the updates.
enum Subtree {
    Empty,
    /// Not written yet: it may move up.
    Leaf(Leaf),
    /// Written.
    Internal(Child, TreeTop),
}

/// A walk through the tree or through a part of it.
struct Walk<'a> {
    db: &'a Database,
    version: u64,
    nodes: Vec<NodeRow>,
    stale: Vec<Vec<u8>>,
}

impl<'a> Walk<'a> {
    fn new(db: &'a Database, version: u64) -> Self {
        Self {
            db,
            version,
            nodes: Vec::new(),
            stale: Vec::new(),
        }
    }

    /// Changes the subtree at `path`, whose node `version` wrote.
    fn change(
        &mut self,
        version: u64,
        node: Option<&InnerNode>,
        path: Path,
        updates: &[KeyUpdate],
    ) -> Result<Subtree> {
        let node = match node.filter(|node| node.version == version) {
            Some(node) => {
                self.stale.push(path.key(version));
                node.clone()
            }
            None => match self.take(version, path)? {
                Node::Null => return self.put(path, updates),
                Node::Leaf(leaf) => return self.build(path, &with_leaf(leaf, updates)),
                Node::Internal(children) => InnerNode::new(children),
            },
        };
        let changed = self.change_children(&node, path, updates)?;
        self.join(node, changed, path)
    }

    /// Changes the subtrees below an inner node, at the root in parallel.
    fn change_children(
        &mut self,
        node: &InnerNode,
        path: Path,
        updates: &[KeyUpdate],
    ) -> Result<Vec<(usize, Subtree)>> {
        let same_child =
            |a: &KeyUpdate, b: &KeyUpdate| a.nibble(path.depth) == b.nibble(path.depth);
        if path != Path::ROOT {
            let of_children = updates.chunk_by(same_child);
            return of_children
                .map(|of_child| self.change_child(node, path, of_child))
                .collect();
        }
        let (db, version) = (self.db, self.version);
        let walks = updates.par_chunk_by(same_child).map(|of_child| {
            let mut walk = Walk::new(db, version);
            let changed = walk.change_child(node, path, of_child)?;
            Ok((changed, walk))
        });
        let walks = walks.collect::<Result<Vec<_>>>()?;
        let changed = walks.into_iter().map(|(changed, walk)| {
            self.nodes.extend(walk.nodes);
            self.stale.extend(walk.stale);
            changed
        });
        Ok(changed.collect())
    }

    /// Changes the subtree below one child of the node at `path`.
    fn change_child(
        &mut self,
        node: &InnerNode,
        path: Path,
        updates: &[KeyUpdate],
    ) -> Result<(usize, Subtree)> {
        let index = updates
            .first()
            .map_or(0, |update| update.nibble(path.depth));
        let path = path.child(index);
        let subtree = match node.children[index] {
            None => self.put(path, updates)?,
            // A leaf is that of the key which existed: it is replaced without being read.
            Some(child) if child.leaves.is_none() && updates.iter().any(|key| key.existed) => {
                self.stale.push(path.key(child.version));
                self.put(path, updates)?
            }
            Some(child) => {
                self.change(child.version, node.below[index].as_deref(), path, updates)?
            }
        };
        Ok((index, subtree))
    }

    /// The subtree of the keys that these updates put.
    fn put(&mut self, path: Path, updates: &[KeyUpdate]) -> Result<Subtree> {
        match updates {
            [update] => Ok(update.leaf().map_or(Subtree::Empty, Subtree::Leaf)),
            _ => self.build(path, &puts(updates)),
        }
    }

    /// The subtree of these leaves, which are sorted.
    fn build(&mut self, path: Path, leaves: &[Leaf]) -> Result<Subtree> {
        match leaves {
            [] => return Ok(Subtree::Empty),
            [leaf] => return Ok(Subtree::Leaf(*leaf)),
            _ => {}
        }
        let index = |leaf: &Leaf| nibble(&leaf.key, path.depth);
        let mut built = Vec::new();
        for of_child in leaves.chunk_by(|a, b| index(a) == index(b)) {
            let index = of_child.first().map_or(0, index);
            built.push((index, self.build(path.child(index), of_child)?));
        }
        self.join(InnerNode::new([None; WIDTH]), built, path)
    }

    /// Puts changed subtrees below the inner node at `path`. The node goes if nothing or a single
    /// leaf is left below it.
    fn join(
        &mut self,
        mut node: InnerNode,
        changed: Vec<(usize, Subtree)>,
        path: Path,
    ) -> Result<Subtree> {
        let (mut bits, mut new_leaves) = (0, Vec::new());
        for (index, subtree) in changed {
            bits |= 1 << index;
            node.below[index] = None;
            node.children[index] = match subtree {
                Subtree::Empty => None,
                Subtree::Internal(child, below) => {
                    node.below[index] = below;
                    Some(child)
                }
                Subtree::Leaf(leaf) => {
                    new_leaves.push((index, leaf));
                    Some(Child {
                        hash: leaf.hash(),
                        version: self.version,
                        leaves: None,
                    })
                }
            };
        }
        let children = node.children.iter().enumerate();
        let mut present = children.filter_map(|(index, child)| Some((index, (*child)?)));
        match (present.next(), present.next()) {
            (None, _) => return Ok(Subtree::Empty),
            (Some((index, child)), None) if child.leaves.is_none() => {
                let leaf = match new_leaves.first() {
                    Some((_, leaf)) => *leaf,
                    None => self.take_leaf(child.version, path.child(index))?,
                };
                return Ok(Subtree::Leaf(leaf));
            }
            _ => {}
        }
        for (index, leaf) in new_leaves {
            self.write(path.child(index), &Node::Leaf(leaf));
        }
        node.version = self.version;
        let child = Child {
            hash: node.rehash(bits),
            version: self.version,
            leaves: Some(leaves(&node.children)),
        };
        self.write(path, &Node::Internal(node.children));
        let node = (path.depth <= TREE_TOP_DEPTH).then(|| Arc::new(node));
        Ok(Subtree::Internal(child, node))
    }

    /// Every version has a root of its own. Returns its hash.
    fn write_root(&mut self, root: Subtree) -> (Hash, TreeTop) {
        match root {
            Subtree::Empty => {
                self.write(Path::ROOT, &Node::Null);
                (NO_HASH, None)
            }
            Subtree::Leaf(leaf) => {
                self.write(Path::ROOT, &Node::Leaf(leaf));
                (leaf.hash(), None)
            }
            Subtree::Internal(child, node) => (child.hash, node),
        }
    }

    fn write(&mut self, path: Path, node: &Node) {
        self.nodes.push((path.key(self.version), node.encode()));
    }

    /// Reads a node that the new version does not have.
    fn take(&mut self, version: u64, path: Path) -> Result<Node> {
        let key = path.key(version);
        let family = self.db.family(db::TREE)?;
        let bytes = self.db.rocks().get_pinned_cf(family, &key)?;
        let bytes =
            bytes.ok_or_else(|| StoreError::corrupt(&key, "a node of the tree is missing"))?;
        let node = Node::decode(&key, &bytes)?;
        self.stale.push(key);
        Ok(node)
    }

    /// Reads an unchanged leaf that moves up.
    fn take_leaf(&mut self, version: u64, path: Path) -> Result<Leaf> {
        match self.take(version, path)? {
            Node::Leaf(leaf) => Ok(leaf),
            _ => Err(StoreError::corrupt(
                &path.key(version),
                "not a leaf of the tree",
            )),
        }
    }
}

fn puts(updates: &[KeyUpdate]) -> Vec<Leaf> {
    updates.iter().filter_map(KeyUpdate::leaf).collect()
}

/// The leaves after the updates where only `leaf` was before.
fn with_leaf(leaf: Leaf, updates: &[KeyUpdate]) -> Vec<Leaf> {
    let mut leaves = puts(updates);
    if let Err(place) = updates.binary_search_by_key(&leaf.key, |update| update.key) {
        let before = updates.iter().take(place);
        let place = before.filter(|update| update.value.is_some()).count();
        leaves.insert(place, leaf);
    }
    leaves
}
