//! Multisignature accounts: `cosmos.crypto.multisig.LegacyAminoPubKey`.

use cosmos_sdk_proto::cosmos::crypto::multisig::LegacyAminoPubKey;
use cosmos_sdk_proto::cosmos::crypto::multisig::v1beta1::{CompactBitArray, MultiSignature};
use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{ModeInfo, SignerInfo, mode_info};
use poq_proto::{MAX_MULTISIG_KEYS, amino_multisig_key};
use prost::{Message, Name};
use sha2::{Digest, Sha256};

use crate::key::{address_bytes_of, format_address, is_signed};
use crate::tx::{SIGNATURE_BYTES, Tx, any};
use crate::{Any, Error, Result};

/// Several secp256k1 keys, of which a threshold must sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multisig {
    threshold: u32,
    /// Compressed.
    keys: Vec<Vec<u8>>,
}

/// The signature of one key of a multisignature account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialSignature {
    /// The signing key, compressed.
    pub public_key: Vec<u8>,
    /// 64 bytes, over the amino JSON.
    pub signature: Vec<u8>,
    /// The account's sequence that was signed.
    pub sequence: u64,
}

impl Multisig {
    /// Sorts the keys by address, as wallets and the Cosmos SDK do.
    ///
    /// # Errors
    /// [`Error::Key`] if the chain would refuse such a key.
    pub fn new(threshold: u32, keys: Vec<Vec<u8>>) -> Result<Self> {
        let keys = keys
            .into_iter()
            .map(|key| Ok((address_bytes_of(&key)?, key)));
        let mut keys = keys.collect::<Result<Vec<_>>>()?;
        keys.sort();
        Self::in_order(threshold, keys.into_iter().map(|(_, key)| key).collect())
    }

    fn in_order(threshold: u32, keys: Vec<Vec<u8>>) -> Result<Self> {
        let count = keys.len();
        if count > MAX_MULTISIG_KEYS || !(1..=count).contains(&(threshold as usize)) {
            return Err(Error::Key(format!(
                "a multisignature key has a threshold from 1 to the number of its keys, at most {MAX_MULTISIG_KEYS}: \
                 got threshold {threshold} of {count} keys"
            )));
        }
        if (1..count).any(|index| keys[..index].contains(&keys[index])) {
            return Err(Error::Key("a key is listed twice".into()));
        }
        Ok(Self { threshold, keys })
    }

