//! `MsgSetValidatorPower`.

use poq_proto::code;
use poq_proto::v1::{MsgSetValidatorPower, MsgSetValidatorPowerResponse};

use crate::error::{Result, ensure};
use crate::execution::Execution;
use crate::modules::params;
use crate::modules::validators::power::change;
use crate::modules::validators::vrf::require_vrf_key;
use crate::modules::validators::{get, put, refuse_tombstoned};

/// `MsgSetValidatorPower`.
pub fn set_validator_power(
    ctx: &mut Execution<'_>,
    message: MsgSetValidatorPower,
) -> Result<MsgSetValidatorPowerResponse> {
    params::require_authority(ctx, &message.authority)?;
    let mut validator = get(ctx.state, &message.operator)?;
    if message.power > 0 {
        refuse_tombstoned(&validator)?;
        let minimum = ctx.block.params.min_validator_stake;
        ensure!(
            validator.stake >= minimum,
            code::STAKE_TOO_LOW,
            "stake {} of {} is below the minimum {minimum}; it must add stake first",
            validator.stake,
            validator.operator
        );
        require_vrf_key(ctx, &validator)?;
    }
    change(ctx, &mut validator, message.power)?;
    put(ctx.state, &validator)?;
    Ok(MsgSetValidatorPowerResponse {})
}
