//! `MsgUnjail`.

use poq_proto::v1::{MsgUnjail, MsgUnjailResponse, NodeStatus};
use poq_proto::{code, event};

use crate::error::{Result, ensure};
use crate::execution::Execution;
use crate::modules::nodes::{get, min_stake, name, put_weighted, require_role};

/// `MsgUnjail`.
pub fn unjail(ctx: &mut Execution<'_>, message: MsgUnjail) -> Result<MsgUnjailResponse> {
    let role = message.role();
    require_role(role)?;
    let mut node = get(ctx.state, role, &message.operator)?;
    ensure!(
        node.status() == NodeStatus::Jailed,
        code::NOT_JAILED,
        "the {} node {} is not jailed",
        name(role),
        node.operator
    );
    ensure!(
        ctx.block.height >= node.jailed_until,
        code::JAIL_NOT_OVER,
        "the {} node {} is jailed until height {}; it is {} now",
        name(role),
        node.operator,
        node.jailed_until,
        ctx.block.height
    );
    let minimum = min_stake(ctx, role);
    ensure!(
        node.stake >= minimum,
        code::STAKE_TOO_LOW,
        "stake {} is below the minimum {minimum}; add stake first",
        node.stake
    );
    node.set_status(NodeStatus::Active);
    node.jailed_until = 0;
    put_weighted(ctx, &mut node)?;
    ctx.emit(
        event::NODE_UNJAILED,
        &[(event::NODE, &node.operator), (event::ROLE, &name(role))],
    );
    Ok(MsgUnjailResponse {})
}
