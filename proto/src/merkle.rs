//! The tree over a session's log: RFC 6962, section 2.1, which CometBFT's tree follows too.
//!
//! The check of an inclusion proof is part of consensus, so it is here; programs that keep a log build
//! its tree with a library.

use sha2::{Digest, Sha256};

/// Root of the tree without leaves: SHA-256 of nothing.
pub const EMPTY_ROOT: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// The root that an inclusion proof leads to (RFC 9162, section 2.1.3.2), from the leaf at `index` of
/// a tree with `count` leaves. None if the path does not have the length for that position.
pub fn root_of_path(leaf: &[u8], index: u64, count: u64, path: &[[u8; 32]]) -> Option<[u8; 32]> {
    let mut position = index;
    let mut last = count.checked_sub(1).filter(|last| index <= *last)?;
    let mut hash: [u8; 32] = Sha256::new()
        .chain_update([0])
        .chain_update(leaf)
        .finalize()
        .into();
    for sibling in path {
        if last == 0 {
            return None;
        }
        if position & 1 == 1 || position == last {
            hash = parent(sibling, &hash);
            // Levels at which the last node has no sibling are left out of the path.
            while position & 1 == 0 && position != 0 {
                (position, last) = (position >> 1, last >> 1);
            }
        } else {
            hash = parent(&hash, sibling);
        }
        (position, last) = (position >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}

fn parent(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;

    use super::*;

    type Tree = MemoryBackedTree<Sha256, Vec<u8>>;

    fn tree(count: u64) -> Tree {
        let mut tree = Tree::new();
        for index in 0..count {
            tree.push(index.to_be_bytes().to_vec());
        }
        tree
    }

    fn path(tree: &Tree, index: u64) -> Vec<[u8; 32]> {
        let proof = tree.prove_inclusion(index.try_into().unwrap());
        let hashes = proof.as_bytes().chunks_exact(32);
        hashes.map(|hash| hash.try_into().unwrap()).collect()
    }

    fn root(tree: &Tree) -> [u8; 32] {
        tree.root().as_bytes()[..].try_into().unwrap()
    }

    #[test]
    fn the_empty_tree_has_the_digest_of_nothing() {
        assert_eq!(root(&tree(0)), EMPTY_ROOT);
        assert_eq!(<[u8; 32]>::from(Sha256::digest([])), EMPTY_ROOT);
    }

    /// Certificate Transparency's reference tree of 8 leaves.
    #[test]
    fn a_published_tree_has_its_root() {
        let leaves = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let bytes = |hex: &str| -> Vec<u8> {
            let digits = (0..hex.len()).step_by(2);
            digits
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect()
        };
        let mut tree = Tree::new();
        for leaf in leaves {
            tree.push(bytes(leaf));
        }
        let expected = bytes("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
        for (index, leaf) in (0..).zip(leaves) {
            let found = root_of_path(&bytes(leaf), index, 8, &path(&tree, index)).unwrap();
            assert_eq!(found.to_vec(), expected);
        }
    }

    #[test]
    fn every_leaf_of_small_trees_leads_to_the_root_from_its_own_place_only() {
        for count in 1..40 {
            let tree = tree(count);
            for index in 0..count {
                let path = path(&tree, index);
                let leaf = index.to_be_bytes();
                for (place, size) in [
                    (index, count),
                    (index ^ 1, count),
                    (index + 1, count),
                    (index, count + 1),
                ] {
                    let found = root_of_path(&leaf, place, size, &path);
                    let is_right = (place, size) == (index, count);
                    // Another size can need the same path.
                    assert!(
                        (found == Some(root(&tree))) == is_right || size != count,
                        "{index} of {count} at {place} of {size}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_changed_proof_leads_elsewhere(count in 1u64..300, at in any::<prop::sample::Index>(), part in any::<prop::sample::Index>(), flip in 1u8..) {
            let tree = tree(count);
            let index = at.index(count as usize) as u64;
            let mut path = path(&tree, index);
            let leaf = index.to_be_bytes();
            prop_assert_eq!(root_of_path(&leaf, index, count, &path), Some(root(&tree)));
            let mut longer = path.clone();
            longer.push([0; 32]);
            prop_assert_eq!(root_of_path(&leaf, index, count, &longer), None);
            prop_assert_eq!(root_of_path(&leaf, count, count, &path), None);
            if !path.is_empty() {
                prop_assert_eq!(root_of_path(&leaf, index, count, &path[1..]), None);
                let hash = part.index(path.len());
                path[hash][part.index(32)] ^= flip;
                prop_assert_ne!(root_of_path(&leaf, index, count, &path), Some(root(&tree)));
            }
        }
    }
}
