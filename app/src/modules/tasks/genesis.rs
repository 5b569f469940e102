//! A genesis has no tasks: an export ends those that are open.

use poq_proto::v1::{Settlement, Task, TaskStatus};

use super::lifecycle::pay;
use super::{all, open_audit};
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::bank;

/// Pays every settled open task and refunds the others. A task whose audit is not over counts as
/// not settled.
pub fn export(ctx: &mut Execution<'_>, notes: &mut Vec<String>) -> Result<()> {
    for task in all(ctx.state)? {
        let (id, user) = (task.id, &task.user);
        let note = match (task.status(), &task.settlement, open_audit(&task)) {
            (TaskStatus::Final | TaskStatus::Refunded, ..) => continue,
            (TaskStatus::Settled, Some(settlement), None) => {
                pay_settled(ctx, &task, settlement)?;
                format!("task {id} is paid as settled")
            }
            (_, _, audit) => {
                bank::pay(ctx, user, task.escrow)?;
                match audit {
                    Some(_) => {
                        format!("the audit of task {id} is not over: it is refunded to {user}")
                    }
                    None => format!("task {id} is over and refunded to {user}"),
                }
            }
        };
        notes.push(note);
    }
    Ok(())
}

fn pay_settled(ctx: &mut Execution<'_>, task: &Task, settlement: &Settlement) -> Result<()> {
    for payout in settlement.inference.iter().chain(&settlement.evaluators) {
        pay(ctx, task.id, payout)?;
    }
    bank::pay_protocol(ctx, settlement.protocol)?;
    bank::pay(ctx, &task.user, settlement.refund)
}
