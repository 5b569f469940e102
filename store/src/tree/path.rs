use super::node::Hash;

/// The place of a node: the nibbles from the root to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    pub depth: usize,
    /// Two in a byte, zeros after the last one.
    nibbles: Hash,
}

impl Path {
    pub(super) const ROOT: Self = Self {
        depth: 0,
        nibbles: [0; 32],
    };

    pub(super) fn child(mut self, nibble: usize) -> Self {
        if let Some(byte) = self.nibbles.get_mut(self.depth / 2) {
            // A nibble is below 16.
            *byte |= (nibble as u8) << (4 * (1 - self.depth % 2));
        }
        self.depth += 1;
        self
    }

    /// The key of a node in the database.
    ///
    /// `version ‖ number of nibbles ‖ nibbles`, big-endian: the nodes of a version follow each
    /// other.
    pub(super) fn key(&self, version: u64) -> Vec<u8> {
        let bytes = self.depth.div_ceil(2);
        let mut key = Vec::with_capacity(9 + bytes);
        key.extend_from_slice(&version.to_be_bytes());
        // At most 64: a digest has 32 bytes.
        key.push(self.depth as u8);
        key.extend(self.nibbles.iter().take(bytes));
        key
    }
}

/// The nibble of a digest below a node of this depth.
pub(crate) fn nibble(digest: &Hash, depth: usize) -> usize {
    // Two different digests differ before the end.
    let byte = digest.get(depth / 2).copied().unwrap_or(0);
    usize::from(byte >> (4 * (1 - depth % 2)) & 0x0f)
}
