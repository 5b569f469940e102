//! The two queues of sessions, as those of tasks: draws at the beginning of a block, which must not
//! see weights that the block changes (ADR 33), and all other steps at its end.

use poq_proto::event;
use poq_proto::v1::Session;

use super::{compact, draw, get, keys, lifecycle, put};
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::tasks::{EndedLeaf, due};

/// Draws nodes for new sessions and leaves for settled ones, at most half of
/// `max_transitions_per_block`. It changes no weights.
pub fn draw_due(ctx: &mut Execution<'_>) -> Result<()> {
    for (key, id) in due(ctx, keys::DRAW, limit(ctx).div_ceil(2))? {
        step(ctx, Some(&key), id, draw::draw)?;
    }
    Ok(())
}

/// Advances the other sessions that are due, at most `max_transitions_per_block`, and compacts old
/// records. The rest stays due, the oldest first.
pub fn advance_due(ctx: &mut Execution<'_>) -> Result<()> {
    for (key, id) in due(ctx, keys::DUE, limit(ctx))? {
        step(ctx, Some(&key), id, lifecycle::advance)?;
    }
    compact::compact_due(ctx)
}

/// Notes the qualities of leaves whose tasks are over, and pays the sessions that waited only for
/// them.
pub fn note_ended(ctx: &mut Execution<'_>, ended: &[EndedLeaf]) -> Result<()> {
    for leaf in ended {
        step(ctx, None, leaf.session, |ctx, session| {
            lifecycle::note_ended(ctx, session, *leaf)
        })?;
    }
    Ok(())
}

fn limit(ctx: &Execution<'_>) -> usize {
    ctx.block.params.max_transitions_per_block as usize
}

/// Runs one step of a session, or sets the session aside: a step fails only through a bug of this
/// application. The chain continues without the session; its escrow stays and everyone can see it.
fn step(
    ctx: &mut Execution<'_>,
    key: Option<&[u8]>,
    id: u64,
    part: impl FnOnce(&mut Execution<'_>, &mut Session) -> Result<()>,
) -> Result<()> {
    let outcome = ctx.attempt(|ctx| {
        let mut session = get(ctx.state, id)?;
        part(ctx, &mut session)?;
        put(ctx.state, &session)
    });
    match outcome {
        Err(error) if error.is_deterministic() => {
            tracing::error!(session = id, log = %error, "a session cannot advance");
            if let Some(key) = key {
                ctx.state.delete(key)?;
            }
            ctx.emit(event::SESSION_SET_ASIDE, &[(event::SESSION, &id)]);
            Ok(())
        }
        outcome => outcome,
    }
}
