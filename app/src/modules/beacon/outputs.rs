//! The VRF outputs that a block carries, from the votes for the block before.

use cosmos_sdk_proto::cosmos::tx::v1beta1::{AuthInfo, Fee, TxBody, TxRaw};
use poq_proto::code;
use poq_proto::v1::{MsgVoteOutputs, VoteOutput};
use poq_store::State;
use prost::{Message, Name};
use tendermint_proto::google::protobuf::Any;

use super::vote::{ExtendedVote, output};
use super::{Verifier, carries_outputs};
use crate::chain;
use crate::error::{Result, ensure, reject};
use crate::modules::validators::Vote;
use crate::vrf::Input;

/// The votes for the block before, as the block's last commit has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastCommit {
    /// The signatures for that block, without those for nil.
    pub votes: Vec<Vote>,
    /// The power of all validators of that block, whether they signed or not.
    pub total_power: u64,
}

/// The valid content of a block's first entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// No outputs are due yet.
    NotDue,
    /// The outputs, in the first entry of the block.
    Outputs(Accepted),
}

/// Verified outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The votes with these outputs; only these votes count.
    pub votes: Vec<Vote>,
    /// The outputs, by validator address.
    pub outputs: Vec<[u8; 32]>,
}

/// Whether a message carries vote outputs. No transaction that is sent may have it.
pub fn is_vote_outputs(message: &Any) -> bool {
    message.type_url == MsgVoteOutputs::type_url()
}

/// Encodes the entry of a block: a `TxRaw` with the outputs as its message, and an empty fee, which
/// clients that show transactions expect.
pub fn encode(outputs: &MsgVoteOutputs) -> Vec<u8> {
    let body = TxBody {
        messages: vec![Any {
            type_url: MsgVoteOutputs::type_url(),
            value: outputs.encode_to_vec(),
        }],
        ..TxBody::default()
    };
    let auth_info = AuthInfo {
        fee: Some(Fee::default()),
        ..AuthInfo::default()
    };
    TxRaw {
        body_bytes: body.encode_to_vec(),
        auth_info_bytes: auth_info.encode_to_vec(),
        signatures: Vec::new(),
    }
    .encode_to_vec()
}

/// The outputs in the entry of a block; none if it has another form than [`encode`] produces.
pub fn parse(entry: &[u8]) -> Option<MsgVoteOutputs> {
    let tx = TxRaw::decode(entry).ok()?;
    let body = TxBody::decode(tx.body_bytes.as_slice()).ok()?;
    let message = body.messages.first().filter(|any| is_vote_outputs(any))?;
    let outputs = MsgVoteOutputs::decode(message.value.as_slice()).ok()?;
    (encode(&outputs) == entry).then_some(outputs)
}

/// The entry for the block at `height`, from the votes for the block before that the proposer
/// knows; none if outputs are not due. Votes with an invalid extension are left out: CometBFT
/// includes votes that arrive after a block is decided in its commit, without verifying their
/// extensions.
pub(crate) fn propose(
    state: &State,
    height: u64,
    votes: &[ExtendedVote],
    verifier: &Verifier,
) -> Result<Option<Vec<u8>>> {
    if !carries_outputs(state, height)? {
        return Ok(None);
    }
    let chain_id = chain::id(state)?;
    let mut votes: Vec<_> = votes.iter().collect();
    votes.sort_by(|one, other| one.address.cmp(&other.address));
    let mut outputs = Vec::with_capacity(votes.len());
    for vote in votes {
        let input = input(state, &chain_id, height, &vote.address)?;
        match output(state, &input, vote, verifier) {
            Ok(_) => outputs.push(VoteOutput {
                validator: vote.address.clone(),
                extension: vote.extension.clone(),
            }),
            Err(error) if error.is_deterministic() => {
                tracing::warn!(height, log = %error, "a vote does not count");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(encode(&MsgVoteOutputs { outputs })))
}

/// Verifies the first entry of a block.
pub(crate) fn accept(
    state: &State,
    height: u64,
    first: Option<&[u8]>,
    last_commit: &LastCommit,
    verifier: &Verifier,
) -> Result<Carried> {
    if !carries_outputs(state, height)? {
        return Ok(Carried::NotDue);
    }
    let Some(MsgVoteOutputs { outputs }) = first.and_then(parse) else {
        reject!(
            code::INVALID_VOTE_OUTPUTS,
            "block {height} does not begin with the outputs of the votes for the block before"
        );
    };
    let ascending = outputs.is_sorted_by(|one, other| one.validator < other.validator);
    ensure!(
        ascending,
        code::INVALID_VOTE_OUTPUTS,
        "the outputs in block {height} are not in ascending order of validators without duplicates"
    );
    let votes = votes_of(&outputs, last_commit)?;
    let chain_id = chain::id(state)?;
    let outputs = outputs
        .into_iter()
        .map(
            |VoteOutput {
                 validator,
                 extension,
             }| {
                let vote = ExtendedVote {
                    address: validator,
                    extension,
                };
                let input = input(state, &chain_id, height, &vote.address)?;
                output(state, &input, &vote, verifier)
            },
        )
        .collect::<Result<_>>()?;
    Ok(Carried::Outputs(Accepted { votes, outputs }))
}

/// The votes with these outputs. Each must be a signature for the block before, and together they
/// must have more than two thirds of the power, like a commit.
fn votes_of(outputs: &[VoteOutput], last_commit: &LastCommit) -> Result<Vec<Vote>> {
    let mut votes = Vec::with_capacity(outputs.len());
    let mut power = 0u128;
    for VoteOutput { validator, .. } in outputs {
        let mut signed = last_commit.votes.iter();
        let Some(vote) = signed.find(|vote| vote.address == *validator) else {
            reject!(
                code::INVALID_VOTE_OUTPUTS,
                "validator {} has an output, but no vote in the last commit",
                hex::encode(validator)
            );
        };
        power = power.saturating_add(vote.power.into());
        votes.push(vote.clone());
    }
    let total = u128::from(last_commit.total_power);
    ensure!(
        power.saturating_mul(3) > total.saturating_mul(2),
        code::INVALID_VOTE_OUTPUTS,
        "the outputs have power {power} of {total}; more than two thirds are needed"
    );
    Ok(votes)
}

/// The VRF input of a validator's vote for the block before `height`.
fn input<'a>(
    state: &State,
    chain_id: &'a str,
    height: u64,
    validator: &'a [u8],
) -> Result<Input<'a>> {
    Ok(Input {
        chain_id,
        height: height.saturating_sub(1),
        previous: chain::previous_beacon(state)?,
        validator,
    })
}
