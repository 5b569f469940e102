//! Inference nodes and evaluators: registration with stake, selection, slashing, reputation, jail.

mod duties;
pub mod genesis;
mod jail;
mod keys;
pub mod msgs;
pub mod query;
mod registration;
mod sessions;
mod stake;

pub use duties::{
    Duty, begin_duty, complete_duty, fail_audit, finish_work, miss_duty, release_duty,
};
pub use jail::jail;
pub use registration::register;
pub use sessions::{SessionEnd, begin_session, end_session};
pub use stake::{add_stake, leaves_on_duty, release, unbond};

use std::collections::BTreeSet;

use poq_proto::v1::{Node, NodeStatus, Params, Role};
use poq_proto::{PPM, code};
use poq_store::State;

use crate::error::{Error, Result, ensure, reject};
use crate::execution::Execution;
use crate::modules::params;
use crate::selection::{RandomStream, WeightedIndex};

/// The node, if the operator is registered in the role.
pub fn find(state: &State, role: Role, operator: &str) -> Result<Option<Node>> {
    Ok(state.get_message(keys::node(role, operator))?)
}

/// Every node of a role, by operator. For tools, never in a block.
pub fn all(state: &State, role: Role) -> Result<Vec<Node>> {
    let nodes = state.scan_messages(keys::nodes(role), None, usize::MAX)?;
    Ok(nodes.into_iter().map(|(_, node)| node).collect())
}

/// The node, or a rejection that says what to do.
pub fn get(state: &State, role: Role, operator: &str) -> Result<Node> {
    match find(state, role, operator)? {
        Some(node) => Ok(node),
        None => reject!(
            code::NOT_REGISTERED,
            "{operator} is not registered as {}; register it first",
            name(role)
        ),
    }
}

/// The role's name in keys, events and messages.
pub fn name(role: Role) -> &'static str {
    match role {
        Role::Inference => "inference",
        Role::Evaluator => "evaluator",
        Role::Validator => "validator",
        Role::Unspecified => "unspecified",
    }
}

/// The slots of the nodes that one of the accounts operates or is paid by.
pub fn slots_of(state: &State, role: Role, accounts: &[&str]) -> Result<BTreeSet<u64>> {
    let mut slots = BTreeSet::new();
    for account in accounts {
        let paid = operator_of_payout(state, role, account)?;
        for operator in [Some(*account), paid.as_deref()].into_iter().flatten() {
            slots.extend(find(state, role, operator)?.map(|node| node.slot));
        }
    }
    Ok(slots)
}

/// What nodes are drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Tasks: active nodes of the role that had room before this block's draws.
    Duties(Role),
    /// Sessions: active inference nodes that offer them.
    Sessions,
}

impl Work {
    fn role(self) -> Role {
        match self {
            Self::Duties(role) => role,
            Self::Sessions => Role::Inference,
        }
    }

    fn index(self, model: &str) -> WeightedIndex {
        match self {
            Self::Duties(role) => keys::index(role, model),
            Self::Sessions => keys::stream_index(model),
        }
    }
}

/// Draws a node that serves the model and is not in an excluded slot.
pub fn draw(
    state: &State,
    stream: &mut RandomStream,
    work: Work,
    model: &str,
    excluded: &BTreeSet<u64>,
) -> Result<Option<Node>> {
    work.index(model)
        .draw(state, stream, excluded)?
        .map(|slot| node_at(state, work.role(), slot))
        .transpose()
}

/// The nodes that can be drawn for a model and their weights, in slot order, at most `limit`.
pub fn candidates(
    state: &State,
    work: Work,
    model: &str,
    limit: usize,
) -> Result<Vec<(Node, u128)>> {
    work.index(model)
        .members(state, limit)?
        .into_iter()
        .map(|(slot, weight)| Ok((node_at(state, work.role(), slot)?, weight)))
        .collect()
}

/// The slots of nodes that can be drawn for a model, at most `limit`.
pub fn slots(state: &State, work: Work, model: &str, limit: usize) -> Result<Vec<u64>> {
    let members = work.index(model).members(state, limit)?;
    Ok(members.into_iter().map(|(slot, _)| slot).collect())
}

/// The sum of the weights of all nodes that can be drawn for a model.
pub fn total_weight(state: &State, work: Work, model: &str) -> Result<u128> {
    work.index(model).total(state)
}

/// Whether a node could be drawn for the model.
pub fn serves(state: &State, work: Work, model: &str) -> Result<bool> {
    Ok(total_weight(state, work, model)? > 0)
}

/// The account that gets a node's earnings: its payout account, or its operator once the node is
/// removed.
pub fn payout_account(state: &State, role: Role, operator: &str) -> Result<String> {
    let node = find(state, role, operator)?;
    Ok(node.map_or_else(|| operator.to_owned(), |node| node.payout))
}

