//! A genesis has no audits: an export returns the deposits of challenges whose audit is not over.

use crate::error::Result;
use crate::execution::Execution;
use crate::modules::{bank, tasks};

/// Returns the deposits; [`tasks::genesis::export`] ends the tasks themselves.
pub fn export(ctx: &mut Execution<'_>, notes: &mut Vec<String>) -> Result<()> {
    for task in tasks::all(ctx.state)? {
        let Some(audit) = tasks::open_audit(&task).filter(|audit| audit.deposit > 0) else {
            continue;
        };
        bank::pay(ctx, &audit.challenger, audit.deposit)?;
        notes.push(format!(
            "{} gets the deposit of its challenge of task {} back",
            audit.challenger, task.id
        ));
    }
    Ok(())
}
