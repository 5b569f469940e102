//! The keys that sign for accounts: one secp256k1 key, or several of which a threshold must sign.

use std::collections::BTreeSet;

use cosmos_sdk_proto::cosmos::crypto::multisig::LegacyAminoPubKey;
use cosmos_sdk_proto::cosmos::crypto::multisig::v1beta1::{CompactBitArray, MultiSignature};
use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{SignerInfo, mode_info};
use poq_proto::v1::Account;
use poq_proto::{MAX_MULTISIG_KEYS, amino_multisig_key, code};
use prost::Name;
use tendermint_proto::google::protobuf::Any;

use super::sign_mode;
use super::strict::strict;
use crate::address::Address;
use crate::ecdsa::is_compressed_key;
use crate::error::{Result, ensure, reject};

/// Length of a compressed key, bytes.
const COMPRESSED: usize = 33;

/// The key of an account.
#[derive(Clone, Debug)]
pub(super) enum PublicKey {
    /// A compressed secp256k1 key.
    Single(Vec<u8>),
    /// Several secp256k1 keys.
    Multi(Multisig),
}

/// Compressed secp256k1 keys, of which a threshold must sign: `LegacyAminoPubKey` of the Cosmos
/// SDK, within limits: no key twice, and no nested multisignature key.
#[derive(Clone, Debug)]
pub(super) struct Multisig {
    threshold: u32,
    keys: Vec<Vec<u8>>,
    /// The canonical protobuf encoding.
    encoded: Vec<u8>,
}

impl PublicKey {
    /// The signer's key, from the transaction or, if it is left out there, from the account.
    pub(super) fn of_signer(
        info: &SignerInfo,
        account: &Account,
        signer: &Address,
        prefix: &str,
    ) -> Result<Self> {
        let Some(any) = &info.public_key else {
            ensure!(
                !account.public_key.is_empty(),
                code::INVALID_PUBKEY,
                "the first transaction of {signer} must carry its public key"
            );
            return Self::from_account(&account.public_key);
        };
        let key = Self::parse(any)?;
        if key.bytes() == account.public_key {
            // The account's key was checked when it was stored.
            return Ok(key);
        }
        ensure!(
            key.parts().iter().all(|key| is_compressed_key(key)),
            code::INVALID_PUBKEY,
            "the public key of {signer} is not a compressed secp256k1 key, or has one that is not"
        );
        ensure!(
            key.address(prefix)? == *signer,
            code::INVALID_PUBKEY,
            "the public key does not belong to {signer}"
        );
        Ok(key)
    }

    /// Reads the form that [`bytes`](Self::bytes) returns.
    fn from_account(bytes: &[u8]) -> Result<Self> {
        match bytes.len() {
            COMPRESSED => Ok(Self::Single(bytes.to_vec())),
            _ => Multisig::parse(bytes).map(Self::Multi),
        }
    }

    /// Parses a key. It does not check that the key is a point of the curve.
    fn parse(any: &Any) -> Result<Self> {
        if any.type_url == LegacyAminoPubKey::type_url() {
            return Multisig::parse(&any.value).map(Self::Multi);
        }
        single(any).map(Self::Single)
    }

    /// The form that the account stores.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Single(key) => key,
            Self::Multi(multisig) => &multisig.encoded,
        }
    }

    fn parts(&self) -> &[Vec<u8>] {
        match self {
            Self::Single(key) => std::slice::from_ref(key),
            Self::Multi(multisig) => &multisig.keys,
        }
    }

    fn address(&self, prefix: &str) -> Result<Address> {
        match self {
            Self::Single(key) => Address::from_public_key(key, prefix),
            Self::Multi(Multisig {
                threshold, keys, ..
            }) => Address::from_multisig_key(&amino_multisig_key(*threshold, keys), prefix),
        }
    }
}

/// Parses one secp256k1 key.
fn single(any: &Any) -> Result<Vec<u8>> {
    ensure!(
        any.type_url == PubKey::type_url(),
        code::INVALID_PUBKEY,
        "keys of type {:?} are not supported, only secp256k1 and multisignatures of it",
        any.type_url
    );
    Ok(strict::<PubKey>(&any.value, &any.type_url)?.key)
}

impl Multisig {
    fn parse(encoded: &[u8]) -> Result<Self> {
        let key: LegacyAminoPubKey = strict(encoded, "LegacyAminoPubKey")?;
        let (threshold, count) = (key.threshold, key.public_keys.len());
        ensure!(
            count <= MAX_MULTISIG_KEYS && (1..=count).contains(&(threshold as usize)),
            code::INVALID_PUBKEY,
            "a multisignature key has a threshold from 1 to the number of its keys, at most {MAX_MULTISIG_KEYS}: \
             got threshold {threshold} of {count} keys"
        );
        let keys: Vec<_> = key.public_keys.iter().map(single).collect::<Result<_>>()?;
        ensure!(
            keys.iter().collect::<BTreeSet<_>>().len() == count,
            code::INVALID_PUBKEY,
            "a multisignature key has the same key twice"
        );
        Ok(Self {
            threshold,
            keys,
            encoded: encoded.to_vec(),
        })
    }

    /// The keys that have signed, each with its signature. All signatures must be valid.
    pub(super) fn signed(
        &self,
        mode: &mode_info::Multi,
        signature: &[u8],
    ) -> Result<Vec<(&[u8], Vec<u8>)>> {
        let keys = self.chosen(mode.bitarray.as_ref())?;
        for info in &mode.mode_infos {
            sign_mode::require_amino(info)?;
        }
        let MultiSignature { signatures } = strict(signature, "MultiSignature")?;
        let (signed, threshold) = (keys.len(), self.threshold);
        ensure!(
            signed >= threshold as usize,
            code::UNAUTHORIZED,
            "{signed} keys have signed, the multisignature key needs {threshold}"
        );
        ensure!(
            mode.mode_infos.len() == signed && signatures.len() == signed,
            code::UNAUTHORIZED,
            "the bit array names {signed} signers, but there are {} modes and {} signatures",
            mode.mode_infos.len(),
            signatures.len()
        );
        Ok(keys.into_iter().zip(signatures).collect())
    }

    /// The keys that a bit array selects. The first key has the highest bit of the first byte.
    /// Unused bits are zero, so each selection has one form.
    fn chosen(&self, bits: Option<&CompactBitArray>) -> Result<Vec<&[u8]>> {
        let count = self.keys.len();
        let bits = bits.filter(|bits| {
            bits.extra_bits_stored as usize == count % 8 && bits.elems.len() == count.div_ceil(8)
        });
        let Some(bits) = bits else {
            reject!(
                code::UNAUTHORIZED,
                "the bit array of a multisignature must have a bit for each of its {count} keys"
            );
        };
        let is_set = |index: usize| {
            let byte = bits.elems.get(index / 8).copied().unwrap_or(0);
            byte & (0x80 >> (index % 8)) != 0
        };
        ensure!(
            !(count..bits.elems.len().saturating_mul(8)).any(is_set),
            code::UNAUTHORIZED,
            "the bit array of a multisignature names more than its {count} keys"
        );
        let keys = self.keys.iter().enumerate();
        let chosen = keys.filter(|(index, _)| is_set(*index));
        Ok(chosen.map(|(_, key)| key.as_slice()).collect())
    }
}
