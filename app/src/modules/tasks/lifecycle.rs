//! The transitions of a task from one phase to the next; `due.rs` decides when.

use poq_proto::event;
use poq_proto::v1::{Committee, Payout, RefundReason, Role, Seat, Settlement, Task, TaskStatus};

use super::aggregate::{aggregate, opinions};
use super::audit_risk::audit_probability;
use super::due::Settled;
use super::leaf::EndedLeaf;
use super::reveals::without_punished;
use super::settlement::{Bill, at_stake, price_of, returned, split};
use super::{
    await_draw, committee_attempt, compact, current_committee, draw, enter, get, keys, leave_queue,
    put, reschedule,
};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::modules::nodes::Duty;
use crate::modules::params::{DRAW_RETRY, quorum};
use crate::modules::{bank, nodes};

/// If `max_answer_bytes` is below this, the quality does not change the node's reputation: the user
/// chose the length, so a short answer says too little about the node.
const TELLING_BYTES: u32 = 512;

/// What a step did that others act on.
pub(super) enum Step {
    /// The task is settled.
    Settled(Settled),
    /// The task of a session's leaf is over.
    Ended(EndedLeaf),
    /// Anything else.
    Other,
}

/// Ends the phase of a task that is due. A task that then needs a draw waits for the next block.
pub(super) fn advance(ctx: &mut Execution<'_>, id: u64) -> Result<Step> {
    let mut task = get(ctx.state, id)?;
    let mut settled = None;
    match task.status() {
        TaskStatus::Assigned => miss_answer(ctx, &mut task)?,
        TaskStatus::Committing => close_commits(ctx, &mut task)?,
        TaskStatus::Revealing => settled = close_reveals(ctx, &mut task)?,
        TaskStatus::Settled => pay_out(ctx, &mut task)?,
        status => {
            let status = status.as_str_name();
            let log = format!("task {id} is {status} and cannot advance");
            return Err(Error::Broken(log));
        }
    }
    put(ctx.state, &task)?;
    Ok(match (settled, EndedLeaf::of(&task)) {
        (Some(settled), _) => Step::Settled(settled),
        (None, Some(leaf)) => Step::Ended(leaf),
        (None, None) => Step::Other,
    })
}

/// The result of a draw.
pub(super) enum Draw {
    /// These operators got a duty.
    Nodes(Role, Vec<String>),
    /// Too few nodes have room; the task tries again.
    NoRoom,
    /// Too few nodes have room and the task has waited too long: [`give_up`] must end it.
    GivenUp,
}

/// Draws the nodes that work on a task next. Nothing here may change a weight.
pub(super) fn draw(ctx: &mut Execution<'_>, id: u64) -> Result<Draw> {
    let mut task = get(ctx.state, id)?;
    let drawn = match task.status() {
        TaskStatus::Submitted => assign(ctx, &mut task)?,
        TaskStatus::Answered => seat_committee(ctx, &mut task)?,
        status => {
            let status = status.as_str_name();
            return Err(Error::Broken(format!(
                "task {id} is {status} and needs no draw"
            )));
        }
    };
    put(ctx.state, &task)?;
    Ok(drawn)
}

/// Ends a task for which no node had room during the whole window of the phase that it waits for.
/// Returns the leaf whose task it was, if any.
pub(super) fn give_up(ctx: &mut Execution<'_>, id: u64) -> Result<Option<EndedLeaf>> {
    let mut task = get(ctx.state, id)?;
    let reason = match task.status() {
        TaskStatus::Submitted => RefundReason::NoInferenceNode,
        _ => RefundReason::NoCommittee,
    };
    refund(ctx, &mut task, reason)?;
    put(ctx.state, &task)?;
    Ok(EndedLeaf::of(&task))
}

fn wait_for_room(ctx: &mut Execution<'_>, task: &mut Task, patience: u64) -> Result<Draw> {
    let now = ctx.block.height;
    if now > task.updated_height.saturating_add(patience) {
        return Ok(Draw::GivenUp);
    }
    reschedule(ctx, task, now.saturating_add(DRAW_RETRY))?;
    Ok(Draw::NoRoom)
}

