//! Validators with real applications, driven through ABCI like CometBFT does.

use std::sync::Arc;

use poq_app::modules::beacon::{OwnValidator, Secret, Secrets, parse};
use poq_app::modules::validators::consensus_address;
use poq_app::{App, Options};
use poq_proto::v1::{
    GenesisState, MsgVoteOutputs, QueryBeaconRequest, QueryBeaconResponse, QueryValidatorRequest,
    QueryValidatorResponse, Validator,
};
use prost::Message;
use prost::bytes::Bytes;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::response_process_proposal::ProposalStatus;
use tendermint_proto::v0_38::abci::response_verify_vote_extension::VerifyStatus;
use tendermint_proto::v0_38::abci::{
    self, CommitInfo, ExecTxResult, ExtendedCommitInfo, ExtendedVoteInfo, RequestExtendVote,
    RequestFinalizeBlock, RequestInitChain, RequestPrepareProposal, RequestProcessProposal,
    RequestVerifyVoteExtension, ResponseFinalizeBlock, ValidatorUpdate, VoteInfo,
};
use tendermint_proto::v0_38::crypto::{PublicKey, public_key};
use tendermint_proto::v0_38::types::{AbciParams, BlockIdFlag, ConsensusParams};

use crate::support::{CHAIN_ID, People, TextScorer, Wallet, params};

/// Room for everything that a test includes in a block.
pub(crate) const ROOM: i64 = 1 << 22;

/// One validator and its node.
pub(crate) struct Node {
    pub app: App,
    pub wallet: Wallet,
    pub power: i64,
    /// The extension of the node's last vote.
    pub extension: Bytes,
    _folder: tempfile::TempDir,
}

pub(crate) struct Network {
    pub nodes: Vec<Node>,
    pub height: i64,
    pub user: Wallet,
    /// The response to the last FinalizeBlock.
    pub decided: ResponseFinalizeBlock,
}

/// The genesis secret of validator `index`.
pub(crate) fn secret(index: usize) -> Secret {
    Secret::from_seed(&[index as u8 + 1; 32]).unwrap()
}

/// Another secret of the same validator.
pub(crate) fn next_secret(index: usize) -> Secret {
    let mut seed = [index as u8 + 1; 32];
    seed[0] = 255;
    Secret::from_seed(&seed).unwrap()
}

fn people(validators: usize) -> People {
    People {
        user: Wallet::new(1, 0),
        inference: Vec::new(),
        evaluators: Vec::new(),
        validators: (0..validators)
            .map(|index| Wallet::new(30 + index as u8, 1 + index as u64))
            .collect(),
    }
}

/// A genesis in which every validator has a VRF key.
pub(crate) fn genesis(validators: usize) -> GenesisState {
    let mut genesis = people(validators).genesis(params());
    for (index, validator) in genesis.validators.iter_mut().enumerate() {
        validator.vrf_key = secret(index).public_key().to_vec();
    }
    genesis
}

/// A voting node without a chain.
pub(crate) fn app(wallet: &Wallet, index: usize, options: Options) -> (App, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let own = OwnValidator {
        address: consensus_address(&wallet.consensus_key()).to_vec(),
        secrets: Secrets::new(vec![secret(index), next_secret(index)]),
    };
    let app = App::open(folder.path(), options, Arc::new(TextScorer)).unwrap();
    (app.voting_for(own), folder)
}

impl Network {
    /// Validators with these powers, whose votes have extensions from height `extensions` on.
    pub(crate) fn new(powers: &[i64], extensions: i64) -> Self {
        Self::from_genesis(&genesis(powers.len()), powers, extensions)
    }

    pub(crate) fn from_genesis(genesis: &GenesisState, powers: &[i64], extensions: i64) -> Self {
        let People {
            user, validators, ..
        } = people(powers.len());
        let nodes: Vec<Node> = validators
            .into_iter()
            .zip(powers)
            .enumerate()
            .map(|(index, (wallet, power))| {
                let (app, folder) = app(&wallet, index, Options::default());
                Node {
                    app,
                    wallet,
                    power: *power,
                    extension: Bytes::new(),
                    _folder: folder,
                }
            })
            .collect();
        let network = Self {
            nodes,
            height: 0,
            user,
            decided: ResponseFinalizeBlock::default(),
        };
        for node in &network.nodes {
            Application::init_chain(&node.app, network.init_chain(genesis, extensions));
        }
        network
    }

