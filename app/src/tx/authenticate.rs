use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cosmos_sdk_proto::cosmos::base::abci::v1beta1::TxMsgData;
use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{SignDoc, SignerInfo, mode_info};
use poq_proto::code;
use poq_proto::v1::Account;
use prost::{Message as _, Name};

use super::amino::{self, Signer};
use super::decode::Unverified;
use super::messages::Message;
use super::signature::{Verifier, is_compressed_key};
use super::strict::strict;
use crate::address::Address;
use crate::error::{Result, ensure, reject};
use crate::execution::{BlockContext, Execution};
use crate::modules::auth;
use crate::store::State;

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
        verifier: &Verifier,
    ) -> Result<Authenticated> {
        let params = &x.block.params;
        let height = x.block.height;
        ensure!(
            self.body.timeout_height == 0 || height <= self.body.timeout_height,
            code::TIMEOUT_HEIGHT,
            "tx timeout height {} has passed, the block is {height}",
            self.body.timeout_height
        );
        let fee = match signatures {
            Signatures::Simulated => 0,
            Signatures::Verify | Signatures::Verified => self.check_fee(params)?,
        };
        self.check_count(signatures)?;
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
            let key = match signatures {
                // Whatever a client fills in, what it simulates has the same gas.
                Signatures::Simulated => account.public_key.clone(),
                Signatures::Verify | Signatures::Verified => {
                    public_key(info, &account, signer, &params.bech32_prefix)?
                }
            };
            ensure!(
                info.sequence == account.sequence,
                code::WRONG_SEQUENCE,
                "account sequence mismatch, expected {}, got {}: incorrect account sequence",
                account.sequence,
                info.sequence
            );
            if signatures != Signatures::Simulated {
                sign_mode(info)?;
            }
            if signatures == Signatures::Verify {
                let number = account.account_number;
                ensure!(
                    self.is_signed(index, info, &key, number, x.block, verifier)?,
                    code::UNAUTHORIZED,
                    "signature verification failed; please verify account number ({number}), sequence ({}) and chain-id ({})",
                    info.sequence,
                    x.block.chain_id
                );
            }
            auth::record_signature(x.state, signer, account, key)?;
        }
        self.pay_fee(x.state, params, fee)?;
        self.emit_events(x, fee);
        Ok(Authenticated {
            messages: self.messages,
        })
    }

    /// What the Cosmos SDK tells of every transaction, also of one whose messages fail.
    fn emit_events(&self, x: &mut Execution<'_>, fee: u128) {
        let payer = self.signers.first();
        if let (Some(payer), true) = (payer, fee > 0) {
            let coin = format!("{fee}{}", x.block.params.denom);
            x.emit("coin_spent", &[("spender", payer), ("amount", &coin)]);
            x.emit("tx", &[("fee", &coin), ("fee_payer", payer)]);
        }
        for (signer, info) in self.signers.iter().zip(&self.auth_info.signer_infos) {
            let sequence = format!("{signer}/{}", info.sequence);
            x.emit("tx", &[("acc_seq", &sequence)]);
        }
        for signature in &self.raw.signatures {
            x.emit("tx", &[("signature", &BASE64.encode(signature))]);
        }
    }

    /// Notes what the verifier remembers of the signatures. Tells whether it remembers all.
    pub(super) fn recall(&mut self, verifier: &Verifier) -> bool {
        let signatures = self.raw.signatures.iter();
        let recalled = signatures.map(|signature| verifier.recall(signature));
        self.recalled = recalled.collect();
        self.recalled.iter().all(Option::is_some)
    }

    /// Verifies the signatures as far as the state before the block tells what they are over, so that
    /// the verifier remembers them when the transaction's turn comes.
    ///
    /// # Errors
    /// If one cannot be verified. What that means is for the transaction's turn to say.
    pub(super) fn verify_ahead(
        &self,
        before: &State,
        block: &BlockContext,
        verifier: &Verifier,
    ) -> Result<()> {
        self.check_count(Signatures::Verify)?;
        for (index, (signer, info)) in self
            .signers
            .iter()
            .zip(&self.auth_info.signer_infos)
            .enumerate()
        {
            let Some(account) = auth::account(before, signer)? else {
                continue;
            };
            let key = public_key(info, &account, signer, &block.params.bech32_prefix)?;
            self.is_signed(index, info, &key, account.account_number, block, verifier)?;
        }
        Ok(())
    }

    /// Whether a signer's signature is that of `key`, for the account of this number.
    fn is_signed(
        &self,
        index: usize,
        info: &SignerInfo,
        key: &[u8],
        number: u64,
        block: &BlockContext,
        verifier: &Verifier,
    ) -> Result<bool> {
        let signer = Signer {
            chain_id: &block.chain_id,
            account_number: number,
            sequence: info.sequence,
        };
        let document = self.document(sign_mode(info)?, info, &signer)?;
        let recalled = self.recalled.get(index).copied().flatten();
        Ok(verifier.verify_recalled(key, self.signature(index), &document, recalled))
    }

    /// A signer's signature; empty without one.
    fn signature(&self, index: usize) -> &[u8] {
        self.raw.signatures.get(index).map_or(&[], Vec::as_slice)
    }

    /// One signer's part and one signature for each account that must sign.
    fn check_count(&self, signatures: Signatures) -> Result<()> {
        let expected = self.signers.len();
        let infos = self.auth_info.signer_infos.len();
        let given = match signatures {
            Signatures::Simulated => infos,
            Signatures::Verify | Signatures::Verified => self.raw.signatures.len(),
        };
        ensure!(given > 0, code::NO_SIGNATURES, "no signatures supplied");
        ensure!(
            infos == expected && given == expected,
            code::UNAUTHORIZED,
            "wrong number of signers; expected {expected}, got {infos} with {given} signatures"
        );
        Ok(())
    }

    /// The bytes that were signed. A document in protobuf holds the transaction as it was
    /// received; one in JSON only what it means, so that whatever else the bytes can say is fixed
    /// here: nobody but the signer can give them another form.
    fn document(&self, mode: Mode, info: &SignerInfo, signer: &Signer<'_>) -> Result<Vec<u8>> {
        match mode {
            Mode::Direct => Ok(SignDoc {
                body_bytes: self.raw.body_bytes.clone(),
                auth_info_bytes: self.raw.auth_info_bytes.clone(),
                chain_id: signer.chain_id.to_owned(),
                account_number: signer.account_number,
            }
            .encode_to_vec()),
            Mode::Amino => {
                ensure!(
                    info.public_key.is_some(),
                    code::INVALID_PUBKEY,
                    "a transaction signed in amino's JSON must carry the public key"
                );
                let Some(fee) = &self.auth_info.fee else {
                    reject!(
                        code::INVALID_REQUEST,
                        "a transaction signed in amino's JSON must have a fee, which may be empty"
                    );
                };
                amino::sign_document(&self.body, fee, signer)
            }
        }
    }
}

