//! Inner nodes in memory, and how one becomes the next.

use super::child::{Child, Children, Hash, INTERNAL_DOMAIN, NO_HASH, WIDTH, hash};

/// With more children than this, an inner node keeps the hashes between it and them.
const FEW: usize = 4;

/// An inner node, in little memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Inner {
    /// The children there are, in their order.
    children: Box<[Child]>,
    /// A bit for each.
    present: u16,
    /// A bit for each that is a leaf.
    leaf: u16,
    /// Leaves below it.
    leaves: u64,
    /// None with few children, and where they are not known.
    hashes: Option<Box<Hashes>>,
}

/// The hashes of the binary tree between an inner node and its children, from its root on: below
/// the one at index `i` are those at `2 * i + 1` and `2 * i + 2`.
type Hashes = [Hash; HASHES];

const HASHES: usize = WIDTH - 1;

/// What makes an inner node of another.
///
/// Of a large tree most nodes are in no cache of the processor, so the next version is computed
/// without a copy of them.
#[derive(Debug)]
pub(super) struct Patch {
    /// A bit for each child that changes.
    changed: u16,
    /// What becomes of these, in their order.
    children: Vec<Option<Child>>,
    /// The hashes that change, by their indexes; none if the new node keeps none.
    hashes: Vec<(u8, Hash)>,
    /// Leaves below the new node.
    pub leaves: u64,
    /// The hash of the new node.
    pub hash: Hash,
}

impl PartialEq for Inner {
    fn eq(&self, other: &Self) -> bool {
        // All else follows from the children.
        self.children() == other.children()
    }
}

impl Eq for Inner {}

impl Inner {
    /// The child behind a nibble.
    pub fn child(&self, index: usize) -> Option<Child> {
        self.find(index).copied()
    }

    fn find(&self, index: usize) -> Option<&Child> {
        match self.present >> index & 1 {
            1 => self.children.get(rank(self.present, index)),
            _ => None,
        }
    }

    /// The version of the child behind a nibble.
    pub fn child_version(&self, index: usize) -> Option<u64> {
        self.find(index).map(|child| child.version)
    }

    /// The first byte of a hash between the node and its children, if it is known.
    pub fn hash_start(&self, index: usize) -> Option<u8> {
        Some(self.hashes.as_ref()?.get(index)?[0])
    }

    /// The children by their nibbles.
    pub fn children(&self) -> Children {
        std::array::from_fn(|index| self.child(index))
    }

    /// The number of children.
    pub fn count(&self) -> u64 {
        self.children.len() as u64
    }

    /// Leaves below it.
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// About the memory that it takes beside itself, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let hashes = self.hashes.as_ref().map_or(0, |_| size_of::<Hashes>());
        size_of_val(&*self.children) + hashes
    }

    /// A bit for each child there is.
    pub fn present(&self) -> u16 {
        self.present
    }

    /// What makes another node of this one: where `changed` has a bit it has the next one of
    /// `children`.
    pub fn patch(&self, changed: u16, children: Vec<Option<Child>>) -> Patch {
        let mut leaves = self.leaves;
        for (index, child) in bits(changed).zip(&children) {
            leaves = leaves
                .saturating_add(child.map_or(0, Child::leaves))
                .saturating_sub(self.child(index).map_or(0, Child::leaves));
        }
        let mut between = Between::new(self, changed, &children);
        Patch {
            changed,
            leaves,
            hash: between.hash(0, 0, WIDTH),
            hashes: between.hashes,
            children,
        }
    }

    /// Makes it the node that the patch was made for.
    pub fn apply(&mut self, patch: Patch) {
        self.replace(patch.changed, &patch.children);
        if self.hashes.is_none() && self.children.len() > FEW {
            // Without any before, the patch has all.
            self.hashes = Some(Box::new([NO_HASH; HASHES]));
        }
        if let Some(hashes) = &mut self.hashes {
            for (index, hash) in patch.hashes {
                hashes[usize::from(index)] = hash;
            }
        }
    }

    /// Replaces children, but no hashes.
    fn replace(&mut self, changed: u16, children: &[Option<Child>]) {
        let mut all = self.children();
        for (index, child) in bits(changed).zip(children) {
            all[index] = *child;
        }
        *self = Self {
            hashes: self.hashes.take(),
            ..Self::of(&all)
        };
    }

    /// A node whose hashes are not known.
    pub fn of(children: &Children) -> Self {
        let mut node = Self::default();
        let mut list = Vec::with_capacity(children.iter().flatten().count());
        for (index, child) in children.iter().enumerate() {
            let Some(child) = child else { continue };
            list.push(*child);
            node.present |= 1 << index;
            node.leaf |= u16::from(child.leaves.is_none()) << index;
            node.leaves = node.leaves.saturating_add(child.leaves());
        }
        node.children = list.into();
        node
    }
}

