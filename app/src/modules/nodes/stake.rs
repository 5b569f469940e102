//! A node's stake; `crate::modules::stake` has the messages.

use poq_proto::code;
use poq_proto::v1::{NodeStatus, Role};
use poq_store::State;

use super::{find, get, min_stake, put_weighted, refuse_leaving};
use crate::error::{Result, ensure};
use crate::execution::Execution;
use crate::unbonding;

/// Adds to the stake and returns the new stake, base units.
pub fn add_stake(ctx: &mut Execution<'_>, role: Role, operator: &str, amount: u64) -> Result<u64> {
    let mut node = get(ctx.state, role, operator)?;
    refuse_leaving(&node)?;
    node.stake = unbonding::increased(node.stake, amount)?;
    put_weighted(ctx, &mut node)?;
    Ok(node.stake)
}

/// Unbonds a part of the stake. Either at least the minimum remains, or nothing, and the node
/// leaves.
pub fn unbond(
    ctx: &mut Execution<'_>,
    role: Role,
    operator: &str,
    amount: u64,
    release_height: u64,
) -> Result<()> {
    let mut node = get(ctx.state, role, operator)?;
    refuse_leaving(&node)?;
    node.stake = unbonding::reduced(node.stake, amount)?;
    let minimum = min_stake(ctx, role);
    ensure!(
        node.stake == 0 || node.stake >= minimum,
        code::STAKE_TOO_LOW,
        "a stake of {} would be left, below the minimum {minimum}; unbond less, or all of it to leave",
        node.stake
    );
    if node.stake == 0 {
        node.set_status(NodeStatus::Unbonding);
        node.jailed_until = 0;
    }
    unbonding::begin(&mut node.unbonding, amount, release_height)?;
    put_weighted(ctx, &mut node)
}

/// Whether a leaving node still has duties, so that the rest of its stake must stay slashable. A
/// delayed chain can keep a task open for longer than `unbonding_window`.
pub fn leaves_on_duty(state: &State, role: Role, operator: &str) -> Result<bool> {
    let node = find(state, role, operator)?;
    Ok(node.is_some_and(|node| node.status() == NodeStatus::Unbonding && node.open_duties > 0))
}

/// Removes the unbonding parts that are due at a height and returns their sum, base units, which
/// the caller pays. It is 0 for a node that has left.
pub fn release(ctx: &mut Execution<'_>, role: Role, operator: &str, height: u64) -> Result<u64> {
    let Some(mut node) = find(ctx.state, role, operator)? else {
        return Ok(0);
    };
    let amount = unbonding::take(&mut node.unbonding, height);
    put_weighted(ctx, &mut node)?;
    Ok(amount)
}
