//! What parameters need of one another so that no lie pays (protocol sections 9 and 10).

use poq_proto::code;
use poq_proto::v1::Params;

use crate::error::{Result, ensure};

/// Blocks that a task waits for a draw.
const DRAW: u64 = 1;

/// Highest price of a task that the stakes behind its committee secure, base units.
///
/// Who moves the weighted median holds at least W/2 of the committee's weight W, and gains at most
/// the price P. An audit with probability p takes `slash_audit` of that weight, so that
/// p = audit_margin · P / (slash_audit · W/2) makes the expected loss `audit_margin` times the
/// gain. p is at most 1, hence P ≤ slash_audit · W / 2 / audit_margin. The poorest committee weighs
/// W = committee_size · min(min_evaluator_stake, stake_cap).
pub fn max_price(params: &Params) -> u64 {
    let seat = params.min_evaluator_stake.min(params.stake_cap);
    // Below 2^6 · 2^64 · 2^20 for valid parameters.
    let secured = u128::from(params.slash_audit)
        .saturating_mul(params.committee_size.into())
        .saturating_mul(seat.into());
    let price = secured
        .checked_div(2 * u128::from(params.audit_margin))
        .unwrap_or(0);
    u64::try_from(price).unwrap_or(u64::MAX)
}

/// Blocks that a task takes at most, if none waits for `max_transitions_per_block`: every draw and
/// every window of every attempt, and then finality, with a challenge in the last block before it.
fn longest_task(params: &Params) -> u64 {
    let attempts = u64::from(params.max_inference_attempts);
    let answers = attempts.saturating_mul(params.answer_window.saturating_add(DRAW));
    let scores = DRAW
        .saturating_add(params.commit_window)
        .saturating_add(params.reveal_window);
    let committees = u64::from(params.max_committee_attempts).saturating_mul(scores);
    answers
        .saturating_add(committees)
        .saturating_add(params.audit_window)
        .saturating_add(params.audit_delay)
}

/// Checks that lying, withholding and leaving early cost more than they bring. Ranges were checked
/// before.
pub fn validate(params: &Params) -> Result<()> {
    ensure!(
        params.slash_no_reveal >= params.slash_no_commit,
        code::INVALID_REQUEST,
        "slash_no_reveal must not be below slash_no_commit: withholding must not pay"
    );
    // The worst score costs an evaluator its share of the price. With stake s in each of K seats
    // the dearest task has the price slash_audit · K · s / (2 · audit_margin), of which a seat gets
    // evaluator_share / K. Withholding costs slash_no_reveal · s, so s cancels out:
    // slash_no_reveal ≥ evaluator_share · slash_audit / (2 · audit_margin), here in ppm.
    let gain = u128::from(params.evaluator_share) * u128::from(params.slash_audit);
    let margin = 2 * u128::from(params.audit_margin);
    ensure!(
        u128::from(params.slash_no_reveal) * margin >= gain,
        code::INVALID_REQUEST,
        "slash_no_reveal must be at least {} ppm, evaluator_share · slash_audit / (2 · \
         audit_margin): withholding must cost more than the worst score",
        gain.div_ceil(margin)
    );
    // Stake must stay within reach of every slash that was possible when it was unbonded.
    let longest = longest_task(params);
    ensure!(
        params.unbonding_window > longest,
        code::INVALID_REQUEST,
        "unbonding_window must be longer than the {longest} blocks that a task may take: \
         max_inference_attempts · (1 + answer_window) + max_committee_attempts · (1 + commit_window + \
         reveal_window) + audit_window + audit_delay"
    );
    // Leaving and registering again must not be a way out of jail.
    ensure!(
        params.unbonding_window >= params.jail_window,
        code::INVALID_REQUEST,
        "unbonding_window must not be below jail_window {}",
        params.jail_window
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::params::default_params;

    #[test]
    fn the_highest_price_is_what_half_a_committee_can_lose() {
        // 10 % of half of 5 · 100 million, over 1.5.
        assert_eq!(max_price(&default_params()), 16_666_666);
        let capped = Params {
            stake_cap: 50_000_000,
            ..default_params()
        };
        assert_eq!(max_price(&capped), 8_333_333);
        let huge = Params {
            min_evaluator_stake: u64::MAX,
            stake_cap: u64::MAX,
            slash_audit: 1_000_000,
            committee_size: 64,
            ..default_params()
        };
        assert_eq!(max_price(&huge), u64::MAX);
    }

    #[test]
    fn a_task_takes_every_window_of_every_attempt_at_most() {
        // 3 · (1 + 60) + 2 · (1 + 30 + 20) + 10 + 3.
        assert_eq!(longest_task(&default_params()), 298);
    }

    #[test]
    fn sets_that_make_a_lie_pay_are_refused() {
        type Case = (fn(&mut Params), &'static str);
        let cases: [Case; 5] = [
            // 0.2 · 0.1 / (2 · 1.5) = 0.00666…
            (|p| p.slash_no_reveal = 6_666, "at least 6667 ppm"),
            (|p| p.slash_no_commit = 20_001, "slash_no_commit"),
            (|p| p.slash_audit = 1_000_000, "at least 66667 ppm"),
            (|p| p.unbonding_window = 298, "298 blocks"),
            (|p| p.jail_window = 20_001, "jail_window"),
        ];
        for (change, reason) in cases {
            let mut params = default_params();
            change(&mut params);
            let error = validate(&params).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let mut params = default_params();
        (params.slash_no_reveal, params.unbonding_window) = (6_667, 299);
        params.jail_window = 299;
        params.slash_no_commit = 0;
        validate(&params).unwrap();
    }
}
