//! A genesis has no sessions: an export ends those that are open.

use super::{all, held};
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::bank;

/// Refunds what the chain holds for open sessions. The tasks of their leaves have their own money.
pub fn export(ctx: &mut Execution<'_>, notes: &mut Vec<String>) -> Result<()> {
    for session in all(ctx.state)? {
        let refund = held(&session);
        if refund > 0 {
            bank::pay(ctx, &session.user, refund)?;
            let (id, user) = (session.id, &session.user);
            notes.push(format!("session {id} is over and refunded to {user}"));
        }
    }
    Ok(())
}
