//! Sessions: many answers of one node to one user, paid at once by the quality of a sample. See the
//! README beside this file.

mod compact;
mod draw;
mod due;
pub mod genesis;
mod keys;
mod lifecycle;
pub mod msgs;
mod payment;
pub mod query;
pub mod replay;
mod sample;

pub use due::{advance_due, draw_due, note_ended};
pub use payment::held;

use poq_proto::code;
use poq_proto::v1::{Session, SessionNode, SessionParams, SessionResult, SessionStatus};
use poq_store::State;
use prost::Message;

use crate::batch;
use crate::error::{Error, Result, ensure, reject};
use crate::execution::{BlockContext, Execution};

/// The session, or a rejection that names it.
pub fn get(state: &State, id: u64) -> Result<Session> {
    match state.get_message(keys::session(id))? {
        Some(session) => Ok(session),
        None => reject!(code::UNKNOWN_SESSION, "session {id} does not exist"),
    }
}

/// Every session, by id. For tools, never in a block.
pub fn all(state: &State) -> Result<Vec<Session>> {
    let sessions = state.scan_messages(keys::SESSIONS, None, usize::MAX)?;
    Ok(sessions.into_iter().map(|(_, session)| session).collect())
}

fn put(state: &mut State, session: &Session) -> Result<()> {
    Ok(state.put_message(keys::session(session.id), session)?)
}

/// The parameters of sessions, or a rejection while the chain has none.
fn session_params(block: &BlockContext) -> Result<&SessionParams> {
    let disabled = || Error::rejected(code::SESSIONS_DISABLED, "this chain has no sessions yet");
    block.params.sessions.as_ref().ok_or_else(disabled)
}

/// The node of a session that has one.
fn node_of(session: &Session) -> Result<&SessionNode> {
    let missing = || Error::broken(format!("session {} has no node", session.id));
    session.node.as_ref().ok_or_else(missing)
}

/// Enters a phase that ends at the end of `due_height` at the latest.
fn enter(
    ctx: &mut Execution<'_>,
    session: &mut Session,
    status: SessionStatus,
    due_height: u64,
) -> Result<()> {
    leave_queue(ctx, session)?;
    session.set_status(status);
    session.updated_height = ctx.block.height;
    session.due_height = due_height;
    Ok(ctx.state.mark(queued(session))?)
}

/// Enters a phase that ends with a draw at the beginning of the next block, whose beacon is unknown
/// to the author of this block (ADR 18).
fn await_draw(ctx: &mut Execution<'_>, session: &mut Session, status: SessionStatus) -> Result<()> {
    let next = ctx.block.height.saturating_add(1);
    enter(ctx, session, status, next)
}

fn leave_queue(ctx: &mut Execution<'_>, session: &Session) -> Result<()> {
    Ok(ctx.state.delete(queued(session))?)
}

/// The key of a session in the queue that its status selects.
fn queued(session: &Session) -> String {
    match session.status() {
        SessionStatus::Opening | SessionStatus::Drawing => {
            keys::draw(session.due_height, session.id)
        }
        _ => keys::due(session.due_height, session.id),
    }
}

/// Refuses a message for other phases than the session's.
fn require_phase(session: &Session, phases: &[SessionStatus]) -> Result<()> {
    let status = session.status();
    let names = || phases.iter().map(SessionStatus::as_str_name);
    ensure!(
        phases.contains(&status),
        code::WRONG_SESSION_PHASE,
        "session {} is {}, not {}",
        session.id,
        status.as_str_name(),
        names().collect::<Vec<_>>().join(" or ")
    );
    Ok(())
}

/// Refuses an operator other than the session's node.
fn require_node(session: &Session, operator: &str) -> Result<()> {
    let node = session.node.as_ref();
    ensure!(
        node.is_some_and(|node| node.operator == operator),
        code::NOT_ASSIGNED,
        "{operator} is not the node of session {}",
        session.id
    );
    Ok(())
}

/// Runs the items of a batch about sessions one by one.
fn run_batch<T: Message>(
    ctx: &mut Execution<'_>,
    items: Vec<(u64, T)>,
    run: impl FnMut(&mut Execution<'_>, u64, T) -> Result<()>,
) -> Result<Vec<SessionResult>> {
    let results = batch::run_batch(ctx, items, run)?;
    let result = |(session, code)| SessionResult { session, code };
    Ok(results.into_iter().map(result).collect())
}
