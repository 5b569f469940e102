//! Nodes that are not drawn for a while.

use poq_proto::v1::{MsgUnjail, MsgUnjailResponse, Node, NodeStatus, Role};
use poq_proto::{code, event};

use super::{get, min_stake, name, put_weighted, require_role};
use crate::error::{Result, ensure};
use crate::execution::Execution;

/// Jails a node for `jail_window` blocks from now; who is in jail already stays at least as long.
/// A leaving node is not drawn anyway.
pub fn jail(ctx: &mut Execution<'_>, role: Role, operator: &str, reason: &str) -> Result<()> {
    let mut node = get(ctx.state, role, operator)?;
    confine(ctx, &mut node, reason);
    put_weighted(ctx, &mut node)
}

/// [`jail`] for a node that the caller stores.
pub(super) fn confine(ctx: &mut Execution<'_>, node: &mut Node, reason: &str) {
    if node.status() == NodeStatus::Unbonding {
        return;
    }
    let until = ctx
        .block
        .height
        .saturating_add(ctx.block.params.jail_window);
    node.set_status(NodeStatus::Jailed);
    node.jailed_until = node.jailed_until.max(until);
    ctx.emit(
        event::NODE_JAILED,
        &[
            (event::NODE, &node.operator),
            (event::ROLE, &name(node.role())),
            (event::JAILED_UNTIL, &node.jailed_until),
            (event::REASON, &reason),
        ],
    );
}

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
