//! Conditions between parameters under which no lie pays (protocol sections 9 and 10).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "products of at most four validated parameters of 20 bits each, and of counts below 2^16"
)]

use poq_proto::v1::Params;
use poq_proto::{PPM, code};

use crate::error::{Result, ensure};

/// Blocks after which a task tries its draw again if no node had room.
pub const DRAW_RETRY: u64 = 4;
/// How often a task can use the attempts of the parameters: a second time for excused ones, whose
/// nodes were jailed or leaving.
const ATTEMPTS: u64 = 2;

/// The highest price of a task that the stakes of its committee secure, base units.
pub fn max_price(params: &Params) -> u64 {
    secured_by_audits(params).min(secured_by_slashes(params))
}

/// A coalition that moves the weighted median holds at least W/2 of the committee's weight W, and
/// gains at most the price P. An audit with probability p takes `slash_audit` of that weight, so
/// p = audit_margin · P / (slash_audit · W/2) makes the expected loss `audit_margin` times the
/// gain. p is at most 1, hence P ≤ slash_audit · W / 2 / audit_margin. The poorest committee weighs
/// W = committee_size · min(min_evaluator_stake, stake_cap).
fn secured_by_audits(params: &Params) -> u64 {
    // Below 2^6 · 2^64 · 2^20 for valid parameters.
    let secured = u128::from(params.slash_audit)
        .saturating_mul(params.committee_size.into())
        .saturating_mul(poorest_seat(params).into());
    narrowed(secured, 2 * u128::from(params.audit_margin))
}

/// A coalition whose silent seats deny every committee of a task its quorum gains at most half of
/// the price (`tasks::lifecycle::refund`). A silent seat costs at least `slash_no_commit` of its
/// stake, shared by the `jail_after_misses` duties that a node can miss for one slash, hence P / 2
/// ≤ max_committee_attempts · silent seats · slash_no_commit · stake / jail_after_misses.
fn secured_by_slashes(params: &Params) -> u64 {
    let size = params.committee_size as usize;
    // For every committee from a bare quorum of seats to the full size.
    let silent = (quorum(size)..=size).map(|seats| seats - quorum(seats) + 1);
    let silent = silent.min().unwrap_or(1) as u128;
    // Below 2 · 2^4 · 2^6 · 2^20 · 2^64.
    let loss = 2
        * silent
        * u128::from(params.max_committee_attempts)
        * u128::from(params.slash_no_commit)
        * u128::from(poorest_seat(params));
    narrowed(loss, u128::from(PPM) * u128::from(params.jail_after_misses))
}

/// The most audits that an evaluator may have to expect from its open duties, ppm of one audit.
///
/// A lie in a task gains at most its price P and makes each liar expect p = m · P / (s · W/2)
/// audits, with the margin m and `slash_audit` s. Each audit takes a fraction of the rest of a
/// stake S: n audits leave S · (1 − s)^n, so a liar with Σp expected audits loses at least S · (1 −
/// e^(−sΣp)). With y = Σ 2P/W = sΣp / m the liars gain at most Σ S · y. Lying in all open tasks at
/// once loses while 1 − e^(−my) ≥ y, which holds up to y = 2(m − 1)/m² (1 − e^(−z) ≥ z − z²/2), and
/// for m > 2 at least as far as for 2. Hence Σp ≤ 2(n − 1)/n² · m/s with n = min(m, 2).
pub fn max_expected_audits(params: &Params) -> u64 {
    let one = u128::from(PPM);
    let margin = u128::from(params.audit_margin);
    let used = margin.min(2 * one);
    // Below 2 · 2^20 · 2^32 · 2^40.
    let numerator = 2 * used.saturating_sub(one) * margin * one * one;
    narrowed(numerator, used * used * u128::from(params.slash_audit))
}

/// The weight of the poorest active evaluator, base units.
fn poorest_seat(params: &Params) -> u64 {
    params.min_evaluator_stake.min(params.stake_cap)
}

fn narrowed(numerator: u128, denominator: u128) -> u64 {
    let quotient = numerator.checked_div(denominator).unwrap_or(0);
    u64::try_from(quotient).unwrap_or(u64::MAX)
}

/// The most blocks that a task takes if it never waits for `max_transitions_per_block`: every wait
/// for a draw and every window of every attempt, then finality, with a challenge in the last block
/// before it.
fn longest_task(params: &Params) -> u64 {
    let answer = wait_and(params.answer_window, params.answer_window);
    let answers = all_attempts(params.max_inference_attempts, answer);
    answers.saturating_add(longest_scoring(params))
}

/// The part of these blocks after the answer.
pub(super) fn longest_scoring(params: &Params) -> u64 {
    let scores = params.commit_window.saturating_add(params.reveal_window);
    let scores = wait_and(params.commit_window, scores);
    all_attempts(params.max_committee_attempts, scores)
        .saturating_add(params.audit_window)
        .saturating_add(params.audit_delay)
}

fn all_attempts(attempts: u32, one: u64) -> u64 {
    one.saturating_mul(ATTEMPTS * u64::from(attempts))
}

fn wait_and(patience: u64, work: u64) -> u64 {
    patience.saturating_add(DRAW_RETRY).saturating_add(work)
}

