//! How a task gets from one phase to the next; `due.rs` says when.

use poq_proto::v1::{Payout, RefundReason, Role, Seat, Settlement, Task, TaskStatus};
use poq_proto::{code, event};

use super::aggregate::{aggregate, opinions, quorum};
use super::settlement::{Bill, delivered_part, split};
use super::{
    await_draw, committee_attempt, compact, current_committee, draw, enter, get, keys, put,
};
use crate::address::Address;
use crate::error::{Result, reject};
use crate::execution::Execution;
use crate::modules::audits::{self, verdict};
use crate::modules::{bank, nodes};

/// Answers that may be shorter than this, bytes, say too little of a node: they leave its reputation
/// as it is, since the user chose the length.
const TELLING_BYTES: u32 = 512;

/// Module account that collects the protocol's share.
pub const PROTOCOL_ACCOUNT: &str = "protocol";

/// Ends the phase of a task that is due. A task that needs a draw after this phase waits for the
/// next block.
pub fn advance(x: &mut Execution<'_>, id: u64) -> Result<()> {
    let mut task = get(x.state, id)?;
    match task.status() {
        TaskStatus::Assigned => miss_answer(x, &mut task)?,
        TaskStatus::Committing => close_commits(x, &mut task)?,
        TaskStatus::Revealing => close_reveals(x, &mut task)?,
        TaskStatus::Settled => pay_out(x, &mut task)?,
        status => reject!(
            code::INTERNAL,
            "task {id} is {} and cannot be moved on",
            status.as_str_name()
        ),
    }
    put(x.state, &task)
}

/// Draws who is to work on a task next. Nothing here may change a weight.
pub fn draw(x: &mut Execution<'_>, id: u64) -> Result<()> {
    let mut task = get(x.state, id)?;
    match task.status() {
        TaskStatus::Submitted => assign(x, &mut task)?,
        TaskStatus::Answered => seat_committee(x, &mut task)?,
        status => reject!(
            code::INTERNAL,
            "task {id} is {} and needs nobody",
            status.as_str_name()
        ),
    }
    put(x.state, &task)
}

fn assign(x: &mut Execution<'_>, task: &mut Task) -> Result<()> {
    let Some(assignment) = draw::inference_node(x, task)? else {
        return refund(x, task, RefundReason::NoInferenceNode);
    };
    let due = x.block.height.saturating_add(x.block.params.answer_window);
    nodes::begin_duty(x.state, Role::Inference, &assignment.operator)?;
    x.state
        .mark(keys::duty(Role::Inference, &assignment.operator, task.id))?;
    x.emit(
        event::TASK_ASSIGNED,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::NODE, &assignment.operator),
            (event::ATTEMPT, &task.assignments.len()),
            (event::DUE_HEIGHT, &due),
        ],
    );
    task.assignments.push(assignment);
    enter(x, task, TaskStatus::Assigned, due)
}

fn miss_answer(x: &mut Execution<'_>, task: &mut Task) -> Result<()> {
    let attempts = task.assignments.len();
    let Some(assignment) = task.assignments.last_mut() else {
        reject!(code::INTERNAL, "task {} has no inference node", task.id);
    };
    assignment.missed = true;
    let operator = assignment.operator.clone();
    x.state
        .delete(keys::duty(Role::Inference, &operator, task.id))?;
    let slash = x.block.params.slash_no_answer;
    nodes::miss_duty(x, Role::Inference, &operator, task.id, slash, "no_answer")?;
    if attempts < x.block.params.max_inference_attempts as usize {
        await_draw(x, task, TaskStatus::Submitted)
    } else {
        refund(x, task, RefundReason::NoAnswer)
    }
}

