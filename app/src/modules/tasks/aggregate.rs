//! Aggregates revealed qualities to one consensus quality (protocol section 8).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "at most 64 weights of 64 bits are added; at most a quarter is cut from each end"
)]

use poq_proto::v1::{Aggregation, Committee};

/// A revealed quality (ppm) and the weight of its evaluator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opinion {
    /// The quality, ppm.
    pub quality: u32,
    /// The evaluator's min(stake, cap).
    pub weight: u64,
}

/// The opinions that the committee revealed, in the order of the seats.
pub fn opinions(committee: &Committee) -> Vec<Opinion> {
    committee
        .seats
        .iter()
        .filter_map(|seat| {
            seat.reveal.map(|reveal| Opinion {
                quality: reveal.quality,
                weight: seat.weight,
            })
        })
        .collect()
}

/// The consensus quality in ppm; 0 without opinions. Independent of the order of the opinions.
pub fn aggregate(aggregation: Aggregation, opinions: &[Opinion]) -> u32 {
    let mut sorted = opinions.to_vec();
    sorted.sort_unstable();
    match aggregation {
        Aggregation::Mean => mean(&sorted),
        Aggregation::TrimmedMean => {
            let trimmed = sorted.len() / 4;
            mean(&sorted[trimmed..sorted.len() - trimmed])
        }
        Aggregation::WeightedMedian | Aggregation::Unspecified => lower_weighted_median(&sorted),
    }
}

fn lower_weighted_median(sorted: &[Opinion]) -> u32 {
    let total: u128 = sorted
        .iter()
        .map(|opinion| u128::from(opinion.weight))
        .sum();
    let mut below = 0u128;
    for opinion in sorted {
        below += u128::from(opinion.weight);
        if below * 2 >= total {
            return opinion.quality;
        }
    }
    0
}

fn mean(opinions: &[Opinion]) -> u32 {
    let sum: u64 = opinions
        .iter()
        .map(|opinion| u64::from(opinion.quality))
        .sum();
    let mean = sum.checked_div(opinions.len() as u64).unwrap_or(0);
    u32::try_from(mean).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opinions(pairs: &[(u32, u64)]) -> Vec<Opinion> {
        pairs
            .iter()
            .map(|(quality, weight)| Opinion {
                quality: *quality,
                weight: *weight,
            })
            .collect()
    }

    #[test]
    fn median_is_weighted_and_low_on_ties() {
        let median =
            |pairs: &[(u32, u64)]| aggregate(Aggregation::WeightedMedian, &opinions(pairs));
        assert_eq!(median(&[(1, 1), (2, 1), (3, 1)]), 2);
        assert_eq!(median(&[(1, 1), (3, 1)]), 1);
        assert_eq!(median(&[(1, 1), (2, 1), (9, 5)]), 9);
        assert_eq!(median(&[]), 0);
    }

    #[test]
    fn means() {
        let all = opinions(&[(0, 1), (10, 1), (20, 1), (1_000_000, 1)]);
        assert_eq!(aggregate(Aggregation::Mean, &all), 250_007);
        assert_eq!(aggregate(Aggregation::TrimmedMean, &all), 15);
    }

    /// With fewer than four opinions none is trimmed, and at least one always remains.
    #[test]
    fn trimming_small_committees() {
        let trimmed = |qualities: &[u32]| {
            let pairs: Vec<_> = qualities.iter().map(|quality| (*quality, 1)).collect();
            aggregate(Aggregation::TrimmedMean, &opinions(&pairs))
        };
        assert_eq!(trimmed(&[]), 0);
        assert_eq!(trimmed(&[7]), 7);
        assert_eq!(trimmed(&[0, 9]), 4);
        assert_eq!(trimmed(&[0, 1, 8]), 3);
        assert_eq!(trimmed(&[0, 4, 6, 1_000_000]), 5);
        assert_eq!(trimmed(&[0, 4, 6, 8, 1_000_000]), 6);
        assert_eq!(trimmed(&[0, 0, 3, 4, 5, 6, 1_000_000, 1_000_000]), 4);
        assert_eq!(trimmed(&[1_000_000; 64]), 1_000_000);
    }

    /// Weights count only in the median.
    #[test]
    fn means_are_unweighted_and_round_down() {
        let all = opinions(&[(0, 1), (1, u64::MAX)]);
        assert_eq!(aggregate(Aggregation::Mean, &all), 0);
        assert_eq!(aggregate(Aggregation::TrimmedMean, &all), 0);
        assert_eq!(aggregate(Aggregation::WeightedMedian, &all), 1);
        assert_eq!(aggregate(Aggregation::Mean, &[]), 0);
    }

    proptest! {
        /// A minority of the weight cannot move the median beyond the majority's opinions.
        #[test]
        fn majority_bounds_the_median(
            honest in prop::collection::vec((400_000u32..=500_000, 1u64..1_000), 1..20),
            liars in prop::collection::vec((0u32..=1_000_000, 1u64..1_000), 0..20),
        ) {
            let weight = |all: &[(u32, u64)]| all.iter().map(|(_, weight)| weight).sum::<u64>();
            prop_assume!(weight(&liars) < weight(&honest));
            let mut all = opinions(&liars);
            all.extend(opinions(&honest));
            let quality = aggregate(Aggregation::WeightedMedian, &all);
            prop_assert!((400_000..=500_000).contains(&quality));
        }

        #[test]
        fn order_does_not_matter(
            pairs in prop::collection::vec((0u32..=1_000_000, 1u64..u64::MAX / 64), 1..30),
        ) {
            let forward = opinions(&pairs);
            let backward: Vec<_> = forward.iter().rev().copied().collect();
            for aggregation in [Aggregation::WeightedMedian, Aggregation::TrimmedMean, Aggregation::Mean] {
                prop_assert_eq!(aggregate(aggregation, &forward), aggregate(aggregation, &backward));
            }
        }
    }
}
