//! Nodes of the tree: their stored form, their hashes, and those that are in memory.
//!
//! Form and hashes are those of `jmt`, which reads the same nodes to prove values.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::error::{Result, StoreError};

pub(super) type Hash = [u8; 32];

/// The hash of an empty subtree.
pub(super) const NO_HASH: Hash = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";

/// Without an "e", to have 16 bytes.
const INTERNAL_DOMAIN: &[u8] = b"JMT::IntrnalNode";
const LEAF_DOMAIN: &[u8] = b"JMT::LeafNode";
const MAX_DOMAIN: usize = 16;

/// First byte of a stored node.
const NULL: u8 = 0;
const INTERNAL: u8 = 1;
const LEAF: u8 = 2;

/// Children of an inner node at most.
pub(super) const WIDTH: usize = 16;

/// The nodes below an inner node, by the next nibble of the key's digest.
pub(super) type Children = [Option<Child>; WIDTH];

/// A node in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "only few exist at a time")]
pub(super) enum Node {
    /// The root of an empty tree.
    Null,
    Leaf(Leaf),
    Internal(Children),
}

/// Digests of a key and of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub key: Hash,
    pub value: Hash,
}

impl Leaf {
    pub(super) fn hash(&self) -> Hash {
        hash(LEAF_DOMAIN, &self.key, &self.value)
    }
}

/// The record of a node in the inner node above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Child {
    pub hash: Hash,
    /// The version that wrote it.
    pub version: u64,
    /// The number of leaves below it; none for a leaf.
    pub leaves: Option<u64>,
}

/// The root of the newest tree and the inner nodes below it, down to a fixed depth, in memory.
pub(crate) type TreeTop = Option<Arc<InnerNode>>;

/// An inner node with those below it that are in memory. A version shares what does not change with
/// the one before.
#[derive(Clone)]
pub(crate) struct InnerNode {
    /// The version that wrote it.
    pub(super) version: u64,
    pub(super) children: Children,
    pub(super) below: [TreeTop; WIDTH],
    /// `None` if they are not computed yet.
    hashes: Option<Hashes>,
}

impl InnerNode {
    pub(super) fn new(children: Children) -> Self {
        Self {
            version: 0,
            children,
            below: Default::default(),
            hashes: None,
        }
    }

    /// Computes the hash after the children whose bits are set were changed.
    pub(super) fn rehash(&mut self, changed: u16) -> Hash {
        let changed = self.hashes.map_or(u16::MAX, |_| changed);
        let hashes = self.hashes.get_or_insert([NO_HASH; WIDTH - 1]);
        rehash(hashes, 0, &self.children, changed)
    }
}

/// The number of leaves below an inner node.
pub(super) fn leaves(children: &Children) -> u64 {
    let counts = children
        .iter()
        .flatten()
        .map(|child| child.leaves.unwrap_or(1));
    counts.fold(0, u64::saturating_add)
}

/// The hashes of the binary tree between an inner node and its children, from its root on: below
/// the one at index `i` are those at `2 * i + 1` and `2 * i + 2`.
type Hashes = [Hash; WIDTH - 1];

/// Computes the hashes above changed children, whose bits are set, and returns the one at `index`. A
/// single leaf is as high in the binary tree as it can be.
fn rehash(hashes: &mut Hashes, index: usize, children: &[Option<Child>], changed: u16) -> Hash {
    if let [child] = children {
        return child.map_or(NO_HASH, |child| child.hash);
    }
    if changed == 0 {
        return hashes[index];
    }
    let half = children.len() / 2;
    let (left, right) = children.split_at(half);
    let left = rehash(hashes, 2 * index + 1, left, changed & ((1 << half) - 1));
    let right = rehash(hashes, 2 * index + 2, right, changed >> half);
    let mut present = children.iter().flatten();
    hashes[index] = match (present.next(), present.next()) {
        (None, _) => NO_HASH,
        (Some(leaf), None) if leaf.leaves.is_none() => leaf.hash,
        _ => hash(INTERNAL_DOMAIN, &left, &right),
    };
    hashes[index]
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
    /// The stored form: Borsh, as `jmt` defines it.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Null => vec![NULL],
            Self::Leaf(leaf) => [&[LEAF], &leaf.key[..], &leaf.value].concat(),
            Self::Internal(children) => encode_internal(children),
        }
    }

    /// Reads the stored form of the node under `key`.
    pub(super) fn decode(key: &[u8], bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        match decode(&mut rest) {
            Some(node) if rest.is_empty() => Ok(node),
            _ => Err(StoreError::corrupt(key, "not a node of the tree")),
        }
    }
}

fn encode_internal(children: &Children) -> Vec<u8> {
    let count = children.iter().flatten().count();
    let mut bytes = Vec::with_capacity(1 + WIDTH + 16 + count * (32 + 8 + 9));
    bytes.push(INTERNAL);
    for child in children {
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
    bytes.extend_from_slice(&(count as u64).to_le_bytes());
    bytes.extend_from_slice(&leaves(children).to_le_bytes());
    bytes
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
            Some(Node::Internal(children))
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
    use sha2::Sha256;

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

    /// With at least two children: a leaf alone has no inner node above it.
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
                    Node::Internal(children)
                }),
        ]
    }

    proptest! {
        /// `jmt` reads what is written here, finds the same hash, and writes the same bytes.
        #[test]
        fn nodes_are_those_of_jmt(node in node()) {
            let bytes = node.encode();
            prop_assert_eq!(Node::decode(b"key", &bytes).unwrap(), node.clone());
            let theirs: jmt::storage::Node = borsh::from_slice(&bytes).unwrap();
            prop_assert_eq!(borsh::to_vec(&theirs).unwrap(), bytes);
            let expected = match (&node, &theirs) {
                (Node::Null, jmt::storage::Node::Null) => NO_HASH,
                (Node::Leaf(leaf), jmt::storage::Node::Leaf(theirs)) => {
                    prop_assert_eq!(leaf.hash(), theirs.hash::<Sha256>());
                    leaf.hash()
                }
                (Node::Internal(children), jmt::storage::Node::Internal(theirs)) => {
                    let hash = rehash(&mut [NO_HASH; WIDTH - 1], 0, children, u16::MAX);
                    prop_assert_eq!(hash, theirs.hash::<Sha256>());
                    prop_assert_eq!(leaves(children), theirs.leaf_count() as u64);
                    hash
                }
                _ => unreachable!(),
            };
            prop_assert_ne!(expected, [0; 32]);
        }

        /// Hashes that are kept are those that are computed from nothing.
        #[test]
        fn hashes_follow_changes(
            changes in prop::collection::vec((
                prop::array::uniform16(prop::option::of(child())),
                prop_oneof![any::<u16>(), any::<u16>().prop_map(|bits| bits & 0x0101)],
            ), 1..8),
        ) {
            let mut children = [None; WIDTH];
            let mut hashes = [NO_HASH; WIDTH - 1];
            for (new, changed) in changes {
                for index in (0..WIDTH).filter(|index| changed >> index & 1 == 1) {
                    children[index] = new[index];
                }
                rehash(&mut hashes, 0, &children, changed);
                let mut whole = [[0; 32]; WIDTH - 1];
                rehash(&mut whole, 0, &children, u16::MAX);
                prop_assert_eq!(hashes, whole);
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
            let bytes = node.encode();
            let cut = &bytes[..cut.index(bytes.len())];
            prop_assert!(Node::decode(b"key", cut).is_err());
            let longer = [bytes.as_slice(), &[0]].concat();
            prop_assert!(Node::decode(b"key", &longer).is_err());
        }
    }
}
