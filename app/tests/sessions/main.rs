//! Sessions (protocol section 16): from the opening to the payment, and every way in which a party
//! may fail.

#[path = "../support/proven.rs"]
mod proven;
#[path = "../support/mod.rs"]
mod support;

mod invariants;
mod log;
mod opening;
mod payment;
mod reveal;
mod settle;
mod timeouts;

use cosmos_sdk_proto::cosmos::base::abci::v1beta1::TxMsgData;
use poq_app::modules::params::default_sessions;
use poq_proto::code::Code;
use poq_proto::v1::*;
use prost::{Message, Name};
use support::{Chain, Draft, FUNDS, MODEL, Wallet, any, coin, find, params};
use tendermint_proto::google::protobuf::Any;
use tendermint_proto::v0_38::abci::ExecTxResult;

use log::Log;

/// Gas limit and fee of transactions with several sessions.
const GAS: u64 = 1_000_000;
const FEE: u64 = 10_000;
/// The escrow of a session.
const ESCROW: u64 = 400_000;
/// The blocks for which a session takes orders.
const BLOCKS: u64 = 20;
/// A raw score of full quality.
const GOOD: i32 = 10_000_000;

fn session_params() -> Params {
    Params {
        sessions: Some(SessionParams {
            max_open_sessions: 8,
            max_session_blocks: 100,
            settle_window: 5,
            leaf_window: 4,
            sample_value: 20_000,
            ..default_sessions()
        }),
        ..params()
    }
}

/// The key of the vouchers.
fn session_key() -> Wallet {
    Wallet::new(9, 0)
}

fn public_key(wallet: &Wallet) -> Vec<u8> {
    let point = wallet.key.verifying_key().to_encoded_point(true);
    point.as_bytes().to_vec()
}

/// A chain whose inference nodes offer sessions.
fn chain(inference: u8, evaluators: u8) -> Chain {
    with_params(session_params(), inference, evaluators)
}

fn with_params(params: Params, inference: u8, evaluators: u8) -> Chain {
    let mut chain = Chain::with_params(params, inference, evaluators);
    for index in 0..chain.inference.len() {
        let message = offer(&chain.inference[index]);
        is_ok(&signed(
            &mut chain,
            |chain| &mut chain.inference[index],
            &message,
        ));
    }
    chain
}

/// The message with which a node offers sessions.
fn offer(wallet: &Wallet) -> MsgUpdateNode {
    MsgUpdateNode {
        operator: wallet.address.clone(),
        role: Role::Inference.into(),
        models: vec![MODEL.into()],
        capacity: support::CAPACITY,
        stream: Some(Stream {
            url: "https://node.example:8443".into(),
            key: public_key(wallet),
            tls_spki_sha256: vec![7; 32],
        }),
        ..MsgUpdateNode::default()
    }
}

/// Executes a message in a block of its own, with enough gas for several sessions.
fn signed<M: Message + Name>(
    chain: &mut Chain,
    sender: impl Fn(&mut Chain) -> &mut Wallet,
    message: &M,
) -> ExecTxResult {
    let wallet = sender(chain);
    let tx = sign(wallet, any(message));
    chain.block(&[tx]).remove(0)
}

fn sign(wallet: &mut Wallet, message: Any) -> Vec<u8> {
    let mut draft = Draft::new(wallet, vec![message]);
    let fee = draft.auth_info.fee.as_mut().unwrap();
    (fee.gas_limit, fee.amount) = (GAS, vec![coin(FEE)]);
    let tx = draft.sign(wallet);
    wallet.sequence += 1;
    tx
}

fn is_ok(result: &ExecTxResult) {
    assert_eq!(result.code, 0, "{}", result.log);
}

fn is(result: &ExecTxResult, code: Code) {
    let found = (result.code, result.codespace.as_str());
    assert_eq!(found, (code.number, code.codespace), "{}", result.log);
}

/// The response of the only message of a transaction.
fn response<M: Message + Default>(result: &ExecTxResult) -> M {
    let data = TxMsgData::decode(&*result.data).unwrap();
    M::decode(data.msg_responses[0].value.as_slice()).unwrap()
}