fn assign(ctx: &mut Execution<'_>, task: &mut Task) -> Result<Draw> {
    let Some(assignment) = draw::inference_node(ctx, task)? else {
        return wait_for_room(ctx, task, ctx.block.params.answer_window);
    };
    let due = ctx
        .block
        .height
        .saturating_add(ctx.block.params.answer_window);
    nodes::begin_duty(ctx, Duty::of_inference(&assignment.operator))?;
    ctx.state
        .mark(keys::duty(Role::Inference, &assignment.operator, task.id))?;
    ctx.emit(
        event::TASK_ASSIGNED,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::NODE, &assignment.operator),
            (event::ATTEMPT, &task.assignments.len()),
            (event::DUE_HEIGHT, &due),
        ],
    );
    let drawn = vec![assignment.operator.clone()];
    task.assignments.push(assignment);
    enter(ctx, task, TaskStatus::Assigned, due)?;
    Ok(Draw::Nodes(Role::Inference, drawn))
}

fn miss_answer(ctx: &mut Execution<'_>, task: &mut Task) -> Result<()> {
    let Some(assignment) = task.assignments.last_mut() else {
        return Err(without(task, "an inference node"));
    };
    assignment.missed = true;
    assignment.missed_height = ctx.block.height;
    let operator = assignment.operator.clone();
    ctx.state
        .delete(keys::duty(Role::Inference, &operator, task.id))?;
    let (slash, duty) = (
        ctx.block.params.slash_no_answer,
        Duty::of_inference(&operator),
    );
    assignment.excused = nodes::miss_duty(ctx, duty, task.id, slash, "no_answer")?;
    let excused = task.assignments.iter().map(|assignment| assignment.excused);
    if may_try_again(excused, ctx.block.params.max_inference_attempts) {
        await_draw(ctx, task, TaskStatus::Submitted)
    } else {
        refund(ctx, task, RefundReason::NoAnswer)
    }
}

/// Whether a task gets another attempt: it has `limit` attempts, and up to as many again in place
/// of excused ones, whose nodes were jailed or leaving.
fn may_try_again(excused: impl ExactSizeIterator<Item = bool>, limit: u32) -> bool {
    let (attempts, limit) = (excused.len(), limit as usize);
    let excused = excused.filter(|excused| *excused).count();
    attempts.saturating_sub(excused.min(limit)) < limit
}

fn seat_committee(ctx: &mut Execution<'_>, task: &mut Task) -> Result<Draw> {
    let Some(committee) = draw::committee(ctx, task)? else {
        return wait_for_room(ctx, task, ctx.block.params.commit_window);
    };
    let attempt = task.committees.len();
    let due = ctx
        .block
        .height
        .saturating_add(ctx.block.params.commit_window);
    for seat in &committee.seats {
        nodes::begin_duty(ctx, seat_duty(&committee, seat))?;
        ctx.state
            .mark(keys::duty(Role::Evaluator, &seat.operator, task.id))?;
        ctx.emit(
            event::TASK_SEATED,
            &[
                (event::TASK, &task.id),
                (event::USER, &task.user),
                (event::NODE, &seat.operator),
                (event::ATTEMPT, &attempt),
                (event::DUE_HEIGHT, &due),
            ],
        );
    }
    let seats = committee.seats.iter();
    let drawn = seats.map(|seat| seat.operator.clone()).collect();
    task.committees.push(committee);
    enter(ctx, task, TaskStatus::Committing, due)?;
    Ok(Draw::Nodes(Role::Evaluator, drawn))
}

/// The duty of a seat.
pub fn seat_duty<'a>(committee: &Committee, seat: &'a Seat) -> Duty<'a> {
    Duty {
        role: Role::Evaluator,
        operator: &seat.operator,
        expected_audits: committee.expected_audits,
    }
}

fn close_commits(ctx: &mut Execution<'_>, task: &mut Task) -> Result<()> {
    let slash = ctx.block.params.slash_no_commit;
    let committed = |seat: &Seat| !seat.commitment.is_empty();
    if !punish_silent(ctx, task, committed, |_| true, slash, "no_commit")? {
        for seat in &current_committee(task)?.seats {
            if committed(seat) {
                nodes::finish_work(ctx, Role::Evaluator, &seat.operator)?;
            }
        }
        return redraw_committee(ctx, task, committed);
    }
    let due = ctx
        .block
        .height
        .saturating_add(ctx.block.params.reveal_window);
    let attempt = committee_attempt(task);
    let (id, now) = (task.id, ctx.block.height);
    let committee = current_committee(task)?;
    committee.reveal_height = now;
    for seat in committee.seats.iter().filter(|seat| committed(seat)) {
        ctx.state
            .mark(keys::duty(Role::Evaluator, &seat.operator, id))?;
    }
    ctx.emit(
        event::TASK_REVEALING,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::ATTEMPT, &attempt),
            (event::DUE_HEIGHT, &due),
        ],
    );
    enter(ctx, task, TaskStatus::Revealing, due)
}

