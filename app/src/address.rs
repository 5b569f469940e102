use std::fmt;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use poq_proto::code;
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

use crate::error::{Result, ensure, reject};

/// The module account that collects fees and the protocol's share of prices.
pub const PROTOCOL_ACCOUNT: &str = "protocol";

const LENGTH: usize = 20;
/// Bech32 characters of an address, 5 bits each, without padding.
const LENGTH_IN_TEXT: usize = LENGTH * 8 / 5;

/// A valid account address of this chain: 20 bytes and their bech32 text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    text: String,
    bytes: [u8; LENGTH],
}

impl Address {
    /// Parses bech32 text, which must be lower case and carry the chain's prefix.
    pub fn parse(text: &str, prefix: &str) -> Result<Self> {
        let Ok(parsed) = CheckedHrpstring::new::<Bech32>(text) else {
            reject!(
                code::INVALID_ADDRESS,
                "decoding bech32 failed: {text:?} is not a bech32 address"
            );
        };
        let hrp = parsed.hrp();
        ensure!(
            hrp.as_str() == prefix,
            code::INVALID_ADDRESS,
            "address {text} has prefix {hrp}, this chain uses {prefix}"
        );
        let mut bytes = [0; LENGTH];
        ensure!(
            parsed.data_part_ascii_no_checksum().len() == LENGTH_IN_TEXT,
            code::INVALID_ADDRESS,
            "address {text} does not have {LENGTH} bytes"
        );
        for (byte, parsed) in bytes.iter_mut().zip(parsed.byte_iter()) {
            *byte = parsed;
        }
        ensure!(
            !text.bytes().any(|byte| byte.is_ascii_uppercase()),
            code::INVALID_ADDRESS,
            "address {text} is not canonical, write {}",
            text.to_ascii_lowercase()
        );
        let text = text.to_owned();
        Ok(Self { text, bytes })
    }

    /// The address of a compressed secp256k1 key: RIPEMD-160 of its SHA-256.
    pub fn from_public_key(key: &[u8], prefix: &str) -> Result<Self> {
        Self::from_bytes(Ripemd160::digest(Sha256::digest(key)).into(), prefix)
    }

    /// The address of a multisignature key: the first 20 bytes of SHA-256 of its amino encoding.
    pub fn from_multisig_key(amino: &[u8], prefix: &str) -> Result<Self> {
        Self::from_bytes(truncated(Sha256::digest(amino).into()), prefix)
    }

    /// The account of a module: the first 20 bytes of SHA-256(`poq/module/` ‖ name), for which
    /// nobody has a key.
    pub fn of_module(name: &str, prefix: &str) -> Result<Self> {
        Self::from_bytes(module_bytes(name), prefix)
    }

    /// Whether this is the account of the module `name`.
    pub fn is_of_module(&self, name: &str) -> bool {
        *self.bytes() == module_bytes(name)
    }

    fn from_bytes(bytes: [u8; LENGTH], prefix: &str) -> Result<Self> {
        let encoded = Hrp::parse(prefix)
            .ok()
            .and_then(|hrp| bech32::encode::<Bech32>(hrp, &bytes).ok());
        match encoded {
            Some(text) => Ok(Self { text, bytes }),
            None => reject!(code::INVALID_ADDRESS, "{prefix:?} is not a bech32 prefix"),
        }
    }

    /// The bech32 text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The 20 bytes.
    pub fn bytes(&self) -> &[u8; LENGTH] {
        &self.bytes
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn module_bytes(name: &str) -> [u8; LENGTH] {
    let digest = Sha256::new()
        .chain_update("poq/module/")
        .chain_update(name)
        .finalize();
    truncated(digest.into())
}

fn truncated(digest: [u8; 32]) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes.copy_from_slice(&digest[..LENGTH]);
    bytes
}

#[cfg(test)]
mod tests {
    use bech32::{Bech32m, ByteIterExt, Fe32, Fe32IterExt};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn round_trip_and_prefix() {
        let address = Address::from_public_key(&[2; 33], "poq").unwrap();
        assert_eq!(Address::parse(address.as_str(), "poq").unwrap(), address);
        assert!(Address::parse(address.as_str(), "cosmos").is_err());
        assert!(Address::parse(&address.as_str().to_uppercase(), "poq").is_err());
        assert!(Address::parse(&address.as_str().to_uppercase(), "POQ").is_err());
    }

    proptest! {
        /// Each address has exactly one text.
        #[test]
        fn only_the_text_of_20_bytes_is_an_address(
            bytes in prop::collection::vec(any::<u8>(), 18..23),
            padding in 0_u8..8,
            other_checksum in any::<bool>(),
        ) {
            let hrp = Hrp::parse("poq").unwrap();
            let digits = bytes.iter().copied().bytes_to_fes();
            let digits = digits.chain((5..padding).map(|_| Fe32::Q));
            let digits = digits.collect::<Vec<_>>().into_iter();
            let text: String = match other_checksum {
                true => digits.with_checksum::<Bech32m>(&hrp).chars().collect(),
                false => digits.with_checksum::<Bech32>(&hrp).chars().collect(),
            };
            let (_, decoded) = bech32::decode(&text).unwrap();
            let canonical = bech32::encode::<Bech32>(hrp, &decoded).unwrap();
            let parsed = Address::parse(&text, "poq");
            prop_assert_eq!(parsed.is_ok(), decoded.len() == LENGTH && text == canonical);
            if let Ok(address) = parsed {
                prop_assert_eq!((address.as_str(), address.bytes().as_slice()), (&*text, &*decoded));
            }
        }
    }
}
