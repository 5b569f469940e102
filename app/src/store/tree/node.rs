//! Nodes of the tree: how they are stored, and their hashes.
//!
//! Both are those of `jmt`, which reads the same nodes to prove values.

use sha2::{Digest, Sha256};

use super::super::error::{Result, StoreError};

pub(super) type Hash = [u8; 32];

/// The hash of nothing.
pub(super) const NO_HASH: Hash = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";

const LEAF_DOMAIN: &[u8] = b"JMT::LeafNode";
/// Without an "e", to have 16 bytes.
const INTERNAL_DOMAIN: &[u8] = b"JMT::IntrnalNode";
const MAX_DOMAIN: usize = 16;

/// First byte of a stored node.
const NULL: u8 = 0;
const INTERNAL: u8 = 1;
const LEAF: u8 = 2;

/// Children of an inner node at most.
pub(super) const WIDTH: usize = 16;
/// With more children than this, an inner node keeps the hashes between it and them.
const FEW: usize = 4;

/// A node in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// The root of an empty tree.
    Null,
    Leaf(Leaf),
    Internal(Inner),
}

/// Digests of a key and of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub key: Hash,
    pub value: Hash,
}

/// The nodes below an inner node, by the next nibble of the key's digest.
pub(super) type Children = [Option<Child>; WIDTH];

/// What an inner node knows of a node below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Child {
    pub hash: Hash,
    /// The version that wrote it.
    pub version: u64,
    /// Leaves below it; none for a leaf.
    pub leaves: Option<u64>,
}

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

impl Child {
    /// Leaves here or below.
    fn leaves(self) -> u64 {
        self.leaves.unwrap_or(1)
    }
}

