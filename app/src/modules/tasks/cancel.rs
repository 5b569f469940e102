use poq_proto::code;
use poq_proto::v1::{MsgCancelTask, MsgCancelTaskResponse, RefundReason, Role, Task, TaskStatus};

use super::lifecycle::refund;
use super::{get, keys, put};
use crate::error::{Error, Result, ensure, reject};
use crate::execution::Execution;
use crate::modules::nodes::{self, Duty};

/// `MsgCancelTask`: the user takes a question back that has no answer yet. The whole escrow
/// returns, and the node that was at work is free without a penalty.
pub fn cancel_task(x: &mut Execution<'_>, message: MsgCancelTask) -> Result<MsgCancelTaskResponse> {
    let mut task = get(x.state, message.task_id)?;
    ensure!(
        task.user == message.user,
        code::NOT_THE_USER,
        "task {} is of {}, not of {}",
        task.id,
        task.user,
        message.user
    );
    match task.status() {
        TaskStatus::Submitted => {}
        TaskStatus::Assigned => release_node(x, &task)?,
        TaskStatus::Final | TaskStatus::Refunded => {
            reject!(code::TASK_OVER, "task {} is over already", task.id)
        }
        TaskStatus::Answered
        | TaskStatus::Committing
        | TaskStatus::Revealing
        | TaskStatus::Settled
        | TaskStatus::Unspecified => reject!(
            code::ALREADY_ANSWERED,
            "task {} has its answer already and can no longer be cancelled; it ends by itself",
            task.id
        ),
    }
    refund(x, &mut task, RefundReason::Cancelled)?;
    put(x.state, &task)?;
    Ok(MsgCancelTaskResponse {
        refund: task.escrow,
    })
}

fn release_node(x: &mut Execution<'_>, task: &Task) -> Result<()> {
    let Some(assignment) = task.assignments.last() else {
        return Err(Error::internal(format!(
            "task {} is assigned to nobody",
            task.id
        )));
    };
    let operator = &assignment.operator;
    x.state
        .delete(keys::duty(Role::Inference, operator, task.id))?;
    nodes::finish_work(x, Role::Inference, operator)?;
    nodes::release_duty(x, Duty::of_inference(operator))
}
