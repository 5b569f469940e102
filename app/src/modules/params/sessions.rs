//! The parameters of sessions, and the conditions under which no false score of a leaf pays (protocol
//! section 16).

use poq_proto::v1::{Params, SessionParams};
use poq_proto::{PPM, code};

use super::economics::{longest_scoring, max_price};
use crate::arithmetic::share;
use crate::error::{Result, ensure};

/// The most bytes of a transaction that reveals one leaf, besides its texts: 256 messages with their
/// roles, stop texts, the leaf, its path and the signature.
const AROUND_TEXTS: u32 = 8 << 10;

/// Default parameters of sessions, for blocks of about one second and the stakes of
/// [`super::default_params`].
pub fn default_sessions() -> SessionParams {
    SessionParams {
        max_session_nodes: 4,
        max_open_sessions: 64,
        max_session_blocks: 3_600,
        settle_window: 600,
        leaf_window: 120,
        sample_value: 1_000_000,
        max_order_price: 900_000,
        min_samples: 8,
        max_samples: 64,
        max_all_leaves: 256,
        floor_share: 100_000,
    }
}

/// Checks the parameters of sessions, if there are any. The others must have been checked before.
pub(super) fn validate(params: &Params) -> Result<()> {
    let Some(sessions) = &params.sessions else {
        return Ok(());
    };
    for (name, value, low, high) in [
        (
            "max_session_nodes",
            sessions.max_session_nodes.into(),
            1,
            16,
        ),
        (
            "max_open_sessions",
            sessions.max_open_sessions.into(),
            sessions.max_session_nodes.into(),
            1_000_000,
        ),
        (
            "max_session_blocks",
            sessions.max_session_blocks,
            1,
            1_000_000,
        ),
        ("settle_window", sessions.settle_window, 1, 1_000_000),
        ("leaf_window", sessions.leaf_window, 1, 1_000_000),
        ("sample_value", sessions.sample_value, 1, u64::MAX),
        ("max_order_price", sessions.max_order_price, 1, u64::MAX),
        ("min_samples", sessions.min_samples.into(), 1, 256),
        (
            "max_samples",
            sessions.max_samples.into(),
            sessions.min_samples.into(),
            256,
        ),
        ("max_all_leaves", sessions.max_all_leaves.into(), 1, 1_024),
        ("floor_share", sessions.floor_share.into(), 0, PPM),
    ] {
        ensure!(
            (low..=high).contains(&value),
            code::INVALID_REQUEST,
            "sessions.{name} must be in {low}..={high}, got {value}"
        );
    }
    // A coalition on one leaf moves at most the price of the leaf and two parts of the amount.
    let at_stake = sessions
        .sample_value
        .saturating_mul(2)
        .saturating_add(sessions.max_order_price);
    let secured = max_price(params);
    ensure!(
        at_stake <= secured,
        code::INVALID_REQUEST,
        "sessions.max_order_price + 2 · sample_value is {at_stake}, more than the {secured} that the \
         stakes of a committee secure"
    );
    // Silent seats that keep the leaf from a quality move at most the node's part of it above the
    // floor, and lose at least half of the secured price.
    let shares = u64::from(params.evaluator_share).saturating_add(params.protocol_share.into());
    let of_node = share(at_stake, PPM.saturating_sub(shares));
    let moved = share(of_node, PPM.saturating_sub(sessions.floor_share.into()));
    let most = secured / 2;
    ensure!(
        moved <= most,
        code::INVALID_REQUEST,
        "the quality of one leaf could move {moved} of a session's pay, more than the {most} that \
         keeping it from a quality costs: lower sessions.max_order_price or sample_value"
    );
    // A node must be able to reveal any leaf.
    let texts = params
        .max_prompt_bytes
        .saturating_add(params.max_answer_bytes);
    let revealed = texts.saturating_add(AROUND_TEXTS);
    ensure!(
        revealed <= params.max_tx_bytes,
        code::INVALID_REQUEST,
        "max_tx_bytes must be at least {revealed} with sessions: max_prompt_bytes + max_answer_bytes + \
         {AROUND_TEXTS}"
    );
    // A node must not leave before the end of a session that it could be slashed for.
    let longest = longest_session(params, sessions);
    ensure!(
        params.unbonding_window > longest,
        code::INVALID_REQUEST,
        "unbonding_window must be longer than the {longest} blocks that a session may take: \
         max_session_blocks + settle_window + leaf_window + 2 and the scores of its leaves"
    );
    Ok(())
}

/// The most blocks that a session takes if it never waits for `max_transitions_per_block`: all of its
/// windows, the two blocks that begin with its draws, and the longest task of a leaf.
fn longest_session(params: &Params, sessions: &SessionParams) -> u64 {
    [
        sessions.max_session_blocks,
        sessions.settle_window,
        sessions.leaf_window,
        2,
        longest_scoring(params),
    ]
    .into_iter()
    .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::params::default_params;

    fn with(sessions: SessionParams) -> Params {
        Params {
            sessions: Some(sessions),
            ..default_params()
        }
    }

    #[test]
    fn defaults_are_valid() {
        validate(&with(default_sessions())).unwrap();
    }

    #[test]
    fn a_session_takes_all_of_its_windows_at_most() {
        let params = with(default_sessions());
        // 3,600 + 600 + 120 + 2 + 2 · 2 · (30 + 4 + 30 + 20) + 10 + 3.
        assert_eq!(longest_session(&params, &default_sessions()), 4_671);
    }

    #[test]
    fn sets_that_secure_too_little_are_refused() {
        type Case = (fn(&mut SessionParams), &'static str);
        let cases: [Case; 9] = [
            (|p| p.max_session_nodes = 0, "max_session_nodes"),
            (|p| p.max_open_sessions = 3, "max_open_sessions"),
            (
                |p| p.sample_value = 1_550_001,
                "4000002, more than the 4000000",
            ),
            // 0.9 · 0.75 · 2,962,966.
            (|p| p.max_order_price = 962_966, "move 2000001 of"),
            (|p| p.max_order_price = u64::MAX, "more than the 4000000"),
            (|p| p.min_samples = 65, "max_samples"),
            (|p| p.floor_share = 1_000_001, "floor_share"),
            (|p| p.max_session_blocks = 18_929, "20000 blocks"),
            (|p| p.leaf_window = 0, "leaf_window"),
        ];
        for (change, reason) in cases {
            let mut sessions = default_sessions();
            change(&mut sessions);
            let error = validate(&with(sessions)).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let small = Params {
            max_tx_bytes: (96 << 10) + AROUND_TEXTS - 1,
            ..with(default_sessions())
        };
        let error = validate(&small).unwrap_err().to_string();
        assert!(error.contains("at least 106496"), "{error}");
        let sessions = SessionParams {
            max_session_blocks: 18_928,
            ..default_sessions()
        };
        validate(&with(sessions)).unwrap();
    }
}
