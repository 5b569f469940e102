//! The seats of a committee.

use poq_proto::code;
use poq_proto::v1::{Role, Seat, Task};

use super::{keys, put, reschedule};
use crate::error::{Result, reject};
use crate::execution::Execution;

/// The seat of an evaluator in the current committee.
pub(super) fn seat_of<'t>(task: &'t mut Task, operator: &str) -> Result<&'t mut Seat> {
    let id = task.id;
    let seat = task.committees.last_mut().and_then(|committee| {
        committee
            .seats
            .iter_mut()
            .find(|seat| seat.operator == operator)
    });
    match seat {
        Some(seat) => Ok(seat),
        None => reject!(
            code::NOT_ASSIGNED,
            "{operator} has no seat in the committee of task {id}"
        ),
    }
}

/// Removes the duty from the evaluator's list. If the phase is `complete`, it
/// ends with this block.
pub(super) fn finish_duty(
    ctx: &mut Execution<'_>,
    operator: &str,
    task: &mut Task,
    complete: bool,
) -> Result<()> {
    ctx.state
        .delete(keys::duty(Role::Evaluator, operator, task.id))?;
    if complete {
        let now = ctx.block.height;
        reschedule(ctx, task, now)?;
    }
    put(ctx.state, task)
}
