//! Scheduled audits: their queue and their inputs.

use std::collections::BTreeMap;

use poq_proto::event;
use poq_proto::v1::{Audit, AuditCause, EvaluatorModel, Task, TaskStatus};
use poq_store::State;

use super::keys;
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::modules::{models, tasks};

/// Schedules an audit `audit_delay` blocks from now and stores the task. The task is not paid
/// before the result is used.
pub(super) fn schedule(ctx: &mut Execution<'_>, task: &mut Task, audit: Audit) -> Result<()> {
    let due_height = ctx
        .block
        .height
        .saturating_add(ctx.block.params.audit_delay);
    let audit = Audit {
        height: ctx.block.height,
        due_height,
        ..audit
    };
    ctx.emit(
        event::AUDIT_SCHEDULED,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::REASON, &audit.cause().as_str_name()),
            (event::DUE_HEIGHT, &due_height),
        ],
    );
    ctx.state
        .mark(keys::due(audit.cause(), due_height, task.id))?;
    task.audit = Some(audit);
    tasks::hold(ctx, task, due_height)
}

/// A scheduled audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scheduled {
    /// Why the audit is scheduled.
    pub cause: AuditCause,
    /// The earliest height at whose end the result is used.
    pub due_height: u64,
    /// The audited task.
    pub task: u64,
}

impl Scheduled {
    /// The audit's key in the queue.
    pub(super) fn key(&self) -> String {
        keys::due(self.cause, self.due_height, self.task)
    }
}

/// Scheduled audits in the order in which their results are used, at most `limit`.
pub(super) fn pending(state: &State, limit: usize) -> Result<Vec<Scheduled>> {
    due(state, u64::MAX, limit)
}

/// Scheduled audits that are due at the end of height `now`, at most `limit`.
pub(super) fn due(state: &State, now: u64, limit: usize) -> Result<Vec<Scheduled>> {
    let mut found = Vec::new();
    for cause in keys::CAUSES {
        let of_cause = of_cause(state, cause, None, limit.saturating_sub(found.len()))?;
        found.extend(of_cause.into_iter().take_while(|one| one.due_height <= now));
    }
    Ok(found)
}

/// Scheduled audits of a cause after another one, the oldest first, at most `limit`.
pub(super) fn of_cause(
    state: &State,
    cause: AuditCause,
    after: Option<Scheduled>,
    limit: usize,
) -> Result<Vec<Scheduled>> {
    let (queue, after) = (keys::queue(cause), after.map(|after| after.key()));
    let after = after.as_ref().map(String::as_bytes);
    let entries = state.scan(queue, after, limit)?;
    entries
        .into_iter()
        .map(|(key, _)| {
            let (due_height, task) = tasks::parse_queued(queue, &key)?;
            Ok(Scheduled {
                cause,
                due_height,
                task,
            })
        })
        .collect()
}

/// A scheduled audit with all inputs of its reference scores.
#[derive(Clone, Debug)]
pub struct Case {
    /// The earliest height at whose end the result is used.
    pub due_height: u64,
    /// The audited task.
    pub task: u64,
    /// The user's prompt.
    pub prompt: String,
    /// The inference node's answer.
    pub answer: String,
    /// The evaluator models of the committee, by id.
    pub models: BTreeMap<String, EvaluatorModel>,
}

impl Case {
    /// Reads an audit's inputs from a state in which its task is settled.
    pub fn read(state: &State, due_height: u64, id: u64) -> Result<Self> {
        let task = tasks::get(state, id)?;
        let committee = task.committees.last();
        let (TaskStatus::Settled, Some(committee)) = (task.status(), committee) else {
            return Err(Error::broken(format!(
                "task {id} is to be audited but not settled"
            )));
        };
        let mut models = BTreeMap::new();
        for seat in committee.seats.iter().filter(|seat| seat.reveal.is_some()) {
            let model = models::evaluator_model(state, &seat.evaluator_model)?;
            models.insert(model.id.clone(), model);
        }
        let (prompt, answer) = tasks::texts(state, id)?;
        Ok(Self {
            due_height,
            task: id,
            prompt,
            answer,
            models,
        })
    }
}
