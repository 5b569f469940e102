//! Tasks: from a prompt to a finalised quality. See the README beside this file.

pub mod aggregate;
pub mod audit_risk;
mod audited;
mod compact;
mod draw;
mod due;
pub mod genesis;
mod keys;
mod leaf;
mod lifecycle;
pub mod msgs;
pub mod query;
pub mod replay;
pub mod reveals;
mod seats;
pub mod settlement;

pub use audited::{hold, resume, settle_again, texts};
pub use draw::require_committee;
pub use due::{Advanced, Drawn, Due, Settled, advance_due, draw_due, due};
pub use keys::parse_queued;
pub use leaf::{EndedLeaf, LeafTask, begin_leaf_task};
pub use lifecycle::seat_duty;

use poq_proto::code;
use poq_proto::v1::{Audit, Committee, ItemResult, Task, TaskStatus};
use poq_store::State;
use prost::Message;

use crate::batch;
use crate::error::{Error, Result, ensure, reject};
use crate::execution::Execution;

/// The task, or a rejection that names it.
pub fn get(state: &State, id: u64) -> Result<Task> {
    match state.get_message(keys::task(id))? {
        Some(task) => Ok(task),
        None => reject!(code::UNKNOWN_TASK, "task {id} does not exist"),
    }
}

/// Every task, by id. For tools, never in a block.
pub fn all(state: &State) -> Result<Vec<Task>> {
    let tasks = state.scan_messages(keys::TASKS, None, usize::MAX)?;
    Ok(tasks.into_iter().map(|(_, task)| task).collect())
}

/// The audit of a settled task, if its result is not known yet.
pub fn open_audit(task: &Task) -> Option<&Audit> {
    let audit = task.audit.as_ref().filter(|audit| audit.result.is_none());
    audit.filter(|_| task.status() == TaskStatus::Settled)
}

/// The id of a new task.
fn new_id(ctx: &mut Execution<'_>) -> Result<u64> {
    let id = ctx.state.get_u64(keys::NEXT_ID)?.unwrap_or(1);
    ctx.state.put_u64(keys::NEXT_ID, id.saturating_add(1))?;
    Ok(id)
}

fn put(state: &mut State, task: &Task) -> Result<()> {
    Ok(state.put_message(keys::task(task.id), task)?)
}

/// Enters a phase that ends at the end of `due_height` at the latest.
fn enter(
    ctx: &mut Execution<'_>,
    task: &mut Task,
    status: TaskStatus,
    due_height: u64,
) -> Result<()> {
    leave_queue(ctx, task)?;
    task.set_status(status);
    task.updated_height = ctx.block.height;
    task.due_height = due_height;
    Ok(ctx.state.mark(queued(task))?)
}

/// Enters a phase that ends with a draw, at the earliest at the beginning of the next block, whose
/// beacon is unknown to the author of this block (ADR 18).
fn await_draw(ctx: &mut Execution<'_>, task: &mut Task, status: TaskStatus) -> Result<()> {
    let next = ctx.block.height.saturating_add(1);
    enter(ctx, task, status, next)
}

/// Changes the end of the current phase.
fn reschedule(ctx: &mut Execution<'_>, task: &mut Task, due_height: u64) -> Result<()> {
    leave_queue(ctx, task)?;
    task.due_height = due_height;
    Ok(ctx.state.mark(queued(task))?)
}

fn leave_queue(ctx: &mut Execution<'_>, task: &Task) -> Result<()> {
    Ok(ctx.state.delete(queued(task))?)
}

/// The key of a task in the queue that its status selects.
fn queued(task: &Task) -> String {
    match task.status() {
        TaskStatus::Submitted | TaskStatus::Answered => keys::draw(task.due_height, task.id),
        _ => keys::due(task.due_height, task.id),
    }
}

/// Refuses a message for another phase than the task's.
fn require_phase(task: &Task, phase: TaskStatus) -> Result<()> {
    ensure!(
        task.status() == phase,
        code::WRONG_PHASE,
        "task {} is {}, not {}",
        task.id,
        task.status().as_str_name(),
        phase.as_str_name()
    );
    Ok(())
}

/// The current committee.
pub fn current_committee(task: &mut Task) -> Result<&mut Committee> {
    let id = task.id;
    task.committees
        .last_mut()
        .ok_or_else(|| Error::broken(format!("task {id} has no committee")))
}

/// The number of the current committee of the task, from 0; part of every commitment.
fn committee_attempt(task: &Task) -> u32 {
    u32::try_from(task.committees.len().saturating_sub(1)).unwrap_or(u32::MAX)
}

/// Runs the items of a batch about tasks one by one.
fn run_batch<T: Message>(
    ctx: &mut Execution<'_>,
    items: Vec<(u64, T)>,
    run: impl FnMut(&mut Execution<'_>, u64, T) -> Result<()>,
) -> Result<Vec<ItemResult>> {
    let results = batch::run_batch(ctx, items, run)?;
    let result = |(task_id, code)| ItemResult { task_id, code };
    Ok(results.into_iter().map(result).collect())
}
