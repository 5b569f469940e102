//! The VRF keys of validators.

use poq_proto::code;
use poq_proto::v1::Validator;
use poq_store::State;

use super::active::{POWER_DELAY, active};
use super::get;
use crate::chain;
use crate::error::{Result, reject};
use crate::execution::Execution;
use crate::vrf::check_key;

/// Blocks from a change of a VRF key to the first vote that uses it. A validator that chooses a key
/// must not know, even in part, the beacon from which that vote's output is computed: that takes
/// two blocks. The other eight give an operator time to see that the message was executed.
pub const VRF_KEY_DELAY: u64 = 10;

/// The VRF key that a validator's vote for the block at `height` needs, if it has one.
pub fn effective_vrf_key(validator: &Validator, height: u64) -> Option<&[u8]> {
    let has_changed = !validator.next_vrf_key.is_empty() && validator.next_vrf_key_height <= height;
    let key = match has_changed {
        true => &validator.next_vrf_key,
        false => &validator.vrf_key,
    };
    (!key.is_empty()).then_some(key)
}

/// Refuses a malformed VRF key.
pub(super) fn require_well_formed(key: &[u8]) -> Result<()> {
    check_key(key).map_err(|error| {
        crate::Error::rejected(
            code::INVALID_VRF_KEY,
            format!("{error}; `poqd vrf-key show` prints a node's key"),
        )
    })
}

/// Requires a VRF key that is effective once the validator's power counts, if votes need outputs
/// then.
pub(super) fn require_vrf_key(ctx: &Execution<'_>, validator: &Validator) -> Result<()> {
    let first = chain::vote_extensions_height(ctx.state)?;
    let counts = ctx.block.height.saturating_add(POWER_DELAY);
    match first {
        0 => Ok(()),
        first => require(validator, first.max(counts)),
    }
}

/// Requires that every validator with power has an effective VRF key at a height.
pub fn require_vrf_keys(state: &State, height: u64) -> Result<()> {
    for operator in active(state)?.keys() {
        require(&get(state, operator)?, height)?;
    }
    Ok(())
}

fn require(validator: &Validator, height: u64) -> Result<()> {
    if effective_vrf_key(validator, height).is_none() {
        reject!(
            code::NO_VRF_KEY,
            "validator {} has no VRF key that is effective at height {height}; it must set one \
             with MsgSetVrfKey first",
            validator.operator
        );
    }
    Ok(())
}
