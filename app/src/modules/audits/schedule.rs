use poq_proto::event;
use poq_proto::v1::{Audit, Task};

use super::keys;
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::tasks;
use crate::store::State;

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

/// Due height and task of scheduled audits, in the order in which their results are used, at most
/// `limit`.
pub fn pending(state: &State, limit: usize) -> Result<Vec<(u64, u64)>> {
    let entries = state.scan(keys::DUE, None, limit)?;
    entries
        .into_iter()
        .map(|(key, _)| tasks::parse_queued(keys::DUE, &key))
        .collect()
}