/// How many bits are set below an index.
fn rank(bits: u16, index: usize) -> usize {
    (bits & !(u16::MAX << index)).count_ones() as usize
}

/// The indexes of bits that are set, in their order.
pub(super) fn bits(of: u16) -> impl Iterator<Item = usize> {
    let mut left = of;
    std::iter::from_fn(move || {
        let index = left.trailing_zeros() as usize;
        // Clears the lowest one.
        left &= left.checked_sub(1)?;
        Some(index)
    })
}

/// The hashes between an inner node and its children, some of which change.
struct Between<'a> {
    before: &'a Inner,
    changed: u16,
    /// What becomes of those that change.
    new: &'a [Option<Child>],
    /// A bit for each child after the change.
    present: u16,
    /// A bit for each that is a leaf then.
    leaf: u16,
    /// Whether the node keeps hashes after the change.
    keeps_hashes: bool,
    /// Those that change, if it does.
    hashes: Vec<(u8, Hash)>,
}

impl<'a> Between<'a> {
    fn new(before: &'a Inner, changed: u16, new: &'a [Option<Child>]) -> Self {
        let (mut present, mut leaf) = (before.present & !changed, before.leaf & !changed);
        for (index, child) in bits(changed).zip(new) {
            if let Some(child) = child {
                present |= 1 << index;
                leaf |= u16::from(child.leaves.is_none()) << index;
            }
        }
        let keeps_hashes = before.hashes.is_some() || present.count_ones() as usize > FEW;
        let room = match (&before.hashes, keeps_hashes) {
            (_, false) => 0,
            (None, true) => HASHES,
            (Some(_), true) => HASHES.min((changed.count_ones() * WIDTH.ilog2()) as usize),
        };
        Self {
            before,
            changed,
            new,
            present,
            leaf,
            keeps_hashes,
            hashes: Vec::with_capacity(room),
        }
    }

    /// The hash of the binary tree over `width` children from `first` on, in which a leaf stands as
    /// high as it is alone. Where nothing changes it is taken from the node before, if that has it.
    fn hash(&mut self, index: usize, first: usize, width: usize) -> Hash {
        if width == 1 {
            return self.child(first).map_or(NO_HASH, |child| child.hash);
        }
        let range = !(u16::MAX.checked_shl(width as u32).unwrap_or(0)) << first;
        if let Some(known) = &self.before.hashes
            && self.changed & range == 0
        {
            return known[index];
        }
        let half = width / 2;
        let left = self.hash(2 * index + 1, first, half);
        let right = self.hash(2 * index + 2, first + half, half);
        let present = self.present & range;
        let hash = match present.count_ones() {
            0 => NO_HASH,
            1 if self.leaf & present != 0 => {
                let alone = self.child(present.trailing_zeros() as usize);
                alone.map_or(NO_HASH, |leaf| leaf.hash)
            }
            _ => hash(INTERNAL_DOMAIN, &left, &right),
        };
        if self.keeps_hashes {
            self.hashes.push((index as u8, hash));
        }
        hash
    }

    fn child(&self, index: usize) -> Option<Child> {
        match self.changed >> index & 1 {
            1 => *self.new.get(rank(self.changed, index))?,
            _ => self.before.child(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::child::tests::child;
    use super::*;

    proptest! {
        /// What is known of a node, or not, changes nothing of what becomes of it.
        #[test]
        fn patches_make_the_node_that_was_meant(
            changes in prop::collection::vec((
                prop::array::uniform16(prop::option::of(child())),
                prop_oneof![any::<u16>(), any::<u16>().prop_map(|bits| bits & 0x0101)],
            ), 1..8),
        ) {
            let mut node = Inner::default();
            let mut children = [None; WIDTH];
            for (new, changed) in changes {
                let new: Vec<_> = bits(changed).map(|index| new[index]).collect();
                for (index, child) in bits(changed).zip(&new) {
                    children[index] = *child;
                }
                let patch = node.patch(changed, new.clone());
                let whole = Inner::default().patch(u16::MAX, children.to_vec());
                prop_assert_eq!((patch.hash, patch.leaves), (whole.hash, whole.leaves));
                let unknown = Inner::of(&node.children()).patch(changed, new);
                prop_assert_eq!(unknown.hash, whole.hash);

                node.apply(patch);
                prop_assert_eq!(node.children(), children);
                prop_assert_eq!(node.leaves, whole.leaves);
                let mut anew = Inner::default();
                anew.apply(whole);
                if anew.hashes.is_some() {
                    prop_assert_eq!(&node.hashes, &anew.hashes);
                }
            }
        }
    }
}
