//! The consensus parameters: storage, defaults and validation.

mod economics;
pub mod genesis;
mod keys;
pub mod limits;
pub mod msgs;
pub mod query;
mod sessions;

pub use economics::{DRAW_RETRY, max_expected_audits, max_price, quorum};
pub use sessions::default_sessions;

use poq_proto::v1::{Aggregation, Params};
use poq_proto::{PPM, code};
use poq_store::State;

use crate::address::Address;
use crate::coin::validate_denom;
use crate::error::{Error, Result, ensure};
use crate::execution::Execution;

/// The parameters in force.
pub fn get(state: &State) -> Result<Params> {
    state
        .get_message(keys::PARAMS)?
        .ok_or_else(|| Error::broken("the state has no parameters"))
}

/// Replaces the parameters.
pub fn set(state: &mut State, params: &Params) -> Result<()> {
    Ok(state.put_message(keys::PARAMS, params)?)
}

/// Refuses a sender other than the authority.
pub fn require_authority(ctx: &Execution<'_>, sender: &str) -> Result<()> {
    let authority = &ctx.block.params.authority;
    ensure!(
        !authority.is_empty() && sender == authority,
        code::UNAUTHORIZED,
        "only the authority may do this, and {sender} is not the authority ({authority:?})"
    );
    Ok(())
}

/// The default parameters of a new chain, for blocks of about one second.
pub fn default_params() -> Params {
    Params {
        authority: String::new(),
        denom: "upoq".into(),
        bech32_prefix: "poq".into(),
        answer_window: 60,
        commit_window: 30,
        reveal_window: 20,
        audit_window: 10,
        max_inference_attempts: 3,
        max_committee_attempts: 2,
        committee_size: 5,
        aggregation: Aggregation::WeightedMedian.into(),
        score_tolerance: 200_000,
        evaluator_share: 200_000,
        protocol_share: 50_000,
        min_inference_stake: 100_000_000,
        min_evaluator_stake: 100_000_000,
        stake_cap: 10_000_000_000,
        slash_no_answer: 10_000,
        slash_no_commit: 15_000,
        slash_no_reveal: 20_000,
        reputation_step: 100_000,
        reputation_floor: 50_000,
        max_prompt_bytes: 32 << 10,
        max_answer_bytes: 64 << 10,
        max_batch_items: 500,
        max_open_tasks: 100,
        max_transitions_per_block: 2_000,
        gas_price: 10_000,
        max_tx_bytes: 1 << 20,
        max_tx_messages: 16,
        unbonding_window: 20_000,
        jail_window: 600,
        jail_after_misses: 3,
        task_retention: 10_000,
        slash_audit: 100_000,
        audit_margin: 1_500_000,
        slash_double_sign: 50_000,
        min_validator_stake: 100_000_000,
        min_audit_rate: 10_000,
        audit_delay: 3,
        max_audits_per_block: 4,
        min_challenge_deposit: 1_000_000,
        challenger_share: 500_000,
        model_activation_delay: 86_400,
        max_block_bytes: 4 << 20,
        sessions: None,
    }
}

