//! The cost of signatures alone.

use std::time::Duration;

use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{AuthInfo, SignDoc, TxRaw};
use poq_app::tx::Verifier;
use prost::{DecodeError, Message};

/// The inputs of a verification, as bytes.
struct Parts {
    document: Vec<u8>,
    key: Vec<u8>,
    signature: Vec<u8>,
}

/// A transaction as its node signed it.
pub struct Signed {
    /// The bytes that enter a block.
    pub tx: Vec<u8>,
    /// The signer's account number.
    pub account_number: u64,
}

impl Signed {
    fn parts(&self, chain_id: &str) -> Result<Parts, DecodeError> {
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
            chain_id: chain_id.into(),
            account_number: self.account_number,
        };
        Ok(Parts {
            document: document.encode_to_vec(),
            key: PubKey::decode(key.value.as_slice())?.key,
            signature: raw.signatures.pop().unwrap_or_default(),
        })
    }
}

/// CPU time of verifying only the signatures of a chain's transactions.
///
/// # Errors
/// If one is not valid, or the system has no such clock.
pub fn verify(signed: &[Signed], chain_id: &str) -> Result<Duration, Box<dyn std::error::Error>> {
    let parts = signed
        .iter()
        .map(|signed| signed.parts(chain_id))
        .collect::<Result<Vec<_>, _>>()?;
    let verifier = Verifier::default();
    let start = crate::thread_cpu()?;
    let valid = parts
        .iter()
        .all(|part| verifier.verify(&part.key, &part.signature, &part.document));
    let time = crate::thread_cpu()? - start;
    match valid {
        true => Ok(time),
        false => Err("a signature is not valid".into()),
    }
}
