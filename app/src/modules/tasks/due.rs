//! The queue of due heights: every open task has exactly one entry in it; messages that complete a
//! phase move it to the current height, so that early and late ends of a phase take the same path.
//!
//! A block begins with the draws of those tasks that have needed an inference node or a committee
//! since the block before. So a draw sees exactly the weights that the height before committed,
//! when nobody knew the beacon that draws, and anyone can repeat it from that state (ADR 33). What
//! else is due happens at the end of the block.

use poq_proto::event;
use poq_proto::v1::TaskStatus;

use super::{compact, get, keys, lifecycle};
use crate::error::{Error, Result};
use crate::execution::Execution;

/// An entry of the queue: its key, and the task.
type Due = (Vec<u8>, u64);

/// Draws for the tasks that wait for it and tells for how many, at most
/// `max_transitions_per_block`. It must be the first thing in a block that has to do with nodes.
pub fn draw_due(x: &mut Execution<'_>) -> Result<usize> {
    let due = due(x, limit(x), true)?;
    for due in &due {
        step(x, due, lifecycle::draw)?;
    }
    Ok(due.len())
}

/// Moves other tasks on that are due, as many as the block's draws leave of
/// `max_transitions_per_block`, and makes old records compact. What exceeds the limit stays due,
/// the oldest first.
pub fn advance_due(x: &mut Execution<'_>, drawn: usize) -> Result<()> {
    for due in due(x, limit(x).saturating_sub(drawn), false)? {
        step(x, &due, lifecycle::advance)?;
    }
    compact::compact_due(x)
}

fn limit(x: &Execution<'_>) -> usize {
    x.block.params.max_transitions_per_block as usize
}

/// The oldest entries that are due, of them those that wait for a draw, or the others.
fn due(x: &Execution<'_>, limit: usize, waiting: bool) -> Result<Vec<Due>> {
    let mut due = Vec::new();
    for (key, _) in x.state.scan(keys::DUE, None, limit)? {
        let (height, id) = keys::parse_queued(keys::DUE, &key)?;
        if height > x.block.height {
            break;
        }
        if awaits_draw(x, id)? == waiting {
            due.push((key, id));
        }
    }
    Ok(due)
}

/// A task that cannot be read awaits nothing: [`advance_due`] sets it aside.
fn awaits_draw(x: &Execution<'_>, id: u64) -> Result<bool> {
    match get(x.state, id) {
        Ok(task) => Ok(matches!(
            task.status(),
            TaskStatus::Submitted | TaskStatus::Answered
        )),
        Err(Error::Rejected { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Does one step with a task, or sets it aside: a task that cannot be moved on is a bug of this
/// application. The chain goes on without it, its escrow stays where it is, and everybody can see
/// it.
fn step(
    x: &mut Execution<'_>,
    (key, id): &Due,
    part: impl FnOnce(&mut Execution<'_>, u64) -> Result<()>,
) -> Result<()> {
    match x.attempt(|x| part(x, *id)) {
        Err(Error::Rejected { log, .. }) => {
            tracing::error!(task = id, log, "a task cannot be moved on");
            x.state.delete(key)?;
            x.emit(event::TASK_SET_ASIDE, &[(event::TASK, id)]);
            Ok(())
        }
        outcome => outcome,
    }
}
