//! `MsgUnbond`.

use poq_proto::event;
use poq_proto::v1::{MsgUnbond, MsgUnbondResponse, Role};

use super::{checked, no_role};
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::stake::keys;
use crate::modules::{nodes, validators};

/// `MsgUnbond`: the amount leaves the stake now and returns to the balance after `unbonding_window`
/// blocks.
pub fn unbond(ctx: &mut Execution<'_>, message: MsgUnbond) -> Result<MsgUnbondResponse> {
    let (role, amount) = (message.role(), message.amount);
    let operator = checked(ctx, &message.operator, amount)?;
    let window = ctx.block.params.unbonding_window;
    let release_height = ctx.block.height.saturating_add(window);
    match role {
        Role::Inference | Role::Evaluator => {
            nodes::unbond(ctx, role, &message.operator, amount, release_height)?;
        }
        Role::Validator => validators::unbond(ctx, &message.operator, amount, release_height)?,
        Role::Unspecified => return no_role(),
    }
    ctx.state
        .mark(keys::release(release_height, role, &message.operator))?;
    ctx.emit(
        event::STAKE_UNBONDING,
        &[
            (event::NODE, &operator),
            (event::ROLE, &nodes::name(role)),
            (event::AMOUNT, &amount),
            (event::RELEASE_HEIGHT, &release_height),
        ],
    );
    Ok(MsgUnbondResponse { release_height })
}