impl Leaf {
    pub fn hash(&self) -> Hash {
        hash(LEAF_DOMAIN, &self.key, &self.value)
    }
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
        let (bit, before) = (
            self.present >> index & 1,
            self.present & !(u16::MAX << index),
        );
        match bit {
            1 => self.children.get(before.count_ones() as usize).copied(),
            _ => None,
        }
    }

    /// The children by their nibbles.
    pub fn children(&self) -> Children {
        std::array::from_fn(|index| self.child(index))
    }

    /// About the memory that it takes beside itself, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let hashes = self.hashes.as_ref().map_or(0, |_| size_of::<Hashes>());
        size_of_val(&*self.children) + hashes
    }

    /// Appends its stored form.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(INTERNAL);
        for child in self.children() {
            let Some(child) = child else {
                bytes.push(0);
                continue;
            };
            bytes.push(1);
            bytes.extend_from_slice(&child.hash);
            bytes.extend_from_slice(&child.version.to_le_bytes());
            match child.leaves {
                None => bytes.push(0),
                Some(leaves) => {
                    bytes.push(1);
                    bytes.extend_from_slice(&leaves.to_le_bytes());
                }
            }
        }
        bytes.extend_from_slice(&(self.children.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&self.leaves.to_le_bytes());
    }

    /// What makes this node one with the children of `new` where `changed` has a bit.
    pub fn patch(&self, new: &Children, changed: u16) -> Patch {
        let mut children = Vec::with_capacity(changed.count_ones() as usize);
        let mut leaves = self.leaves;
        for index in bits(changed) {
            children.push(new[index]);
            leaves = leaves
                .saturating_add(new[index].map_or(0, Child::leaves))
                .saturating_sub(self.child(index).map_or(0, Child::leaves));
        }
        let mut between = Between::new(self, new, changed);
        Patch {
            changed,
            children,
            leaves,
            hash: between.hash(0, 0, WIDTH),
            hashes: between.hashes,
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
    fn of(children: &Children) -> Self {
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

/// The indexes of bits that are set.
fn bits(of: u16) -> impl Iterator<Item = usize> {
    (0..WIDTH).filter(move |index| of >> index & 1 == 1)
}

/// The hashes between an inner node and its children, some of which change.
struct Between<'a> {
    before: &'a Inner,
    new: &'a Children,
    changed: u16,
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
    fn new(before: &'a Inner, new: &'a Children, changed: u16) -> Self {
        let (mut present, mut leaf) = (before.present & !changed, before.leaf & !changed);
        for index in bits(changed) {
            if let Some(child) = new[index] {
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
            new,
            changed,
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
            1 => self.new[index],
            _ => self.before.child(index),
        }
    }
}

fn hash(domain: &[u8], left: &Hash, right: &Hash) -> Hash {
    // In one piece: the hasher would copy every piece by itself.
    let mut bytes = [0; MAX_DOMAIN + 2 * size_of::<Hash>()];
    let mut length = 0;
    for part in [domain, left, right] {
        let end = length + part.len();
        bytes[length..end].copy_from_slice(part);
        length = end;
    }
    Sha256::digest(&bytes[..length]).into()
}

impl Node {
    /// Appends the stored form: Borsh, as `jmt` defines it.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Null => bytes.push(NULL),
            Self::Leaf(leaf) => {
                bytes.push(LEAF);
                bytes.extend_from_slice(&leaf.key);
                bytes.extend_from_slice(&leaf.value);
            }
            Self::Internal(inner) => inner.encode(bytes),
        }
    }

    /// Reads the stored form of the node under `key`.
    pub fn decode(key: &[u8], bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        match decode(&mut rest) {
            Some(node) if rest.is_empty() => Ok(node),
            _ => Err(StoreError::corrupt(key, "not a node of the tree")),
        }
    }
}

fn decode(rest: &mut &[u8]) -> Option<Node> {
    match take_byte(rest)? {
        NULL => Some(Node::Null),
        LEAF => Some(Node::Leaf(Leaf {
            key: take(rest)?,
            value: take(rest)?,
        })),
        INTERNAL => {
            let mut children = [None; WIDTH];
            for child in &mut children {
                *child = match take_byte(rest)? {
                    0 => None,
                    1 => Some(take_child(rest)?),
                    _ => return None,
                };
            }
            // The numbers of children and leaves follow from the children.
            let _: [u8; 16] = take(rest)?;
            Some(Node::Internal(Inner::of(&children)))
        }
        _ => None,
    }
}

fn take_child(rest: &mut &[u8]) -> Option<Child> {
    Some(Child {
        hash: take(rest)?,
        version: u64::from_le_bytes(take(rest)?),
        leaves: match take_byte(rest)? {
            0 => None,
            1 => Some(u64::from_le_bytes(take(rest)?)),
            _ => return None,
        },
    })
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    take::<1>(rest).map(|[byte]| byte)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn child() -> impl Strategy<Value = Child> {
        (any::<Hash>(), any::<u64>(), prop::option::of(2_u64..1_000)).prop_map(
            |(hash, version, leaves)| Child {
                hash,
                version,
                leaves,
            },
        )
    }

    fn encoded(node: &Node) -> Vec<u8> {
        let mut bytes = Vec::new();
        node.encode(&mut bytes);
        bytes
    }

    /// Two children at least: one alone could be a leaf, which has no inner node above it.
    fn node() -> impl Strategy<Value = Node> {
        let leaf = any::<(Hash, Hash)>();
        prop_oneof![
            Just(Node::Null),
            leaf.prop_map(|(key, value)| Node::Leaf(Leaf { key, value })),
            (
                prop::array::uniform16(prop::option::of(child())),
                child(),
                child()
            )
                .prop_map(|(mut children, first, last)| {
                    children[0] = Some(first);
                    children[WIDTH - 1] = Some(last);
                    Node::Internal(Inner::of(&children))
                }),
        ]
    }

    proptest! {
        /// `jmt` reads what is written here, finds the same hash, and writes the same bytes.
        #[test]
        fn nodes_are_those_of_jmt(node in node()) {
            let bytes = encoded(&node);
            prop_assert_eq!(Node::decode(b"key", &bytes).unwrap(), node.clone());
            let theirs: jmt::storage::Node = borsh::from_slice(&bytes).unwrap();
            prop_assert_eq!(borsh::to_vec(&theirs).unwrap(), bytes);
            let expected = match (&node, &theirs) {
                (Node::Null, jmt::storage::Node::Null) => NO_HASH,
                (Node::Leaf(leaf), jmt::storage::Node::Leaf(theirs)) => {
                    prop_assert_eq!(leaf.hash(), theirs.hash::<Sha256>());
                    leaf.hash()
                }
                (Node::Internal(inner), jmt::storage::Node::Internal(theirs)) => {
                    let patch = Inner::default().patch(&inner.children(), u16::MAX);
                    prop_assert_eq!(patch.hash, theirs.hash::<Sha256>());
                    prop_assert_eq!(patch.leaves, theirs.leaf_count() as u64);
                    patch.hash
                }
                _ => unreachable!(),
            };
            prop_assert_ne!(expected, [0; 32]);
        }

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
                let patch = node.patch(&new, changed);
                for index in bits(changed) {
                    children[index] = new[index];
                }
                let whole = Inner::default().patch(&children, u16::MAX);
                prop_assert_eq!((patch.hash, patch.leaves), (whole.hash, whole.leaves));
                let unknown = Inner::of(&node.children()).patch(&new, changed);
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

        #[test]
        fn anything_else_is_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Node::decode(b"key", &bytes);
            bytes.insert(0, 3);
            prop_assert!(Node::decode(b"key", &bytes).is_err());
        }

        #[test]
        fn a_node_cut_short_is_an_error(node in node(), cut in any::<prop::sample::Index>()) {
            let bytes = encoded(&node);
            let cut = &bytes[..cut.index(bytes.len())];
            prop_assert!(Node::decode(b"key", cut).is_err());
            let longer = [bytes.as_slice(), &[0]].concat();
            prop_assert!(Node::decode(b"key", &longer).is_err());
        }
    }
}
