//! The effects of a duty's beginning and outcome on its node (protocol section 10).

use poq_proto::v1::{Node, NodeStatus, Params, Role};
use poq_proto::{PPM, event};

use super::{get, has_room, jail, name, put, put_weighted};
use crate::arithmetic::share;
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::bank;
use crate::unbonding;

/// The slash reason of a score that an audit refutes.
const AUDIT: &str = "audit";

/// One task that depends on a node.
#[derive(Clone, Copy, Debug)]
pub struct Duty<'a> {
    /// The node's role in the task.
    pub role: Role,
    /// The node's operator.
    pub operator: &'a str,
    /// The expected audits that the duty adds to the node, ppm of one audit.
    pub expected_audits: u64,
}

impl<'a> Duty<'a> {
    /// The duty to answer, which no audit checks.
    pub fn of_inference(operator: &'a str) -> Self {
        Self {
            role: Role::Inference,
            operator,
            expected_audits: 0,
        }
    }
}

/// Gives a node a duty. Draws call this, so it does not change weights: the caller updates them
/// once all draws of the block are made ([`super::close_if_full`]).
pub fn begin_duty(ctx: &mut Execution<'_>, duty: Duty<'_>) -> Result<()> {
    let mut node = get(ctx.state, duty.role, duty.operator)?;
    node.open_duties = node.open_duties.saturating_add(1);
    node.pending_duties = node.pending_duties.saturating_add(1);
    node.expected_audits = node.expected_audits.saturating_add(duty.expected_audits);
    put(ctx.state, &node)
}

/// Marks a duty as done. Its outcome may still depend on others.
pub fn finish_work(ctx: &mut Execution<'_>, role: Role, operator: &str) -> Result<()> {
    change(ctx, role, operator, |node| {
        node.pending_duties = node.pending_duties.saturating_sub(1);
    })
}

/// Ends a duty whose outcome says nothing about the node and that needs no more work.
pub fn release_duty(ctx: &mut Execution<'_>, duty: Duty<'_>) -> Result<()> {
    change(ctx, duty.role, duty.operator, |node| end(node, duty))
}

/// Ends a completed duty: `quality` (ppm), if any, enters the reputation, and `earned` the record.
pub fn complete_duty(
    ctx: &mut Execution<'_>,
    duty: Duty<'_>,
    quality: Option<u64>,
    earned: u64,
) -> Result<()> {
    let mut node = get(ctx.state, duty.role, duty.operator)?;
    end(&mut node, duty);
    node.duties_done = node.duties_done.saturating_add(1);
    node.earned = node.earned.saturating_add(earned);
    if let Some(quality) = quality {
        update_reputation(ctx, &mut node, quality, PPM);
    }
    put_weighted(ctx, &mut node)
}

/// Ends a missed duty. All misses of a node in one window cost it the highest slash among them,
/// once, so that one outage or one burst cannot burn a stake. A node that misses
/// `jail_after_misses` duties is jailed, and further misses cost it nothing more. Returns whether
/// the miss is excused, because the node was jailed or leaving, so that the task gets another
/// attempt.
pub fn miss_duty(
    ctx: &mut Execution<'_>,
    duty: Duty<'_>,
    task: u64,
    slash_ppm: u32,
    reason: &str,
) -> Result<bool> {
    let mut node = get(ctx.state, duty.role, duty.operator)?;
    end(&mut node, duty);
    node.pending_duties = node.pending_duties.saturating_sub(1);
    let status = node.status();
    punish_miss(ctx, &mut node, (event::TASK, task), slash_ppm, reason)?;
    put_weighted(ctx, &mut node)?;
    Ok(matches!(status, NodeStatus::Jailed | NodeStatus::Unbonding))
}

