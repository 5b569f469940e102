//! What the parties of a session sign: a digest that no transaction and no other object has.

use sha2::{Digest, Sha256};

/// SHA-256 of `domain ‖ len(chain_id) u64 ‖ chain_id ‖ parts`, integers big-endian. ECDSA signs it.
pub(crate) fn digest(domain: &str, chain_id: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new()
        .chain_update(domain)
        .chain_update((chain_id.len() as u64).to_be_bytes())
        .chain_update(chain_id);
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

/// A request of the session's user about an order, besides vouchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Read an answer from a byte offset on.
    Read,
    /// End an answer.
    Stop,
}

impl Call {
    /// The digest that the session's key signs; `offset` is in bytes of the answer.
    pub fn digest(self, chain_id: &str, session: u64, number: u64, offset: u64) -> [u8; 32] {
        let domain = match self {
            Self::Read => "poq/read/v1",
            Self::Stop => "poq/stop/v1",
        };
        let [session, number, offset] = [session, number, offset].map(u64::to_be_bytes);
        digest(domain, chain_id, &[&session, &number, &offset])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_field_is_bound() {
        let digests: BTreeSet<_> = [
            Call::Read.digest("poq-1", 1, 2, 3),
            Call::Stop.digest("poq-1", 1, 2, 3),
            Call::Read.digest("poq-2", 1, 2, 3),
            Call::Read.digest("poq-1", 4, 2, 3),
            Call::Read.digest("poq-1", 1, 4, 3),
            Call::Read.digest("poq-1", 1, 2, 4),
        ]
        .into();
        assert_eq!(digests.len(), 6);
    }
}
