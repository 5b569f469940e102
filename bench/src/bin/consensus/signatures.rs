//! The cost of signatures alone.

use std::time::Duration;

use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{AuthInfo, SignDoc, TxRaw};
use poq_app::tx::Verifier;
use prost::{DecodeError, Message};

use super::support::{CHAIN_ID, Wallet};

/// The inputs of a verification, as bytes.
struct Parts {
    document: Vec<u8>,
    key: Vec<u8>,
    signature: Vec<u8>,
}

/// A transaction as its node signed it.
pub(crate) struct Signed {
    /// The bytes that enter a block.
    pub tx: Vec<u8>,
    /// The signer's account number.
    account_number: u64,
}

impl Signed {
    /// Creates a transaction that `wallet` has signed.
    pub(crate) fn new(wallet: &Wallet, tx: Vec<u8>) -> Self {
        Self {
            tx,
            account_number: wallet.number,
        }
    }

    fn parts(&self) -> Result<Parts, DecodeError> {
        let mut raw = TxRaw::decode(self.tx.as_slice())?;
        let auth_info = AuthInfo::decode(raw.auth_info_bytes.as_slice())?;
        let key = auth_info
            .signer_infos
            .into_iter()
            .find_map(|info| info.public_key)
            .unwrap_or_default();
        let document = SignDoc {
            body_bytes: raw.body_bytes,
            auth_info_bytes: raw.auth_info_bytes,
            chain_id: CHAIN_ID.into(),
            account_number: self.account_number,
        };
        Ok(Parts {
            document: document.encode_to_vec(),
            key: PubKey::decode(key.value.as_slice())?.key,
            signature: raw.signatures.pop().unwrap_or_default(),
        })
    }
}

/// CPU time of verifying only the transactions' signatures.
///
/// # Errors
/// If one is not valid, or the system has no such clock.
pub(crate) fn verify(signed: &[Signed]) -> Result<Duration, Box<dyn std::error::Error>> {
    let parts = signed
        .iter()
        .map(Signed::parts)
        .collect::<Result<Vec<_>, _>>()?;
    let verifier = Verifier::default();
    let start = poq_bench::thread_cpu()?;
    let valid = parts
        .iter()
        .all(|part| verifier.verify(&part.key, &part.signature, &part.document));
    let time = poq_bench::thread_cpu()? - start;
    match valid {
        true => Ok(time),
        false => Err("a signature is not valid".into()),
    }
}
