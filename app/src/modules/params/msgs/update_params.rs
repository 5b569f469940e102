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
    // CometBFT accepts evidence of the age that genesis allows, so stake must stay slashable for at
    // least as long.
    ensure!(
        params.unbonding_window >= now.unbonding_window,
        code::INVALID_REQUEST,
        "unbonding_window cannot fall below {}: CometBFT accepts evidence of that age",
        now.unbonding_window
    );
    // Open sessions end by their windows.
    ensure!(
        params.sessions.is_some() || now.sessions.is_none(),
        code::INVALID_REQUEST,
        "sessions cannot be removed once they are enabled"
    );
    validate(&params)?;
    set(ctx.state, &params)?;
    ctx.emit(event::PARAMS_UPDATED, &[]);
    Ok(MsgUpdateParamsResponse {})
}