fn seat_committee(x: &mut Execution<'_>, task: &mut Task) -> Result<()> {
    let committee = draw::committee(x, task)?;
    if committee.seats.len() < quorum(x.block.params.committee_size as usize) {
        return refund(x, task, RefundReason::NoCommittee);
    }
    let attempt = task.committees.len();
    let due = x.block.height.saturating_add(x.block.params.commit_window);
    for seat in &committee.seats {
        nodes::begin_duty(x.state, Role::Evaluator, &seat.operator)?;
        x.state
            .mark(keys::duty(Role::Evaluator, &seat.operator, task.id))?;
        x.emit(
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
    task.committees.push(committee);
    enter(x, task, TaskStatus::Committing, due)
}

fn close_commits(x: &mut Execution<'_>, task: &mut Task) -> Result<()> {
    let slash = x.block.params.slash_no_commit;
    let committed = |seat: &Seat| !seat.commitment.is_empty();
    let present = punish_silent(x, task, committed, |_| true, slash, "no_commit")?;
    if !present {
        return redraw_committee(x, task, committed);
    }
    let due = x.block.height.saturating_add(x.block.params.reveal_window);
    let attempt = committee_attempt(task);
    let (id, now) = (task.id, x.block.height);
    let committee = current_committee(task)?;
    committee.reveal_height = now;
    for seat in committee.seats.iter().filter(|seat| committed(seat)) {
        x.state
            .mark(keys::duty(Role::Evaluator, &seat.operator, id))?;
    }
    x.emit(
        event::TASK_REVEALING,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::ATTEMPT, &attempt),
            (event::DUE_HEIGHT, &due),
        ],
    );
    enter(x, task, TaskStatus::Revealing, due)
}

fn close_reveals(x: &mut Execution<'_>, task: &mut Task) -> Result<()> {
    let slash = x.block.params.slash_no_reveal;
    let revealed = |seat: &Seat| seat.reveal.is_some();
    let committed = |seat: &Seat| !seat.commitment.is_empty();
    if punish_silent(x, task, revealed, committed, slash, "no_reveal")? {
        settle(x, task)
    } else {
        redraw_committee(x, task, revealed)
    }
}

/// Slashes the seats that were expected to act and did not; tells whether the others are a quorum.
fn punish_silent(
    x: &mut Execution<'_>,
    task: &mut Task,
    acted: impl Fn(&Seat) -> bool,
    expected: impl Fn(&Seat) -> bool,
    slash: u32,
    reason: &str,
) -> Result<bool> {
    let id = task.id;
    let seats = &current_committee(task)?.seats;
    for seat in seats.iter().filter(|seat| expected(seat) && !acted(seat)) {
        x.state
            .delete(keys::duty(Role::Evaluator, &seat.operator, id))?;
        nodes::miss_duty(x, Role::Evaluator, &seat.operator, id, slash, reason)?;
    }
    let present = seats.iter().filter(|seat| acted(seat)).count();
    Ok(present >= quorum(seats.len()))
}

/// Releases who did act and asks another committee, or gives up.
fn redraw_committee(
    x: &mut Execution<'_>,
    task: &mut Task,
    acted: impl Fn(&Seat) -> bool,
) -> Result<()> {
    for seat in current_committee(task)?
        .seats
        .iter()
        .filter(|seat| acted(seat))
    {
        nodes::release_duty(x.state, Role::Evaluator, &seat.operator)?;
    }
    if task.committees.len() < x.block.params.max_committee_attempts as usize {
        await_draw(x, task, TaskStatus::Answered)
    } else {
        refund(x, task, RefundReason::NoQuorum)
    }
}

fn settle(x: &mut Execution<'_>, task: &mut Task) -> Result<()> {
    let params = &x.block.params;
    let committee = current_committee(task)?.clone();
    let quality = aggregate(params.aggregation(), &opinions(&committee));
    let Some(answer) = &task.answer else {
        reject!(code::INTERNAL, "task {} settles without an answer", task.id);
    };
    let amounts = split(&Bill::of(params, task, &committee, quality))?;
    let seat_payout = |operator: &str, amount| -> Result<Payout> {
        Ok(Payout {
            operator: operator.to_owned(),
            payout: nodes::payout_account(x.state, Role::Evaluator, operator)?,
            amount,
        })
    };
    let final_height = x.block.height.saturating_add(params.audit_window);
    let settlement = Settlement {
        quality,
        price: amounts.price,
        inference: Some(Payout {
            operator: answer.operator.clone(),
            payout: answer.payout.clone(),
            amount: amounts.inference,
        }),
        evaluators: committee
            .seats
            .iter()
            .zip(amounts.evaluators)
            .map(|(seat, amount)| seat_payout(&seat.operator, amount))
            .collect::<Result<_>>()?,
        protocol: amounts.protocol,
        refund: amounts.refund,
        height: x.block.height,
        final_height,
        audit_probability: audits::probability(params, amounts.price, &committee),
    };
    x.emit(
        event::TASK_SETTLED,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::QUALITY, &quality),
            (event::PRICE, &settlement.price),
            (event::FINAL_HEIGHT, &final_height),
        ],
    );
    task.settlement = Some(settlement);
    audits::enter(x, task.id)?;
    enter(x, task, TaskStatus::Settled, final_height)
}

