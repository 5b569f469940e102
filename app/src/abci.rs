//! Translation between ABCI 2.0 and [`App`]. It decides nothing.

use poq_proto::code::{self, Code};
use prost::Message as _;
use prost::bytes::Bytes;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::response_process_proposal::ProposalStatus;
use tendermint_proto::v0_38::abci::response_verify_vote_extension::VerifyStatus;
use tendermint_proto::v0_38::abci::{
    CheckTxType, CommitInfo, ExtendedCommitInfo, ExtendedVoteInfo, Misbehavior, MisbehaviorType,
    RequestApplySnapshotChunk, RequestCheckTx, RequestExtendVote, RequestFinalizeBlock,
    RequestInfo, RequestInitChain, RequestOfferSnapshot, RequestPrepareProposal,
    RequestProcessProposal, RequestQuery, RequestVerifyVoteExtension, ResponseApplySnapshotChunk,
    ResponseCheckTx, ResponseCommit, ResponseExtendVote, ResponseFinalizeBlock, ResponseInfo,
    ResponseInitChain, ResponseOfferSnapshot, ResponsePrepareProposal, ResponseProcessProposal,
    ResponseQuery, ResponseVerifyVoteExtension, Validator, ValidatorUpdate, VoteInfo,
    response_apply_snapshot_chunk, response_offer_snapshot,
};
use tendermint_proto::v0_38::crypto::{ProofOp, ProofOps, PublicKey, public_key};
use tendermint_proto::v0_38::types::{AbciParams, BlockIdFlag, ConsensusParams};

use crate::app::App;
use crate::block::{Block, rejection};
use crate::error::{Error, Result, reject};
use crate::modules::beacon::{ExtendedVote, LastCommit};
use crate::modules::validators::{ValidatorPower, Vote};
use crate::refusal::refused;
use crate::tx::Signatures;

/// The version of the application's protocol. A binary refuses the state of another version.
pub const APP_VERSION: u64 = 1;
/// Path of raw reads with proofs.
const RAW_KEY_PATH: &str = "/store/poq/key";
/// Type of the proof operation of raw reads.
const PROOF_TYPE: &str = "ics23:jmt";

impl Application for App {
    fn info(&self, _request: RequestInfo) -> ResponseInfo {
        let head = self.head();
        ResponseInfo {
            data: "poq".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            app_version: APP_VERSION,
            last_block_height: signed(head.height),
            // CometBFT expects an empty hash before the first block.
            last_block_app_hash: match head.height {
                0 => Vec::new().into(),
                _ => head.app_hash.to_vec().into(),
            },
        }
    }

    fn init_chain(&self, request: RequestInitChain) -> ResponseInitChain {
        // Heights of the store are counted from 1.
        let first = request.initial_height;
        if first > 1 {
            let log = format!("initial_height is {first}, but only 1 is supported");
            halt(
                "the genesis is invalid",
                &Error::rejected(code::INVALID_REQUEST, log),
            );
        }
        let validators: Vec<_> = request.validators.into_iter().map(power_of).collect();
        let app_state = &request.app_state_bytes;
        let extensions = request
            .consensus_params
            .and_then(|params| params.abci)
            .map_or(0, |abci| unsigned(abci.vote_extensions_enable_height));
        let app_hash = App::init_chain(self, &request.chain_id, app_state, &validators, extensions)
            .unwrap_or_else(|error| halt("the genesis is invalid", &error));
        ResponseInitChain {
            app_hash: app_hash.to_vec().into(),
            ..ResponseInitChain::default()
        }
    }

