//! Inner nodes of the newest version, in memory.

use std::collections::BTreeMap;

use super::super::error::{Result, StoreError};
use super::change::{Content, NewNode};
use super::child::WIDTH;
use super::inner::Inner;
use super::node::{Node, encode_internal};
use super::path::Path;

/// About the memory that inner nodes may take: more than those of a chain of a million accounts.
const MAX_BYTES: usize = 512 << 20;
/// What the places below a node take.
const BELOW_BYTES: usize = WIDTH * size_of::<Option<Box<Kept>>>();

/// Inner nodes that were written lately, each below the one that it stands under in the tree.
///
/// A version writes all nodes on the way to what it changes, so whatever stands above a node was
/// written with it or later.
#[derive(Default)]
pub(in super::super) struct Memory {
    root: Option<Box<Kept>>,
    /// What all take at most, about; counted anew when it is too much.
    bytes: usize,
}

/// An inner node and those below it.
pub(super) struct Kept {
    /// That wrote it.
    pub version: u64,
    pub inner: Inner,
    /// By their nibbles, as far as they are kept; empty if none ever was.
    below: Vec<Option<Box<Kept>>>,
}

impl Kept {
    /// The node below, if it is kept.
    pub fn below(&self, nibble: usize) -> Option<&Self> {
        self.below.get(nibble)?.as_deref()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.below) + self.inner.heap_bytes()
    }

    /// Makes it the node of another version, and lets go of what stood below it where it has no
    /// inner node any more.
    fn change(&mut self, version: u64, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner);
        self.version = version;
        for (index, below) in self.below.iter_mut().enumerate() {
            let child = self.inner.child(index);
            if child.is_none_or(|child| child.leaves.is_none()) {
                *below = None;
            }
        }
    }

    /// Adds up the bytes of this node and of those below, by the versions that wrote them.
    fn count(&self, by_version: &mut BTreeMap<u64, usize>) {
        *by_version.entry(self.version).or_default() += self.bytes();
        for below in self.below.iter().flatten() {
            below.count(by_version);
        }
    }

    /// Lets go of the nodes below that were written before a version.
    fn forget(&mut self, before: u64) {
        for below in &mut self.below {
            if below.as_ref().is_some_and(|kept| kept.version < before) {
                *below = None;
            }
        }
        for below in self.below.iter_mut().flatten() {
            below.forget(before);
        }
    }
}

impl Memory {
    /// The root, if it is an inner node and kept.
    pub(super) fn root(&self) -> Option<&Kept> {
        self.root.as_deref()
    }

    /// Takes over the inner nodes among those that a version wrote, in the order of their paths, and
    /// hands the key and the stored form of every node to `write`.
    pub fn update(
        &mut self,
        version: u64,
        nodes: Vec<NewNode>,
        mut write: impl FnMut(&[u8], &[u8]),
    ) -> Result<()> {
        let mut bytes = Vec::new();
        for NewNode { path, content } in nodes {
            let key = path.key(version);
            bytes.clear();
            match content {
                Content::Whole(Node::Internal(inner)) => {
                    encode_internal(&inner, &mut bytes);
                    self.put(version, path, inner);
                }
                Content::Whole(node) => {
                    node.encode(&mut bytes);
                    if path == Path::ROOT {
                        *self = Self::default();
                    }
                }
                Content::Patch(patch) => {
                    let kept = self.place(path).and_then(Option::as_mut);
                    let kept = kept.ok_or_else(|| {
                        StoreError::corrupt(&key, "a node that changes is not in memory")
                    })?;
                    kept.change(version, |inner| inner.apply(patch));
                    encode_internal(&kept.inner, &mut bytes);
                }
            }
            write(&key, &bytes);
        }
        if self.bytes > MAX_BYTES {
            self.shrink(MAX_BYTES / 2);
        }
        Ok(())
    }

    fn put(&mut self, version: u64, path: Path, inner: Inner) {
        // Not kept if what stands above it is not.
        match self.place(path) {
            Some(Some(kept)) => kept.change(version, |before| *before = inner),
            Some(place) => {
                let below = Vec::new();
                let kept = place.insert(Box::new(Kept {
                    version,
                    inner,
                    below,
                }));
                self.bytes += kept.bytes() + BELOW_BYTES;
            }
            None => {}
        }
    }

