//! Evidence against validators that double-signed (protocol section 10).

use poq_proto::event;

use super::{find_by_address, power, put};
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::bank;
use crate::unbonding;

/// Slashes and tombstones the validator with this consensus address. Evidence against an unknown or
/// already tombstoned validator changes nothing.
pub fn punish(ctx: &mut Execution<'_>, address: &[u8]) -> Result<()> {
    let Some(mut validator) = find_by_address(ctx.state, address)? else {
        tracing::warn!(
            address = hex::encode(address),
            "evidence against an unknown validator"
        );
        return Ok(());
    };
    if validator.tombstoned {
        return Ok(());
    }
    let lost = unbonding::slash(
        &mut validator.stake,
        &mut validator.unbonding,
        ctx.block.params.slash_double_sign,
    );
    validator.tombstoned = true;
    validator.slashed = validator.slashed.saturating_add(lost);
    bank::burn_held(ctx.state, &ctx.block.params.denom, lost.into())?;
    ctx.emit(
        event::VALIDATOR_SLASHED,
        &[
            (event::NODE, &validator.operator),
            (event::AMOUNT, &lost),
            (event::REASON, &"double_sign"),
        ],
    );
    if validator.power > 0 {
        if power::is_last(ctx.state, &validator.operator)? {
            let operator = &validator.operator;
            tracing::error!(
                operator,
                "the last validator double-signed; it keeps its power"
            );
        } else {
            power::change(ctx, &mut validator, 0)?;
        }
    }
    put(ctx.state, &validator)
}
