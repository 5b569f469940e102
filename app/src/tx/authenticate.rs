use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cosmos_sdk_proto::cosmos::base::abci::v1beta1::TxMsgData;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{SignDoc, SignerInfo};
use poq_proto::code;
use poq_store::State;
use prost::Message as _;

use super::amino::{self, Signer};
use super::decode::Unverified;
use super::messages::Message;
use super::public_key::PublicKey;
use super::sign_mode::{Mode, Signing, signing};
use super::signature::Verifier;
use crate::error::{Error, Result, ensure, reject};
use crate::execution::{BlockContext, Execution};
use crate::modules::auth;

/// How to treat the signatures of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// Verify the signatures.
    Verify,
    /// This node has already verified the same bytes: a recheck of its own mempool.
    Verified,
    /// There are no signatures: a simulation, whose effects are dropped.
    Simulated,
}

/// A transaction with valid signatures and sequences, whose fee is paid.
#[derive(Debug)]
pub struct Authenticated {
    messages: Vec<Message>,
}

impl Unverified {
    /// Checks timeout, gas, fee, signers, sequences and signatures, then takes the fee and
    /// increments the sequences. These effects stay even if a message fails later.
    pub fn authenticate(
        self,
        ctx: &mut Execution<'_>,
        signatures: Signatures,
        verifier: &Verifier,
    ) -> Result<Authenticated> {
        let params = &ctx.block.params;
        let height = ctx.block.height;
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
            let Some(account) = auth::account(ctx.state, signer)? else {
                reject!(
                    code::UNKNOWN_ADDRESS,
                    "account {signer} does not exist: send it some {} first",
                    params.denom
                );
            };
            let key = match signatures {
                // A simulation needs the same gas whatever key the client fills in.
                Signatures::Simulated => None,
                Signatures::Verify | Signatures::Verified => Some(PublicKey::of_signer(
                    info,
                    &account,
                    signer,
                    &params.bech32_prefix,
                )?),
            };
            ensure!(
                info.sequence == account.sequence,
                code::WRONG_SEQUENCE,
                "account sequence mismatch, expected {}, got {}: incorrect account sequence",
                account.sequence,
                info.sequence
            );
            if let (Some(key), Signatures::Verify) = (&key, signatures) {
                let number = account.account_number;
                ensure!(
                    self.is_signed(index, info, key, number, ctx.block, verifier)?,
                    code::UNAUTHORIZED,
                    "signature verification failed; please verify account number ({number}), sequence ({}) and chain-id ({})",
                    info.sequence,
                    ctx.block.chain_id
                );
            }
            auth::record_signature(
                ctx.state,
                signer,
                account,
                key.as_ref().map(PublicKey::bytes),
            )?;
        }
        self.pay_fee(ctx.state, params, fee)?;
        self.emit_events(ctx, fee);
        Ok(Authenticated {
            messages: self.messages,
        })
    }

    /// Emits the events that the Cosmos SDK emits for every transaction, even if its messages fail.
    fn emit_events(&self, ctx: &mut Execution<'_>, fee: u128) {
        let payer = self.signers.first();
        if let (Some(payer), true) = (payer, fee > 0) {
            let coin = format!("{fee}{}", ctx.block.params.denom);
            ctx.emit("coin_spent", &[("spender", payer), ("amount", &coin)]);
            ctx.emit("tx", &[("fee", &coin), ("fee_payer", payer)]);
        }
        for (signer, info) in self.signers.iter().zip(&self.auth_info.signer_infos) {
            let sequence = format!("{signer}/{}", info.sequence);
            ctx.emit("tx", &[("acc_seq", &sequence)]);
        }
        for signature in &self.raw.signatures {
            ctx.emit("tx", &[("signature", &BASE64.encode(signature))]);
        }
    }

    /// Looks up the signatures in the verifier's memory. Returns whether it remembers all of them.
    pub(super) fn recall(&mut self, verifier: &Verifier) -> bool {
        let signatures = self.raw.signatures.iter();
        let recalled = signatures.map(|signature| verifier.recall(signature));
        self.recalled = recalled.collect();
        self.recalled.iter().all(Option::is_some)
    }

    /// Verifies the signatures against the state before the block, so that the verifier remembers
    /// them when the transaction is executed.
    ///
    /// # Errors
    /// If a signature cannot be verified. The execution of the transaction decides what that means.
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
            let key = PublicKey::of_signer(info, &account, signer, &block.params.bech32_prefix)?;
            self.is_signed(index, info, &key, account.account_number, block, verifier)?;
        }
        Ok(())
    }

    /// Whether a signer's signature is valid for `key` and the account number; for a multisignature
    /// every one must be.
    fn is_signed(
        &self,
        index: usize,
        info: &SignerInfo,
        key: &PublicKey,
        number: u64,
        block: &BlockContext,
        verifier: &Verifier,
    ) -> Result<bool> {
        let signer = Signer {
            chain_id: &block.chain_id,
            account_number: number,
            sequence: info.sequence,
        };
        let signature = self.signature(index);
        match (key, signing(info)?) {
            (PublicKey::Single(key), Signing::Single(mode)) => {
                let document = self.document(mode, info, &signer)?;
                let recalled = self.recalled.get(index).copied().flatten();
                Ok(verifier.verify_recalled(key, signature, &document, recalled))
            }
            (PublicKey::Multi(multisig), Signing::Multi(mode)) => {
                let signed = multisig.signed(mode, signature)?;
                let document = self.document(Mode::Amino, info, &signer)?;
                let mut signed = signed.iter();
                Ok(signed.all(|(key, signature)| verifier.verify(key, signature, &document)))
            }
            (PublicKey::Single(_), Signing::Multi(_)) => reject!(
                code::UNAUTHORIZED,
                "one key signs for this account, not a multisignature"
            ),
            (PublicKey::Multi(_), Signing::Single(_)) => reject!(
                code::UNAUTHORIZED,
                "this account needs a multisignature of its keys, each in SIGN_MODE_LEGACY_AMINO_JSON"
            ),
        }
    }

    /// A signer's signature; empty if there is none.
    fn signature(&self, index: usize) -> &[u8] {
        self.raw.signatures.get(index).map_or(&[], Vec::as_slice)
    }

    /// Requires one signer info and one signature per required signer.
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

    /// The signed bytes. The protobuf document contains the transaction as received. The JSON
    /// document contains only its meaning, so every other freedom of the encoding is fixed here:
    /// only the signer can give the transaction another form.
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
    /// Executes all messages or none. Returns the encoded `TxMsgData` of their responses.
    pub fn execute(self, ctx: &mut Execution<'_>) -> Result<Vec<u8>> {
        let msg_responses = ctx.attempt(|ctx| {
            self.messages
                .into_iter()
                .enumerate()
                .map(|(index, message)| {
                    let before = ctx.event_count();
                    let type_url = message.type_url();
                    ctx.emit(
                        "message",
                        &[
                            ("action", &type_url),
                            ("sender", &message.signer()),
                            ("module", &module(&type_url)),
                        ],
                    );
                    let response = message.run(ctx).map_err(|error| of_message(index, error))?;
                    ctx.mark_events(before, "msg_index", &index);
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

/// Adds which message failed, in the words of the Cosmos SDK.
fn of_message(index: usize, error: Error) -> Error {
    let said = |log| format!("failed to execute message; message index: {index}: {log}");
    match error {
        Error::Rejected { code, log } => Error::rejected(code, said(log)),
        Error::Broken(log) => Error::Broken(said(log)),
        error => error,
    }
}

/// The module of a message's type, as the Cosmos SDK names it in events: `bank` of
/// `/cosmos.bank.v1beta1.MsgSend`, `poq` of `/poq.v1.MsgSubmitTask`.
fn module(type_url: &str) -> &str {
    let path = type_url.trim_start_matches('/');
    let path = path.strip_prefix("cosmos.").unwrap_or(path);
    path.split('.').next().unwrap_or_default()
}
