//! The transitions of a session from one phase to the next; `due.rs` decides when.

use poq_proto::event;
use poq_proto::v1::{Session, SessionRefundReason, SessionSettlement, SessionStatus};

use super::payment::pay_out;
use super::{compact, enter, keys, leave_queue, node_of, sample, session_params};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::modules::nodes::SessionEnd;
use crate::modules::tasks::EndedLeaf;
use crate::modules::{bank, nodes};

/// Ends the phase of a session that is due.
pub(super) fn advance(ctx: &mut Execution<'_>, session: &mut Session) -> Result<()> {
    match session.status() {
        SessionStatus::Open => close(ctx, session),
        SessionStatus::Closing => {
            let operator = node_of(session)?.operator.clone();
            nodes::end_session(ctx, &operator, SessionEnd::Silent)?;
            refund(ctx, session, SessionRefundReason::NotSettled)
        }
        SessionStatus::Revealing => score(ctx, session),
        status => Err(Error::broken(format!(
            "session {} is {} and cannot advance",
            session.id,
            status.as_str_name()
        ))),
    }
}

/// Ends the ordering of an open session; its node can still settle it.
pub(super) fn close(ctx: &mut Execution<'_>, session: &mut Session) -> Result<()> {
    let due = ctx
        .block
        .height
        .saturating_add(session_params(ctx.block)?.settle_window);
    ctx.emit(
        event::SESSION_CLOSING,
        &[
            (event::SESSION, &session.id),
            (event::USER, &session.user),
            (event::NODE, &node_of(session)?.operator),
            (event::DUE_HEIGHT, &due),
        ],
    );
    enter(ctx, session, SessionStatus::Closing, due)
}

/// Ends a session without a settlement: the whole escrow returns to its user.
pub(super) fn refund(
    ctx: &mut Execution<'_>,
    session: &mut Session,
    reason: SessionRefundReason,
) -> Result<()> {
    leave_queue(ctx, session)?;
    bank::pay(ctx, &session.user, session.escrow)?;
    session.set_refund_reason(reason);
    ctx.emit(
        event::SESSION_REFUNDED,
        &[
            (event::SESSION, &session.id),
            (event::USER, &session.user),
            (event::REASON, &reason.as_str_name()),
        ],
    );
    end(ctx, session, SessionStatus::Refunded)
}

/// Notes that a session is over, and schedules the compaction of its record.
pub(super) fn end(
    ctx: &mut Execution<'_>,
    session: &mut Session,
    status: SessionStatus,
) -> Result<()> {
    if let Some(node) = &session.node {
        ctx.state
            .delete(keys::session_of_node(&node.operator, session.id))?;
    }
    ctx.state.count_down(keys::open(&session.user))?;
    session.set_status(status);
    session.updated_height = ctx.block.height;
    compact::schedule(ctx, session.id)
}

/// Waits only for the tasks of the leaves, without a place in a queue.
fn score(ctx: &mut Execution<'_>, session: &mut Session) -> Result<()> {
    leave_queue(ctx, session)?;
    session.set_status(SessionStatus::Scoring);
    session.updated_height = ctx.block.height;
    pay_if_complete(ctx, session)
}

/// Notes the quality of a leaf whose task is over.
pub(super) fn note_ended(
    ctx: &mut Execution<'_>,
    session: &mut Session,
    ended: EndedLeaf,
) -> Result<()> {
    let settlement = settled(session)?;
    let mut leaves = settlement.leaves.iter_mut();
    let Some(leaf) = leaves.find(|leaf| leaf.number == ended.number) else {
        return Err(Error::broken(format!(
            "session {} has no drawn leaf {}",
            ended.session, ended.number
        )));
    };
    leaf.ended = true;
    leaf.quality = ended.quality;
    match session.status() {
        SessionStatus::Scoring => pay_if_complete(ctx, session),
        _ => Ok(()),
    }
}

/// Ends the reveals with this block once no drawn leaf is missing.
pub(super) fn end_reveals_if_complete(
    ctx: &mut Execution<'_>,
    session: &mut Session,
) -> Result<()> {
    match sample::missing(settled(session)?) {
        0 => {
            let now = ctx.block.height;
            enter(ctx, session, SessionStatus::Revealing, now)
        }
        _ => Ok(()),
    }
}

fn pay_if_complete(ctx: &mut Execution<'_>, session: &mut Session) -> Result<()> {
    match settled(session)?.leaves.iter().all(|leaf| leaf.ended) {
        true => pay_out(ctx, session),
        false => Ok(()),
    }
}

/// The settlement of a session that has one.
pub(super) fn settled(session: &mut Session) -> Result<&mut SessionSettlement> {
    let id = session.id;
    let missing = || Error::broken(format!("session {id} is not settled"));
    session.settlement.as_mut().ok_or_else(missing)
}