    /// CometBFT's InitChain request.
    pub(crate) fn init_chain(&self, genesis: &GenesisState, extensions: i64) -> RequestInitChain {
        let key = |node: &Node| PublicKey {
            sum: Some(public_key::Sum::Ed25519(node.wallet.consensus_key())),
        };
        RequestInitChain {
            chain_id: CHAIN_ID.into(),
            consensus_params: Some(ConsensusParams {
                abci: Some(AbciParams {
                    vote_extensions_enable_height: extensions,
                }),
                ..ConsensusParams::default()
            }),
            validators: self
                .nodes
                .iter()
                .map(|node| ValidatorUpdate {
                    pub_key: Some(key(node)),
                    power: node.power,
                })
                .collect(),
            app_state_bytes: serde_json::to_vec(genesis).unwrap().into(),
            ..RequestInitChain::default()
        }
    }

    pub(crate) fn everybody(&self) -> Vec<usize> {
        (0..self.nodes.len()).collect()
    }

    pub(crate) fn address(&self, index: usize) -> Vec<u8> {
        consensus_address(&self.nodes[index].wallet.consensus_key()).to_vec()
    }

    fn validator(&self, index: usize) -> Option<abci::Validator> {
        Some(abci::Validator {
            address: self.address(index).into(),
            power: self.nodes[index].power,
        })
    }

    /// The commit of the last block, with the signatures of these validators.
    pub(crate) fn commit(&self, signers: &[usize]) -> Option<CommitInfo> {
        let votes = self.everybody().into_iter().map(|index| VoteInfo {
            validator: self.validator(index),
            block_id_flag: flag(signers, index).into(),
        });
        Some(CommitInfo {
            round: 0,
            votes: votes.filter(|_| self.height > 0).collect(),
        })
    }

    /// The same in the form that the proposer of the next block gets.
    pub(crate) fn extended_commit(&self, signers: &[usize]) -> Option<ExtendedCommitInfo> {
        let votes = self.everybody().into_iter().map(|index| ExtendedVoteInfo {
            validator: self.validator(index),
            vote_extension: match signers.contains(&index) {
                true => self.nodes[index].extension.clone(),
                false => Bytes::new(),
            },
            block_id_flag: flag(signers, index).into(),
            ..ExtendedVoteInfo::default()
        });
        Some(ExtendedCommitInfo {
            round: 0,
            votes: votes.filter(|_| self.height > 0).collect(),
        })
    }

    /// A node's proposal for the next block.
    pub(crate) fn propose(
        &self,
        node: usize,
        txs: &[Vec<u8>],
        signers: &[usize],
        room: i64,
    ) -> Vec<Bytes> {
        let request = RequestPrepareProposal {
            max_tx_bytes: room,
            txs: txs.iter().cloned().map(Bytes::from).collect(),
            local_last_commit: self.extended_commit(signers),
            height: self.height + 1,
            ..RequestPrepareProposal::default()
        };
        Application::prepare_proposal(&self.nodes[node].app, request).txs
    }

    /// Whether a node accepts a proposal for the next block.
    pub(crate) fn accepts(&self, node: usize, txs: &[Bytes], signers: &[usize]) -> bool {
        accepts(&self.nodes[node].app, self.process(txs, signers))
    }

    pub(crate) fn process(&self, txs: &[Bytes], signers: &[usize]) -> RequestProcessProposal {
        RequestProcessProposal {
            txs: txs.to_vec(),
            proposed_last_commit: self.commit(signers),
            height: self.height + 1,
            ..RequestProcessProposal::default()
        }
    }

    /// The node's extension of its vote for the next block.
    pub(crate) fn extend(&self, node: usize) -> Bytes {
        let request = RequestExtendVote {
            height: self.height + 1,
            ..RequestExtendVote::default()
        };
        Application::extend_vote(&self.nodes[node].app, request).vote_extension
    }

