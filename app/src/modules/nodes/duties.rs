//! What the outcomes of duties do to a node (protocol section 10).

use poq_proto::v1::{Node, NodeStatus, Role};
use poq_proto::{PPM, event};

use super::{get, jail, name, put, put_weighted};
use crate::arithmetic::share;
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::bank;
use crate::modules::stake::entries;
use crate::store::State;

/// Why a node is slashed and jailed whose score an audit refutes.
const AUDIT: &str = "audit";

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

/// The end of a duty that was done: `quality` (ppm) enters the reputation, if there is any to
/// speak of, and `earned` the record.
pub fn complete_duty(
    x: &mut Execution<'_>,
    role: Role,
    operator: &str,
    quality: Option<u64>,
    earned: u64,
) -> Result<()> {
    let mut node = get(x.state, role, operator)?;
    node.open_duties = node.open_duties.saturating_sub(1);
    node.duties_done = node.duties_done.saturating_add(1);
    node.missed_in_a_row = 0;
    node.earned = node.earned.saturating_add(earned);
    if let Some(quality) = quality {
        update_reputation(x, &mut node, quality);
    }
    put_weighted(x, &mut node)
}

/// The end of a duty that was not done: part of the stake is burnt, the reputation falls, and who
/// missed too many in a row is jailed.
pub fn miss_duty(
    x: &mut Execution<'_>,
    role: Role,
    operator: &str,
    task: u64,
    slash_ppm: u32,
    reason: &str,
) -> Result<()> {
    let mut node = get(x.state, role, operator)?;
    let lost = fail_duty(x, &mut node, task, slash_ppm, reason);
    node.missed_in_a_row = node.missed_in_a_row.saturating_add(1);
    bank::burn_held(x.state, &x.block.params.denom, lost.into())?;
    let limit = x.block.params.jail_after_misses;
    if limit > 0 && node.missed_in_a_row >= limit && node.status() != NodeStatus::Jailed {
        jail::confine(x, &mut node, "missed_duties");
    }
    put_weighted(x, &mut node)
}

/// The end of an evaluator's duty whose revealed score an audit refutes: part of the stake is
/// taken out, the reputation falls, and the node is jailed. Returns the base units lost, which the
/// caller pays or burns.
pub fn fail_audit(x: &mut Execution<'_>, operator: &str, task: u64) -> Result<u64> {
    let mut node = get(x.state, Role::Evaluator, operator)?;
    let slash_ppm = x.block.params.slash_audit;
    let lost = fail_duty(x, &mut node, task, slash_ppm, AUDIT);
    jail::confine(x, &mut node, AUDIT);
    put_weighted(x, &mut node)?;
    Ok(lost)
}

/// What ends every failed duty: the slash, the count and the reputation. Returns the base units that
/// were taken out of the stake.
fn fail_duty(
    x: &mut Execution<'_>,
    node: &mut Node,
    task: u64,
    slash_ppm: u32,
    reason: &str,
) -> u64 {
    let lost = entries::slash(&mut node.stake, &mut node.unbonding, slash_ppm);
    node.open_duties = node.open_duties.saturating_sub(1);
    node.duties_missed = node.duties_missed.saturating_add(1);
    node.slashed = node.slashed.saturating_add(lost);
    update_reputation(x, node, 0);
    x.emit(
        event::NODE_SLASHED,
        &[
            (event::TASK, &task),
            (event::NODE, &node.operator),
            (event::ROLE, &name(node.role())),
            (event::AMOUNT, &lost),
            (event::REASON, &reason),
        ],
    );
    lost
}

fn update_reputation(x: &Execution<'_>, node: &mut Node, outcome: u64) {
    let step = u64::from(x.block.params.reputation_step);
    let kept = share(u64::from(node.reputation), PPM.saturating_sub(step));
    let updated = kept
        .saturating_add(share(outcome.min(PPM), step))
        .clamp(x.block.params.reputation_floor.into(), PPM);
    node.reputation = u32::try_from(updated).unwrap_or(u32::MAX);
}
