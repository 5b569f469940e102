//! A validator's stake; `crate::modules::stake` has the messages.

use poq_proto::code;

use super::{get, put, refuse_tombstoned};
use crate::error::{Result, ensure};
use crate::execution::Execution;
use crate::unbonding;

/// Adds to the stake and returns the new stake, base units.
pub fn add_stake(ctx: &mut Execution<'_>, operator: &str, amount: u64) -> Result<u64> {
    let mut validator = get(ctx.state, operator)?;
    refuse_tombstoned(&validator)?;
    validator.stake = unbonding::increased(validator.stake, amount)?;
    put(ctx.state, &validator)?;
    Ok(validator.stake)
}

/// Unbonds a part of the stake. At least the minimum remains while the validator has power.
pub fn unbond(
    ctx: &mut Execution<'_>,
    operator: &str,
    amount: u64,
    release_height: u64,
) -> Result<()> {
    let mut validator = get(ctx.state, operator)?;
    validator.stake = unbonding::reduced(validator.stake, amount)?;
    let minimum = ctx.block.params.min_validator_stake;
    ensure!(
        validator.power == 0 || validator.stake >= minimum,
        code::STAKE_TOO_LOW,
        "a stake of {} would be left, below the minimum {minimum} of a validator with power; \
         unbond less, or ask the authority to take its power first",
        validator.stake
    );
    unbonding::begin(&mut validator.unbonding, amount, release_height)?;
    put(ctx.state, &validator)
}

/// Removes the unbonding parts that are due at a height and returns their sum, base units, which
/// the caller pays.
pub fn release(ctx: &mut Execution<'_>, operator: &str, height: u64) -> Result<u64> {
    let mut validator = get(ctx.state, operator)?;
    let amount = unbonding::take(&mut validator.unbonding, height);
    put(ctx.state, &validator)?;
    Ok(amount)
}
