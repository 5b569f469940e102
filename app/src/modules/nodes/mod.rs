//! Inference nodes and evaluators: registration with stake, selection, slashing, reputation.

mod keys;
pub mod msgs;
pub mod query;

use std::collections::BTreeSet;

use poq_proto::v1::{Node, NodeStatus, Role};
use poq_proto::{PPM, code, event};

use crate::arithmetic::share;
use crate::error::{Error, Result, reject};
use crate::execution::Execution;
use crate::modules::bank;
use crate::selection::RandomStream;
use crate::store::State;

/// The node, if the operator is registered in the role.
pub fn find(state: &State, role: Role, operator: &str) -> Result<Option<Node>> {
    Ok(state.get_message(keys::node(role, operator))?)
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

/// The role's word in keys, events and messages.
pub fn name(role: Role) -> &'static str {
    match role {
        Role::Inference => "inference",
        Role::Evaluator => "evaluator",
        Role::Validator => "validator",
        Role::Unspecified => "unspecified",
    }
}

/// The slots of nodes that one of the accounts operates or is paid by.
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

/// Draws an active node that serves the model and is not at an excluded slot.
pub fn draw(
    state: &State,
    stream: &mut RandomStream,
    role: Role,
    model: &str,
    excluded: &BTreeSet<u64>,
) -> Result<Option<Node>> {
    keys::index(role, model)
        .draw(state, stream, excluded)?
        .map(|slot| node_at(state, role, slot))
        .transpose()
}

/// The nodes that can be drawn for a model and their weights, in the order of their slots, at most
/// `limit`.
pub fn candidates(
    state: &State,
    role: Role,
    model: &str,
    limit: usize,
) -> Result<Vec<(Node, u128)>> {
    keys::index(role, model)
        .members(state, limit)?
        .into_iter()
        .map(|(slot, weight)| Ok((node_at(state, role, slot)?, weight)))
        .collect()
}

/// The weights of all nodes together that can be drawn for a model.
pub fn total_weight(state: &State, role: Role, model: &str) -> Result<u128> {
    keys::index(role, model).total(state)
}

/// Whether an active node of the role serves the model.
pub fn serves(state: &State, role: Role, model: &str) -> Result<bool> {
    Ok(total_weight(state, role, model)? > 0)
}

/// Counts a task whose outcome depends on the node.
pub fn begin_duty(state: &mut State, role: Role, operator: &str) -> Result<()> {
    let mut node = get(state, role, operator)?;
    node.open_duties = node.open_duties.saturating_add(1);
    put(state, &node)
}

/// The end of a duty whose outcome says nothing about the node.
pub fn release_duty(state: &mut State, role: Role, operator: &str) -> Result<()> {
    let mut node = get(state, role, operator)?;
    node.open_duties = node.open_duties.saturating_sub(1);
    put(state, &node)
}

/// The end of a duty that was done: `quality` (ppm) enters the reputation, `earned` the record.
pub fn complete_duty(
    x: &mut Execution<'_>,
    role: Role,
    operator: &str,
    quality: u64,
    earned: u64,
) -> Result<()> {
    let mut node = get(x.state, role, operator)?;
    node.open_duties = node.open_duties.saturating_sub(1);
    node.duties_done = node.duties_done.saturating_add(1);
    node.earned = node.earned.saturating_add(earned);
    update_reputation(x, &mut node, quality);
    put_weighted(x, &node)
}

/// The end of a duty that was not done: part of the stake is burnt and the reputation falls.
pub fn miss_duty(
    x: &mut Execution<'_>,
    role: Role,
    operator: &str,
    task: u64,
    slash_ppm: u32,
    reason: &str,
) -> Result<()> {
    let mut node = get(x.state, role, operator)?;
    let lost = share(node.stake, u64::from(slash_ppm)).min(node.stake);
    node.open_duties = node.open_duties.saturating_sub(1);
    node.duties_missed = node.duties_missed.saturating_add(1);
    node.stake = node.stake.saturating_sub(lost);
    node.slashed = node.slashed.saturating_add(lost);
    if node.stake < min_stake(x, role) {
        node.set_status(NodeStatus::Understaked);
    }
    update_reputation(x, &mut node, 0);
    bank::burn_held(x.state, &x.block.params.denom, lost.into())?;
    x.emit(
        event::NODE_SLASHED,
        &[
            (event::TASK, &task),
            (event::NODE, &operator),
            (event::ROLE, &name(role)),
            (event::AMOUNT, &lost),
            (event::REASON, &reason),
        ],
    );
    put_weighted(x, &node)
}

/// Least stake of an active node, base units.
pub fn min_stake(x: &Execution<'_>, role: Role) -> u64 {
    match role {
        Role::Evaluator => x.block.params.min_evaluator_stake,
        Role::Inference | Role::Validator | Role::Unspecified => x.block.params.min_inference_stake,
    }
}

/// min(stake, cap): a node's weight in an aggregation, and with its reputation in a draw.
pub fn capped_stake(x: &Execution<'_>, node: &Node) -> u64 {
    node.stake.min(x.block.params.stake_cap)
}

fn update_reputation(x: &Execution<'_>, node: &mut Node, outcome: u64) {
    let step = u64::from(x.block.params.reputation_step);
    let kept = share(u64::from(node.reputation), PPM.saturating_sub(step));
    let updated = kept
        .saturating_add(share(outcome.min(PPM), step))
        .clamp(x.block.params.reputation_floor.into(), PPM);
    node.reputation = u32::try_from(updated).unwrap_or(u32::MAX);
}

fn put(state: &mut State, node: &Node) -> Result<()> {
    Ok(state.put_message(keys::node(node.role(), &node.operator), node)?)
}

/// Stores the node and brings its weight in every index up to date.
fn put_weighted(x: &mut Execution<'_>, node: &Node) -> Result<()> {
    put(x.state, node)?;
    let weight = match node.status() {
        NodeStatus::Active => u128::from(capped_stake(x, node)) * u128::from(node.reputation),
        NodeStatus::Understaked
        | NodeStatus::Jailed
        | NodeStatus::Unbonding
        | NodeStatus::Unspecified => 0,
    };
    for model in &node.models {
        keys::index(node.role(), model).set_weight(x.state, node.slot, weight)?;
    }
    Ok(())
}

fn operator_of_payout(state: &State, role: Role, payout: &str) -> Result<Option<String>> {
    let Some(bytes) = state.get(keys::payout(role, payout))? else {
        return Ok(None);
    };
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| Error::internal(format!("operator of payout {payout} is corrupt")))
}

fn node_at(state: &State, role: Role, slot: u64) -> Result<Node> {
    let missing = || Error::internal(format!("no {} node at slot {slot}", name(role)));
    let operator = state.get(keys::slot(role, slot))?.ok_or_else(missing)?;
    let operator = String::from_utf8(operator).map_err(|_| missing())?;
    find(state, role, &operator)?.ok_or_else(missing)
}
