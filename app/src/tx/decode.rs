use cosmos_sdk_proto::cosmos::tx::v1beta1::{AuthInfo, TxBody, TxRaw};
use poq_proto::code;
use poq_proto::v1::Params;

use super::messages::Message;
use super::signature::Digest;
use super::strict::strict;
use crate::address::Address;
use crate::error::{Result, ensure};
use crate::modules::beacon::is_vote_outputs;
use crate::modules::params::limits::{MAX_MEMO, MAX_SIGNERS};

/// A well-formed transaction whose signatures, sequences and fee nobody has checked yet.
#[derive(Clone, Debug)]
pub struct Unverified {
    /// The received parts; the signatures are over these bytes.
    pub(super) raw: TxRaw,
    pub(super) body: TxBody,
    pub(super) auth_info: AuthInfo,
    pub(super) messages: Vec<Message>,
    /// The required signers, in order, without duplicates; the first pays the fee.
    pub(super) signers: Vec<Address>,
    /// The number of received bytes.
    pub(super) bytes: u64,
    /// The digests for which the verifier remembers the signatures as valid, as far as they were
    /// looked up.
    pub(super) recalled: Vec<Option<Digest>>,
}

/// Decodes a transaction strictly: every part must be its canonical encoding, so unknown fields,
/// duplicates and padded integers are refused.
pub fn decode(bytes: &[u8], params: &Params) -> Result<Unverified> {
    ensure!(
        bytes.len() <= params.max_tx_bytes as usize,
        code::TX_TOO_LARGE,
        "a transaction has at most {} bytes, got {}",
        params.max_tx_bytes,
        bytes.len()
    );
    let raw: TxRaw = strict(bytes, "TxRaw")?;
    let body: TxBody = strict(&raw.body_bytes, "TxBody")?;
    let auth_info: AuthInfo = strict(&raw.auth_info_bytes, "AuthInfo")?;
    ensure!(
        body.extension_options.is_empty() && body.non_critical_extension_options.is_empty(),
        code::UNKNOWN_REQUEST,
        "extension options are not supported"
    );
    ensure!(
        !has_tip(&auth_info),
        code::UNKNOWN_REQUEST,
        "tips are not supported"
    );
    ensure!(
        body.memo.len() <= MAX_MEMO,
        code::MEMO_TOO_LARGE,
        "a memo has at most {MAX_MEMO} bytes, got {}",
        body.memo.len()
    );
    ensure!(
        (1..=params.max_tx_messages as usize).contains(&body.messages.len()),
        code::INVALID_REQUEST,
        "a transaction has 1 to {} messages, got {}",
        params.max_tx_messages,
        body.messages.len()
    );
    ensure!(
        !body.messages.iter().any(is_vote_outputs),
        code::NOT_A_TRANSACTION,
        "vote outputs are not a transaction; only a proposer puts them into a block, as its first entry"
    );
    let messages: Vec<Message> = body
        .messages
        .iter()
        .map(|any| Message::decode(&any.type_url, &any.value))
        .collect::<Result<_>>()?;
    Ok(Unverified {
        signers: signers(&messages, &params.bech32_prefix)?,
        bytes: bytes.len() as u64,
        recalled: Vec::new(),
        raw,
        body,
        auth_info,
        messages,
    })
}

/// The Cosmos SDK has dropped tips. Ignoring one would mislead its signer.
#[allow(deprecated)]
fn has_tip(auth_info: &AuthInfo) -> bool {
    auth_info.tip.is_some()
}

fn signers(messages: &[Message], prefix: &str) -> Result<Vec<Address>> {
    let mut signers = Vec::new();
    for message in messages {
        let signer = Address::parse(message.signer(), prefix)?;
        if !signers.contains(&signer) {
            signers.push(signer);
        }
    }
    ensure!(
        signers.len() <= MAX_SIGNERS,
        code::TOO_MANY_SIGNATURES,
        "a transaction has at most {MAX_SIGNERS} signers, got {}",
        signers.len()
    );
    Ok(signers)
}
