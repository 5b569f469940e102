//! Adding, unbonding and releasing the stakes of nodes and validators. See the README beside this
//! file.

mod keys;
pub mod msgs;

use poq_proto::event;
use poq_proto::v1::Role;

use crate::error::Result;
use crate::execution::Execution;
use crate::modules::{bank, nodes, validators};

/// The most releases of one block; the rest waits for the next block.
const MAX_RELEASES_PER_BLOCK: usize = 500;

/// Blocks after which the release of a held stake is tried again.
const HELD: u64 = 16;

/// Releases the stakes that are due at the end of this block. A stake that may still be slashed
/// goes to the end of the queue, so that it does not block others.
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
        // An earlier release has already paid this part.
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
