//! `cosmos.bank.v1beta1.MsgSend`.

use cosmos_sdk_proto::cosmos::bank::v1beta1::{MsgSend, MsgSendResponse};

use super::{emit_spent, emit_transfer, refuse_module};
use crate::address::Address;
use crate::coin::parse_coins;
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::bank::transfer;

/// `cosmos.bank.v1beta1.MsgSend`.
pub fn send(ctx: &mut Execution<'_>, message: MsgSend) -> Result<MsgSendResponse> {
    let prefix = &ctx.block.params.bech32_prefix;
    let from = Address::parse(&message.from_address, prefix)?;
    let to = Address::parse(&message.to_address, prefix)?;
    for (denom, amount) in parse_coins(&message.amount)? {
        refuse_module(&to)?;
        transfer(ctx.state, &from, &to, denom, amount)?;
        emit_spent(ctx, &from, denom, amount);
        emit_transfer(ctx, &from, &to, denom, amount);
    }
    Ok(MsgSendResponse {})
}
