//! The sample of a session's leaves: points in its value, one in each part of equal size. A leaf is
//! hit in proportion to its price, and no order of leaves makes the points agree.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "products of an amount of 64 bits and a count of 32 bits, in 128 bits"
)]

use poq_proto::v1::{DrawnLeaf, SessionRules, SessionSettlement};

use crate::selection::RandomStream;

/// The number of points for an amount: one per `sample_value`, within the rules' limits.
pub(super) fn samples(rules: &SessionRules, amount: u64) -> u32 {
    let wanted = amount.div_ceil(rules.sample_value.max(1));
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
    wanted.min(rules.max_samples).max(rules.min_samples)
}

/// Draws the points, ascending: point j of `samples` lies in `⌊j·V/k⌋ .. ⌊(j+1)·V/k⌋` of the amount V.
pub(super) fn points(stream: &mut RandomStream, amount: u64, samples: u32) -> Vec<u64> {
    (0..u128::from(samples))
        .map(|number| {
            let (from, to) = (
                part(amount, number, samples),
                part(amount, number + 1, samples),
            );
            narrow(from + stream.below(to - from))
        })
        .collect()
}

/// `⌊number · amount / samples⌋`.
fn part(amount: u64, number: u128, samples: u32) -> u128 {
    let product = number * u128::from(amount);
    product.checked_div(samples.into()).unwrap_or(0)
}

/// The open points that a leaf takes.
pub(super) fn hits(settlement: &SessionSettlement, price: u64, total: u64) -> u32 {
    let from = total.saturating_sub(price);
    let hit = |point: &&u64| (from..total).contains(point);
    let hits = settlement.open_points.iter().filter(hit).count();
    u32::try_from(hits).unwrap_or(u32::MAX)
}

/// Whether a leaf's place in the value is free: it lies within the amount and overlaps with no revealed
/// leaf. So the prices of all revealed leaves sum to at most the amount, whatever the log says.
pub(super) fn has_free_place(settlement: &SessionSettlement, price: u64, total: u64) -> bool {
    let from = total.checked_sub(price);
    from.is_some_and(|from| {
        let apart =
            |leaf: &DrawnLeaf| leaf.total <= from || total <= leaf.total.saturating_sub(leaf.price);
        total <= settlement.amount && settlement.leaves.iter().all(apart)
    })
}

/// The weight of drawn leaves that are not revealed: base units if every leaf is drawn, else points.
pub(super) fn missing(settlement: &SessionSettlement) -> u64 {
    match settlement.all_drawn {
        true => {
            let revealed = settlement.leaves.iter().map(|leaf| leaf.price);
            settlement
                .amount
                .saturating_sub(revealed.fold(0, u64::saturating_add))
        }
        false => settlement.open_points.len() as u64,
    }
}

/// What a false quality of a leaf could move, base units: its part of the session's pay.
pub(super) fn at_stake(settlement: &SessionSettlement, price: u64, points: u32) -> u64 {
    let product = u128::from(settlement.amount) * u128::from(points);
    let of_points = product.checked_div(settlement.samples.into()).unwrap_or(0);
    narrow(of_points).max(price)
}

fn narrow(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> SessionRules {
        SessionRules {
            sample_value: 1_000,
            min_samples: 8,
            max_samples: 64,
            ..SessionRules::default()
        }
    }

    fn settlement(amount: u64, leaves: &[(u64, u64)]) -> SessionSettlement {
        let leaf = |(price, total): &(u64, u64)| DrawnLeaf {
            price: *price,
            total: *total,
            ..DrawnLeaf::default()
        };
        SessionSettlement {
            amount,
            leaves: leaves.iter().map(leaf).collect(),
            ..SessionSettlement::default()
        }
    }

    #[test]
    fn the_number_of_points_follows_the_amount() {
        assert_eq!(samples(&rules(), 1), 8);
        assert_eq!(samples(&rules(), 8_001), 9);
        assert_eq!(samples(&rules(), 64_000), 64);
        assert_eq!(samples(&rules(), u64::MAX), 64);
    }

    #[test]
    fn a_leaf_needs_a_place_of_its_own() {
        let settlement = settlement(100, &[(10, 20), (30, 60)]);
        for (price, total) in [(10, 10), (10, 30), (40, 100), (1, 100)] {
            assert!(
                has_free_place(&settlement, price, total),
                "{price} up to {total}"
            );
        }
        for (price, total) in [
            (11, 11),
            (10, 20),
            (1, 15),
            (50, 70),
            (11, 31),
            (1, 101),
            (5, 4),
        ] {
            assert!(
                !has_free_place(&settlement, price, total),
                "{price} up to {total}"
            );
        }
    }

    /// All outcomes of a small log: each leaf's mean number of points is its part of the value, in any
    /// order, and a leaf that is worth two parts is always hit.
    #[test]
    fn every_leaf_is_hit_in_proportion_to_its_price() {
        for prices in [[5, 1, 2, 4], [1, 4, 5, 2], [2, 2, 4, 4], [8, 2, 1, 1]] {
            let (amount, count) = (prices.iter().sum::<u64>(), 3_u64);
            assert_eq!(amount % count, 0);
            let width = amount / count;
            let mut hit = [0; 4];
            for outcome in 0..width.pow(3) {
                let digits = [
                    outcome % width,
                    outcome / width % width,
                    outcome / width / width,
                ];
                let open_points = (0..count).map(|j| j * width + digits[j as usize]).collect();
                let drawn = SessionSettlement {
                    open_points,
                    ..settlement(amount, &[])
                };
                let mut total = 0;
                for (leaf, price) in prices.iter().enumerate() {
                    total += price;
                    let hits = u64::from(hits(&drawn, *price, total));
                    assert!(*price < 2 * width || hits > 0);
                    hit[leaf] += hits;
                }
            }
            for (leaf, price) in prices.iter().enumerate() {
                assert_eq!(
                    hit[leaf] * amount,
                    price * count * width.pow(3),
                    "{prices:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn points_lie_each_in_its_part(amount in 1u64.., samples in 1u32..100, id in any::<u64>()) {
            let points = points(&mut RandomStream::of_leaves(&[7; 32], id), amount, samples);
            prop_assert_eq!(points.len(), samples as usize);
            prop_assert!(points.is_sorted());
            for (number, point) in (0u128..).zip(&points) {
                let (from, to) = (part(amount, number, samples), part(amount, number + 1, samples));
                prop_assert!(*point < amount);
                prop_assert!((from..to.max(from + 1)).contains(&u128::from(*point)));
            }
        }

        /// The stake of a leaf exceeds its price by at most two parts.
        #[test]
        fn a_leafs_stake_is_bounded(prices in prop::collection::vec(1u64..2_000_000, 9..200), id in any::<u64>()) {
            let amount = prices.iter().sum();
            let rules = SessionRules { sample_value: 1_000_000, ..rules() };
            let count = samples(&rules, amount);
            let drawn = SessionSettlement {
                samples: count,
                open_points: points(&mut RandomStream::of_leaves(&[7; 32], id), amount, count),
                ..settlement(amount, &[])
            };
            let (mut total, mut found) = (0, 0);
            for price in prices {
                total += price;
                let hits = hits(&drawn, price, total);
                found += hits;
                let stake = at_stake(&drawn, price, hits);
                prop_assert!(stake <= price + 2 * (amount / u64::from(count) + 1));
            }
            prop_assert_eq!(found, count);
        }
    }
}
