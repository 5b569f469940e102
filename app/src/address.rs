use std::fmt;

use bech32::{Bech32, Hrp};
use poq_proto::code;
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

use crate::error::{Result, ensure, reject};

/// A valid account address of this chain: 20 bytes and their bech32 text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    text: String,
    bytes: [u8; 20],
}

impl Address {
    /// Parses bech32 text, which must be lower case and carry the chain's prefix.
    pub fn parse(text: &str, prefix: &str) -> Result<Self> {
        let Ok((hrp, data)) = bech32::decode(text) else {
            reject!(code::INVALID_ADDRESS, "{text:?} is not a bech32 address");
        };
        ensure!(
            hrp.as_str() == prefix,
            code::INVALID_ADDRESS,
            "address {text} has prefix {hrp}, this chain uses {prefix}"
        );
        let Ok(bytes) = <[u8; 20]>::try_from(data) else {
            reject!(
                code::INVALID_ADDRESS,
                "address {text} does not have 20 bytes"
            );
        };
        let address = Self::from_bytes(bytes, prefix)?;
        ensure!(
            address.text == text,
            code::INVALID_ADDRESS,
            "address {text} is not canonical, write {}",
            address.text
        );
        Ok(address)
    }

    /// The address of a compressed secp256k1 key: RIPEMD-160 of its SHA-256.
    pub fn from_public_key(key: &[u8], prefix: &str) -> Result<Self> {
        Self::from_bytes(Ripemd160::digest(Sha256::digest(key)).into(), prefix)
    }

    /// The account of a module: the first 20 bytes of SHA-256(`poq/module/` ‖ name), for which
    /// nobody has a key.
    pub fn of_module(name: &str, prefix: &str) -> Result<Self> {
        let digest = Sha256::new()
            .chain_update("poq/module/")
            .chain_update(name)
            .finalize();
        let mut bytes = [0; 20];
        bytes.copy_from_slice(&digest[..20]);
        Self::from_bytes(bytes, prefix)
    }

    fn from_bytes(bytes: [u8; 20], prefix: &str) -> Result<Self> {
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
    pub fn bytes(&self) -> &[u8; 20] {
        &self.bytes
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_prefix() {
        let address = Address::from_public_key(&[2; 33], "poq").unwrap();
        assert_eq!(Address::parse(address.as_str(), "poq").unwrap(), address);
        assert!(Address::parse(address.as_str(), "cosmos").is_err());
        assert!(Address::parse(&address.as_str().to_uppercase(), "poq").is_err());
    }
}