/// The minimum stake of an active node, base units.
pub fn min_stake(ctx: &Execution<'_>, role: Role) -> u64 {
    match role {
        Role::Evaluator => ctx.block.params.min_evaluator_stake,
        Role::Inference | Role::Validator | Role::Unspecified => {
            ctx.block.params.min_inference_stake
        }
    }
}

/// min(stake, cap): a node's weight in an aggregation, and with its reputation in a draw.
pub fn capped_stake(ctx: &Execution<'_>, node: &Node) -> u64 {
    node.stake.min(ctx.block.params.stake_cap)
}

/// Whether a node may get another duty: fewer than its capacity are pending, and its stake covers
/// another task (`params::max_expected_audits`).
pub fn has_room(params: &Params, node: &Node) -> bool {
    let covered = node.expected_audits.saturating_add(PPM) <= params::max_expected_audits(params);
    node.pending_duties < node.capacity && covered
}

/// Excludes a node from further draws if those of this block have left it no room.
pub fn close_if_full(ctx: &mut Execution<'_>, role: Role, operator: &str) -> Result<()> {
    match find(ctx.state, role, operator)? {
        Some(mut node) if !has_room(&ctx.block.params, &node) => put_weighted(ctx, &mut node),
        Some(_) | None => Ok(()),
    }
}

/// Refuses a role that nodes do not have.
fn require_role(role: Role) -> Result<()> {
    ensure!(
        matches!(role, Role::Inference | Role::Evaluator),
        code::INVALID_REQUEST,
        "expected the role inference or evaluator, got {}",
        name(role)
    );
    Ok(())
}

/// Refuses to change a leaving node.
fn refuse_leaving(node: &Node) -> Result<()> {
    ensure!(
        node.status() != NodeStatus::Unbonding,
        code::NODE_LEAVING,
        "the {} node {} is leaving; register it again once all of its stake is released",
        name(node.role()),
        node.operator
    );
    Ok(())
}

/// Stores the node, or deletes it if it has left: none of its stake remains, and no task depends on
/// it.
fn put(state: &mut State, node: &Node) -> Result<()> {
    let leaving = node.status() == NodeStatus::Unbonding;
    if leaving && node.unbonding.is_empty() && node.open_duties == 0 {
        return remove(state, node);
    }
    Ok(state.put_message(keys::node(node.role(), &node.operator), node)?)
}

/// Deletes the node's keys. A leaving node already has no weight in any index.
fn remove(state: &mut State, node: &Node) -> Result<()> {
    let role = node.role();
    state.delete(keys::node(role, &node.operator))?;
    state.delete(keys::payout(role, &node.payout))?;
    state.delete(keys::slot(role, node.slot))?;
    Ok(state.mark(keys::free_slot(role, node.slot))?)
}

/// Stores the node with the status that follows from its stake, and updates its weight in every
/// index.
fn put_weighted(ctx: &mut Execution<'_>, node: &mut Node) -> Result<()> {
    if matches!(node.status(), NodeStatus::Active | NodeStatus::Understaked) {
        let enough = node.stake >= min_stake(ctx, node.role());
        node.set_status(match enough {
            true => NodeStatus::Active,
            false => NodeStatus::Understaked,
        });
    }
    put(ctx.state, node)?;
    let active = match node.status() {
        NodeStatus::Active => {
            u128::from(capped_stake(ctx, node)).saturating_mul(node.reputation.into())
        }
        NodeStatus::Understaked
        | NodeStatus::Jailed
        | NodeStatus::Unbonding
        | NodeStatus::Unspecified => 0,
    };
    sessions::put_stream_weights(ctx.state, node, active)?;
    let weight = match has_room(&ctx.block.params, node) {
        true => active,
        false => 0,
    };
    for model in &node.models {
        keys::index(node.role(), model).set_weight(ctx.state, node.slot, weight)?;
    }
    Ok(())
}

fn operator_of_payout(state: &State, role: Role, payout: &str) -> Result<Option<String>> {
    let Some(bytes) = state.get(keys::payout(role, payout))? else {
        return Ok(None);
    };
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| Error::broken(format!("operator of payout {payout} is corrupt")))
}

fn node_at(state: &State, role: Role, slot: u64) -> Result<Node> {
    let missing = || Error::broken(format!("no {} node at slot {slot}", name(role)));
    let operator = state.get(keys::slot(role, slot))?.ok_or_else(missing)?;
    let operator = String::from_utf8(operator).map_err(|_| missing())?;
    find(state, role, &operator)?.ok_or_else(missing)
}
