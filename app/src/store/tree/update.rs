//! The next version of the tree.
//!
//! One walk over the sorted changes, from the root down and back, reads, writes and hashes every
//! node at most once; below the root it is on all processors. A leaf stands where its key's digest
//! first differs from all others, so the shape of the tree depends on its keys alone.

use std::borrow::Cow;

use rayon::prelude::*;

use super::super::db::{self, Database};
use super::super::error::{Result, StoreError};
use super::change::{Change, Content, NewNode};
use super::child::{Child, Hash, NO_HASH};
use super::inner::{Inner, bits};
use super::memory::{Kept, Memory};
use super::node::{Leaf, Node};
use super::path::{Path, nibble};
use super::warm::{TOGETHER, warm};

/// About how many nodes a changed key has for itself in a large tree.
const NODES_PER_CHANGE: usize = 3;
/// Nodes that there is room for from the start at most.
const MAX_ROOM: usize = 1 << 16;

/// What an update makes of the tree.
pub(in super::super) struct TreeUpdate {
    pub root: Hash,
    parts: Vec<Written>,
}

/// What a part of the tree becomes.
#[derive(Default)]
struct Written {
    nodes: Vec<NewNode>,
    /// Nodes that only versions before the update need.
    stale: Vec<(u64, Path)>,
}

impl TreeUpdate {
    /// All nodes, in the order of their paths, and the keys of those that only versions before the
    /// update need.
    pub fn into_rows(self) -> (Vec<NewNode>, Vec<Vec<u8>>) {
        let (mut nodes, mut stale) = (Vec::new(), Vec::new());
        for part in self.parts {
            nodes.extend(part.nodes);
            stale.extend(part.stale.iter().map(|(version, path)| path.key(*version)));
        }
        nodes.sort_unstable_by_key(|node| node.path);
        (nodes, stale)
    }
}