/// Checks every range and the conditions between parameters.
pub fn validate(params: &Params) -> Result<()> {
    validate_denom(&params.denom)?;
    ensure!(
        bech32::Hrp::parse(&params.bech32_prefix).is_ok_and(|hrp| hrp.as_str()
            == params.bech32_prefix
            && params
                .bech32_prefix
                .bytes()
                .all(|byte| byte.is_ascii_lowercase())),
        code::INVALID_REQUEST,
        "bech32_prefix must be lower-case letters, got {:?}",
        params.bech32_prefix
    );
    if !params.authority.is_empty() {
        Address::parse(&params.authority, &params.bech32_prefix)?;
    }
    ensure!(
        matches!(
            params.aggregation(),
            Aggregation::WeightedMedian | Aggregation::TrimmedMean | Aggregation::Mean
        ),
        code::INVALID_REQUEST,
        "aggregation {} is unknown",
        params.aggregation
    );
    let ppm = PPM;
    for (name, value, low, high) in [
        ("answer_window", params.answer_window, 1, 1_000_000),
        ("commit_window", params.commit_window, 1, 1_000_000),
        ("reveal_window", params.reveal_window, 1, 1_000_000),
        ("audit_window", params.audit_window, 1, 1_000_000),
        (
            "max_inference_attempts",
            params.max_inference_attempts.into(),
            1,
            16,
        ),
        (
            "max_committee_attempts",
            params.max_committee_attempts.into(),
            1,
            16,
        ),
        ("committee_size", params.committee_size.into(), 1, 64),
        ("score_tolerance", params.score_tolerance.into(), 1, ppm),
        ("evaluator_share", params.evaluator_share.into(), 0, ppm),
        ("protocol_share", params.protocol_share.into(), 0, ppm),
        (
            "min_inference_stake",
            params.min_inference_stake,
            1,
            u64::MAX,
        ),
        (
            "min_evaluator_stake",
            params.min_evaluator_stake,
            1,
            u64::MAX,
        ),
        ("stake_cap", params.stake_cap, 1, u64::MAX),
        ("slash_no_answer", params.slash_no_answer.into(), 0, ppm),
        ("slash_no_commit", params.slash_no_commit.into(), 0, ppm),
        ("slash_no_reveal", params.slash_no_reveal.into(), 0, ppm),
        (
            "jail_after_misses",
            params.jail_after_misses.into(),
            1,
            1_000,
        ),
        ("reputation_step", params.reputation_step.into(), 1, ppm),
        ("reputation_floor", params.reputation_floor.into(), 1, ppm),
        (
            "max_prompt_bytes",
            params.max_prompt_bytes.into(),
            1,
            1 << 20,
        ),
        (
            "max_answer_bytes",
            params.max_answer_bytes.into(),
            limits::MIN_ANSWER_BYTES.into(),
            1 << 20,
        ),
        ("max_batch_items", params.max_batch_items.into(), 1, 10_000),
        ("max_open_tasks", params.max_open_tasks.into(), 1, 1_000_000),
        (
            "max_transitions_per_block",
            params.max_transitions_per_block.into(),
            2,
            1_000_000,
        ),
        ("gas_price", params.gas_price, 0, 1_000_000_000_000),
        ("max_tx_bytes", params.max_tx_bytes.into(), 1 << 10, 4 << 20),
        ("max_tx_messages", params.max_tx_messages.into(), 1, 1_000),
        ("unbonding_window", params.unbonding_window, 1, 100_000_000),
        ("jail_window", params.jail_window, 1, 100_000_000),
        ("task_retention", params.task_retention, 0, 100_000_000),
        ("slash_audit", params.slash_audit.into(), 1, ppm),
        (
            "audit_margin",
            params.audit_margin.into(),
            ppm,
            u32::MAX.into(),
        ),
        ("slash_double_sign", params.slash_double_sign.into(), 1, ppm),
        (
            "min_validator_stake",
            params.min_validator_stake,
            1,
            u64::MAX,
        ),
        ("min_audit_rate", params.min_audit_rate.into(), 0, ppm),
        ("audit_delay", params.audit_delay, 1, 1_000),
        (
            "max_audits_per_block",
            params.max_audits_per_block.into(),
            1,
            1_000,
        ),
        (
            "min_challenge_deposit",
            params.min_challenge_deposit,
            1,
            u64::MAX,
        ),
        (
            "model_activation_delay",
            params.model_activation_delay,
            0,
            100_000_000,
        ),
        (
            "max_block_bytes",
            params.max_block_bytes.into(),
            4 << 10,
            64 << 20,
        ),
        // A ring that challenges its own lie must lose something.
        (
            "challenger_share",
            params.challenger_share.into(),
            0,
            ppm - 1,
        ),
    ] {
        ensure!(
            (low..=high).contains(&value),
            code::INVALID_REQUEST,
            "{name} must be in {low}..={high}, got {value}"
        );
    }
    let shares = u64::from(params.evaluator_share).saturating_add(params.protocol_share.into());
    ensure!(
        shares <= ppm,
        code::INVALID_REQUEST,
        "evaluator_share and protocol_share sum to {shares} ppm, more than the whole price"
    );
    // Paid transactions get half of a block.
    ensure!(
        params.max_tx_bytes <= params.max_block_bytes / 4,
        code::INVALID_REQUEST,
        "max_tx_bytes must be at most a quarter of max_block_bytes {}",
        params.max_block_bytes
    );
    economics::validate(params)?;
    sessions::validate(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        validate(&default_params()).unwrap();
    }

    #[test]
    fn bad_sets_are_refused() {
        let bad: [fn(&mut Params); 17] = [
            |p| p.committee_size = 0,
            |p| p.evaluator_share = 960_000,
            |p| p.denom = "".into(),
            |p| p.aggregation = 9,
            |p| p.slash_no_reveal = 1,
            |p| p.authority = "poq1x".into(),
            |p| p.unbonding_window = 0,
            |p| p.jail_window = 0,
            |p| p.slash_audit = 0,
            |p| p.audit_margin = 999_999,
            |p| p.slash_double_sign = 1_000_001,
            |p| p.min_validator_stake = 0,
            |p| p.min_audit_rate = 1_000_001,
            |p| p.audit_delay = 0,
            |p| p.max_audits_per_block = 0,
            |p| p.min_challenge_deposit = 0,
            |p| p.challenger_share = 1_000_000,
        ];
        for change in bad {
            let mut params = default_params();
            change(&mut params);
            assert!(validate(&params).is_err(), "{params:?}");
        }
    }
}
