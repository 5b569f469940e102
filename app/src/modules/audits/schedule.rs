use poq_proto::event;
use poq_proto::v1::{Audit, Task};

use super::keys;
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::tasks;

/// Schedules an audit `audit_delay` blocks from now and stores the task. Until its result is used
/// the task is not paid.
pub fn schedule(x: &mut Execution<'_>, task: &mut Task, audit: Audit) -> Result<()> {
    let due_height = x.block.height.saturating_add(x.block.params.audit_delay);
    let audit = Audit {
        height: x.block.height,
        due_height,
        ..audit
    };
    x.emit(
        event::AUDIT_SCHEDULED,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::REASON, &audit.cause().as_str_name()),
            (event::DUE_HEIGHT, &due_height),
        ],
    );
    task.audit = Some(audit);
    x.state.mark(keys::due(due_height, task.id))?;
    tasks::hold(x, task, due_height)
}
