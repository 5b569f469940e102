//! Accepted proposals and the blocks that are decided.

mod support;

use std::collections::BTreeSet;

use poq_app::Error;
use poq_app::tx::Signatures;
use poq_proto::code;
use poq_proto::v1::{MsgSubmitTask, Params, Role, TaskStatus};
use support::{Chain, GAS, Wallet, any, params, send, submit_message};

fn question(chain: &mut Chain) -> Vec<u8> {
    let message = any(&submit_message(&chain.user));
    chain.user.sign(vec![message])
}

/// Whether a block of these transactions is accepted with a hash.
fn process(chain: &Chain, hash: [u8; 32], txs: &[Vec<u8>]) -> poq_app::Result<()> {
    let entries = chain.carrying(txs);
    chain.app.process_proposal(&chain.next(&hash, &entries))
}

/// The same chain twice, and two possible next blocks.
fn two_ways() -> (Chain, Chain, [Vec<Vec<u8>>; 2]) {
    let [mut chain, twin] = [(); 2].map(|()| Chain::new(1, 5));
    let question = question(&mut chain);
    (chain, twin, [vec![question], Vec::new()])
}

#[test]
fn what_was_accepted_is_not_executed_again() {
    let (chain, _, [one, none]) = two_ways();
    process(&chain, [2; 32], &one).unwrap();
    // The hash identifies the block: consensus never has two blocks with the same hash.
    let none = chain.carrying(&none);
    let (outcome, _) = chain
        .app
        .finalize_block(&chain.next(&[2; 32], &none))
        .unwrap();
    assert_eq!(outcome.results.len(), 2);
}

#[test]
fn a_block_is_the_same_whatever_was_accepted_before() {
    let (mut chain, mut twin, [one, other]) = two_ways();
    let results = twin.block(&one);
    // Two rounds: either the later proposal is decided, or the earlier one.
    for (hash, txs) in [([1; 32], &other), ([2; 32], &one), ([3; 32], &other)] {
        process(&chain, hash, txs).unwrap();
    }
    assert_eq!(chain.block(&one), results);
    assert_eq!(chain.app_hash, twin.app_hash);
    assert_eq!(chain.events, twin.events);
}

#[test]
fn what_was_refused_is_executed_if_it_is_decided_all_the_same() {
    let (mut chain, mut twin, [one, _]) = two_ways();
    let twice = [one[0].clone(), one[0].clone()];
    process(&chain, [2; 32], &twice).unwrap_err();
    let results = chain.block(&twice);
    assert_eq!(results[0].code, 0);
    assert_ne!(results[1].code, 0);
    assert_eq!(results, twin.block(&twice));
    assert_eq!(chain.app_hash, twin.app_hash);
}

#[test]
fn a_node_that_ends_while_it_executes_goes_on_where_it_was() {
    let (mut chain, mut twin, [one, _]) = two_ways();
    process(&chain, [2; 32], &one).unwrap();
    chain.restart(std::sync::Arc::new(support::TextScorer));
    assert_eq!(chain.block(&one), twin.block(&one));
    assert_eq!(chain.app_hash, twin.app_hash);
}

/// Until votes carry outputs, audits are drawn by a block hash. A transaction that can pay its fee
/// only if another one fails depends on them: the proposal must be valid whatever the hash of its
/// block is.
#[test]
fn a_prepared_proposal_is_accepted_whatever_its_hash() {
    const TASKS: usize = 12;
    let params = Params {
        min_audit_rate: 500_000,
        audit_window: 8,
        answer_window: 60,
        commit_window: 30,
        reveal_window: 20,
        ..params()
    };
    let mut chain = Chain::without_outputs(params, 1, 5);
    let fee = GAS / 100;
    let mut poor: Vec<Wallet> = (0..TASKS as u8)
        .map(|index| Wallet::new(150 + index, 10 + u64::from(index)))
        .collect();
    // The accounts exist but are empty.
    let deposits: Vec<_> = poor
        .iter()
        .map(|wallet| send(&chain.user, &wallet.address, 1))
        .collect();
    let tx = chain.user.sign(deposits);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    let ids: Vec<u64> = (0..TASKS).map(|_| chain.submit()).collect();
    for id in &ids {
        chain.answer(*id, "Paris. 1000000");
    }
    for id in &ids {
        chain.commit(*id, 1_000_000, &[]);
    }
    let mut reveals = Vec::new();
    for id in &ids {
        for seat in &chain.task(*id).committees[0].seats {
            let wallet = support::find(&mut chain.evaluators, &seat.operator);
            let message = any(&support::reveal_message(wallet, *id, 1_000_000));
            reveals.push(wallet.sign(vec![message]));
        }
    }
    assert!(chain.block(&reveals).iter().all(|result| result.code == 0));
    // A challenge fails if the task is drawn in this block; then its money is not passed on.
    let mut txs = Vec::new();
    for (id, wallet) in ids.iter().zip(&mut poor) {
        let challenge = support::challenge_message(&chain.user, *id, 1_000_000);
        let pass_on = send(&chain.user, &wallet.address, fee);
        txs.push(chain.user.sign(vec![challenge, pass_on]));
        txs.push(wallet.sign(vec![send(wallet, &chain.user.address.clone(), 1)]));
    }
    let prepared = chain.prepare(&txs, 1 << 20);
    assert!(prepared.len() > TASKS);
    for hash in 0..100 {
        process(&chain, [hash; 32], &prepared).unwrap();
    }
}

