//! A chain in one process for tests: the real application, driven block by block through its public
//! interface, with real signatures.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "benchmarks include these tests' chain"
)]
#![allow(dead_code, unused_imports)]

mod genesis;
mod messages;
mod outputs;
mod proven;
mod queries;
mod scorer;
mod wallet;

use std::sync::Arc;

use cosmos_sdk_proto::cosmos::auth::v1beta1::{
    BaseAccount, QueryAccountRequest, QueryAccountResponse,
};
use poq_app::block::{Block, proposal_bytes};
use poq_app::modules::beacon::LastCommit;
use poq_app::modules::validators::{ValidatorPower, Vote, consensus_address};
use poq_app::{App, Options, ReferenceScorer};
use poq_proto::v1::*;
use prost::Message;
use tendermint_proto::v0_38::abci::{Event, ExecTxResult};

pub(crate) use genesis::{People, model, params, powers, scorer};
pub(crate) use messages::*;
pub(crate) use outputs::secret;
pub(crate) use proven::proven;
pub(crate) use scorer::TextScorer;
pub(crate) use wallet::{Draft, Wallet};

pub(crate) const CHAIN_ID: &str = "poq-test-1";
pub(crate) const DENOM: &str = "upoq";
pub(crate) const MODEL: &str = "llm";
pub(crate) const SCORER: &str = "cross-encoder";
/// An evaluator model with another reference score than [`SCORER`].
pub(crate) const STRICT_SCORER: &str = "strict-encoder";
pub(crate) const GAS: u64 = 400_000;
pub(crate) const FUNDS: u64 = 1_000_000_000;
pub(crate) const STAKE: u64 = 100_000_000;
/// The capacity of nodes: in most tests they work infinitely fast.
pub(crate) const CAPACITY: u32 = 100_000;
/// The power of each validator in genesis.
pub(crate) const POWER: u64 = 10;

/// One application with a user, inference nodes and evaluators from genesis.
pub(crate) struct Chain {
    pub app: App,
    pub height: u64,
    pub app_hash: [u8; 32],
    pub user: Wallet,
    pub inference: Vec<Wallet>,
    pub evaluators: Vec<Wallet>,
    pub validators: Vec<Wallet>,
    /// The events of the last block.
    pub events: Vec<Event>,
    /// The validator updates of the last block.
    pub updates: Vec<ValidatorPower>,
    /// The votes for every block.
    pub votes: Vec<Vote>,
    /// Whether votes carry outputs for the beacon, as in every usual chain.
    pub extends: bool,
    /// The beacon of the block before the last one, from which the last votes' outputs are made.
    pub previous_beacon: [u8; 32],
    /// Evidence in the next block.
    pub offenders: Vec<Vec<u8>>,
    pub folder: tempfile::TempDir,
}

impl Chain {
    pub(crate) fn new(inference: u8, evaluators: u8) -> Self {
        Self::with_params(params(), inference, evaluators)
    }

    pub(crate) fn with_params(params: Params, inference: u8, evaluators: u8) -> Self {
        Self::with_options(params, Options::default(), inference, evaluators)
    }

    pub(crate) fn with_options(
        params: Params,
        options: Options,
        inference: u8,
        evaluators: u8,
    ) -> Self {
        let people = People::new(inference, evaluators);
        Self::from_genesis(&people.genesis(params), options, people)
    }

    /// A chain whose votes carry no outputs and whose validators need no VRF keys.
    pub(crate) fn without_outputs(params: Params, inference: u8, evaluators: u8) -> Self {
        let people = People::new(inference, evaluators);
        Self::begin(&people.genesis(params), Options::default(), people, false)
    }

    /// A chain with its first block.
    pub(crate) fn from_genesis(genesis: &GenesisState, options: Options, people: People) -> Self {
        Self::begin(genesis, options, people, true)
    }

    /// The same, with or without outputs in votes.
    pub(crate) fn begin(
        genesis: &GenesisState,
        options: Options,
        people: People,
        extends: bool,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = App::open(folder.path(), options, Arc::new(TextScorer)).unwrap();
        let People {
            user,
            inference,
            evaluators,
            validators,
        } = people;
        let json = serde_json::to_vec(genesis).unwrap();
        let app_hash = app
            .init_chain(CHAIN_ID, &json, &powers(&validators), extends.into())
            .unwrap();
        let mut chain = Self {
            app,
            height: 0,
            app_hash,
            user,
            inference,
            evaluators,
            votes: validators
                .iter()
                .map(|wallet| vote(wallet, POWER))
                .collect(),
            validators,
            events: Vec::new(),
            updates: Vec::new(),
            offenders: Vec::new(),
            extends,
            previous_beacon: [0; 32],
            folder,
        };
        chain.block(&[]);
        chain
    }

