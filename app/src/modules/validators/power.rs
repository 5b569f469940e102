//! Voting power and its updates for CometBFT.

use poq_proto::v1::Validator;
use poq_proto::{code, event};
use poq_store::State;

use super::active::{MAX_ACTIVE, active, operator_of};
use super::{get, keys};
use crate::error::{Result, ensure};
use crate::execution::Execution;

/// CometBFT's limit of the total power.
const MAX_TOTAL_POWER: u64 = i64::MAX.unsigned_abs() / 8;

/// A consensus key and its voting power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorPower {
    /// Ed25519, 32 bytes.
    pub public_key: Vec<u8>,
    /// The voting power; 0 removes the key from consensus.
    pub power: u64,
}

/// Changes the power of a validator that the caller stores. CometBFT gets the change at the end of
/// the block.
pub(super) fn change(ctx: &mut Execution<'_>, validator: &mut Validator, power: u64) -> Result<()> {
    check_set(ctx.state, &validator.operator, power)?;
    let changed = keys::changed(&validator.operator);
    if !ctx.state.contains(&changed)? {
        ctx.state.put_u64(changed, validator.power)?;
    }
    assign(ctx.state, validator, power)?;
    ctx.emit(
        event::VALIDATOR_POWER,
        &[(event::NODE, &validator.operator), (event::POWER, &power)],
    );
    Ok(())
}

/// Whether no other validator has voting power.
pub(super) fn is_last(state: &State, operator: &str) -> Result<bool> {
    Ok(active(state)?.keys().all(|other| other == operator))
}

/// The validator updates for CometBFT at the end of the block: one entry per key whose power
/// differs from that before the block.
pub fn take_updates(state: &mut State) -> Result<Vec<ValidatorPower>> {
    let mut updates = Vec::new();
    for (key, _) in state.scan(keys::CHANGED, None, usize::MAX)? {
        let operator = operator_of(&key, keys::CHANGED)?;
        let known = state.get_u64(&key)?;
        state.delete(&key)?;
        let validator = get(state, &operator)?;
        if known != Some(validator.power) {
            updates.push(ValidatorPower {
                public_key: validator.public_key,
                power: validator.power,
            });
        }
    }
    Ok(updates)
}

/// Checks that CometBFT accepts the validator set with this power of the operator's validator.
pub(super) fn check_set(state: &State, operator: &str, power: u64) -> Result<()> {
    let mut set = active(state)?;
    match power {
        0 => set.remove(operator),
        power => set.insert(operator.to_owned(), power),
    };
    ensure!(
        !set.is_empty(),
        code::LAST_VALIDATOR,
        "{operator} is the last validator with power; give another one power first"
    );
    ensure!(
        set.len() <= MAX_ACTIVE,
        code::INVALID_REQUEST,
        "at most {MAX_ACTIVE} validators have power; take it from another one first"
    );
    let total: u128 = set.values().map(|power| u128::from(*power)).sum();
    ensure!(
        total <= MAX_TOTAL_POWER.into(),
        code::INVALID_REQUEST,
        "all validators together would have power {total}; CometBFT allows {MAX_TOTAL_POWER}"
    );
    Ok(())
}

/// Sets the power in the validator and in the set of active ones. The caller stores the validator.
pub(super) fn assign(state: &mut State, validator: &mut Validator, power: u64) -> Result<()> {
    validator.power = power;
    let active = keys::active(&validator.operator);
    match power {
        0 => state.delete(active)?,
        power => state.put_u64(active, power)?,
    }
    Ok(())
}
