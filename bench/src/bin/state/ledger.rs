//! A chain with a state of the requested size, and its transactions.

use std::error::Error;
use std::ops::Range;

use cosmos_sdk_proto::cosmos::bank::v1beta1::{Input, MsgMultiSend, Output};
use indicatif::{ProgressBar, ProgressStyle};
use poq_app::{Address, Options};
use poq_proto::v1::*;
use tendermint_proto::google::protobuf::Any;

use super::measure::{Before, block};
use super::support::{self, Chain, Draft, People, Wallet, any, coin, find, submit_message};

/// Number of sending accounts. In a block with more transfers they send several times.
pub(crate) const SENDERS: u64 = 5_000;
/// Smallest number of accounts of a chain: as many receive in a block as send.
pub(crate) const MIN_ACCOUNTS: u64 = 2 * SENDERS;
/// Number of kept versions, small so that every measured block also prunes.
const KEPT_VERSIONS: u64 = 8;
/// Blocks until a finished task is compact.
const RETENTION: u64 = 2;
/// Window of answers and commitments, blocks.
const WINDOW: u64 = 1_000;

/// Balance of the user and of each sending account, base units.
const TREASURY: u64 = 1 << 60;
const FUNDS: u64 = 1_000_000_000;
const VALIDATORS: u64 = 2;
/// Gas limit and fee of a transaction that fills the chain.
const FILLING_GAS: u64 = 500_000_000;
const FILLING_FEE: u64 = FILLING_GAS / 100;
/// Outputs per message, and messages per transaction; keeps transactions below 1 MiB.
const OUTPUTS: usize = 500;
const MESSAGES: usize = 14;
/// Submissions, each with its cancellation, per transaction.
const CANCELLED: usize = 450;
/// Transactions per block that fills the chain.
const FILLING: usize = 4;

/// The size of a chain's state before the measurement.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Accounts with a balance, at least [`MIN_ACCOUNTS`].
    pub accounts: u64,
    /// Nodes, half of them inference nodes, half evaluators.
    pub nodes: u64,
    /// Finished tasks with compact records.
    pub tasks: u64,
}

/// A chain and its sending accounts.
pub(crate) struct Ledger {
    pub chain: Chain,
    size: Size,
    senders: Vec<Wallet>,
    /// Id of the next task.
    next_task: u64,
    /// Index of the last receiver among the accounts that do not send.
    receiver: u64,
}

impl Ledger {
    /// Creates a chain of this size, with a genesis and transactions.
    ///
    /// # Errors
    /// If a transaction fails.
    pub(crate) fn new(size: Size) -> Result<Self, Box<dyn Error>> {
        let mut ledger = Self {
            chain: chain(size.nodes),
            size,
            senders: Vec::new(),
            next_task: 1,
            receiver: 0,
        };
        ledger.fund()?;
        ledger.finish_tasks()?;
        Ok(ledger)
    }

    /// Transfers, one transaction each. The senders are used one after the other, and so are as many
    /// receivers, which are spread over all other accounts. So the number of keys that a block changes
    /// depends only on the number of its transfers.
    pub(crate) fn transfers(&mut self, senders: Range<usize>, count: usize) -> Vec<Vec<u8>> {
        let receivers: Vec<_> = senders.clone().map(|_| self.next_receiver()).collect();
        senders
            .zip(receivers)
            .cycle()
            .take(count)
            .map(|(index, to)| {
                let wallet = &mut self.senders[index];
                let message = support::send(wallet, &to, 1);
                wallet.sign(vec![message])
            })
            .collect()
    }

    /// Tasks of the user, one transaction each.
    pub(crate) fn submissions(&mut self, count: u64) -> Vec<Vec<u8>> {
        self.next_task += count;
        let user = &mut self.chain.user;
        let message = any(&submit_message(user));
        (0..count)
            .map(|_| user.sign(vec![message.clone()]))
            .collect()
    }

