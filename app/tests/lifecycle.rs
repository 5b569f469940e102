//! The life of a task, undisturbed and disturbed (protocol sections 5 to 10).

mod support;

use poq_proto::v1::{Params, RefundReason, Role, TaskStatus};
use support::{Chain, STAKE, any, reveal_message};

/// Micro-logits whose quality is the model's target: 700,000 ppm.
const GOOD: i32 = 4_000_000;

fn assert_nobody_has_duties(chain: &Chain) {
    for role in [Role::Inference, Role::Evaluator] {
        for node in chain.nodes(role) {
            assert_eq!(node.open_duties, 0, "{}", node.operator);
            assert!(chain.duties(role, &node.operator).is_empty());
        }
    }
}

#[test]
fn an_undisturbed_task_needs_no_waiting() {
    let mut chain = Chain::new(2, 7);
    let before = chain.balance(&chain.user.address);
    let id = chain.submit();
    assert_eq!(chain.task(id).status(), TaskStatus::Assigned);
    assert_eq!(chain.answer(id, "Paris.").code, 0);
    let task = chain.task(id);
    assert_eq!(task.status(), TaskStatus::Committing);
    assert_eq!(task.committees[0].seats.len(), 5);
    chain.commit(id, GOOD, &[]);
    assert_eq!(chain.task(id).status(), TaskStatus::Revealing);
    chain.reveal(id, GOOD, &[]);
    let task = chain.task(id);
    let settlement = task.settlement.clone().unwrap();
    assert_eq!(task.status(), TaskStatus::Settled);
    assert_eq!(settlement.quality, 700_000);
    // 1,000 + 10 · 30 + 40 · 6 = 1,540, of which 20 % are for evaluators and 5 % for the protocol.
    assert_eq!(settlement.price, 1_540);
    assert_eq!(settlement.inference.as_ref().unwrap().amount, 1_155);
    let evaluators: Vec<u64> = settlement
        .evaluators
        .iter()
        .map(|payout| payout.amount)
        .collect();
    assert_eq!(evaluators, [61; 5]);
    assert_eq!(settlement.protocol, 77);
    assert_eq!(settlement.refund, 50_000 - 1_155 - 5 * 61 - 77);
    chain.blocks(2);
    assert_eq!(chain.task(id).status(), TaskStatus::Final);
    let fee = u128::from(support::GAS / 100);
    assert_eq!(
        before - fee - 1_155 - 5 * 61 - 77,
        chain.balance(&chain.user.address)
    );
    assert_nobody_has_duties(&chain);
    chain.assert_money_is_conserved();
}

#[test]
fn a_silent_inference_node_is_slashed_and_replaced() {
    let mut chain = Chain::new(2, 5);
    let id = chain.submit();
    let first = chain.task(id).assignments[0].operator.clone();
    chain.blocks(4);
    assert_eq!(chain.task(id).status(), TaskStatus::Submitted);
    chain.blocks(1);
    let task = chain.task(id);
    assert_eq!(task.status(), TaskStatus::Assigned);
    assert_ne!(task.assignments[1].operator, first);
    assert!(task.assignments[0].missed);
    let node = chain.node(Role::Inference, &first);
    assert_eq!((node.stake, node.duties_missed), (STAKE - STAKE / 100, 1));
    assert!(node.reputation < 1_000_000);
    chain.assert_money_is_conserved();
}

#[test]
fn a_task_that_nobody_answers_is_refunded() {
    let mut chain = Chain::new(2, 5);
    let before = chain.balance(&chain.user.address);
    let id = chain.submit();
    // Both nodes miss, and then no other node has room for a whole answer window.
    chain.blocks(10);
    assert_eq!(chain.task(id).status(), TaskStatus::Submitted);
    chain.blocks(9);
    let task = chain.task(id);
    assert_eq!(task.status(), TaskStatus::Refunded);
    assert_eq!(task.refund_reason(), RefundReason::NoInferenceNode);
    assert_eq!(
        chain.balance(&chain.user.address),
        before - u128::from(support::GAS / 100)
    );
    chain.assert_money_is_conserved();
}

#[test]
fn a_silent_evaluator_is_slashed_and_the_task_still_ends() {
    let mut chain = Chain::new(1, 5);
    let id = chain.submit();
    chain.answer(id, "Paris.");
    let silent = vec![chain.task(id).committees[0].seats[2].operator.clone()];
    chain.commit(id, GOOD, &silent);
    assert_eq!(chain.task(id).status(), TaskStatus::Committing);
    chain.blocks(2);
    assert_eq!(chain.task(id).status(), TaskStatus::Revealing);
    assert_eq!(
        chain.node(Role::Evaluator, &silent[0]).stake,
        STAKE - STAKE / 1_000 * 15
    );
    chain.reveal(id, GOOD, &silent);
    let settlement = chain.task(id).settlement.unwrap();
    assert_eq!(settlement.evaluators[2].amount, 0);
    chain.blocks(2);
    assert_eq!(chain.task(id).status(), TaskStatus::Final);
    chain.assert_money_is_conserved();
}

#[test]
fn withholding_a_reveal_costs_more_than_not_committing() {
    let mut chain = Chain::new(1, 5);
    let id = chain.submit();
    chain.answer(id, "Paris.");
    let silent = vec![chain.task(id).committees[0].seats[0].operator.clone()];
    chain.commit(id, GOOD, &[]);
    chain.reveal(id, GOOD, &silent);
    assert_eq!(chain.task(id).status(), TaskStatus::Revealing);
    chain.blocks(2);
    assert_eq!(chain.task(id).status(), TaskStatus::Settled);
    assert_eq!(
        chain.node(Role::Evaluator, &silent[0]).stake,
        STAKE - STAKE / 50
    );
    chain.assert_money_is_conserved();
}

