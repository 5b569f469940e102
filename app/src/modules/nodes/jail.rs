//! Jailing of nodes.

use poq_proto::event;
use poq_proto::v1::{Node, NodeStatus, Role};

use super::{get, name, put_weighted};
use crate::error::Result;
use crate::execution::Execution;

/// Jails a node for `jail_window` blocks from now; a node that is already jailed stays at least as
/// long. A leaving node is not jailed: it is not drawn anyway.
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
