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

/// First byte of a stored node.
const NULL: u8 = 0;
const INTERNAL: u8 = 1;
const LEAF: u8 = 2;

const WIDTH: usize = 16;

/// A node in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// The root of an empty tree.
    Null,
    Leaf(Leaf),
    Internal(Box<Children>),
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

impl Leaf {
    pub fn hash(&self) -> Hash {
        hash(LEAF_DOMAIN, &self.key, &self.value)
    }
}

/// The hash of an inner node: that of a binary tree over its children, in which a leaf stands as
/// high as it is alone.
pub(super) fn hash_of(children: &[Option<Child>]) -> Hash {
    let mut present = children.iter().flatten();
    match (present.next(), present.next()) {
        (None, _) => NO_HASH,
        (Some(only), None) if only.leaves.is_none() || children.len() == 1 => only.hash,
        _ => {
            let (left, right) = children.split_at(children.len() / 2);
            hash(INTERNAL_DOMAIN, &hash_of(left), &hash_of(right))
        }
    }
}

/// Leaves below an inner node.
pub(super) fn leaves(children: &Children) -> u64 {
    children.iter().flatten().fold(0, |sum, child| {
        sum.saturating_add(child.leaves.unwrap_or(1))
    })
}

fn hash(domain: &[u8], left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update(domain)
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
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
            Self::Internal(children) => encode_internal(children, bytes),
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

fn encode_internal(children: &Children, bytes: &mut Vec<u8>) {
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
    let count = children.iter().flatten().count() as u64;
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&leaves(children).to_le_bytes());
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
            Some(Node::Internal(Box::new(children)))
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
                    Node::Internal(Box::new(children))
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
                (Node::Internal(children), jmt::storage::Node::Internal(theirs)) => {
                    prop_assert_eq!(hash_of(&**children), theirs.hash::<Sha256>());
                    prop_assert_eq!(leaves(children), theirs.leaf_count() as u64);
                    hash_of(&**children)
                }
                _ => unreachable!(),
            };
            prop_assert_ne!(expected, [0; 32]);
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
