//! `MsgUpdateParams`.

use poq_proto::v1::{MsgUpdateParams, MsgUpdateParamsResponse};
use poq_proto::{code, event};

use crate::error::{Error, Result, ensure};
use crate::execution::Execution;
use crate::modules::params::{require_authority, set, validate};

/// `MsgUpdateParams`: replaces the parameters from the next block on.
pub fn update_params(
    ctx: &mut Execution<'_>,
    message: MsgUpdateParams,
) -> Result<MsgUpdateParamsResponse> {
    require_authority(ctx, &message.authority)?;
    let Some(params) = message.params else {
        return Err(Error::rejected(
            code::INVALID_REQUEST,
            "the message has no params",
        ));
    };
    let now = &ctx.block.params;
    ensure!(
        params.denom == now.denom && params.bech32_prefix == now.bech32_prefix,
        code::INVALID_REQUEST,
        "denom and bech32_prefix stay {} and {}: balances and addresses depend on them",
        now.denom,
        now.bech32_prefix
    );
    // Evidence counts for as long as stake is in reach when the chain begins: CometBFT takes that
    // from the genesis.
    ensure!(
        params.unbonding_window >= now.unbonding_window,
        code::INVALID_REQUEST,
        "unbonding_window cannot fall below {}: CometBFT takes evidence as old as that",
        now.unbonding_window
    );
    validate(&params)?;
    set(ctx.state, &params)?;
    ctx.emit(event::PARAMS_UPDATED, &[]);
    Ok(MsgUpdateParamsResponse {})
}