fn pay_out(x: &mut Execution<'_>, task: &mut Task) -> Result<()> {
    let Some(settlement) = task.settlement.clone() else {
        reject!(
            code::INTERNAL,
            "task {} is settled without a settlement",
            task.id
        );
    };
    let terms = task.terms.unwrap_or_default();
    let delivered = (task.max_answer_bytes >= TELLING_BYTES)
        .then(|| delivered_part(&terms, settlement.quality));
    if let Some(payout) = &settlement.inference {
        nodes::complete_duty(
            x,
            Role::Inference,
            &payout.operator,
            delivered,
            payout.amount,
        )?;
        pay(x, task.id, payout)?;
    }
    let mut committee = current_committee(task)?.clone();
    if let Some(result) = task.audit.as_ref().and_then(|audit| audit.result.as_ref()) {
        committee = verdict::without_punished(&committee, result);
    }
    for (seat, payout) in committee.seats.iter().zip(&settlement.evaluators) {
        if seat.reveal.is_some() {
            let done = Some(poq_proto::PPM);
            nodes::complete_duty(x, Role::Evaluator, &seat.operator, done, payout.amount)?;
            pay(x, task.id, payout)?;
        }
    }
    let (prefix, denom) = (&x.block.params.bech32_prefix, &x.block.params.denom);
    let protocol = Address::of_module(PROTOCOL_ACCOUNT, prefix)?;
    bank::credit(x.state, &protocol, denom, settlement.protocol.into())?;
    end(x, task, TaskStatus::Final, settlement.refund)?;
    x.emit(
        event::TASK_FINAL,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::QUALITY, &settlement.quality),
        ],
    );
    Ok(())
}

fn pay(x: &mut Execution<'_>, task: u64, payout: &Payout) -> Result<()> {
    if payout.amount == 0 {
        return Ok(());
    }
    let (prefix, denom) = (&x.block.params.bech32_prefix, &x.block.params.denom);
    let account = Address::parse(&payout.payout, prefix)?;
    bank::credit(x.state, &account, denom, payout.amount.into())?;
    x.emit(
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

/// Ends a task without a quality: the whole escrow returns to the user.
pub fn refund(x: &mut Execution<'_>, task: &mut Task, reason: RefundReason) -> Result<()> {
    if let Some(answer) = &task.answer {
        nodes::release_duty(x.state, Role::Inference, &answer.operator)?;
    }
    task.set_refund_reason(reason);
    x.emit(
        event::TASK_REFUNDED,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::REASON, &reason.as_str_name()),
        ],
    );
    let escrow = task.escrow;
    end(x, task, TaskStatus::Refunded, escrow)
}

/// Gives the user what is left, and forgets everything but the record; in time most of that too.
fn end(x: &mut Execution<'_>, task: &mut Task, status: TaskStatus, to_user: u64) -> Result<()> {
    let user = Address::parse(&task.user, &x.block.params.bech32_prefix)?;
    bank::credit(x.state, &user, &x.block.params.denom, to_user.into())?;
    let open = x.state.get_u64(keys::open(&task.user))?.unwrap_or(0);
    match open.saturating_sub(1) {
        0 => x.state.delete(keys::open(&task.user))?,
        rest => x.state.put_u64(keys::open(&task.user), rest)?,
    }
    x.state.delete(keys::due(task.due_height, task.id))?;
    x.state.delete_payload(keys::prompt(task.id))?;
    x.state.delete_payload(keys::answer(task.id))?;
    task.set_status(status);
    task.updated_height = x.block.height;
    compact::schedule(x, task.id)
}
