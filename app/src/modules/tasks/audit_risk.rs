//! The audit probability at which lying in a task does not pay: arithmetic on its price and the
//! weights of its seats.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "bounds are beside each product"
)]

use poq_proto::PPM;
use poq_proto::v1::{Committee, Params, Seat};

/// Probability, ppm, that a task with this price and committee is audited: `clamp(audit_margin · P
/// / (slash_audit · W/2), min_audit_rate, 1)`, rounded up, with W the weight of the seats that
/// revealed. A coalition that moves the weighted median holds half of W and gains at most P. Silent
/// seats do not count: an audit costs them nothing.
pub fn audit_probability(params: &Params, price: u64, committee: &Committee) -> u32 {
    let revealed = committee.seats.iter().filter(|seat| seat.reveal.is_some());
    let needed = needed_audits(params, price, revealed).unwrap_or(PPM.into());
    u32::try_from(needed.min(PPM.into()))
        .unwrap_or(u32::MAX)
        .max(params.min_audit_rate)
}

/// The expected audits that a task adds to each of its seats, ppm of one audit: the same formula
/// without the limits, for the whole committee, rounded up.
pub fn expected_audits(params: &Params, price: u64, seats: &[Seat]) -> u64 {
    let needed = needed_audits(params, price, seats.iter()).unwrap_or(u128::MAX);
    u64::try_from(needed).unwrap_or(u64::MAX)
}

/// `audit_margin · P / (slash_audit · W/2)`, ppm, rounded up; none for seats without weight.
fn needed_audits<'s>(
    params: &Params,
    price: u64,
    seats: impl Iterator<Item = &'s Seat>,
) -> Option<u128> {
    let weight: u128 = seats.map(|seat| u128::from(seat.weight)).sum();
    // Below 2 · 2^32 · 2^64 · 2^20; margin and slash are both in ppm, so their units cancel out.
    let gain = 2 * u128::from(params.audit_margin) * u128::from(price) * u128::from(PPM);
    let loss = u128::from(params.slash_audit) * weight;
    (loss > 0).then(|| gain.div_ceil(loss))
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::Reveal;

    use super::*;
    use crate::modules::params::default_params;

    fn committee(weights: &[u64]) -> Committee {
        let seat = |weight: &u64| Seat {
            weight: *weight,
            reveal: Some(Reveal::default()),
            ..Seat::default()
        };
        Committee {
            seats: weights.iter().map(seat).collect(),
            ..Committee::default()
        }
    }

    #[test]
    fn the_probability_follows_what_a_liar_could_gain() {
        let params = Params {
            min_audit_rate: 100,
            ..default_params()
        };
        let seats = committee(&[100_000_000; 5]);
        let of = |price| audit_probability(&params, price, &seats);
        // 1.5 · P / (0.1 · 250 million), rounded up.
        assert_eq!(of(1_540), 100);
        assert_eq!(of(5_000_000), 300_000);
        assert_eq!(of(5_000_001), 300_001);
        assert_eq!(of(16_666_666), 1_000_000);
        assert_eq!(of(u64::MAX), 1_000_000);
        assert_eq!(audit_probability(&params, 1, &committee(&[])), 1_000_000);
        let many = committee(&[u64::MAX; 64]);
        assert_eq!(audit_probability(&params, u64::MAX, &many), 468_750);
    }

    /// One heavy seat misses its window: the other four have little to lose.
    #[test]
    fn silent_seats_are_no_security() {
        let params = default_params();
        let mut seats = committee(&[
            10_000_000_000,
            100_000_000,
            100_000_000,
            100_000_000,
            100_000_000,
        ]);
        assert_eq!(audit_probability(&params, 16_670_000, &seats), 48_087);
        seats.seats[0].reveal = None;
        assert_eq!(audit_probability(&params, 16_670_000, &seats), 1_000_000);
    }
}
