//! `MsgCloseSessions`.

use poq_proto::code;
use poq_proto::v1::{
    MsgCloseSessions, MsgCloseSessionsResponse, SessionRefundReason, SessionStatus,
};

use crate::error::{Result, ensure};
use crate::execution::Execution;
use crate::modules::sessions::lifecycle::{close, refund};
use crate::modules::sessions::{get, put, require_phase, run_batch};

/// `MsgCloseSessions`: the user ends the ordering in sessions. One whose node is not drawn is
/// refunded.
pub fn close_sessions(
    ctx: &mut Execution<'_>,
    message: MsgCloseSessions,
) -> Result<MsgCloseSessionsResponse> {
    let user = message.user;
    let items = message.sessions.into_iter().map(|id| (id, id));
    let results = run_batch(ctx, items.collect(), |ctx, id, _| {
        close_session(ctx, &user, id)
    })?;
    Ok(MsgCloseSessionsResponse { results })
}

fn close_session(ctx: &mut Execution<'_>, user: &str, id: u64) -> Result<()> {
    let mut session = get(ctx.state, id)?;
    ensure!(
        session.user == user,
        code::NOT_THE_USER,
        "session {id} belongs to {}, not to {user}",
        session.user
    );
    require_phase(&session, &[SessionStatus::Opening, SessionStatus::Open])?;
    match session.status() {
        SessionStatus::Opening => refund(ctx, &mut session, SessionRefundReason::Closed)?,
        _ => close(ctx, &mut session)?,
    }
    put(ctx.state, &session)
}
