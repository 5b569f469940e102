//! `MsgAddStake`.

use poq_proto::event;
use poq_proto::v1::{MsgAddStake, MsgAddStakeResponse, Role};

use super::{checked, no_role};
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::{bank, nodes, validators};

/// `MsgAddStake`.
pub fn add_stake(ctx: &mut Execution<'_>, message: MsgAddStake) -> Result<MsgAddStakeResponse> {
    let (role, amount) = (message.role(), message.amount);
    let operator = checked(ctx, &message.operator, amount)?;
    bank::debit(ctx.state, &operator, &ctx.block.params.denom, amount.into())?;
    let stake = match role {
        Role::Inference | Role::Evaluator => {
            nodes::add_stake(ctx, role, &message.operator, amount)?
        }
        Role::Validator => validators::add_stake(ctx, &message.operator, amount)?,
        Role::Unspecified => return no_role(),
    };
    ctx.emit(
        event::STAKE_ADDED,
        &[
            (event::NODE, &operator),
            (event::ROLE, &nodes::name(role)),
            (event::AMOUNT, &amount),
            (event::STAKE, &stake),
        ],
    );
    Ok(MsgAddStakeResponse { stake })
}