    /// Closes the application and opens it again, like a node that restarts.
    pub(crate) fn restart(&mut self, scorer: Arc<dyn ReferenceScorer>) {
        let elsewhere = tempfile::tempdir().unwrap();
        let other = App::open(elsewhere.path(), Options::default(), Arc::new(TextScorer));
        drop(std::mem::replace(&mut self.app, other.unwrap()));
        self.app = App::open(self.folder.path(), Options::default(), scorer).unwrap();
    }

    /// Finalizes and commits a block, like a node that catches up.
    pub(crate) fn block(&mut self, txs: &[Vec<u8>]) -> Vec<ExecTxResult> {
        let height = self.height + 1;
        let hash = self.next_hash();
        let entries = self.carrying(txs);
        let block = self.next(&hash, &entries);
        let previous = (self.height > 0).then(|| self.beacon());
        let (outcome, app_hash) = self.app.finalize_block(&block).unwrap();
        self.offenders.clear();
        self.app.commit().unwrap();
        // No query returns the first beacon, that of genesis.
        let genesis = || poq_app::modules::beacon::beacon_after_hash(&[], CHAIN_ID.as_bytes());
        self.previous_beacon = previous.unwrap_or_else(genesis);
        (self.height, self.app_hash) = (height, app_hash);
        (self.events, self.updates) = (outcome.events, outcome.validator_updates);
        assert_eq!(outcome.results.len(), entries.len());
        let mut results = outcome.results;
        results.drain(..entries.len() - txs.len());
        results
    }

    /// The same after accepting the proposal, like a validator.
    pub(crate) fn proposed_block(&mut self, txs: &[Vec<u8>]) -> Vec<ExecTxResult> {
        let hash = self.next_hash();
        let entries = self.carrying(txs);
        let block = self.next(&hash, &entries);
        self.app.process_proposal(&block).unwrap();
        self.block(txs)
    }

    /// The hash of the block that is decided next.
    pub(crate) fn next_hash(&self) -> [u8; 32] {
        [(self.height + 1) as u8; 32]
    }

    /// A block on top of the last one.
    pub(crate) fn next<'a, T>(&self, hash: &'a [u8], txs: &'a [T]) -> Block<'a, T> {
        Block {
            last_commit: self.last_commit(),
            offenders: self.offenders.clone(),
            ..Block::new(self.height + 1, hash, txs)
        }
    }

    /// Whether a block of these transactions is accepted, and the transactions that a proposer
    /// would select. The block is never decided.
    pub(crate) fn judge(&self, txs: &[Vec<u8>]) -> (poq_app::Result<()>, Vec<Vec<u8>>) {
        let proposed = self.prepare(txs, 1 << 22);
        let entries = self.carrying(txs);
        let judged = self.app.process_proposal(&self.next(&[], &entries));
        (judged, proposed)
    }

    /// The transactions that a proposer selects for the next block, at most `max_bytes` besides the
    /// outputs.
    pub(crate) fn prepare(&self, txs: &[Vec<u8>], max_bytes: usize) -> Vec<Vec<u8>> {
        let outputs = self.carrying(&[]);
        let room = outputs.iter().map(|entry| proposal_bytes(entry.len()));
        let room = room.sum::<usize>().saturating_add(max_bytes);
        let block = self.next(&[], txs);
        let mut proposed = self
            .app
            .prepare_proposal(&block, &self.extensions(), room)
            .unwrap();
        assert_eq!(proposed[..outputs.len()], outputs);
        proposed.split_off(outputs.len())
    }

    /// The commit of the last block: exactly the validators in `votes` signed.
    pub(crate) fn last_commit(&self) -> LastCommit {
        LastCommit {
            votes: self.votes.clone(),
            total_power: self.votes.iter().map(|vote| vote.power).sum(),
        }
    }

    pub(crate) fn blocks(&mut self, count: u64) {
        for _ in 0..count {
            self.block(&[]);
        }
    }

    /// Submits a task, lets its inference node be drawn and returns its id.
    pub(crate) fn submit(&mut self) -> u64 {
        let message = submit_message(&self.user);
        let tx = self.user.sign(vec![any(&message)]);
        let results = self.block(&[tx]);
        assert_eq!(results[0].code, 0, "{}", results[0].log);
        self.block(&[]);
        self.tasks().last().unwrap().id
    }

