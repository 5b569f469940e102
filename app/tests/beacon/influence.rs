//! A proposer's influence on the beacon, by leaving votes out (see the README of the beacon).

use std::collections::BTreeSet;

use crate::network::{Network, ROOM, outputs};
use poq_app::modules::beacon::encode;

/// All sets of validators.
fn subsets(count: usize) -> Vec<Vec<usize>> {
    (0..1u32 << count)
        .map(|set| (0..count).filter(|index| set >> index & 1 == 1).collect())
        .collect()
}

/// The number of selections of outputs that a proposer among `count` equal validators can make.
fn choices(count: u64) -> f64 {
    let mut ways = 1.0;
    let mut sum = 0.0;
    for left_out in 0..=count {
        if 3 * (count - left_out) > 2 * count {
            sum += ways;
        }
        ways *= (count - left_out) as f64 / (left_out + 1) as f64;
    }
    sum
}

/// Four equal validators: whatever a proposer selects, its block has one of five beacons.
#[test]
fn a_proposer_among_four_has_five_beacons_to_choose_from() {
    let mut network = Network::new(&[10; 4], 1);
    network.blocks(2);
    let mut beacons = BTreeSet::new();
    let all = outputs(&network.propose(0, &[], &network.everybody(), ROOM));
    let mut accepted = 0;
    for signers in subsets(4) {
        for chosen in subsets(4) {
            let mut carried = all.clone();
            let addresses: Vec<_> = chosen.iter().map(|index| network.address(*index)).collect();
            carried
                .outputs
                .retain(|output| addresses.contains(&output.validator));
            let block = [encode(&carried).into()];
            if network.accepts(1, &block, &signers) {
                accepted += 1;
                beacons.insert(crate::network::values(&carried));
            }
        }
    }
    // Outputs of a subset of the signers: 4 of 4 in one way, 3 of 4 with or without the fourth's
    // signature in the commit.
    assert_eq!((accepted, beacons.len()), (1 + 2 * 4, 5));
    assert_eq!(choices(4), 5.0);
}

/// The figures of the README: the probability that a proposer gets an outcome of probability `q`.
#[test]
fn the_documented_influence_is_right() {
    assert_eq!([4, 7, 10, 20].map(choices), [5.0, 29.0, 176.0, 60_460.0]);
    assert!((5.53e26..5.54e26).contains(&choices(100)));
    let reached = |q: f64, choices: f64| 1.0 - (1.0 - q).powf(choices);
    for (q, count, percent) in [
        (0.001, 4, 0.5),
        (0.01, 4, 4.9),
        (0.1, 4, 41.0),
        (0.001, 7, 2.9),
        (0.01, 7, 25.3),
        (0.1, 7, 95.3),
        (0.001, 10, 16.1),
        (0.01, 10, 82.9),
        (0.001, 20, 100.0),
    ] {
        let percent_now = 100.0 * reached(q, choices(count));
        assert!(
            (percent_now - percent).abs() < 0.1,
            "{q} {count}: {percent_now}"
        );
    }
}

/// The README's table of a ring with evaluators and one validator: three of five seats, or no
/// audit.
#[test]
fn the_documented_influence_of_a_ring_is_right() {
    // Three or more of five seats, if a fifth of the evaluators belongs to the ring.
    let seats: f64 =
        10.0 * 0.2f64.powi(3) * 0.8f64.powi(2) + 5.0 * 0.2f64.powi(4) * 0.8 + 0.2f64.powi(5);
    let once = 1.0 - 0.52f64.powf(0.25);
    for (validators, taken, one_draw, four_draws) in [
        (4, 26.0, 97.0, 61.0),
        (10, 100.0, 100.0, 61.0),
        (100, 100.0, 100.0, 61.0),
    ] {
        let choices = choices(validators);
        let figures = [
            (1.0 - (1.0 - seats).powf(choices), taken),
            (1.0 - 0.48f64.powf(choices), one_draw),
            (
                (1.0 - once).powi(3) * (1.0 - once.powf(choices)),
                four_draws,
            ),
        ];
        for (figure, percent) in figures {
            assert!(
                (100.0 * figure - percent).abs() < 0.6,
                "{validators}: {figure}"
            );
        }
    }
}