    /// Answers to the last `count` tasks, one transaction each.
    pub(crate) fn answers(&mut self, count: u64) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
        let answer = |id| {
            let operator = match self.chain.task(id).assignments.last() {
                Some(assignment) => assignment.operator.clone(),
                None => return Err(format!("task {id} has no inference node")),
            };
            let message = MsgSubmitAnswers {
                operator: operator.clone(),
                items: vec![AnswerItem {
                    task_id: id,
                    answer: "a".repeat(500),
                    ..AnswerItem::default()
                }],
            };
            let wallet = find(&mut self.chain.inference, &operator);
            let tx = Draft::new(wallet, vec![any(&message)]).free().sign(wallet);
            wallet.sequence += 1;
            Ok(tx)
        };
        let tasks = self.next_task - count..self.next_task;
        Ok(tasks.map(answer).collect::<Result<_, _>>()?)
    }

    /// Gives every account a balance, by transfers to many receivers.
    fn fund(&mut self) -> Result<(), Box<dyn Error>> {
        // Lower numbers belong to the genesis and to the protocol, which gets the first fee.
        let first = 1 + self.size.nodes + VALIDATORS + 1;
        self.senders = (0..SENDERS)
            .map(|index| wallet(Group::Sender, index, first + index))
            .collect();
        let bar = bar("accounts", self.size.accounts);
        let indices: Vec<_> = (0..self.size.accounts).collect();
        for of_block in indices.chunks(OUTPUTS * MESSAGES * FILLING) {
            let txs: Vec<_> = of_block
                .chunks(OUTPUTS * MESSAGES)
                .map(|of_tx| {
                    let messages = of_tx.chunks(OUTPUTS).map(|some| self.payment(some));
                    let messages = messages.collect();
                    fill(&mut self.chain.user, messages)
                })
                .collect();
            block(&mut self.chain, &txs, Before::Nothing)?;
            bar.inc(of_block.len() as u64);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn payment(&self, accounts: &[u64]) -> Any {
        let amount = |index: &u64| if *index < SENDERS { FUNDS } else { 1 };
        let output = |index: &u64| Output {
            address: self.address(*index),
            coins: vec![coin(amount(index))],
        };
        any(&MsgMultiSend {
            inputs: vec![Input {
                address: self.chain.user.address.clone(),
                coins: vec![coin(accounts.iter().map(amount).sum())],
            }],
            outputs: accounts.iter().map(output).collect(),
        })
    }

    /// Submits and cancels tasks in the same transaction, and waits until all records are compact.
    fn finish_tasks(&mut self) -> Result<(), Box<dyn Error>> {
        let bar = bar("finished tasks", self.size.tasks);
        let ids: Vec<_> = (1..=self.size.tasks).collect();
        for of_block in ids.chunks(CANCELLED * FILLING) {
            let txs: Vec<_> = of_block
                .chunks(CANCELLED)
                .map(|of_tx| {
                    let messages = of_tx.iter().flat_map(|id| self.cancelled(*id)).collect();
                    fill(&mut self.chain.user, messages)
                })
                .collect();
            block(&mut self.chain, &txs, Before::Nothing)?;
            bar.inc(of_block.len() as u64);
        }
        self.next_task += self.size.tasks;
        for _ in 0..RETENTION {
            block(&mut self.chain, &[], Before::Nothing)?;
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn cancelled(&self, task_id: u64) -> [Any; 2] {
        let user = &self.chain.user;
        let cancel = MsgCancelTask {
            user: user.address.clone(),
            task_id,
        };
        [any(&submit_message(user)), any(&cancel)]
    }

    /// Steps through the accounts by a prime that does not divide any usual number of accounts.
    fn next_receiver(&mut self) -> String {
        let others = self.size.accounts - SENDERS;
        self.receiver = (self.receiver + 7_919) % others;
        self.address(SENDERS + self.receiver)
    }

    fn address(&self, index: u64) -> String {
        match self.senders.get(index as usize) {
            Some(wallet) => wallet.address.clone(),
            None => unowned(index),
        }
    }
}

/// The purpose of a key; keys of different groups differ.
#[derive(Clone, Copy)]
enum Group {
    User = 1,
    Inference,
    Evaluator,
    Validator,
    Sender,
}

fn wallet(group: Group, index: u64, number: u64) -> Wallet {
    let mut secret = [group as u8; 32];
    secret[24..].copy_from_slice(&index.to_be_bytes());
    Wallet::from_secret(secret, number)
}

/// A chain with this many nodes in its genesis. Windows are long, so that nothing expires.
fn chain(nodes: u64) -> Chain {
    let wallets = |group, count, first| {
        let wallet = |index| wallet(group, index, first + index);
        (0..count).map(wallet).collect::<Vec<_>>()
    };
    let people = People {
        user: wallet(Group::User, 0, 0),
        inference: wallets(Group::Inference, nodes / 2, 1),
        evaluators: wallets(Group::Evaluator, nodes - nodes / 2, 1 + nodes / 2),
        validators: wallets(Group::Validator, VALIDATORS, 1 + nodes),
    };
    let params = Params {
        answer_window: WINDOW,
        commit_window: WINDOW,
        max_open_tasks: 1_000_000,
        max_tx_messages: 1_000,
        // Longer than a task with these windows can take.
        unbonding_window: 1_000_000,
        task_retention: RETENTION,
        ..support::params()
    };
    let mut genesis = people.genesis(params);
    for coin in genesis
        .accounts
        .iter_mut()
        .take(1)
        .flat_map(|user| &mut user.coins)
    {
        coin.amount = TREASURY.to_string();
    }
    let options = Options {
        keep_versions: KEPT_VERSIONS,
    };
    Chain::begin(&genesis, options, people, false)
}

/// A transaction with the limits of filling the chain.
fn fill(user: &mut Wallet, messages: Vec<Any>) -> Vec<u8> {
    let mut draft = Draft::new(user, messages);
    if let Some(fee) = &mut draft.auth_info.fee {
        fee.gas_limit = FILLING_GAS;
        fee.amount = vec![coin(FILLING_FEE)];
    }
    let tx = draft.sign(user);
    user.sequence += 1;
    tx
}

/// An address without a key.
fn unowned(index: u64) -> String {
    Address::from_public_key(&index.to_be_bytes(), "poq")
        .map(|address| address.to_string())
        .unwrap_or_default()
}

fn bar(of: &'static str, count: u64) -> ProgressBar {
    let bar = ProgressBar::new(count).with_message(of);
    match ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