    /// Reads the encoding of a `LegacyAminoPubKey`.
    ///
    /// # Errors
    /// [`Error::Key`] if the bytes are not one, or one that the chain would refuse.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let broken =
            |reason: String| Error::Key(format!("it is not a multisignature key: {reason}"));
        let key = LegacyAminoPubKey::decode(bytes).map_err(|error| broken(error.to_string()))?;
        let part = |any: Any| {
            if any.type_url != PubKey::type_url() {
                return Err(broken(format!("{} in it is not supported", any.type_url)));
            }
            let key = PubKey::decode(any.value.as_slice());
            let key = key.map_err(|error| broken(error.to_string()))?.key;
            address_bytes_of(&key)?;
            Ok(key)
        };
        let keys = key.public_keys.into_iter().map(part);
        Self::in_order(key.threshold, keys.collect::<Result<_>>()?)
    }

    /// The encoded `LegacyAminoPubKey`, as stored in an account.
    pub fn encode(&self) -> Vec<u8> {
        self.public_key().value
    }

    /// The number of keys that must sign.
    pub fn threshold(&self) -> u32 {
        self.threshold
    }

    /// The compressed keys, in the order that gives the address.
    pub fn keys(&self) -> &[Vec<u8>] {
        &self.keys
    }

    /// The account's address in bech32 with this human-readable prefix.
    pub fn address(&self, prefix: &str) -> Result<String> {
        let digest = Sha256::digest(amino_multisig_key(self.threshold, &self.keys));
        let mut address = [0; 20];
        address.copy_from_slice(&digest[..20]);
        format_address(prefix, &address)
    }

    /// The transaction with the signatures of some keys over `document`, its amino JSON.
    ///
    /// # Errors
    /// [`Error::InvalidTx`] if a signature is not valid, or if there are too few.
    pub fn join(
        &self,
        mut tx: Tx,
        sequence: u64,
        document: &[u8],
        signatures: &[PartialSignature],
    ) -> Result<Tx> {
        let mut found: Vec<Option<Vec<u8>>> = vec![None; self.keys.len()];
        for given in signatures {
            let key = hex::encode(&given.public_key);
            let index = self.keys.iter().position(|key| *key == given.public_key);
            let index = index.ok_or_else(|| {
                Error::InvalidTx(format!("the key {key} does not belong to the account"))
            })?;
            if given.sequence != sequence {
                return Err(Error::InvalidTx(format!(
                    "the key {key} has signed for sequence {}, the account is at {sequence}",
                    given.sequence
                )));
            }
            if !is_signed(&given.public_key, document, &given.signature) {
                return Err(Error::InvalidTx(format!(
                    "the signature of the key {key} is not over this transaction, with this chain, account number and sequence"
                )));
            }
            found[index] = Some(given.signature.clone());
        }
        let signed = found.iter().flatten().count();
        if signed < self.threshold as usize {
            return Err(Error::InvalidTx(format!(
                "{signed} keys have signed, {} must",
                self.threshold
            )));
        }
        let signers: Vec<bool> = found.iter().map(Option::is_some).collect();
        self.claim(&mut tx, sequence, &signers);
        let signatures = found.into_iter().flatten().collect();
        tx.signatures = vec![MultiSignature { signatures }.encode_to_vec()];
        Ok(tx)
    }

    /// Makes the transaction look as if enough of the account's keys had signed, for a simulation.
    pub(crate) fn simulate(&self, tx: &mut Tx, sequence: u64) {
        let threshold = self.threshold as usize;
        let signers: Vec<bool> = (0..self.keys.len())
            .map(|index| index < threshold)
            .collect();
        self.claim(tx, sequence, &signers);
        let signatures = vec![vec![0; SIGNATURE_BYTES]; threshold];
        tx.signatures = vec![MultiSignature { signatures }.encode_to_vec()];
    }

    /// Sets the account as the transaction's only signer, and which of its keys sign.
    fn claim(&self, tx: &mut Tx, sequence: u64, signers: &[bool]) {
        let mut elems = vec![0; signers.len().div_ceil(8)];
        for (index, signs) in signers.iter().enumerate() {
            if *signs {
                elems[index / 8] |= 0x80 >> (index % 8);
            }
        }
        let amino = ModeInfo {
            sum: Some(mode_info::Sum::Single(mode_info::Single {
                mode: SignMode::LegacyAminoJson.into(),
            })),
        };
        let multi = mode_info::Multi {
            bitarray: Some(CompactBitArray {
                extra_bits_stored: (signers.len() % 8) as u32,
                elems,
            }),
            mode_infos: signers
                .iter()
                .filter(|signs| **signs)
                .map(|_| amino.clone())
                .collect(),
        };
        tx.auth_info.get_or_insert_default().signer_infos = vec![SignerInfo {
            public_key: Some(self.public_key()),
            mode_info: Some(ModeInfo {
                sum: Some(mode_info::Sum::Multi(multi)),
            }),
            sequence,
        }];
    }

    fn public_key(&self) -> Any {
        let keys = self.keys.iter();
        let keys = keys.map(|key| any(&PubKey { key: key.clone() }));
        any(&LegacyAminoPubKey {
            threshold: self.threshold,
            public_keys: keys.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;
    use crate::tx::{Unsigned, sign_amino};

    fn keys() -> Vec<Key> {
        (1..=3)
            .map(|seed| Key::from_bytes(&[seed; 32]).unwrap())
            .collect()
    }

    fn multisig() -> Multisig {
        Multisig::new(2, keys().iter().map(Key::public_key).collect()).unwrap()
    }

    fn transfer() -> Tx {
        let unsigned = Unsigned {
            messages: Vec::new(),
            gas_limit: 1,
            fee: None,
            memo: String::new(),
            timeout_height: 0,
        };
        unsigned.to_tx().unwrap()
    }

    fn signature(key: &Key, sequence: u64) -> PartialSignature {
        sign_amino(b"document", sequence, key).unwrap()
    }

    /// What CosmJS's `pubkeyToAddress` returns for the keys in each order.
    #[test]
    fn addresses_are_those_of_cosmjs() {
        let keys: Vec<_> = keys().iter().map(Key::public_key).collect();
        let unsorted = Multisig::in_order(2, keys.clone()).unwrap();
        let address = "poq1896yggmlu07f0cgd8jrc8mfn2rslkjm8dtxv93";
        assert_eq!(unsorted.address("poq").unwrap(), address);
        let reversed: Vec<_> = keys.iter().rev().cloned().collect();
        assert_eq!(
            Multisig::new(2, keys).unwrap(),
            Multisig::new(2, reversed).unwrap()
        );
        assert_eq!(Multisig::decode(&unsorted.encode()).unwrap(), unsorted);
    }

    #[test]
    fn unusable_keys_are_refused() {
        let keys: Vec<_> = keys().iter().map(Key::public_key).collect();
        for threshold in [0, 4] {
            assert!(Multisig::new(threshold, keys.clone()).is_err());
        }
        assert!(Multisig::new(1, vec![keys[0].clone(), keys[0].clone()]).is_err());
        assert!(Multisig::new(1, vec![vec![2; 32]]).is_err());
        assert!(Multisig::new(0, Vec::new()).is_err());
        for bytes in [&b"x"[..], &[]] {
            assert!(Multisig::decode(bytes).is_err());
        }
    }

    #[test]
    fn enough_right_signatures_make_a_transaction() {
        let (multisig, keys) = (multisig(), keys());
        let join =
            |signatures: &[PartialSignature]| multisig.join(transfer(), 5, b"document", signatures);
        let two = [signature(&keys[2], 5), signature(&keys[0], 5)];
        let tx = join(&two).unwrap();
        let [info] = &tx.auth_info.unwrap().signer_infos[..] else {
            panic!("one account signs");
        };
        assert_eq!(info.sequence, 5);
        // Signatures follow the order of the account's keys, not of arrival; duplicates count once.
        let tx_in_other_order = join(&[two[1].clone(), two[0].clone(), two[1].clone()]).unwrap();
        assert_eq!(tx_in_other_order.signatures, tx.signatures);

        assert!(join(&two[..1]).is_err());
        assert!(join(&[two[0].clone(), two[0].clone()]).is_err());
        assert!(join(&[two[0].clone(), signature(&keys[0], 6)]).is_err());
        let stranger = Key::from_bytes(&[9; 32]).unwrap();
        assert!(join(&[two[0].clone(), signature(&stranger, 5)]).is_err());
        let mut wrong = two.clone();
        wrong[0].signature[10] ^= 1;
        assert!(join(&wrong).is_err());
    }
}
