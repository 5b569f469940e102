//! Applies the results of audits.

use std::collections::BTreeMap;

use poq_proto::event;
use poq_proto::v1::{AuditCause, AuditPenalty, AuditResult, Task};

use super::schedule::{Case, due};
use super::{Auditor, verdict};
use crate::arithmetic::{share, sum};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::modules::tasks::aggregate::{aggregate, opinions};
use crate::modules::tasks::reveals::without_punished;
use crate::modules::{bank, nodes, tasks};

/// Applies the results of the audits that are due, at most `max_audits_per_block`: drawn audits
/// before challenges, so that nobody can buy a liar time, the oldest first. It waits for scores
/// that are not computed yet.
pub fn conclude_due(ctx: &mut Execution<'_>, auditor: &Auditor) -> Result<()> {
    let limit = ctx.block.params.max_audits_per_block as usize;
    let mut cases = Vec::new();
    for audit in due(ctx.state, ctx.block.height, limit)? {
        ctx.state.delete(audit.key())?;
        match Case::read(ctx.state, audit.due_height, audit.task) {
            Ok(case) => cases.push(case),
            Err(error) if error.is_deterministic() => set_aside(ctx, audit.task, &error),
            Err(error) => return Err(error),
        }
    }
    let mut scores = auditor.scores(&cases)?;
    for case in cases {
        let scores = scores.remove(&case.task).unwrap_or_default();
        match ctx.attempt(|ctx| conclude(ctx, &case, &scores)) {
            Err(error) if error.is_deterministic() => set_aside(ctx, case.task, &error),
            outcome => outcome?,
        }
    }
    Ok(())
}

/// Sets a task aside whose audit fails through a bug of this application. The chain continues
/// without the task; its money stays and everyone can see it.
fn set_aside(ctx: &mut Execution<'_>, id: u64, error: &Error) {
    tracing::error!(task = id, log = %error, "the audit of a task cannot be concluded");
    ctx.emit(event::TASK_SET_ASIDE, &[(event::TASK, &id)]);
}

fn conclude(
    ctx: &mut Execution<'_>,
    case: &Case,
    scores: &BTreeMap<String, Option<i32>>,
) -> Result<()> {
    let mut task = tasks::get(ctx.state, case.task)?;
    let references = verdict::references(&case.models, scores);
    let mut result = AuditResult {
        height: ctx.block.height,
        settled_quality: task.settlement.as_ref().map_or(0, |one| one.quality),
        ..AuditResult::default()
    };
    let committee = tasks::current_committee(&mut task)?.clone();
    for seat in &committee.seats {
        if verdict::is_wrong(seat, &references, &case.models) {
            result.penalties.push(AuditPenalty {
                operator: seat.operator.clone(),
                amount: nodes::fail_audit(ctx, tasks::seat_duty(&committee, seat), case.task)?,
            });
        }
    }
    let mut quality = result.settled_quality;
    if !result.penalties.is_empty() {
        let judged = verdict::with_references(&committee, &references);
        quality = aggregate(ctx.block.params.aggregation(), &opinions(&judged));
        let paid = without_punished(&committee, &result);
        tasks::settle_again(ctx, &mut task, &paid, quality)?;
    }
    result.scores = references;
    settle_deposit(ctx, &task, &mut result)?;
    ctx.emit(
        event::TASK_AUDITED,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::QUALITY, &quality),
            (event::SETTLED_QUALITY, &result.settled_quality),
            (event::PENALTIES, &result.penalties.len()),
        ],
    );
    if let Some(audit) = &mut task.audit {
        audit.result = Some(result);
    }
    tasks::resume(ctx, &mut task)
}

/// Pays the challenger its part of the slash and the deposit, and burns the rest.
fn settle_deposit(ctx: &mut Execution<'_>, task: &Task, result: &mut AuditResult) -> Result<()> {
    let Some(audit) = &task.audit else {
        return Err(Error::broken(format!("task {} has no audit", task.id)));
    };
    let slashed = sum(result.penalties.iter().map(|penalty| penalty.amount))?;
    let proven = !result.penalties.is_empty();
    let params = &ctx.block.params;
    let challenged = audit.cause() == AuditCause::Challenged;
    if challenged && proven {
        result.reward = share(slashed, params.challenger_share.into());
    }
    let returned = if proven { audit.deposit } else { 0 };
    let lost = audit.deposit.saturating_sub(returned);
    // The reward is a part of the slash.
    result.burnt = sum([slashed.saturating_sub(result.reward), lost])?;
    bank::burn_held(ctx.state, &params.denom, result.burnt.into())?;
    if !challenged {
        return Ok(());
    }
    if proven {
        bank::pay(ctx, &audit.challenger, sum([returned, result.reward])?)?;
    }
    ctx.emit(
        event::CHALLENGE_ENDED,
        &[
            (event::TASK, &task.id),
            (event::CHALLENGER, &audit.challenger),
            (event::AMOUNT, &returned),
            (event::REWARD, &result.reward),
        ],
    );
    Ok(())
}