    /// Whether a node accepts a validator's vote for the next block.
    pub(crate) fn verifies(&self, node: usize, validator: usize, extension: &[u8]) -> bool {
        verifies(
            &self.nodes[node].app,
            RequestVerifyVoteExtension {
                hash: vec![7; 32].into(),
                validator_address: self.address(validator).into(),
                height: self.height + 1,
                vote_extension: extension.to_vec().into(),
            },
        )
    }

    /// All nodes vote for the next block.
    pub(crate) fn vote(&mut self) {
        for index in self.everybody() {
            self.nodes[index].extension = self.extend(index);
        }
    }

    /// Every node executes the next block; all results must be equal.
    pub(crate) fn decide(&mut self, txs: &[Bytes], signers: &[usize]) {
        self.decide_with_hash(txs, signers, [self.height as u8 + 1; 32]);
    }

    pub(crate) fn decide_with_hash(&mut self, txs: &[Bytes], signers: &[usize], hash: [u8; 32]) {
        let request = RequestFinalizeBlock {
            txs: txs.to_vec(),
            decided_last_commit: self.commit(signers),
            hash: hash.to_vec().into(),
            height: self.height + 1,
            ..RequestFinalizeBlock::default()
        };
        let answers = self.nodes.iter().map(|node| {
            let answer = Application::finalize_block(&node.app, request.clone());
            Application::commit(&node.app);
            answer
        });
        let answers: Vec<_> = answers.collect();
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(answers[0].tx_results.len(), txs.len());
        self.decided = answers.into_iter().next().unwrap();
        self.height += 1;
    }

    /// One regular height: one node proposes, all accept and vote.
    pub(crate) fn block(&mut self, txs: &[Vec<u8>]) -> Vec<ExecTxResult> {
        let everybody = self.everybody();
        let proposal = self.propose(
            self.height as usize % self.nodes.len(),
            txs,
            &everybody,
            ROOM,
        );
        let hash = [self.height as u8 + 1; 32];
        for node in &self.nodes {
            let mut request = self.process(&proposal, &everybody);
            request.hash = hash.to_vec().into();
            assert!(accepts(&node.app, request));
        }
        self.vote();
        self.decide_with_hash(&proposal, &everybody, hash);
        let is_due = proposal.first().is_some_and(|entry| parse(entry).is_some());
        let carried = usize::from(is_due);
        assert_eq!(
            proposal.len(),
            carried + txs.len(),
            "a transaction was left out"
        );
        self.decided.tx_results[carried..].to_vec()
    }

    pub(crate) fn blocks(&mut self, count: usize) {
        for _ in 0..count {
            self.block(&[]);
        }
    }

    pub(crate) fn beacon(&self) -> QueryBeaconResponse {
        self.query("/poq.v1.Query/Beacon", &QueryBeaconRequest {})
    }

    pub(crate) fn query<A: Message + Default>(&self, path: &str, request: &impl Message) -> A {
        let (answer, _) = self.nodes[0]
            .app
            .query(path, &request.encode_to_vec(), None)
            .unwrap();
        A::decode(answer.as_slice()).unwrap()
    }

    pub(crate) fn registered(&self, index: usize) -> Validator {
        let operator = self.nodes[index].wallet.address.clone();
        let path = "/poq.v1.Query/Validator";
        let answer: QueryValidatorResponse = self.query(path, &QueryValidatorRequest { operator });
        answer.validator.unwrap()
    }
}

fn flag(signers: &[usize], index: usize) -> BlockIdFlag {
    match signers.contains(&index) {
        true => BlockIdFlag::Commit,
        false => BlockIdFlag::Absent,
    }
}

pub(crate) fn accepts(app: &App, request: RequestProcessProposal) -> bool {
    Application::process_proposal(app, request).status() == ProposalStatus::Accept
}

pub(crate) fn verifies(app: &App, request: RequestVerifyVoteExtension) -> bool {
    Application::verify_vote_extension(app, request).status() == VerifyStatus::Accept
}

/// The message in a block's first entry.
pub(crate) fn outputs(txs: &[Bytes]) -> MsgVoteOutputs {
    parse(&txs[0]).unwrap()
}

/// The outputs themselves.
pub(crate) fn values(outputs: &MsgVoteOutputs) -> Vec<[u8; 32]> {
    let values = outputs.outputs.iter();
    values
        .map(|output| *output.extension.first_chunk().unwrap())
        .collect()
}
