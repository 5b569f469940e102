//! Compacts the record of a session `task_retention` blocks after its end.

use poq_proto::v1::{Session, SessionSettlement};
use sha2::{Digest, Sha256};

use super::{get, keys, put};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::modules::tasks::due;

/// Queues the record of a session that ends now.
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
        let Some(record) = ctx.state.get(keys::session(id))? else {
            return Err(Error::broken(format!(
                "the ended session {id} has no record"
            )));
        };
        let session = compacted(get(ctx.state, id)?, &record);
        put(ctx.state, &session)?;
    }
    Ok(())
}

/// The compact form of a full record; `record` is its stored bytes. The root, the amount and the
/// payment stay, so a receipt can always be proven.
fn compacted(full: Session, record: &[u8]) -> Session {
    Session {
        evaluator_models: Vec::new(),
        rules: None,
        settlement: full.settlement.map(|settlement| SessionSettlement {
            open_points: Vec::new(),
            leaves: Vec::new(),
            beacon: Vec::new(),
            ..settlement
        }),
        record_sha256: Sha256::digest(record).to_vec(),
        ..full
    }
}
