use poq_proto::code;
use poq_proto::v1::{MsgCancelTask, MsgCancelTaskResponse, RefundReason, Role, Task, TaskStatus};

use crate::error::{Error, Result, ensure, reject};
use crate::execution::Execution;
use crate::modules::bank;
use crate::modules::nodes::{self, Duty};
use crate::modules::tasks::lifecycle::refund;
use crate::modules::tasks::settlement::{cancellation_fee, returned};
use crate::modules::tasks::{get, keys, put};

/// `MsgCancelTask`: the user cancels a task that has no answer yet. The escrow returns, less the
/// fee while the first node works on the task, and the node is released without a penalty.
pub fn cancel_task(
    ctx: &mut Execution<'_>,
    message: MsgCancelTask,
) -> Result<MsgCancelTaskResponse> {
    let mut task = get(ctx.state, message.task_id)?;
    ensure!(
        task.user == message.user,
        code::NOT_THE_USER,
        "task {} belongs to {}, not to {}",
        task.id,
        task.user,
        message.user
    );
    let fee = cancellation_fee(&ctx.block.params, &task);
    match task.status() {
        TaskStatus::Submitted => {}
        TaskStatus::Assigned => release_node(ctx, &task)?,
        TaskStatus::Final | TaskStatus::Refunded => {
            reject!(code::TASK_OVER, "task {} is already over", task.id)
        }
        TaskStatus::Answered
        | TaskStatus::Committing
        | TaskStatus::Revealing
        | TaskStatus::Settled
        | TaskStatus::Unspecified => reject!(
            code::ALREADY_ANSWERED,
            "task {} already has an answer and can no longer be cancelled",
            task.id
        ),
    }
    if fee > 0 {
        task.cancellation_fee = fee;
        bank::pay_protocol(ctx, fee)?;
    }
    refund(ctx, &mut task, RefundReason::Cancelled)?;
    put(ctx.state, &task)?;
    Ok(MsgCancelTaskResponse {
        refund: returned(&task),
    })
}

fn release_node(ctx: &mut Execution<'_>, task: &Task) -> Result<()> {
    let Some(assignment) = task.assignments.last() else {
        return Err(Error::broken(format!(
            "task {} is assigned to nobody",
            task.id
        )));
    };
    let operator = &assignment.operator;
    ctx.state
        .delete(keys::duty(Role::Inference, operator, task.id))?;
    nodes::finish_work(ctx, Role::Inference, operator)?;
    nodes::release_duty(ctx, Duty::of_inference(operator))
}
