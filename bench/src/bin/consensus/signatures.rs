//! What signatures alone cost.

use std::time::Duration;

use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{AuthInfo, SignDoc, TxRaw};
use k256::ecdsa::signature::Verifier;
use k256::ecdsa::{Signature, VerifyingKey};
use prost::{DecodeError, Message};

use super::support::{CHAIN_ID, Wallet};

/// A transaction as its node signed it.
pub struct Signed {
    /// The bytes that enter a block.
    pub tx: Vec<u8>,
    /// The signer's account number.
    account_number: u64,
}

impl Signed {
    /// What `wallet` signed.
    pub fn new(wallet: &Wallet, tx: Vec<u8>) -> Self {
        Self {
            tx,
            account_number: wallet.number,
        }
    }

    /// The signed bytes, the key and the signature, as they are before anything is computed.
    fn parts(&self) -> Result<(Vec<u8>, Vec<u8>, Vec<u8>), DecodeError> {
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
        let key = PubKey::decode(key.value.as_slice())?.key;
        let signature = raw.signatures.pop().unwrap_or_default();
        Ok((document.encode_to_vec(), key, signature))
    }
}

/// CPU time of verifying the transactions' signatures and nothing else.
///
/// # Errors
/// If one is not valid, or there is no clock.
pub fn verify(signed: &[Signed]) -> Result<Duration, Box<dyn std::error::Error>> {
    let parts = signed
        .iter()
        .map(Signed::parts)
        .collect::<Result<Vec<_>, _>>()?;
    let start = poq_bench::thread_cpu()?;
    for (document, key, signature) in &parts {
        let key = VerifyingKey::from_sec1_bytes(key)?;
        key.verify(document, &Signature::from_slice(signature)?)?;
    }
    Ok(poq_bench::thread_cpu()? - start)
}
