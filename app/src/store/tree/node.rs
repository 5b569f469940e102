//! Nodes of the tree: how they are stored, and their hashes.
//!
//! Both are those of `jmt`, which reads the same nodes to prove values.

use super::super::error::{Result, StoreError};
use super::child::{Child, Hash, WIDTH, hash};
use super::inner::Inner;

const LEAF_DOMAIN: &[u8] = b"JMT::LeafNode";
/// First byte of a stored node.
const NULL: u8 = 0;
const INTERNAL: u8 = 1;
const LEAF: u8 = 2;

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

impl Leaf {
    pub fn hash(&self) -> Hash {
        hash(LEAF_DOMAIN, &self.key, &self.value)
    }
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
            Self::Internal(inner) => encode_internal(inner, bytes),
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

/// Appends the stored form of an inner node.
pub(super) fn encode_internal(inner: &Inner, bytes: &mut Vec<u8>) {
    bytes.push(INTERNAL);
    for child in inner.children() {
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
    bytes.extend_from_slice(&inner.count().to_le_bytes());
    bytes.extend_from_slice(&inner.leaves().to_le_bytes());
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
    use sha2::Sha256;

    use super::super::child::NO_HASH;
    use super::super::child::tests::child;
    use super::*;

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
                    let patch = Inner::default().patch(u16::MAX, inner.children().to_vec());
                    prop_assert_eq!(patch.hash, theirs.hash::<Sha256>());
                    prop_assert_eq!(patch.leaves, theirs.leaf_count() as u64);
                    patch.hash
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
