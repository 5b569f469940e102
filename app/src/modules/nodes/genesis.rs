//! Nodes in a genesis: an export carries over those that could register again.

use poq_proto::v1::{GenesisNode, GenesisState, Node, NodeStatus, Role};

use super::registration::is_deprecated;
use super::{all, min_stake, register};
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::bank;

/// Registers the nodes and mints their stakes.
pub fn init(ctx: &mut Execution<'_>, genesis: &GenesisState) -> Result<()> {
    for node in &genesis.nodes {
        bank::mint_held(ctx.state, &ctx.block.params.denom, node.stake.into())?;
        register(ctx, node.clone())?;
    }
    Ok(())
}

/// Exports the nodes of both roles. Unbonding stake, and the stake of a node that could not
/// register again, goes to the operator's balance. Jails end.
pub fn export(
    ctx: &mut Execution<'_>,
    genesis: &mut GenesisState,
    notes: &mut Vec<String>,
) -> Result<()> {
    for role in [Role::Inference, Role::Evaluator] {
        for node in all(ctx.state, role)? {
            bank::genesis::give_back(ctx, &node.operator, &node.unbonding, notes)?;
            genesis.nodes.extend(carry_over(ctx, node, notes)?);
        }
    }
    Ok(())
}

fn carry_over(
    ctx: &mut Execution<'_>,
    node: Node,
    notes: &mut Vec<String>,
) -> Result<Option<GenesisNode>> {
    let (role, status) = (node.role(), node.status());
    let name = role.as_str_name();
    let mut models = Vec::new();
    for model in node.models {
        if !is_deprecated(ctx.state, role, &model)? {
            models.push(model);
        }
    }
    let enough = node.stake >= min_stake(ctx, role);
    if models.is_empty() || !enough || status == NodeStatus::Unbonding {
        bank::pay(ctx, &node.operator, node.stake)?;
        notes.push(format!(
            "{name} {} is not registered; its stake is in its balance",
            node.operator
        ));
        return Ok(None);
    }
    if status == NodeStatus::Jailed {
        notes.push(format!("{name} {} is no longer jailed", node.operator));
    }
    Ok(Some(GenesisNode {
        role: node.role,
        operator: node.operator,
        payout: node.payout,
        endpoint: node.endpoint,
        models,
        stake: node.stake,
        capacity: node.capacity,
        stream: node.stream,
    }))
}
