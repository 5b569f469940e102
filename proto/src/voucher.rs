use sha2::{Digest as _, Sha256};

use crate::signed;
use crate::v1;

/// Domain separator of vouchers.
const VOUCHER_DOMAIN: &str = "poq/voucher/v1";
/// Domain separator of accepts.
const ACCEPT_DOMAIN: &str = "poq/accept/v1";

/// An order of a session's user that also acknowledges the answers before it (protocol section 16);
/// [`v1::Voucher`] with digests of the right length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voucher {
    /// The session.
    pub session: u64,
    /// Number of the ordered request, from 0; of a bare voucher the next free number.
    pub number: u64,
    /// Digest of the ordered chat; zeros in a bare voucher.
    pub request: [u8; 32],
    /// Number of acknowledged leaves.
    pub count: u64,
    /// Root of the tree over them.
    pub root: [u8; 32],
    /// Sum of their prices, base units.
    pub amount: u64,
    /// The amount, and the highest prices of all requests from `count` to `number`, base units.
    pub authorized: u64,
}

impl Voucher {
    /// Whether the voucher orders nothing.
    pub fn is_bare(&self) -> bool {
        self.request == [0; 32]
    }

    /// The digest that the session's key signs.
    pub fn digest(&self, chain_id: &str) -> [u8; 32] {
        signed::digest(VOUCHER_DOMAIN, chain_id, &[&self.bytes()])
    }

    /// The digest that the node's key signs to accept the order.
    pub fn accept_digest(&self, chain_id: &str) -> [u8; 32] {
        let voucher = Sha256::digest(self.bytes());
        signed::digest(ACCEPT_DOMAIN, chain_id, &[&voucher])
    }

    /// The fields in order, integers big-endian.
    fn bytes(&self) -> Vec<u8> {
        [
            &self.session.to_be_bytes()[..],
            &self.number.to_be_bytes(),
            &self.request,
            &self.count.to_be_bytes(),
            &self.root,
            &self.amount.to_be_bytes(),
            &self.authorized.to_be_bytes(),
        ]
        .concat()
    }
}

impl TryFrom<&v1::Voucher> for Voucher {
    type Error = WrongLength;

    fn try_from(voucher: &v1::Voucher) -> Result<Self, WrongLength> {
        Ok(Self {
            session: voucher.session,
            number: voucher.number,
            request: bytes32("request", &voucher.request)?,
            count: voucher.count,
            root: bytes32("root", &voucher.root)?,
            amount: voucher.amount,
            authorized: voucher.authorized,
        })
    }
}

impl From<&Voucher> for v1::Voucher {
    fn from(voucher: &Voucher) -> Self {
        Self {
            session: voucher.session,
            number: voucher.number,
            request: voucher.request.to_vec(),
            count: voucher.count,
            root: voucher.root.to_vec(),
            amount: voucher.amount,
            authorized: voucher.authorized,
        }
    }
}

/// A digest that is not 32 bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLength {
    /// The field.
    pub field: &'static str,
    /// Its bytes.
    pub bytes: usize,
}

impl std::fmt::Display for WrongLength {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { field, bytes } = self;
        write!(formatter, "{field} must have 32 bytes, got {bytes}")
    }
}

impl std::error::Error for WrongLength {}

pub(crate) fn bytes32(field: &'static str, bytes: &[u8]) -> Result<[u8; 32], WrongLength> {
    let wrong = |_| WrongLength {
        field,
        bytes: bytes.len(),
    };
    bytes.try_into().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn voucher() -> Voucher {
        Voucher {
            session: 1,
            number: 2,
            request: [3; 32],
            count: 4,
            root: [5; 32],
            amount: 6,
            authorized: 7,
        }
    }

    fn changed() -> Vec<Voucher> {
        let base = voucher();
        vec![
            base,
            Voucher { session: 9, ..base },
            Voucher { number: 9, ..base },
            Voucher {
                request: [9; 32],
                ..base
            },
            Voucher { count: 9, ..base },
            Voucher {
                root: [9; 32],
                ..base
            },
            Voucher { amount: 9, ..base },
            Voucher {
                authorized: 9,
                ..base
            },
        ]
    }

    #[test]
    fn every_field_is_bound() {
        let digests = |chain: &'static str| {
            changed()
                .into_iter()
                .map(move |voucher| voucher.digest(chain))
        };
        let accepts = changed()
            .into_iter()
            .map(|voucher| voucher.accept_digest("poq-1"));
        let all: BTreeSet<_> = digests("poq-1")
            .chain(digests("poq-2"))
            .chain(accepts)
            .collect();
        assert_eq!(all.len(), 3 * changed().len());
    }

    /// A signature over these digests must stay valid.
    #[test]
    fn digests_should_not_change() {
        let hex = |bytes: [u8; 32]| bytes.map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(
            hex(voucher().digest("poq-1")),
            "f76e0ec79922bdf230e39e802a7cc7c11c4f4e916594ce7c2b4dd516347bdcf1"
        );
        assert_eq!(
            hex(voucher().accept_digest("poq-1")),
            "4555aae3b02894dff95f714497a483c85d7b0fe95c9e2bdfb64feac4de51c253"
        );
    }

    #[test]
    fn digests_of_another_length_are_refused() {
        let mut message = v1::Voucher::from(&voucher());
        assert_eq!(Voucher::try_from(&message), Ok(voucher()));
        message.root.pop();
        let error = Voucher::try_from(&message).unwrap_err();
        assert_eq!(error.to_string(), "root must have 32 bytes, got 31");
    }

    #[test]
    fn only_a_voucher_without_a_request_is_bare() {
        assert!(!voucher().is_bare());
        assert!(
            Voucher {
                request: [0; 32],
                ..voucher()
            }
            .is_bare()
        );
    }
}
