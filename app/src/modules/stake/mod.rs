//! Stakes that grow and shrink, of nodes and of validators. See the README beside this file.

mod keys;
pub mod msgs;

use poq_proto::event;
use poq_proto::v1::Role;

use crate::error::Result;
use crate::execution::Execution;
use crate::modules::{bank, nodes, validators};

/// Releases of one block; what exceeds it waits for the next block.
const MAX_RELEASES_PER_BLOCK: usize = 500;

/// Blocks after which a stake is looked at again that cannot be released yet.
const HELD: u64 = 16;

/// Pays out what is due at the end of this block. A stake that a slash may still reach goes to the
/// end of the queue, so that it keeps nobody waiting.
pub fn release_due(ctx: &mut Execution<'_>) -> Result<()> {
    for (key, _) in ctx
        .state
        .scan(keys::RELEASES, None, MAX_RELEASES_PER_BLOCK)?
    {
        let (height, role, operator) = keys::parse_release(&key)?;
        if height > ctx.block.height {
            break;
        }
        ctx.state.delete(&key)?;
        if nodes::leaves_on_duty(ctx.state, role, &operator)? {
            let later = ctx.block.height.saturating_add(HELD);
            ctx.state.mark(keys::release(later, role, &operator))?;
            continue;
        }
        match ctx.attempt(|ctx| release(ctx, height, role, &operator)) {
            Err(error) if error.is_deterministic() => {
                tracing::error!(operator, log = %error, "a stake cannot be released");
            }
            outcome => outcome?,
        }
    }
    Ok(())
}

fn release(ctx: &mut Execution<'_>, height: u64, role: Role, operator: &str) -> Result<()> {
    let amount = match role {
        Role::Validator => validators::release(ctx, operator, height)?,
        role => nodes::release(ctx, role, operator, height)?,
    };
    if amount == 0 {
        // An entry of a later height took its part along.
        return Ok(());
    }
    bank::pay(ctx, operator, amount)?;
    ctx.emit(
        event::STAKE_RELEASED,
        &[
            (event::NODE, &operator),
            (event::ROLE, &nodes::name(role)),
            (event::AMOUNT, &amount),
        ],
    );
    Ok(())
}