/// The tree at `version` after `changes`, on top of the version `base`; 0 for none. `memory` has
/// nodes of `base`.
pub(in super::super) fn update(
    db: &Database,
    memory: &Memory,
    base: u64,
    version: u64,
    mut changes: Vec<Change>,
) -> Result<TreeUpdate> {
    changes.par_sort_unstable_by_key(|change| change.key);
    let mut update = Update::new(db, version, 0);
    let root = match base {
        0 => update.put(Path::ROOT, &changes)?,
        base => update.change(base, memory.root(), Path::ROOT, &changes)?,
    };
    let root = update.write_root(root);
    update.parts.push(update.written);
    Ok(TreeUpdate {
        root,
        parts: update.parts,
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

/// An inner node, some of whose children change.
struct Changed<'a> {
    before: Cow<'a, Inner>,
    /// A bit for each that changes.
    bits: u16,
    /// What becomes of these, in their order.
    children: Vec<Option<Child>>,
    /// Those of them that are leaves, and not written yet, by their nibbles.
    new_leaves: Vec<(usize, Leaf)>,
}

impl<'a> Changed<'a> {
    fn of(before: Cow<'a, Inner>) -> Self {
        Self {
            before,
            bits: 0,
            children: Vec::with_capacity(1),
            new_leaves: Vec::new(),
        }
    }

    /// Puts what became of a child into its place, one after the other in the order of the nibbles.
    fn push(&mut self, index: usize, subtree: Subtree, version: u64) {
        self.bits |= 1 << index;
        self.children.push(match subtree {
            Subtree::Nothing => None,
            Subtree::Internal(child) => Some(child),
            Subtree::Leaf(leaf) => {
                self.new_leaves.push((index, leaf));
                Some(Child {
                    hash: leaf.hash(),
                    version,
                    leaves: None,
                })
            }
        });
    }

    /// The children after the change, those first that do not change.
    fn children(&self) -> impl Iterator<Item = (usize, Child)> {
        let kept = bits(self.before.present() & !self.bits);
        let kept = kept.filter_map(|index| Some((index, self.before.child(index)?)));
        let new = bits(self.bits).zip(&self.children);
        kept.chain(new.filter_map(|(index, child)| Some((index, (*child)?))))
    }
}

struct Update<'a> {
    db: &'a Database,
    version: u64,
    written: Written,
    /// What stands here and below was fetched from memory.
    warm: bool,
    /// What was written by others.
    parts: Vec<Written>,
}

impl<'a> Update<'a> {
    /// An update that is going to change this many keys.
    fn new(db: &'a Database, version: u64, changes: usize) -> Self {
        let room = changes.saturating_mul(NODES_PER_CHANGE).min(MAX_ROOM);
        Self {
            db,
            version,
            written: Written {
                nodes: Vec::with_capacity(room),
                stale: Vec::with_capacity(room),
            },
            warm: false,
            parts: Vec::new(),
        }
    }

    fn read(&self, version: u64, path: Path) -> Result<Node> {
        let key = path.key(version);
        let bytes = self
            .db
            .rocks()
            .get_pinned_cf(self.db.family(db::TREE)?, &key)?
            .ok_or_else(|| StoreError::corrupt(&key, "a node of the tree is missing"))?;
        Node::decode(&key, &bytes)
    }

    fn write(&mut self, path: Path, content: Content) {
        self.written.nodes.push(NewNode { path, content });
    }

    /// Changes what stands at `path`, where `version` wrote a node.
    fn change(
        &mut self,
        version: u64,
        kept: Option<&Kept>,
        path: Path,
        changes: &[Change],
    ) -> Result<Subtree> {
        self.written.stale.push((version, path));
        if let Some(kept) = kept.filter(|kept| kept.version == version) {
            return self.change_inner(Cow::Borrowed(&kept.inner), Some(kept), path, changes);
        }
        match self.read(version, path)? {
            Node::Null => self.put(path, changes),
            Node::Leaf(leaf) => self.build(path, &with_leaf(leaf, changes)),
            Node::Internal(inner) => self.change_inner(Cow::Owned(inner), None, path, changes),
        }
    }

    fn change_inner(
        &mut self,
        before: Cow<'_, Inner>,
        kept: Option<&Kept>,
        path: Path,
        changes: &[Change],
    ) -> Result<Subtree> {
        let mut node = Changed::of(before);
        if path == Path::ROOT {
            for (index, subtree) in self.change_side_by_side(&node.before, kept, changes)? {
                node.push(index, subtree, self.version);
            }
        } else {
            let cold = kept.filter(|_| !self.warm && changes.len() <= TOGETHER);
            if let Some(kept) = cold {
                warm(kept, path.depth, changes);
                self.warm = true;
            }
            for of_child in changes.chunk_by(|a, b| a.nibble(path.depth) == b.nibble(path.depth)) {
                let (index, subtree) = self.change_below(&node.before, kept, path, of_child)?;
                node.push(index, subtree, self.version);
            }
            self.warm &= cold.is_none();
        }
        self.join(node, path)
    }

    /// Changes the subtrees below the root on all processors.
    fn change_side_by_side(
        &mut self,
        before: &Inner,
        kept: Option<&Kept>,
        changes: &[Change],
    ) -> Result<Vec<(usize, Subtree)>> {
        let of_children = changes.par_chunk_by(|a, b| a.nibble(0) == b.nibble(0));
        let parts = of_children.map(|of_child| {
            let mut part = Update::new(self.db, self.version, of_child.len());
            let changed = part.change_below(before, kept, Path::ROOT, of_child)?;
            Ok((changed, part.written))
        });
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let subtrees = parts.into_iter().map(|(changed, written)| {
            self.parts.push(written);
            changed
        });
        Ok(subtrees.collect())
    }

    /// Changes what stands below the node at `path`, on the way of all these changes.
    fn change_below(
        &mut self,
        before: &Inner,
        kept: Option<&Kept>,
        path: Path,
        changes: &[Change],
    ) -> Result<(usize, Subtree)> {
        let index = changes
            .first()
            .map_or(0, |change| change.nibble(path.depth));
        let below = path.child(index);
        let subtree = match before.child(index) {
            Some(child) => {
                let kept = kept.and_then(|kept| kept.below(index));
                self.change_child(child, kept, below, changes)?
            }
            None => self.put(below, changes)?,
        };
        Ok((index, subtree))
    }

    fn change_child(
        &mut self,
        child: Child,
        kept: Option<&Kept>,
        path: Path,
        changes: &[Change],
    ) -> Result<Subtree> {
        // A leaf alone is that of the key which existed: there is no need to read it.
        if child.leaves.is_none() && changes.iter().any(|change| change.existed) {
            self.written.stale.push((child.version, path));
            return self.put(path, changes);
        }
        self.change(child.version, kept, path, changes)
    }

    /// A tree of nothing but what these changes put.
    fn put(&mut self, path: Path, changes: &[Change]) -> Result<Subtree> {
        match changes {
            [change] => Ok(change.leaf().map_or(Subtree::Nothing, Subtree::Leaf)),
            _ => self.build(path, &puts(changes)),
        }
    }

    /// A tree of nothing but these leaves, which are sorted.
    fn build(&mut self, path: Path, leaves: &[Leaf]) -> Result<Subtree> {
        match leaves {
            [] => return Ok(Subtree::Nothing),
            [leaf] => return Ok(Subtree::Leaf(*leaf)),
            _ => {}
        }
        let mut node = Changed::of(Cow::default());
        for of_child in
            leaves.chunk_by(|a, b| nibble(&a.key, path.depth) == nibble(&b.key, path.depth))
        {
            let Some(index) = of_child.first().map(|leaf| nibble(&leaf.key, path.depth)) else {
                continue;
            };
            let subtree = self.build(path.child(index), of_child)?;
            node.push(index, subtree, self.version);
        }
        self.join(node, path)
    }

    /// The inner node of these children, unless it has none, or a leaf alone.
    fn join(&mut self, node: Changed<'_>, path: Path) -> Result<Subtree> {
        let first_two = {
            let mut children = node.children();
            (children.next(), children.next())
        };
        match first_two {
            (None, _) => return Ok(Subtree::Nothing),
            (Some((index, child)), None) if child.leaves.is_none() => {
                let leaf = match node.new_leaves.first() {
                    Some((_, leaf)) => *leaf,
                    None => self.take_leaf(child.version, path.child(index))?,
                };
                return Ok(Subtree::Leaf(leaf));
            }
            _ => {}
        }
        for (index, leaf) in node.new_leaves {
            self.write(path.child(index), Content::Whole(Node::Leaf(leaf)));
        }
        let patch = node.before.patch(node.bits, node.children);
        let child = Child {
            hash: patch.hash,
            version: self.version,
            leaves: Some(patch.leaves),
        };
        let content = match node.before {
            Cow::Borrowed(_) => Content::Patch(patch),
            Cow::Owned(mut inner) => {
                inner.apply(patch);
                Content::Whole(Node::Internal(inner))
            }
        };
        self.write(path, content);
        Ok(Subtree::Internal(child))
    }

    /// A leaf that did not change, but is left alone.
    fn take_leaf(&mut self, version: u64, path: Path) -> Result<Leaf> {
        self.written.stale.push((version, path));
        match self.read(version, path)? {
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
                self.write(Path::ROOT, Content::Whole(Node::Null));
                NO_HASH
            }
            Subtree::Leaf(leaf) => {
                self.write(Path::ROOT, Content::Whole(Node::Leaf(leaf)));
                leaf.hash()
            }
            Subtree::Internal(child) => child.hash,
        }
    }
}

fn puts(changes: &[Change]) -> Vec<Leaf> {
    changes.iter().filter_map(Change::leaf).collect()
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
