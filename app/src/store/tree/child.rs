//! What an inner node knows of those below it, and the hashes of both.

use sha2::{Digest, Sha256};

pub(super) type Hash = [u8; 32];

/// The hash of nothing.
pub(super) const NO_HASH: Hash = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";

/// Without an "e", to have 16 bytes.
pub(super) const INTERNAL_DOMAIN: &[u8] = b"JMT::IntrnalNode";
const MAX_DOMAIN: usize = 16;

/// Children of an inner node at most.
pub(super) const WIDTH: usize = 16;

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

impl Child {
    /// Leaves here or below.
    pub fn leaves(self) -> u64 {
        self.leaves.unwrap_or(1)
    }
}

/// The hash over what the domain says that follows.
pub(super) fn hash(domain: &[u8], left: &Hash, right: &Hash) -> Hash {
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

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn child() -> impl Strategy<Value = Child> {
        (any::<Hash>(), any::<u64>(), prop::option::of(2_u64..1_000)).prop_map(
            |(hash, version, leaves)| Child {
                hash,
                version,
                leaves,
            },
        )
    }
}