fn close_reveals(ctx: &mut Execution<'_>, task: &mut Task) -> Result<Option<Settled>> {
    let slash = ctx.block.params.slash_no_reveal;
    let revealed = |seat: &Seat| seat.reveal.is_some();
    let committed = |seat: &Seat| !seat.commitment.is_empty();
    if punish_silent(ctx, task, revealed, committed, slash, "no_reveal")? {
        return settle(ctx, task).map(Some);
    }
    redraw_committee(ctx, task, revealed)?;
    Ok(None)
}

/// Slashes the seats that were expected to act and did not. Returns whether the others are a
/// quorum.
fn punish_silent(
    ctx: &mut Execution<'_>,
    task: &mut Task,
    acted: impl Fn(&Seat) -> bool,
    expected: impl Fn(&Seat) -> bool,
    slash: u32,
    reason: &str,
) -> Result<bool> {
    let id = task.id;
    let committee = current_committee(task)?;
    let seats = &committee.seats;
    let mut excused = 0_usize;
    for seat in seats.iter().filter(|seat| expected(seat) && !acted(seat)) {
        ctx.state
            .delete(keys::duty(Role::Evaluator, &seat.operator, id))?;
        let duty = seat_duty(committee, seat);
        if nodes::miss_duty(ctx, duty, id, slash, reason)? {
            excused = excused.saturating_add(1);
        }
    }
    let present = seats.iter().filter(|seat| acted(seat)).count();
    let quorum = quorum(seats.len());
    if present < quorum {
        committee.failed_height = ctx.block.height;
        committee.excused = present.saturating_add(excused) >= quorum;
    }
    Ok(present >= quorum)
}

/// Releases the seats that did act, and requests another committee or gives up.
fn redraw_committee(
    ctx: &mut Execution<'_>,
    task: &mut Task,
    acted: impl Fn(&Seat) -> bool,
) -> Result<()> {
    let committee = current_committee(task)?;
    for seat in committee.seats.iter().filter(|seat| acted(seat)) {
        nodes::release_duty(ctx, seat_duty(committee, seat))?;
    }
    let excused = task.committees.iter().map(|committee| committee.excused);
    if may_try_again(excused, ctx.block.params.max_committee_attempts) {
        await_draw(ctx, task, TaskStatus::Answered)
    } else {
        refund(ctx, task, RefundReason::NoQuorum)
    }
}

fn settle(ctx: &mut Execution<'_>, task: &mut Task) -> Result<Settled> {
    let params = &ctx.block.params;
    let committee = current_committee(task)?.clone();
    let quality = aggregate(params.aggregation(), &opinions(&committee));
    let Some(answer) = &task.answer else {
        return Err(without(task, "an answer"));
    };
    let inference = |amount| Payout {
        operator: answer.operator.clone(),
        payout: answer.payout.clone(),
        amount,
    };
    let amounts = split(&Bill::of(params, task, &committee, quality))?;
    let seat_payout = |operator: &str, amount| -> Result<Payout> {
        Ok(Payout {
            operator: operator.to_owned(),
            payout: nodes::payout_account(ctx.state, Role::Evaluator, operator)?,
            amount,
        })
    };
    let final_height = ctx.block.height.saturating_add(params.audit_window);
    let settlement = Settlement {
        quality,
        price: amounts.price,
        // The node of a leaf is paid with its session.
        inference: task.leaf.is_none().then(|| inference(amounts.inference)),
        evaluators: committee
            .seats
            .iter()
            .zip(amounts.evaluators)
            .map(|(seat, amount)| seat_payout(&seat.operator, amount))
            .collect::<Result<_>>()?,
        protocol: amounts.protocol,
        refund: amounts.refund,
        height: ctx.block.height,
        final_height,
        audit_probability: audit_probability(params, at_stake(task), &committee),
    };
    ctx.emit(
        event::TASK_SETTLED,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::QUALITY, &quality),
            (event::PRICE, &settlement.price),
            (event::FINAL_HEIGHT, &final_height),
        ],
    );
    let settled = Settled {
        task: task.id,
        audit_probability: settlement.audit_probability,
    };
    task.settlement = Some(settlement);
    enter(ctx, task, TaskStatus::Settled, final_height)?;
    Ok(settled)
}