/// What an event about a node is due to: the attribute and the number of a task or session.
pub(super) type Cause = (&'static str, u64);

/// The effects of a missed duty on its node, which the caller stores.
pub(super) fn punish_miss(
    ctx: &mut Execution<'_>,
    node: &mut Node,
    (kind, number): Cause,
    slash_ppm: u32,
    reason: &str,
) -> Result<()> {
    node.duties_missed = node.duties_missed.saturating_add(1);
    ctx.emit(
        event::DUTY_MISSED,
        &[
            (kind, &number),
            (event::NODE, &node.operator),
            (event::ROLE, &name(node.role())),
            (event::REASON, &reason),
        ],
    );
    if node.status() == NodeStatus::Jailed {
        return Ok(());
    }
    let ppm = count_miss(ctx, node, slash_ppm);
    let lost = slash(ctx, node, (kind, number), ppm, reason);
    bank::burn_held(ctx.state, &ctx.block.params.denom, lost.into())?;
    update_reputation(ctx, node, 0, PPM);
    if node.missed_in_window >= ctx.block.params.jail_after_misses {
        jail::confine(ctx, node, "missed_duties");
    }
    Ok(())
}

/// Ends the duty of an evaluator whose revealed score an audit refutes: its stake is slashed, its
/// reputation falls, and it is jailed. Returns the base units lost, which the caller pays or burns.
pub fn fail_audit(ctx: &mut Execution<'_>, duty: Duty<'_>, task: u64) -> Result<u64> {
    let mut node = get(ctx.state, duty.role, duty.operator)?;
    end(&mut node, duty);
    node.duties_missed = node.duties_missed.saturating_add(1);
    let (cause, ppm) = ((event::TASK, task), ctx.block.params.slash_audit);
    let lost = slash(ctx, &mut node, cause, ppm, AUDIT);
    update_reputation(ctx, &mut node, 0, PPM);
    jail::confine(ctx, &mut node, AUDIT);
    put_weighted(ctx, &mut node)?;
    Ok(lost)
}

/// Blocks within which a role's missed duties count as one outage.
fn miss_window(params: &Params, role: Role) -> u64 {
    match role {
        Role::Evaluator => params.commit_window.saturating_add(params.reveal_window),
        Role::Inference | Role::Validator | Role::Unspecified => params.answer_window,
    }
}

/// Counts a missed duty in its window, and returns the part of the stake that it costs, ppm: only
/// what the node has not already lost in that window.
fn count_miss(ctx: &Execution<'_>, node: &mut Node, slash_ppm: u32) -> u32 {
    let window = miss_window(&ctx.block.params, node.role());
    let is_over = ctx.block.height >= node.miss_height.saturating_add(window);
    if node.missed_in_window == 0 || is_over {
        node.miss_height = ctx.block.height;
        (node.missed_in_window, node.slashed_in_window) = (0, 0);
    }
    node.missed_in_window = node.missed_in_window.saturating_add(1);
    let more = slash_ppm.saturating_sub(node.slashed_in_window);
    node.slashed_in_window = node.slashed_in_window.max(slash_ppm);
    more
}

/// Slashes the stake by `ppm` and returns the base units lost.
fn slash(
    ctx: &mut Execution<'_>,
    node: &mut Node,
    (kind, number): Cause,
    ppm: u32,
    reason: &str,
) -> u64 {
    let lost = unbonding::slash(&mut node.stake, &mut node.unbonding, ppm);
    node.slashed = node.slashed.saturating_add(lost);
    if lost > 0 {
        ctx.emit(
            event::NODE_SLASHED,
            &[
                (kind, &number),
                (event::NODE, &node.operator),
                (event::ROLE, &name(node.role())),
                (event::AMOUNT, &lost),
                (event::REASON, &reason),
            ],
        );
    }
    lost
}

/// The common part of ending a duty.
fn end(node: &mut Node, duty: Duty<'_>) {
    node.open_duties = node.open_duties.saturating_sub(1);
    node.expected_audits = node.expected_audits.saturating_sub(duty.expected_audits);
}

/// Changes a node's open duties. Its weights are written only if the change gives it room or takes
/// its last room.
fn change(
    ctx: &mut Execution<'_>,
    role: Role,
    operator: &str,
    change: impl FnOnce(&mut Node),
) -> Result<()> {
    let mut node = get(ctx.state, role, operator)?;
    let had_room = has_room(&ctx.block.params, &node);
    change(&mut node);
    match had_room == has_room(&ctx.block.params, &node) {
        true => put(ctx.state, &node),
        false => put_weighted(ctx, &mut node),
    }
}

/// Moves the reputation towards an outcome by `reputation_step`, of which `weight` is the part that
/// counts; all in ppm.
pub(super) fn update_reputation(ctx: &Execution<'_>, node: &mut Node, outcome: u64, weight: u64) {
    let step = share(ctx.block.params.reputation_step.into(), weight.min(PPM));
    let kept = share(u64::from(node.reputation), PPM.saturating_sub(step));
    let updated = kept
        .saturating_add(share(outcome.min(PPM), step))
        .clamp(ctx.block.params.reputation_floor.into(), PPM);
    node.reputation = u32::try_from(updated).unwrap_or(u32::MAX);
}