    /// Where the node at a path is kept, or would be.
    fn place(&mut self, path: Path) -> Option<&mut Option<Box<Kept>>> {
        let mut place = &mut self.root;
        for nibble in path.nibbles() {
            let above = place.as_mut()?;
            if above.below.is_empty() {
                above.below.resize_with(WIDTH, || None);
            }
            place = above.below.get_mut(nibble)?;
        }
        Some(place)
    }

    /// Lets go of what was written longest ago, but for `room` bytes and the root.
    pub fn shrink(&mut self, room: usize) {
        let Some(root) = &mut self.root else { return };
        let mut by_version = BTreeMap::new();
        root.count(&mut by_version);
        let mut kept = 0;
        let newest_first = by_version.iter().rev();
        let fitting = newest_first.take_while(|(_, bytes)| {
            kept += **bytes;
            kept <= room
        });
        let oldest = fitting.last().map_or(u64::MAX, |(version, _)| *version);
        root.forget(oldest);
        self.bytes = by_version.range(oldest..).map(|(_, bytes)| bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::super::child::Child;
    use super::*;

    /// A node with inner nodes behind these nibbles.
    fn inner(children: &[usize]) -> Inner {
        let child = Child {
            hash: [1; 32],
            version: 1,
            leaves: Some(2),
        };
        let mut all = [None; WIDTH];
        for index in children {
            all[*index] = Some(child);
        }
        let mut inner = Inner::default();
        inner.apply(inner.patch(u16::MAX, all.to_vec()));
        inner
    }

    fn whole(path: &[usize], children: &[usize]) -> NewNode {
        NewNode {
            path: path
                .iter()
                .fold(Path::ROOT, |path, index| path.child(*index)),
            content: Content::Whole(Node::Internal(inner(children))),
        }
    }

    fn kept(memory: &Memory, path: &[usize]) -> Option<u64> {
        let mut node = memory.root()?;
        for nibble in path {
            node = node.below(*nibble)?;
        }
        Some(node.version)
    }

    #[test]
    fn what_was_written_longest_ago_goes_first() {
        let mut memory = Memory::default();
        let mut update = |version, nodes| memory.update(version, nodes, |_, _| ()).unwrap();
        update(
            1,
            vec![whole(&[], &[1, 2]), whole(&[1], &[]), whole(&[2], &[])],
        );
        update(2, vec![whole(&[], &[1, 2, 3]), whole(&[3], &[])]);
        update(3, vec![whole(&[], &[1, 2, 3]), whole(&[2], &[])]);
        let paths = [&[][..], &[1], &[2], &[3]];
        let now = |memory: &Memory| paths.map(|path| kept(memory, path));
        assert_eq!(now(&memory), [Some(3), Some(1), Some(3), Some(2)]);
        let all = memory.bytes;
        memory.shrink(all);
        assert_eq!(now(&memory), [Some(3), Some(1), Some(3), Some(2)]);
        memory.shrink(memory.bytes - 1);
        assert_eq!(now(&memory), [Some(3), None, Some(3), Some(2)]);
        memory.shrink(memory.bytes - 1);
        assert_eq!(now(&memory), [Some(3), None, Some(3), None]);
        memory.shrink(0);
        assert_eq!(now(&memory), [Some(3), None, None, None]);
    }

    #[test]
    fn what_is_no_inner_node_any_more_is_gone() {
        let mut memory = Memory::default();
        let mut update = |version, nodes| memory.update(version, nodes, |_, _| ());
        update(1, vec![whole(&[], &[1, 2]), whole(&[1], &[])]).unwrap();
        update(2, vec![whole(&[], &[2])]).unwrap();
        let lost = NewNode {
            path: Path::ROOT.child(1),
            content: Content::Patch(inner(&[]).patch(1, vec![None])),
        };
        assert!(update(3, vec![lost]).is_err());
        assert_eq!((kept(&memory, &[]), kept(&memory, &[1])), (Some(2), None));
        let empty = NewNode {
            path: Path::ROOT,
            content: Content::Whole(Node::Null),
        };
        memory.update(4, vec![empty], |_, _| ()).unwrap();
        assert_eq!(kept(&memory, &[]), None);
    }
}
