//! The two queues of open tasks, each by the height of the next step. Every open task has exactly
//! one entry in one of them, unless it waits for an audit.
//!
//! A block begins with the draws of tasks that have needed an inference node or a committee since
//! the block before. So a draw uses exactly the weights that the height before committed, when
//! nobody knew the beacon, and anyone can repeat it from that state (ADR 33). All other steps
//! happen at the end of the block. A message that completes a phase moves its task to the current
//! height, so early and late ends of a phase take the same path.

use std::collections::BTreeSet;

use poq_proto::event;
use poq_proto::v1::Role;

use super::leaf::EndedLeaf;
use super::lifecycle::{self, Draw, Step};
use super::{compact, keys};
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::nodes;

/// An entry of a queue: its key, and its task or session.
pub type Due = (Vec<u8>, u64);

/// What the draws at the beginning of a block did.
#[derive(Debug)]
pub struct Drawn {
    /// The number of tasks that drew.
    pub tasks: usize,
    /// The leaves whose tasks ended because no committee could be drawn.
    pub ended: Vec<EndedLeaf>,
}

/// Draws for the waiting tasks, at most half of `max_transitions_per_block`. It must run before
/// anything in a block that changes weights: they change only after the last draw.
pub fn draw_due(ctx: &mut Execution<'_>) -> Result<Drawn> {
    let due = due(ctx, keys::DRAW, limit(ctx).div_ceil(2))?;
    let (mut drawn, mut given_up) = (BTreeSet::new(), Vec::new());
    for one in &due {
        match step(ctx, one, lifecycle::draw)? {
            Some(Draw::Nodes(role, operators)) => {
                drawn.extend(
                    operators
                        .into_iter()
                        .map(|operator| (role as i32, operator)),
                );
            }
            Some(Draw::GivenUp) => given_up.push(one),
            Some(Draw::NoRoom) | None => {}
        }
    }
    for (role, operator) in &drawn {
        let role = Role::try_from(*role).unwrap_or_default();
        nodes::close_if_full(ctx, role, operator)?;
    }
    let mut ended = Vec::new();
    for one in given_up {
        ended.extend(step(ctx, one, lifecycle::give_up)?.flatten());
    }
    Ok(Drawn {
        tasks: due.len(),
        ended,
    })
}

/// A task that has just settled.
#[derive(Debug)]
pub struct Settled {
    /// The task's id.
    pub task: u64,
    /// The audit probability, ppm.
    pub audit_probability: u32,
}

/// What the end of a block did.
#[derive(Debug, Default)]
pub struct Advanced {
    /// The tasks that settled.
    pub settled: Vec<Settled>,
    /// The leaves whose tasks ended.
    pub ended: Vec<EndedLeaf>,
}

/// Advances the other tasks that are due, as many as the block's draws leave of
/// `max_transitions_per_block`, and compacts old records. Tasks beyond the limit stay due, the
/// oldest first.
pub fn advance_due(ctx: &mut Execution<'_>, drawn: usize) -> Result<Advanced> {
    let mut advanced = Advanced::default();
    for due in due(ctx, keys::DUE, limit(ctx).saturating_sub(drawn))? {
        match step(ctx, &due, lifecycle::advance)? {
            Some(Step::Settled(settled)) => advanced.settled.push(settled),
            Some(Step::Ended(leaf)) => advanced.ended.push(leaf),
            Some(Step::Other) | None => {}
        }
    }
    compact::compact_due(ctx)?;
    Ok(advanced)
}

fn limit(ctx: &Execution<'_>) -> usize {
    ctx.block.params.max_transitions_per_block as usize
}

/// The entries of a queue that are due, the oldest first, at most `limit`.
pub fn due(ctx: &Execution<'_>, queue: &str, limit: usize) -> Result<Vec<Due>> {
    let mut due = Vec::new();
    for (key, _) in ctx.state.scan(queue, None, limit)? {
        let (height, id) = keys::parse_queued(queue, &key)?;
        if height > ctx.block.height {
            break;
        }
        due.push((key, id));
    }
    Ok(due)
}

/// Runs one step of a task, or sets the task aside: a step fails only through a bug of this
/// application. The chain continues without the task; its escrow stays and everyone can see it.
fn step<T>(
    ctx: &mut Execution<'_>,
    (key, id): &Due,
    part: impl FnOnce(&mut Execution<'_>, u64) -> Result<T>,
) -> Result<Option<T>> {
    match ctx.attempt(|ctx| part(ctx, *id)) {
        Err(error) if error.is_deterministic() => {
            tracing::error!(task = id, log = %error, "a task cannot advance");
            ctx.state.delete(key)?;
            ctx.emit(event::TASK_SET_ASIDE, &[(event::TASK, id)]);
            Ok(None)
        }
        outcome => outcome.map(Some),
    }
}