    fn check_tx(&self, request: RequestCheckTx) -> ResponseCheckTx {
        let signatures = match request.r#type() {
            CheckTxType::New => Signatures::Verify,
            CheckTxType::Recheck => Signatures::Verified,
        };
        match App::check_tx(self, &request.tx, signatures) {
            Ok(gas) => ResponseCheckTx {
                gas_wanted: gas.wanted,
                gas_used: gas.used,
                ..ResponseCheckTx::default()
            },
            Err(error) => {
                let (code, log) = rejected(error);
                ResponseCheckTx {
                    code: code.number,
                    codespace: code.codespace.into(),
                    log,
                    ..ResponseCheckTx::default()
                }
            }
        }
    }

    fn prepare_proposal(&self, request: RequestPrepareProposal) -> ResponsePrepareProposal {
        let max_bytes = usize::try_from(request.max_tx_bytes).unwrap_or(0);
        let commit = request.local_last_commit.unwrap_or_default();
        let block = Block {
            last_commit: last_commit(commit.votes.iter().map(extended_vote)),
            offenders: offenders(request.misbehavior),
            ..Block::new(unsigned(request.height), &[], &request.txs)
        };
        let txs = App::prepare_proposal(self, &block, &extensions(&commit), max_bytes)
            .unwrap_or_else(|error| halt("a proposal cannot be prepared", &error));
        ResponsePrepareProposal { txs }
    }

    fn process_proposal(&self, request: RequestProcessProposal) -> ResponseProcessProposal {
        let block = block(
            request.height,
            &request.hash,
            &request.txs,
            request.proposed_last_commit,
            request.misbehavior,
        );
        let status = match App::process_proposal(self, &block) {
            Ok(()) => ProposalStatus::Accept,
            Err(error) => {
                let (code, log) = rejected(error);
                tracing::warn!(height = block.height, ?code, log, "proposal rejected");
                ProposalStatus::Reject
            }
        };
        ResponseProcessProposal {
            status: status.into(),
        }
    }

    /// A vote must have an extension even if this node cannot compute one. Such a vote does not
    /// count, and the node follows the chain nevertheless.
    fn extend_vote(&self, request: RequestExtendVote) -> ResponseExtendVote {
        let height = unsigned(request.height);
        let vote_extension = App::extend_vote(self, height).unwrap_or_else(|error| {
            let (code, log) = rejected(error);
            tracing::error!(height, ?code, log, "this node's vote will not count");
            Vec::new()
        });
        ResponseExtendVote {
            vote_extension: vote_extension.into(),
        }
    }

    fn verify_vote_extension(
        &self,
        request: RequestVerifyVoteExtension,
    ) -> ResponseVerifyVoteExtension {
        let height = unsigned(request.height);
        let vote = ExtendedVote {
            address: request.validator_address.to_vec(),
            extension: request.vote_extension.to_vec(),
        };
        let status = match App::verify_vote_extension(self, height, &vote) {
            Ok(()) => VerifyStatus::Accept,
            Err(error) => {
                let (code, log) = rejected(error);
                tracing::warn!(height, ?code, log, "vote refused");
                VerifyStatus::Reject
            }
        };
        ResponseVerifyVoteExtension {
            status: status.into(),
        }
    }

    fn finalize_block(&self, request: RequestFinalizeBlock) -> ResponseFinalizeBlock {
        let block = block(
            request.height,
            &request.hash,
            &request.txs,
            request.decided_last_commit,
            request.misbehavior,
        );
        let (outcome, app_hash) = App::finalize_block(self, &block)
            .unwrap_or_else(|error| halt("a block cannot be executed", &error));
        ResponseFinalizeBlock {
            events: outcome.events,
            tx_results: outcome.results,
            validator_updates: outcome.validator_updates.into_iter().map(update).collect(),
            app_hash: app_hash.to_vec().into(),
            consensus_param_updates: outcome.vote_extensions_height.map(extensions_from),
        }
    }

    fn commit(&self) -> ResponseCommit {
        App::commit(self).unwrap_or_else(|error| halt("a block cannot be committed", &error));
        ResponseCommit::default()
    }

    /// There are no snapshots yet: none is listed (the trait's default), none is accepted.
    fn offer_snapshot(&self, _request: RequestOfferSnapshot) -> ResponseOfferSnapshot {
        ResponseOfferSnapshot {
            result: response_offer_snapshot::Result::Reject.into(),
        }
    }

    fn apply_snapshot_chunk(
        &self,
        _request: RequestApplySnapshotChunk,
    ) -> ResponseApplySnapshotChunk {
        ResponseApplySnapshotChunk {
            result: response_apply_snapshot_chunk::Result::Abort.into(),
            ..ResponseApplySnapshotChunk::default()
        }
    }

    fn query(&self, request: RequestQuery) -> ResponseQuery {
        let answer = wanted_height(request.height).and_then(|height| {
            if request.path == RAW_KEY_PATH {
                return raw_query(self, &request, height);
            }
            let (value, height) = App::query(self, &request.path, &request.data, height)?;
            Ok(ResponseQuery {
                value: value.into(),
                height: signed(height),
                ..ResponseQuery::default()
            })
        });
        answer.unwrap_or_else(|error| refused(&request.path, error, signed(self.head().height)))
    }
}

fn power_of(update: ValidatorUpdate) -> ValidatorPower {
    let public_key = match update.pub_key.and_then(|key| key.sum) {
        Some(public_key::Sum::Ed25519(bytes) | public_key::Sum::Secp256k1(bytes)) => bytes,
        None => Vec::new(),
    };
    ValidatorPower {
        public_key,
        power: unsigned(update.power),
    }
}

fn update(validator: ValidatorPower) -> ValidatorUpdate {
    ValidatorUpdate {
        pub_key: Some(PublicKey {
            sum: Some(public_key::Sum::Ed25519(validator.public_key)),
        }),
        power: signed(validator.power),
    }
}

/// The block of a ProcessProposal or FinalizeBlock request.
fn block<'a>(
    height: i64,
    hash: &'a [u8],
    txs: &'a [Bytes],
    commit: Option<CommitInfo>,
    misbehavior: Vec<Misbehavior>,
) -> Block<'a, Bytes> {
    let votes = commit.unwrap_or_default().votes;
    Block {
        last_commit: last_commit(votes.iter().map(vote)),
        offenders: offenders(misbehavior),
        ..Block::new(unsigned(height), hash, txs)
    }
}

/// A validator of the last block, and what it signed.
type LastVote<'a> = (Option<&'a Validator>, BlockIdFlag);

fn vote(vote: &VoteInfo) -> LastVote<'_> {
    (vote.validator.as_ref(), vote.block_id_flag())
}

