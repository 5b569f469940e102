//! What happens to tasks at the end of a block. Every open task has exactly one entry in the queue
//! of due heights; messages that complete a phase move it to the current height, so that early and
//! late ends of a phase take the same path.
//!
//! First everything happens that can change a weight: expiries with their slashes, settlements,
//! payouts with their reputation. Then those tasks draw that need an inference node or a
//! committee since the block before (ADR 18). So every draw of a height sees exactly the weights
//! that the height commits, and anyone can repeat it from that state (ADR 10).

use poq_proto::event;

use super::{compact, keys, lifecycle};
use crate::error::{Error, Result};
use crate::execution::Execution;

/// An entry of the queue: its key, and the task.
type Due = (Vec<u8>, u64);

/// The tasks whose draw is due, for [`draw_waiting`].
pub struct Waiting(Vec<Due>);

/// Moves every task on that is due, at most `max_transitions_per_block`, and makes old records
/// compact. What exceeds the limit stays due, the oldest first.
pub fn advance_due(x: &mut Execution<'_>) -> Result<Waiting> {
    let mut waiting = Vec::new();
    for due in due(x)? {
        if step(x, &due, lifecycle::advance)? == Some(true) {
            waiting.push(due);
        }
    }
    compact::compact_due(x)?;
    Ok(Waiting(waiting))
}

/// Draws for the tasks that wait. It must be the last thing in a block that has to do with nodes.
pub fn draw_waiting(x: &mut Execution<'_>, waiting: Waiting) -> Result<()> {
    for due in waiting.0 {
        step(x, &due, lifecycle::draw)?;
    }
    Ok(())
}

fn due(x: &Execution<'_>) -> Result<Vec<Due>> {
    let limit = x.block.params.max_transitions_per_block as usize;
    let mut due = Vec::new();
    for (key, _) in x.state.scan(keys::DUE, None, limit)? {
        let (height, id) = keys::parse_queued(keys::DUE, &key)?;
        if height > x.block.height {
            break;
        }
        due.push((key, id));
    }
    Ok(due)
}

/// Does one step with a task, or sets it aside: a task that cannot be moved on is a bug of this
/// application. The chain goes on without it, its escrow stays where it is, and everybody can see
/// it.
fn step<T>(
    x: &mut Execution<'_>,
    (key, id): &Due,
    part: impl FnOnce(&mut Execution<'_>, u64) -> Result<T>,
) -> Result<Option<T>> {
    match x.attempt(|x| part(x, *id)) {
        Err(Error::Rejected { log, .. }) => {
            tracing::error!(task = id, log, "a task cannot be moved on");
            x.state.delete(key)?;
            x.emit(event::TASK_SET_ASIDE, &[(event::TASK, id)]);
            Ok(None)
        }
        outcome => outcome.map(Some),
    }
}
