//! `MsgRegisterValidator`.

use poq_proto::v1::{GenesisValidator, MsgRegisterValidator, MsgRegisterValidatorResponse};

use crate::address::Address;
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::bank;
use crate::modules::validators::register;

/// `MsgRegisterValidator`: registers a validator without power; the authority gives it power.
pub fn register_validator(
    ctx: &mut Execution<'_>,
    message: MsgRegisterValidator,
) -> Result<MsgRegisterValidatorResponse> {
    let operator = Address::parse(&message.operator, &ctx.block.params.bech32_prefix)?;
    let stake = message.stake;
    let request = GenesisValidator {
        operator: message.operator,
        payout: message.payout,
        public_key: message.public_key,
        stake,
        vrf_key: message.vrf_key,
    };
    register(ctx, request)?;
    bank::debit(ctx.state, &operator, &ctx.block.params.denom, stake.into())?;
    Ok(MsgRegisterValidatorResponse {})
}