/// Checks that lying, withholding and leaving early cost more than they gain. The ranges must have
/// been checked before.
pub(super) fn validate(params: &Params) -> Result<()> {
    ensure!(
        params.slash_no_reveal >= params.slash_no_commit,
        code::INVALID_REQUEST,
        "slash_no_reveal must not be below slash_no_commit: withholding must not pay"
    );
    // The worst score costs an evaluator its share of the price. With stake s in each of K seats
    // the most expensive task has the price slash_audit · K · s / (2 · audit_margin), of which a
    // seat gets evaluator_share / K. Withholding costs slash_no_reveal · s, once for
    // jail_after_misses scores, so s cancels out: slash_no_reveal ≥ jail_after_misses ·
    // evaluator_share · slash_audit / (2 · audit_margin), in ppm.
    let gain = u128::from(params.evaluator_share)
        * u128::from(params.slash_audit)
        * u128::from(params.jail_after_misses);
    let margin = 2 * u128::from(params.audit_margin);
    ensure!(
        u128::from(params.slash_no_reveal) * margin >= gain,
        code::INVALID_REQUEST,
        "slash_no_reveal must be at least {} ppm, jail_after_misses · evaluator_share · slash_audit / \
         (2 · audit_margin): withholding must cost more than the worst score",
        gain.div_ceil(margin)
    );
    ensure!(
        max_expected_audits(params) >= PPM,
        code::INVALID_REQUEST,
        "audit_margin {} ppm is too close to 1 for a slash_audit of {} ppm: a stake would not cover \
         the one audit that its node has to expect of the dearest task",
        params.audit_margin,
        params.slash_audit
    );
    // Stake must stay slashable for every task that was open when it was unbonded.
    let longest = longest_task(params);
    ensure!(
        params.unbonding_window > longest,
        code::INVALID_REQUEST,
        "unbonding_window must be longer than the {longest} blocks that a task may take: \
         {ATTEMPTS} · max_inference_attempts · (2 · answer_window + {DRAW_RETRY}) + {ATTEMPTS} · \
         max_committee_attempts · (2 · commit_window + reveal_window + {DRAW_RETRY}) + audit_window + \
         audit_delay"
    );
    // A node must not shorten its jail by leaving and registering again.
    ensure!(
        params.unbonding_window >= params.jail_window,
        code::INVALID_REQUEST,
        "unbonding_window must not be below jail_window {}",
        params.jail_window
    );
    Ok(())
}

/// The fewest reveals that settle a task: two thirds of the committee's seats, rounded up.
pub fn quorum(seats: usize) -> usize {
    (seats * 2).div_ceil(3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::modules::params::default_params;

    #[test]
    fn the_highest_price_is_what_half_a_committee_can_lose() {
        // 10 % of half of 5 · 100 million, over 1.5.
        assert_eq!(secured_by_audits(&default_params()), 16_666_666);
        let capped = Params {
            stake_cap: 50_000_000,
            ..default_params()
        };
        assert_eq!(secured_by_audits(&capped), 8_333_333);
        let huge = Params {
            min_evaluator_stake: u64::MAX,
            stake_cap: u64::MAX,
            slash_audit: 1_000_000,
            committee_size: 64,
            ..default_params()
        };
        assert_eq!(secured_by_audits(&huge), u64::MAX);
    }

    #[test]
    fn who_keeps_committees_silent_loses_more_than_half_of_the_highest_price() {
        // Twice the loss of 2 of 5 seats in 2 committees: 1.5 % of 100 million each, shared by 3
        // misses.
        assert_eq!(max_price(&default_params()), 4_000_000);
        // One silent seat suffices if a committee has just the quorum of 2 of 3.
        let small = Params {
            committee_size: 3,
            ..default_params()
        };
        assert_eq!(max_price(&small), 2_000_000);
    }

    #[test]
    fn quorums() {
        assert_eq!([1, 2, 3, 4, 5, 6, 21].map(quorum), [1, 2, 2, 3, 4, 4, 14]);
    }

    proptest! {
        /// A ring lies in as many tasks at once as its nodes may have open.
        #[test]
        fn lying_in_all_open_tasks_at_once_loses(
            audit_margin in 1_000_001u32..10_000_000,
            slash_audit in 1_000u32..=1_000_000,
        ) {
            let params = Params { audit_margin, slash_audit, ..default_params() };
            let ppm = |value: f64| value / 1e6;
            let audits = ppm(max_expected_audits(&params) as f64);
            let (margin, slash) = (ppm(audit_margin.into()), ppm(slash_audit.into()));
            let gained = slash * audits / margin;
            let lost = 1.0 - (-slash * audits).exp();
            prop_assert!(lost >= gained, "{lost} of the stake is lost, {gained} gained");
        }
    }

    #[test]
    fn a_task_takes_every_window_of_every_attempt_at_most() {
        // 2 · 3 · (60 + 4 + 60) + 2 · 2 · (30 + 4 + 30 + 20) + 10 + 3.
        assert_eq!(longest_task(&default_params()), 1_093);
    }

    #[test]
    fn sets_that_make_a_lie_pay_are_refused() {
        type Case = (fn(&mut Params), &'static str);
        let cases: [Case; 6] = [
            // 3 · 0.2 · 0.1 / (2 · 1.5) = 0.02.
            (|p| p.slash_no_reveal = 19_999, "at least 20000 ppm"),
            (|p| p.slash_no_commit = 20_001, "slash_no_commit"),
            (|p| p.slash_audit = 1_000_000, "at least 200000 ppm"),
            (
                |p| (p.audit_margin, p.slash_no_reveal) = (1_040_000, 100_000),
                "too close to 1",
            ),
            (|p| p.unbonding_window = 1_093, "1093 blocks"),
            (|p| p.jail_window = 20_001, "jail_window"),
        ];
        for (change, reason) in cases {
            let mut params = default_params();
            change(&mut params);
            let error = validate(&params).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let mut params = default_params();
        (params.unbonding_window, params.jail_window) = (1_094, 1_094);
        params.slash_no_commit = 0;
        validate(&params).unwrap();
    }
}
