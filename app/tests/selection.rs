//! A million draws through the production code respect the weights.

use std::collections::{BTreeMap, BTreeSet};

use poq_app::selection::{RandomStream, WeightedIndex};
use poq_proto::v1::Role;
use poq_store::{State, Store};

/// Stakes of members that differ by a factor of fifty, spread over several nodes of the index.
const WEIGHTS: [(u64, u128); 8] = [
    (0, 1_000_000),
    (1, 2_000_000),
    (15, 5_000_000),
    (16, 50_000_000),
    (17, 7_500_000),
    (300, 10_000_000),
    (4_000, 20_000_000),
    (70_000, 4_500_000),
];
/// Seats of a committee.
const SEATS: usize = 4;
/// Four seats each: a million draws.
const COMMITTEES: u64 = 250_000;
/// Quantile 0.9999 of chi-square with 7 degrees of freedom.
const CRITICAL: f64 = 29.88;

/// The number of draws of each member for each seat.
fn counts() -> [BTreeMap<u64, u64>; SEATS] {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::new(Store::open(folder.path(), 2).unwrap().snapshot());
    let index = WeightedIndex::new("test/".into());
    for (slot, weight) in WEIGHTS {
        index.set_weight(&mut state, slot, weight).unwrap();
    }
    let mut counts: [BTreeMap<u64, u64>; SEATS] = Default::default();
    for task in 0..COMMITTEES {
        let mut stream = RandomStream::new(&[7; 32], task, Role::Evaluator, 0);
        let mut taken = BTreeSet::new();
        for seat in &mut counts {
            let slot = index.draw(&state, &mut stream, &taken).unwrap().unwrap();
            assert!(taken.insert(slot));
            *seat.entry(slot).or_default() += 1;
        }
    }
    counts
}

/// The exact probability of each member for each seat, without replacement.
fn probabilities(weights: &[(u64, u128)]) -> [BTreeMap<u64, f64>; SEATS] {
    let mut seats: [BTreeMap<u64, f64>; SEATS] = Default::default();
    visit(weights, &mut Vec::new(), 1.0, &mut seats);
    seats
}

fn visit(
    weights: &[(u64, u128)],
    taken: &mut Vec<u64>,
    reached: f64,
    seats: &mut [BTreeMap<u64, f64>; SEATS],
) {
    if taken.len() == SEATS {
        return;
    }
    let free: Vec<_> = weights
        .iter()
        .filter(|(slot, _)| !taken.contains(slot))
        .collect();
    let total: u128 = free.iter().map(|(_, weight)| weight).sum();
    for (slot, weight) in free {
        let reached = reached * *weight as f64 / total as f64;
        *seats[taken.len()].entry(*slot).or_default() += reached;
        taken.push(*slot);
        visit(weights, taken, reached, seats);
        taken.pop();
    }
}

fn chi_square(counts: &BTreeMap<u64, u64>, probabilities: &BTreeMap<u64, f64>) -> f64 {
    let drawn = counts.values().sum::<u64>() as f64;
    probabilities
        .iter()
        .map(|(slot, probability)| {
            let expected = probability * drawn;
            let seen = counts.get(slot).copied().unwrap_or(0) as f64;
            (seen - expected).powi(2) / expected
        })
        .sum()
}

#[test]
fn a_million_draws_follow_the_weights() {
    let counts = counts();
    let expected = probabilities(&WEIGHTS);
    for (seat, (counts, expected)) in counts.iter().zip(&expected).enumerate() {
        let statistic = chi_square(counts, expected);
        println!("seat {seat}: chi-square {statistic:.1} with 7 degrees of freedom");
        assert!(statistic < CRITICAL, "seat {seat}: {statistic}");
    }
    // The test detects a weight that is wrong by a fiftieth, and equal weights.
    let mut bent = WEIGHTS;
    bent[3].1 += bent[3].1 / 50;
    let even = WEIGHTS.map(|(slot, _)| (slot, 1));
    for wrong in [bent, even] {
        let statistic = chi_square(&counts[0], &probabilities(&wrong)[0]);
        println!("control: chi-square {statistic:.1}");
        assert!(statistic > CRITICAL, "{statistic}");
    }
}