fn without(task: &Task, part: &str) -> Error {
    let status = task.status().as_str_name();
    Error::broken(format!("task {} is {status} without {part}", task.id))
}

fn pay_out(ctx: &mut Execution<'_>, task: &mut Task) -> Result<()> {
    let Some(settlement) = task.settlement.clone() else {
        return Err(without(task, "a settlement"));
    };
    let terms = task.terms.unwrap_or_default();
    let delivered =
        (task.max_answer_bytes >= TELLING_BYTES).then(|| terms.delivered_part(settlement.quality));
    if let Some(payout) = &settlement.inference {
        let duty = Duty::of_inference(&payout.operator);
        nodes::complete_duty(ctx, duty, delivered, payout.amount)?;
        pay(ctx, task.id, payout)?;
    }
    let mut committee = current_committee(task)?.clone();
    if let Some(result) = task.audit.as_ref().and_then(|audit| audit.result.as_ref()) {
        committee = without_punished(&committee, result);
    }
    for (seat, payout) in committee.seats.iter().zip(&settlement.evaluators) {
        if seat.reveal.is_some() {
            let done = Some(poq_proto::PPM);
            nodes::complete_duty(ctx, seat_duty(&committee, seat), done, payout.amount)?;
            pay(ctx, task.id, payout)?;
        }
    }
    bank::pay_protocol(ctx, settlement.protocol)?;
    end(ctx, task, TaskStatus::Final, settlement.refund)?;
    ctx.emit(
        event::TASK_FINAL,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::QUALITY, &settlement.quality),
        ],
    );
    Ok(())
}

pub(super) fn pay(ctx: &mut Execution<'_>, task: u64, payout: &Payout) -> Result<()> {
    if payout.amount == 0 {
        return Ok(());
    }
    bank::pay(ctx, &payout.payout, payout.amount)?;
    ctx.emit(
        event::NODE_PAID,
        &[
            (event::TASK, &task),
            (event::NODE, &payout.operator),
            (event::PAYOUT, &payout.payout),
            (event::AMOUNT, &payout.amount),
        ],
    );
    Ok(())
}

/// Ends a task without a quality. The escrow returns to the user; if there is an answer that nobody
/// judged, half of its price goes to its node. So neither the user nor the node gains more than
/// half of a price by keeping evaluators silent (`params::max_price`). A leaf without a quality does
/// not count in its session.
pub(super) fn refund(ctx: &mut Execution<'_>, task: &mut Task, reason: RefundReason) -> Result<()> {
    task.set_refund_reason(reason);
    ctx.emit(
        event::TASK_REFUNDED,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::REASON, &reason.as_str_name()),
        ],
    );
    if let (Some(answer), None) = (&task.answer, task.leaf) {
        task.unjudged_pay = price_of(task) / 2;
        let payout = Payout {
            operator: answer.operator.clone(),
            payout: answer.payout.clone(),
            amount: task.unjudged_pay,
        };
        let duty = Duty::of_inference(&payout.operator);
        nodes::complete_duty(ctx, duty, None, payout.amount)?;
        pay(ctx, task.id, &payout)?;
    }
    end(ctx, task, TaskStatus::Refunded, returned(task))
}

/// Pays the rest of the escrow to the user and deletes everything but the record, which becomes
/// compact later.
fn end(ctx: &mut Execution<'_>, task: &mut Task, status: TaskStatus, to_user: u64) -> Result<()> {
    bank::pay(ctx, &task.user, to_user)?;
    if task.leaf.is_none() {
        ctx.state.count_down(keys::open(&task.user))?;
    }
    leave_queue(ctx, task)?;
    ctx.state.delete_payload(keys::prompt(task.id))?;
    ctx.state.delete_payload(keys::answer(task.id))?;
    task.set_status(status);
    task.updated_height = ctx.block.height;
    compact::schedule(ctx, task.id)
}
