//! From scores that differ to one quality and to what it pays.

mod support;

use poq_proto::v1::{Aggregation, MsgSubmitTask, Params, Settlement, TaskStatus};
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
fn an_answer_below_the_users_minimum_costs_only_the_evaluation() {
    let settlement = settle(Aggregation::WeightedMedian, 600_001);
    assert_eq!(settlement.inference.unwrap().amount, 0);
    assert_eq!(settlement.refund, 50_000 - 91 - 77);
    let settlement = settle(Aggregation::WeightedMedian, 600_000);
    assert_eq!(settlement.inference.unwrap().amount, 924);
}