/// The vote in the form that PrepareProposal has.
fn extended_vote(vote: &ExtendedVoteInfo) -> LastVote<'_> {
    (vote.validator.as_ref(), vote.block_id_flag())
}

/// The commit of the last block: the validators' total power, and the votes for the block, without
/// those for nil.
fn last_commit<'a>(votes: impl Iterator<Item = LastVote<'a>>) -> LastCommit {
    let mut last = LastCommit::default();
    for (validator, flag) in votes {
        let Some(validator) = validator else {
            continue;
        };
        let power = unsigned(validator.power);
        last.total_power = last.total_power.saturating_add(power);
        if flag == BlockIdFlag::Commit {
            last.votes.push(Vote {
                address: validator.address.to_vec(),
                power,
            });
        }
    }
    last
}

/// The extensions of the votes for the last block.
fn extensions(commit: &ExtendedCommitInfo) -> Vec<ExtendedVote> {
    let votes = commit.votes.iter();
    let signed = votes.filter(|vote| vote.block_id_flag() == BlockIdFlag::Commit);
    let carried = signed.filter_map(|vote| {
        Some(ExtendedVote {
            address: vote.validator.as_ref()?.address.to_vec(),
            extension: vote.vote_extension.to_vec(),
        })
    });
    carried.collect()
}

/// The update that sets the first height with vote extensions and leaves all other consensus
/// parameters unchanged.
fn extensions_from(height: u64) -> ConsensusParams {
    ConsensusParams {
        abci: Some(AbciParams {
            vote_extensions_enable_height: signed(height),
        }),
        ..ConsensusParams::default()
    }
}

fn offenders(misbehavior: Vec<Misbehavior>) -> Vec<Vec<u8>> {
    misbehavior
        .into_iter()
        .filter(|found| found.r#type() != MisbehaviorType::Unknown)
        .filter_map(|found| found.validator)
        .map(|validator| validator.address.to_vec())
        .collect()
}

/// The height of a query; 0 means the last one.
fn wanted_height(height: i64) -> Result<Option<u64>> {
    match u64::try_from(height) {
        Ok(0) => Ok(None),
        Ok(height) => Ok(Some(height)),
        Err(_) => reject!(code::INVALID_REQUEST, "height {height} is negative"),
    }
}

fn raw_query(app: &App, request: &RequestQuery, height: Option<u64>) -> Result<ResponseQuery> {
    let (proven, height) = app.prove(&request.data, height)?;
    let proof_ops = request.prove.then(|| ProofOps {
        ops: vec![ProofOp {
            r#type: PROOF_TYPE.into(),
            key: request.data.to_vec(),
            data: proven.proof.encode_to_vec(),
        }],
    });
    Ok(ResponseQuery {
        key: request.data.clone(),
        value: proven.value.unwrap_or_default().into(),
        proof_ops,
        height: signed(height),
        ..ResponseQuery::default()
    })
}

fn rejected(error: Error) -> (Code, String) {
    rejection(error).unwrap_or_else(|error| halt("the state cannot be read", &error))
}

/// Stops the node: a node whose state differs from the others' must not continue.
#[allow(clippy::panic)]
fn halt(what: &str, error: &Error) -> ! {
    panic!("{what}: {error}")
}

fn signed(height: u64) -> i64 {
    i64::try_from(height).unwrap_or(i64::MAX)
}

fn unsigned(height: i64) -> u64 {
    u64::try_from(height).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validator(byte: u8, power: i64) -> Option<Validator> {
        Some(Validator {
            address: vec![byte; 20].into(),
            power,
        })
    }

    #[test]
    fn only_who_signed_the_block_itself_has_a_vote() {
        let flags = [
            BlockIdFlag::Commit,
            BlockIdFlag::Nil,
            BlockIdFlag::Absent,
            BlockIdFlag::Unknown,
        ];
        let votes_of = flags.map(|flag| VoteInfo {
            validator: validator(7, 10),
            block_id_flag: flag.into(),
        });
        let expected = Vote {
            address: vec![7; 20],
            power: 10,
        };
        let last = last_commit(votes_of.iter().map(vote));
        assert_eq!((last.votes, last.total_power), (vec![expected], 40));
        assert_eq!(last_commit(std::iter::empty()), LastCommit::default());
    }

    #[test]
    fn both_kinds_of_evidence_count() {
        let kinds = [
            MisbehaviorType::DuplicateVote,
            MisbehaviorType::LightClientAttack,
            MisbehaviorType::Unknown,
        ];
        let found = kinds.map(|kind| Misbehavior {
            r#type: kind.into(),
            validator: validator(kind as u8, 10),
            ..Misbehavior::default()
        });
        assert_eq!(offenders(found.to_vec()), [vec![1; 20], vec![2; 20]]);
    }

    #[test]
    fn powers_survive_the_translation() {
        let power = ValidatorPower {
            public_key: vec![3; 32],
            power: 9,
        };
        assert_eq!(power_of(update(power.clone())), power);
        assert!(power_of(ValidatorUpdate::default()).public_key.is_empty());
    }
}