fn opening(chain: &Chain, nodes: u32) -> MsgOpenSessions {
    MsgOpenSessions {
        user: chain.user.address.clone(),
        model: MODEL.into(),
        nodes,
        escrow: ESCROW,
        session_key: public_key(&session_key()),
        blocks: BLOCKS,
        scoring: SessionScoring::Sampled.into(),
    }
}

/// Opens sessions and lets their nodes be drawn; returns the first id.
fn open(chain: &mut Chain, message: &MsgOpenSessions) -> u64 {
    let result = signed(chain, |chain| &mut chain.user, message);
    is_ok(&result);
    let first = response::<MsgOpenSessionsResponse>(&result).first_session;
    chain.block(&[]);
    first
}

/// Opens one session whose node serves these answers, and returns both.
fn served(chain: &mut Chain, answers: &[&str]) -> (u64, Log) {
    let message = opening(chain, 1);
    let id = open(chain, &message);
    assert_eq!(chain.session(id).status(), SessionStatus::Open);
    let mut log = Log::new(id);
    for answer in answers {
        log.serve("Why is the sky blue?", answer);
    }
    (id, log)
}

/// Executes a message of the session's node.
fn by_node<M: Message + Name>(chain: &mut Chain, session: u64, message: &M) -> ExecTxResult {
    let operator = chain.session(session).node.unwrap().operator;
    signed(
        chain,
        |chain| find(&mut chain.inference, &operator),
        message,
    )
}

fn settling(chain: &Chain, log: &Log, unacknowledged: u64) -> MsgSettleSessions {
    MsgSettleSessions {
        operator: chain.session(log.session).node.unwrap().operator,
        items: vec![log.settle_item(unacknowledged)],
    }
}

/// Settles a session and lets its leaves be drawn.
fn settle(chain: &mut Chain, log: &Log) {
    let message = settling(chain, log, 0);
    is_ok(&by_node(chain, log.session, &message));
    chain.block(&[]);
}

fn revealing(chain: &Chain, log: &Log, numbers: &[u64]) -> MsgRevealLeaves {
    MsgRevealLeaves {
        operator: chain.session(log.session).node.unwrap().operator,
        items: numbers
            .iter()
            .map(|number| log.leaf_item(*number))
            .collect(),
    }
}

/// Reveals every drawn leaf.
fn reveal_drawn(chain: &mut Chain, log: &Log) {
    let drawn = log.drawn(&chain.session(log.session));
    let message = revealing(chain, log, &drawn);
    let result = by_node(chain, log.session, &message);
    is_ok(&result);
    let results = response::<MsgRevealLeavesResponse>(&result).results;
    assert!(results.iter().all(|one| one.code == 0), "{results:?}");
}

/// Has the leaves' committees score each answer by its number, and waits for the end of the session.
fn score(chain: &mut Chain, session: u64) {
    chain.block(&[]);
    for phase in [TaskStatus::Committing, TaskStatus::Revealing] {
        let txs = scores(chain, phase);
        for result in chain.block(&txs) {
            is_ok(&result);
        }
    }
    chain.blocks(5);
    assert_eq!(chain.session(session).status(), SessionStatus::Final);
}

/// The honest evaluators' transactions for their duties of a phase.
fn scores(chain: &mut Chain, phase: TaskStatus) -> Vec<Vec<u8>> {
    let mut txs = Vec::new();
    for index in 0..chain.evaluators.len() {
        let operator = chain.evaluators[index].address.clone();
        let mut duties = chain.duties(Role::Evaluator, &operator);
        duties.retain(|duty| duty.phase() == phase);
        for duty in duties {
            let score = score_of(chain, duty.task_id);
            let wallet = &mut chain.evaluators[index];
            let message = support::duty_message(wallet, &[duty], "", score);
            txs.push(sign(wallet, message));
        }
    }
    txs
}

/// The score that honest evaluators give: the number in the answer.
fn score_of(chain: &Chain, task: u64) -> i32 {
    let request = QueryPayloadRequest { task_id: task };
    let payload: QueryPayloadResponse = chain.query("/poq.v1.Query/Payload", &request);
    payload
        .answer
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// Money of the user besides fees.
fn spent_by_user(chain: &Chain, transactions: u64) -> u128 {
    u128::from(FUNDS) - u128::from(transactions * FEE) - chain.balance(&chain.user.address)
}
