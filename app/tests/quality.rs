//! Differing scores, their consensus quality and the payouts.

mod support;

use poq_proto::v1::{Aggregation, MsgSubmitTask, Params, Role, Settlement, TaskStatus};
use support::{Chain, any, submit_message};

/// Qualities 0, 0.5, 0.6, 0.8 and 1.
const SCORES: [i32; 5] = [-10_000_000, 0, 2_000_000, 6_000_000, 10_000_000];

/// A task whose five evaluators reveal [`SCORES`].
fn settle(aggregation: Aggregation, min_quality: u32) -> Settlement {
    let params = Params {
        aggregation: aggregation.into(),
        commit_window: 10,
        reveal_window: 10,
        ..support::params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let message = MsgSubmitTask {
        min_quality,
        ..submit_message(&chain.user)
    };
    let tx = chain.user.sign(vec![any(&message)]);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    chain.blocks(1);
    chain.answer(1, "Paris.");
    let seats: Vec<String> = chain.task(1).committees[0]
        .seats
        .iter()
        .map(|seat| seat.operator.clone())
        .collect();
    let others = |one: &String| -> Vec<String> {
        let others = seats.iter().filter(|operator| *operator != one);
        others.cloned().collect()
    };
    for (operator, score) in seats.iter().zip(SCORES) {
        chain.commit(1, score, &others(operator));
    }
    for (operator, score) in seats.iter().zip(SCORES) {
        chain.reveal(1, score, &others(operator));
    }
    let settlement = chain.task(1).settlement.unwrap();
    chain.blocks(2);
    assert_eq!(chain.task(1).status(), TaskStatus::Final);
    chain.assert_money_is_conserved();
    settlement
}

#[test]
fn each_aggregation_has_its_quality() {
    let quality = |aggregation| settle(aggregation, 0).quality;
    assert_eq!(quality(Aggregation::WeightedMedian), 600_000);
    assert_eq!(quality(Aggregation::Mean), 580_000);
    assert_eq!(quality(Aggregation::TrimmedMean), 633_333);
}

#[test]
fn who_is_far_from_the_consensus_earns_nothing() {
    let settlement = settle(Aggregation::WeightedMedian, 0);
    let amounts: Vec<u64> = settlement
        .evaluators
        .iter()
        .map(|payout| payout.amount)
        .collect();
    // A seat's share is 61; 0.1 away of a tolerance of 0.2 is half, 0.2 and more is nothing.
    assert_eq!(amounts, [0, 30, 61, 0, 0]);
    // Quality 0.6 between floor 0.2 and target 0.7 is 0.8 of 1,155.
    assert_eq!(settlement.inference.unwrap().amount, 924);
}

#[test]
fn an_answer_below_the_users_minimum_costs_half() {
    let settlement = settle(Aggregation::WeightedMedian, 600_001);
    assert_eq!(settlement.inference.unwrap().amount, 462);
    // The other half goes to the protocol, so that the user pays the same.
    assert_eq!(settlement.protocol, 77 + 462);
    assert_eq!(settlement.refund, 50_000 - 91 - 77 - 924);
    let settlement = settle(Aggregation::WeightedMedian, 600_000);
    assert_eq!(settlement.inference.unwrap().amount, 924);
}

/// Submits a changed task, and returns the reputation of the node whose answer is nearly worthless.
fn reputation_after(change: impl FnOnce(&mut MsgSubmitTask)) -> u32 {
    let mut chain = Chain::new(1, 5);
    let mut message = submit_message(&chain.user);
    change(&mut message);
    let tx = chain.user.sign(vec![any(&message)]);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    chain.blocks(1);
    chain.answer(1, "Paris.");
    // Quality 0.5 with a target of 0.7.
    chain.commit(1, 0, &[]);
    chain.reveal(1, 0, &[]);
    chain.blocks(3);
    assert_eq!(chain.task(1).status(), TaskStatus::Final);
    chain.nodes(Role::Inference)[0].reputation
}

#[test]
fn what_a_user_asks_for_does_not_enter_a_reputation() {
    let usual = reputation_after(|_| {});
    assert!(usual > 500_000);
    assert_eq!(
        reputation_after(|message| message.min_quality = 700_000),
        usual
    );
    assert_eq!(
        reputation_after(|message| message.max_answer_bytes = 511),
        500_000
    );
}