/// A question with the longest prompt, which fills a block best.
fn filler(chain: &mut Chain) -> Vec<u8> {
    let message = any(&MsgSubmitTask {
        prompt: "x".repeat(32 << 10),
        max_fee: 500_000,
        ..submit_message(&chain.user)
    });
    let mut draft = support::Draft::new(&chain.user, vec![message]);
    draft.auth_info.fee.as_mut().unwrap().gas_limit = 2_000_000;
    draft.auth_info.fee.as_mut().unwrap().amount = vec![support::coin(20_000)];
    let tx = draft.sign(&chain.user);
    chain.user.sequence += 1;
    tx
}

/// All nodes' transactions for duties that they have not sent yet.
fn new_duties(chain: &mut Chain, sent: &mut BTreeSet<(String, i32)>) -> Vec<Vec<u8>> {
    let mut txs = Vec::new();
    for role in [Role::Inference, Role::Evaluator] {
        for node in chain.nodes(role) {
            let duties = chain.duties(role, &node.operator);
            let Some(first) = duties.first() else {
                continue;
            };
            if !sent.insert((node.operator.clone(), first.phase)) {
                continue;
            }
            let wallets = match role {
                Role::Inference => &mut chain.inference,
                _ => &mut chain.evaluators,
            };
            let wallet = support::find(wallets, &node.operator);
            let message = support::duty_message(wallet, &duties[..1], "Paris.", 1_000_000);
            txs.push(wallet.sign(vec![message]));
        }
    }
    txs
}

/// The mempool is first in, first out. In every block paid filler comes before the duties of a
/// task, as much as a block holds.
#[test]
fn filler_in_front_of_duties_slashes_nobody() {
    let params = Params {
        max_block_bytes: 256 << 10,
        max_tx_bytes: 64 << 10,
        max_open_tasks: 1_000,
        ..params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let id = chain.submit();
    let mut mempool: Vec<Vec<u8>> = (0..100).map(|_| filler(&mut chain)).collect();
    let mut sent = BTreeSet::new();
    for _ in 0..25 {
        mempool.extend(new_duties(&mut chain, &mut sent));
        let proposal = chain.prepare(&mempool, 1 << 30);
        let size: usize = proposal.iter().map(Vec::len).sum();
        assert!(size <= 256 << 10);
        mempool.retain(|tx| !proposal.contains(tx));
        chain.proposed_block(&proposal);
        if chain.task(id).status() == TaskStatus::Final {
            break;
        }
    }
    assert!(mempool.len() > 20, "filler is still waiting");
    assert_eq!(chain.task(id).status(), TaskStatus::Final);
    assert_eq!(chain.task(id).committees.len(), 1);
    for node in chain.nodes(Role::Evaluator) {
        assert_eq!(node.slashed, 0);
    }
}

/// CometBFT's mempool evicts nothing: paid transactions leave a part of it to duties.
#[test]
fn a_mempool_full_of_paid_transactions_has_room_for_duties() {
    let mut chain = Chain::new(1, 5);
    let id = chain.submit();
    let to = chain.inference[0].address.clone();
    let mut check = |message| {
        chain
            .app
            .check_tx(&chain.user.sign(vec![message]), Signatures::Verify)
    };
    for _ in 0..4_000 {
        check(send(&Wallet::new(1, 0), &to, 1)).unwrap();
    }
    let error = check(send(&Wallet::new(1, 0), &to, 1)).unwrap_err();
    assert!(matches!(error, Error::Rejected { code, .. } if code == code::MEMPOOL_FULL));
    let answer = chain.answer_tx(id, "Paris.");
    chain.app.check_tx(&answer, Signatures::Verify).unwrap();
    chain.blocks(1);
    support::read_sequences(&mut chain);
    let tx = chain.user.sign(vec![send(&chain.user, &to, 1)]);
    chain.app.check_tx(&tx, Signatures::Verify).unwrap();
}
