use std::fmt;

use bip32::{DerivationPath, Language, XPrv};
use cosmrs::AccountId;
use k256::ecdsa::SigningKey;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use crate::{Error, Result};

/// Derivation path of every key, as Cosmos wallets have it.
pub const HD_PATH: &str = "m/44'/118'/0'/0/0";

/// A secp256k1 signing key. Its secret is erased from memory when dropped and is never printed.
#[derive(Clone)]
pub struct Key(SigningKey);

impl Key {
    /// The first key of a wallet: BIP-39 seed without passphrase, path [`HD_PATH`].
    pub fn from_mnemonic(mnemonic: &Mnemonic) -> Result<Self> {
        let derive = || -> bip32::Result<XPrv> {
            let path: DerivationPath = HD_PATH.parse()?;
            XPrv::derive_from_path(mnemonic.0.to_seed(""), &path)
        };
        derive()
            .map(|key| Self(key.private_key().clone()))
            .map_err(|error| Error::Key(error.to_string()))
    }

    /// A key from its 32 secret bytes.
    pub fn from_bytes(secret: &[u8]) -> Result<Self> {
        SigningKey::from_slice(secret)
            .map(Self)
            .map_err(|_| Error::Key("expected 32 bytes of a secp256k1 secret key".into()))
    }

    /// The 32 secret bytes.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The compressed public key, 33 bytes.
    pub fn public_key(&self) -> Vec<u8> {
        self.0.verifying_key().to_sec1_bytes().into_vec()
    }

    /// RIPEMD-160 of SHA-256 of the public key.
    pub fn address_bytes(&self) -> [u8; 20] {
        let id = tendermint::account::Id::from(*self.0.verifying_key());
        let mut address = [0; 20];
        address.copy_from_slice(id.as_bytes());
        address
    }

    /// The account's address in bech32 with this human-readable prefix.
    pub fn address(&self, prefix: &str) -> Result<String> {
        format_address(prefix, &self.address_bytes())
    }

    /// For SIGN_MODE_DIRECT: deterministic ECDSA (RFC 6979) over SHA-256, low S.
    pub(crate) fn signer(&self) -> cosmrs::crypto::secp256k1::SigningKey {
        cosmrs::crypto::secp256k1::SigningKey::new(Box::new(self.0.clone()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", hex::encode(self.public_key()))
    }
}

/// A BIP-39 mnemonic of 24 English words; erased from memory when dropped.
pub struct Mnemonic(bip32::Mnemonic);

impl Mnemonic {
    /// A new mnemonic from the operating system's randomness.
    pub fn random() -> Self {
        Self(bip32::Mnemonic::random(OsRng, Language::English))
    }

    /// Parses 24 words; case and the space between them do not matter.
    pub fn parse(words: &str) -> Result<Self> {
        let words = Zeroizing::new(
            words
                .split_whitespace()
                .map(str::to_lowercase)
                .collect::<Vec<_>>()
                .join(" "),
        );
        bip32::Mnemonic::new(words.as_str(), Language::English)
            .map(Self)
            .map_err(|_| Error::Mnemonic)
    }

    /// The words, separated by single spaces.
    pub fn words(&self) -> &str {
        self.0.phrase()
    }
}

/// The 20 bytes of a bech32 account address with this prefix.
pub fn parse_address(address: &str, prefix: &str) -> Result<[u8; 20]> {
    let invalid = |reason: String| Error::Address {
        address: address.into(),
        reason,
    };
    let id: AccountId = address
        .parse()
        .map_err(|_| invalid("not valid bech32".into()))?;
    if id.prefix() != prefix {
        return Err(invalid(format!(
            "its prefix is `{}`, not `{prefix}`",
            id.prefix()
        )));
    }
    id.to_bytes()
        .try_into()
        .map_err(|_| invalid("it has not 20 bytes".into()))
}

pub(crate) fn format_address(prefix: &str, address: &[u8; 20]) -> Result<String> {
    AccountId::new(prefix, address)
        .map(String::from)
        .map_err(|error| Error::Address {
            address: prefix.into(),
            reason: error.to_string(),
        })
}
