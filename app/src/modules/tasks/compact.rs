//! Compacts the record of a task `task_retention` blocks after the task's end.

use poq_proto::v1::{Answer, Audit, AuditResult, Settlement, Task};
use sha2::{Digest, Sha256};

use super::{due, get, keys, put};
use crate::error::{Error, Result};
use crate::execution::Execution;

/// Queues the record of a task that ends now.
pub(super) fn schedule(ctx: &mut Execution<'_>, id: u64) -> Result<()> {
    let height = ctx
        .block
        .height
        .saturating_add(ctx.block.params.task_retention);
    Ok(ctx.state.mark(keys::compact(height, id))?)
}

/// Compacts the records that are due, at most `max_transitions_per_block`.
pub(super) fn compact_due(ctx: &mut Execution<'_>) -> Result<()> {
    let limit = ctx.block.params.max_transitions_per_block as usize;
    for (key, id) in due(ctx, keys::COMPACT, limit)? {
        ctx.state.delete(&key)?;
        let Some(record) = ctx.state.get(keys::task(id))? else {
            return Err(Error::broken(format!("the ended task {id} has no record")));
        };
        let task = compacted(get(ctx.state, id)?, &record);
        put(ctx.state, &task)?;
    }
    Ok(())
}

/// The compact form of a full record; `record` is its stored bytes.
fn compacted(full: Task, record: &[u8]) -> Task {
    Task {
        assignments: Vec::new(),
        answer: full.answer.map(|answer| Answer {
            sha256: answer.sha256,
            bytes: answer.bytes,
            ..Answer::default()
        }),
        committees: Vec::new(),
        evaluator_models: Vec::new(),
        settlement: full.settlement.map(|settlement| Settlement {
            inference: None,
            evaluators: Vec::new(),
            ..settlement
        }),
        audit: full.audit.map(|audit| Audit {
            result: audit.result.map(|result| AuditResult {
                penalties: Vec::new(),
                ..result
            }),
            ..audit
        }),
        record_sha256: Sha256::digest(record).to_vec(),
        ..full
    }
}