impl Authenticated {
    /// Executes the messages, all or none; returns the encoded `TxMsgData` of their responses.
    pub fn execute(self, x: &mut Execution<'_>) -> Result<Vec<u8>> {
        let msg_responses = x.attempt(|x| {
            self.messages
                .into_iter()
                .enumerate()
                .map(|(index, message)| {
                    let before = x.event_count();
                    let type_url = message.type_url();
                    x.emit(
                        "message",
                        &[
                            ("action", &type_url),
                            ("sender", &message.signer()),
                            ("module", &module(&type_url)),
                        ],
                    );
                    let response = message.run(x)?;
                    x.mark_events(before, "msg_index", &index);
                    Ok(response)
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

/// The module of a message's type, as the Cosmos SDK names it in events: `bank` of
/// `/cosmos.bank.v1beta1.MsgSend`, `poq` of `/poq.v1.MsgSubmitTask`.
fn module(type_url: &str) -> &str {
    let path = type_url.trim_start_matches('/');
    let path = path.strip_prefix("cosmos.").unwrap_or(path);
    path.split('.').next().unwrap_or_default()
}

/// The signer's compressed key, from the transaction or, if it is left out there, from the account.
fn public_key(
    info: &SignerInfo,
    account: &Account,
    signer: &Address,
    prefix: &str,
) -> Result<Vec<u8>> {
    let Some(any) = &info.public_key else {
        ensure!(
            !account.public_key.is_empty(),
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
    if key == account.public_key {
        // It was checked when it came into the account.
        return Ok(key);
    }
    ensure!(
        is_compressed_key(&key),
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

/// How a document is made out of a transaction.
#[derive(Clone, Copy)]
enum Mode {
    Direct,
    Amino,
}

fn sign_mode(info: &SignerInfo) -> Result<Mode> {
    let single = match info.mode_info.as_ref().and_then(|mode| mode.sum.as_ref()) {
        Some(mode_info::Sum::Single(single)) => single,
        Some(mode_info::Sum::Multi(_)) => reject!(
            code::UNAUTHORIZED,
            "multisignatures are not supported: one secp256k1 key signs"
        ),
        None => reject!(code::UNAUTHORIZED, "the signer's sign mode is missing"),
    };
    match SignMode::try_from(single.mode) {
        Ok(SignMode::Direct) => Ok(Mode::Direct),
        Ok(SignMode::LegacyAminoJson) => Ok(Mode::Amino),
        other => reject!(
            code::UNAUTHORIZED,
            "{} is not supported: sign in SIGN_MODE_DIRECT or SIGN_MODE_LEGACY_AMINO_JSON",
            other.map_or("this sign mode", |mode| mode.as_str_name())
        ),
    }
}