#[test]
fn a_committee_without_quorum_is_redrawn_once_without_the_silent() {
    let mut chain = Chain::new(1, 8);
    let id = chain.submit();
    chain.answer(id, "Paris.");
    let silent: Vec<String> = chain.task(id).committees[0].seats[..2]
        .iter()
        .map(|seat| seat.operator.clone())
        .collect();
    chain.commit(id, GOOD, &silent);
    chain.blocks(3);
    let task = chain.task(id);
    assert_eq!(
        (task.status(), task.committees.len()),
        (TaskStatus::Committing, 2)
    );
    assert!(
        task.committees[1]
            .seats
            .iter()
            .all(|seat| !silent.contains(&seat.operator))
    );
    chain.commit(id, GOOD, &[]);
    chain.reveal(id, GOOD, &[]);
    chain.blocks(2);
    assert_eq!(chain.task(id).status(), TaskStatus::Final);
    assert_nobody_has_duties(&chain);
    chain.assert_money_is_conserved();
}

#[test]
fn a_task_that_no_quorum_scores_is_refunded() {
    let mut chain = Chain::new(1, 9);
    let id = chain.submit();
    chain.answer(id, "Paris.");
    chain.blocks(3 + 1 + 3);
    let task = chain.task(id);
    assert_eq!(task.status(), TaskStatus::Refunded);
    assert_nobody_has_duties(&chain);
    chain.assert_money_is_conserved();
}

#[test]
fn an_answer_below_the_floor_earns_nothing() {
    let mut chain = Chain::new(1, 5);
    let id = chain.submit();
    chain.answer(id, "No idea.");
    chain.commit(id, -9_000_000, &[]);
    chain.reveal(id, -9_000_000, &[]);
    let settlement = chain.task(id).settlement.unwrap();
    assert_eq!(settlement.quality, 50_000);
    assert_eq!(settlement.inference.unwrap().amount, 0);
    chain.blocks(2);
    chain.assert_money_is_conserved();
}

#[test]
fn whoever_asks_or_answers_has_no_seat() {
    let mut chain = Chain::new(1, 5);
    let evaluator = &mut chain.evaluators[0];
    let message = support::submit_message(evaluator);
    let tx = evaluator.sign(vec![any(&message)]);
    let asker = evaluator.address.clone();
    assert_eq!(chain.block(&[tx])[0].code, 0);
    chain.blocks(1);
    chain.answer(1, "Paris.");
    let task = chain.task(1);
    assert_eq!(task.committees[0].seats.len(), 4);
    assert!(
        task.committees[0]
            .seats
            .iter()
            .all(|seat| seat.operator != asker)
    );
}

#[test]
fn no_reveal_before_the_commit_phase_closes() {
    let mut chain = Chain::new(1, 5);
    let id = chain.submit();
    chain.answer(id, "Paris.");
    let seats = chain.task(id).committees[0].seats.clone();
    let others: Vec<String> = seats[1..]
        .iter()
        .map(|seat| seat.operator.clone())
        .collect();
    chain.commit(id, GOOD, &others);
    let wallet = support::find(&mut chain.evaluators, &seats[0].operator);
    let message = reveal_message(wallet, id, GOOD);
    let tx = wallet.sign(vec![any(&message)]);
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(
        result.code,
        poq_proto::code::WRONG_PHASE.number,
        "{}",
        result.log
    );
}

/// An answer that says nothing is judged like any other; only silence is slashed.
#[test]
fn an_empty_answer_is_an_answer() {
    let mut chain = Chain::new(1, 5);
    let id = chain.submit();
    chain.answer(id, "");
    let answer = chain.task(id).answer.unwrap();
    assert_eq!(answer.bytes, 0);
    chain.commit(id, -10_000_000, &[]);
    chain.reveal(id, -10_000_000, &[]);
    chain.blocks(3);
    let task = chain.task(id);
    assert_eq!(task.status(), TaskStatus::Final);
    assert_eq!(task.settlement.unwrap().quality, 0);
    let node = chain.nodes(Role::Inference).remove(0);
    assert_eq!((node.slashed, node.duties_missed), (0, 0));
}

#[test]
fn an_answer_that_nobody_judged_is_paid_half() {
    let params = Params {
        max_committee_attempts: 1,
        ..support::params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let before = chain.balance(&chain.user.address);
    let node = chain.inference[0].address.clone();
    let id = chain.submit();
    chain.answer(id, "Paris.");
    // The committee stays silent.
    chain.blocks(6);
    let task = chain.task(id);
    assert_eq!(task.refund_reason(), RefundReason::NoQuorum);
    // Half of 1,000 + 30 bytes at 10 + 6 bytes at 40.
    assert_eq!(task.unjudged_pay, 770);
    assert_eq!(chain.node(Role::Inference, &node).earned, 770);
    let gas = u128::from(support::GAS / 100);
    assert_eq!(chain.balance(&chain.user.address), before - gas - 770);
    chain.assert_money_is_conserved();
}

#[test]
fn a_task_that_no_committee_can_judge_is_refused() {
    let chain = Chain::new(1, 3);
    let mut wallet = support::Wallet::new(1, 0);
    let tx = wallet.sign(vec![support::any(&support::submit_message(&wallet))]);
    let error = chain
        .app
        .check_tx(&tx, poq_app::tx::Signatures::Verify)
        .unwrap_err();
    assert!(error.to_string().contains("4 are needed"), "{error}");
}