    /// Answers a task and lets its committee be drawn.
    pub(crate) fn answer(&mut self, task: u64, answer: &str) -> ExecTxResult {
        let result = self.send_answer(task, answer);
        self.block(&[]);
        result
    }

    /// Answers a task in one block.
    pub(crate) fn send_answer(&mut self, task: u64, answer: &str) -> ExecTxResult {
        let tx = self.answer_tx(task, answer);
        self.block(&[tx]).remove(0)
    }

    /// The transaction with which the drawn node answers a task.
    pub(crate) fn answer_tx(&mut self, task: u64, answer: &str) -> Vec<u8> {
        let operator = self.task(task).assignments.last().unwrap().operator.clone();
        let wallet = find(&mut self.inference, &operator);
        let message = MsgSubmitAnswers {
            operator,
            items: vec![AnswerItem {
                task_id: task,
                answer: answer.into(),
                ..AnswerItem::default()
            }],
        };
        wallet.sign(vec![any(&message)])
    }

    /// All seats commit to `score`, except the silent ones.
    pub(crate) fn commit(&mut self, task: u64, score: i32, silent: &[String]) {
        let record = self.task(task);
        let attempt = record.committees.len() as u32 - 1;
        let mut txs = Vec::new();
        for seat in &record.committees.last().unwrap().seats {
            if !silent.contains(&seat.operator) {
                let wallet = find(&mut self.evaluators, &seat.operator);
                let message = commit_message(wallet, task, attempt, score);
                txs.push(wallet.sign(vec![any(&message)]));
            }
        }
        for result in self.block(&txs) {
            assert_eq!(result.code, 0, "{}", result.log);
        }
    }

    /// All seats that committed reveal `score`, except the silent ones.
    pub(crate) fn reveal(&mut self, task: u64, score: i32, silent: &[String]) {
        let record = self.task(task);
        let mut txs = Vec::new();
        for seat in &record.committees.last().unwrap().seats {
            if !seat.commitment.is_empty() && !silent.contains(&seat.operator) {
                let wallet = find(&mut self.evaluators, &seat.operator);
                let message = reveal_message(wallet, task, score);
                txs.push(wallet.sign(vec![any(&message)]));
            }
        }
        for result in self.block(&txs) {
            assert_eq!(result.code, 0, "{}", result.log);
        }
    }

    /// Takes a task to its settlement with the answer and the score that all seats commit to and
    /// reveal.
    pub(crate) fn settle(&mut self, answer: &str, score: i32) -> u64 {
        let id = self.submit();
        self.answer(id, answer);
        self.commit(id, score, &[]);
        self.reveal(id, score, &[]);
        assert_eq!(self.task(id).status(), TaskStatus::Settled);
        id
    }
}

/// A vote for a block.
pub(crate) fn vote(wallet: &Wallet, power: u64) -> Vote {
    Vote {
        address: consensus_address(&wallet.consensus_key()).to_vec(),
        power,
    }
}

/// The deposit of a challenge that is neither returned nor lost yet.
pub(crate) fn held_deposit(task: &Task) -> u64 {
    match &task.audit {
        Some(audit) if audit.result.is_none() => audit.deposit,
        _ => 0,
    }
}

pub(crate) fn is_over(task: &Task) -> bool {
    matches!(task.status(), TaskStatus::Final | TaskStatus::Refunded)
}

pub(crate) fn find<'w>(wallets: &'w mut [Wallet], address: &str) -> &'w mut Wallet {
    wallets
        .iter_mut()
        .find(|wallet| wallet.address == address)
        .unwrap()
}

/// Reads the wallets' next sequences: a transaction that never entered a block used none.
pub(crate) fn read_sequences(chain: &mut Chain) {
    let sequence = |app: &App, wallet: &Wallet| {
        let request = QueryAccountRequest {
            address: wallet.address.clone(),
        };
        let path = "/cosmos.auth.v1beta1.Query/Account";
        let (answer, _) = app.query(path, &request.encode_to_vec(), None).unwrap();
        let answer = QueryAccountResponse::decode(answer.as_slice()).unwrap();
        let account = BaseAccount::decode(answer.account.unwrap().value.as_slice());
        account.unwrap().sequence
    };
    let Chain {
        app,
        user,
        inference,
        evaluators,
        validators,
        ..
    } = chain;
    let wallets = inference.iter_mut().chain(evaluators).chain(validators);
    for wallet in wallets.chain([user]) {
        wallet.sequence = sequence(app, wallet);
    }
}
