use cosmos_sdk_proto::cosmos::base::abci::v1beta1::TxMsgData;
use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{SignDoc, SignerInfo, mode_info};
use k256::ecdsa::signature::Verifier;
use k256::ecdsa::{Signature, VerifyingKey};
use poq_proto::code;
use poq_proto::v1::Account;
use prost::{Message as _, Name};

use super::decode::{Unverified, strict};
use super::messages::Message;
use crate::address::Address;
use crate::error::{Result, ensure, reject};
use crate::execution::Execution;
use crate::modules::auth;

/// How far the signatures of a transaction are to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// Verify them.
    Verify,
    /// This node verified them before, over the same bytes: a recheck of its own mempool.
    Verified,
    /// There are none: a simulation, whose effects are dropped.
    Simulated,
}

/// A transaction that its signers sent, in sequence, and whose fee is paid.
#[derive(Debug)]
pub struct Authenticated {
    messages: Vec<Message>,
}

impl Unverified {
    /// Checks timeout, gas, fee, signers, sequences and signatures, then takes the fee and counts
    /// the sequences. The effects stay even if a message fails later.
    pub fn authenticate(
        self,
        x: &mut Execution<'_>,
        signatures: Signatures,
    ) -> Result<Authenticated> {
        let params = &x.block.params;
        let height = x.block.height;
        ensure!(
            self.timeout_height == 0 || height <= self.timeout_height,
            code::TIMEOUT_HEIGHT,
            "tx timeout height {} has passed, the block is {height}",
            self.timeout_height
        );
        let fee = match signatures {
            Signatures::Simulated => 0,
            Signatures::Verify | Signatures::Verified => self.check_fee(params)?,
        };
        let count = self.signers.len();
        ensure!(
            self.auth_info.signer_infos.len() == count
                && (signatures == Signatures::Simulated || self.raw.signatures.len() == count),
            code::NO_SIGNATURES,
            "expected {count} signers and signatures, got {} and {}",
            self.auth_info.signer_infos.len(),
            self.raw.signatures.len()
        );
        for (index, (signer, info)) in self
            .signers
            .iter()
            .zip(&self.auth_info.signer_infos)
            .enumerate()
        {
            let Some(account) = auth::account(x.state, signer)? else {
                reject!(
                    code::UNKNOWN_ADDRESS,
                    "account {signer} does not exist: send it some {} first",
                    params.denom
                );
            };
            let key = public_key(info, &account, signer, &params.bech32_prefix, signatures)?;
            ensure!(
                info.sequence == account.sequence,
                code::WRONG_SEQUENCE,
                "account sequence mismatch, expected {}, got {}",
                account.sequence,
                info.sequence
            );
            check_mode(info, signatures)?;
            if signatures == Signatures::Verify {
                let signature = self
                    .raw
                    .signatures
                    .get(index)
                    .map_or(&[][..], Vec::as_slice);
                self.verify(&key, signature, &x.block.chain_id, account.account_number)?;
            }
            auth::record_signature(x.state, signer, &key)?;
        }
        self.pay_fee(x.state, params, fee)?;
        Ok(Authenticated {
            messages: self.messages,
        })
    }

    /// ECDSA over SHA-256 of the sign document, which holds the received bytes; 64 bytes `r ‖ s`
    /// with a low `s`, so that nobody but the signer can make a second valid form.
    fn verify(&self, key: &[u8], signature: &[u8], chain_id: &str, number: u64) -> Result<()> {
        let document = SignDoc {
            body_bytes: self.raw.body_bytes.clone(),
            auth_info_bytes: self.raw.auth_info_bytes.clone(),
            chain_id: chain_id.to_owned(),
            account_number: number,
        };
        let verified = Signature::from_slice(signature)
            .ok()
            .filter(|signature| signature.normalize_s().is_none())
            .zip(VerifyingKey::from_sec1_bytes(key).ok())
            .is_some_and(|(signature, key)| {
                key.verify(&document.encode_to_vec(), &signature).is_ok()
            });
        ensure!(
            verified,
            code::UNAUTHORIZED,
            "signature verification failed; please verify account number ({number}) and chain-id ({chain_id})"
        );
        Ok(())
    }
}

impl Authenticated {
    /// Executes the messages, all or none; returns the encoded `TxMsgData` of their responses.
    pub fn execute(self, x: &mut Execution<'_>) -> Result<Vec<u8>> {
        let msg_responses = x.attempt(|x| {
            self.messages
                .into_iter()
                .map(|message| {
                    x.emit(
                        "message",
                        &[
                            ("action", &message.type_url()),
                            ("sender", &message.signer()),
                        ],
                    );
                    message.run(x)
                })
                .collect::<Result<Vec<_>>>()
        })?;
        Ok(TxMsgData {
            msg_responses,
            ..TxMsgData::default()
        }
        .encode_to_vec())
    }
}

/// The signer's compressed key, from the transaction or, if it is left out there, from the account.
fn public_key(
    info: &SignerInfo,
    account: &Account,
    signer: &Address,
    prefix: &str,
    signatures: Signatures,
) -> Result<Vec<u8>> {
    let Some(any) = &info.public_key else {
        ensure!(
            !account.public_key.is_empty() || signatures == Signatures::Simulated,
            code::INVALID_PUBKEY,
            "the first transaction of {signer} must carry its public key"
        );
        return Ok(account.public_key.clone());
    };
    ensure!(
        any.type_url == PubKey::type_url(),
        code::INVALID_PUBKEY,
        "keys of type {:?} are not supported, only secp256k1",
        any.type_url
    );
    let key = strict::<PubKey>(&any.value, &any.type_url)?.key;
    if key.is_empty() && signatures == Signatures::Simulated {
        return Ok(account.public_key.clone());
    }
    ensure!(
        key.len() == 33 && VerifyingKey::from_sec1_bytes(&key).is_ok(),
        code::INVALID_PUBKEY,
        "the public key of {signer} is not a compressed secp256k1 key"
    );
    ensure!(
        Address::from_public_key(&key, prefix)? == *signer,
        code::INVALID_PUBKEY,
        "the public key does not belong to {signer}"
    );
    Ok(key)
}

fn check_mode(info: &SignerInfo, signatures: Signatures) -> Result<()> {
    let mode = match info.mode_info.as_ref().and_then(|mode| mode.sum.as_ref()) {
        Some(mode_info::Sum::Single(single)) => single.mode(),
        Some(mode_info::Sum::Multi(_)) | None => SignMode::Unspecified,
    };
    ensure!(
        mode == SignMode::Direct || signatures == Signatures::Simulated,
        code::UNAUTHORIZED,
        "only SIGN_MODE_DIRECT with one key is supported, got {}",
        mode.as_str_name()
    );
    Ok(())
}
