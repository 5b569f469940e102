use poq_proto::v1::{
    Assignment, Committee, LeafOfSession, RefundReason, Seat, Task, TaskStatus,
};

use super::audit::audited;
use super::{CHAIN, Draw, Happening, audit_result, fraction};

/// The events of a task, oldest first.
pub(super) fn history(task: &Task, denom: &str) -> Vec<Happening> {
    let mut all = vec![match task.leaf {
        Some(leaf) => revealed(task, leaf, denom),
        None => asked(task, denom),
    }];
    for (attempt, assignment) in task.assignments.iter().enumerate() {
        all.extend(assigned(attempt, assignment));
    }
    let answer = task.answer.as_ref().filter(|_| task.leaf.is_none());
    if let Some(answer) = answer.filter(|answer| answer.height > 0) {
        all.push(Happening::new(
            answer.height,
            &answer.operator,
            format!("answers with {} bytes", answer.bytes),
        ));
    }
    for (attempt, committee) in task.committees.iter().enumerate() {
        all.extend(judged(attempt, committee));
    }
    if let Some(settlement) = &task.settlement {
        all.push(Happening::new(
            settlement.height,
            CHAIN,
            format!(
                "settles with quality {}",
                fraction(
                    audit_result(task).map_or(settlement.quality, |result| result.settled_quality)
                )
            ),
        ));
        if let Some(audit) = &task.audit {
            all.extend(audited(audit, settlement, denom));
        }
    }
    match task.status() {
        TaskStatus::Final => all.push(Happening::new(task.updated_height, CHAIN, "pays out")),
        TaskStatus::Refunded => all.push(Happening::new(
            task.updated_height,
            CHAIN,
            format!("refunds: {}", refund_reason(task.refund_reason())),
        )),
        _ => {}
    }
    all.sort_by_key(|one| one.height);
    all
}

fn asked(task: &Task, denom: &str) -> Happening {
    Happening::new(
        task.submitted_height,
        &task.user,
        format!(
            "asks {} with {} bytes, for an answer of at most {} bytes; {}{denom} are held",
            task.model, task.prompt_bytes, task.max_answer_bytes, task.escrow
        ),
    )
}

/// The beginning of a task that scores an answer of a session. Its node is not in a compact record.
fn revealed(task: &Task, leaf: LeafOfSession, denom: &str) -> Happening {
    let answer = task.answer.as_ref();
    let operator = answer.map_or("", |answer| answer.operator.as_str());
    let who = match operator {
        "" => "the node",
        operator => operator,
    };
    Happening::new(
        task.submitted_height,
        who,
        format!(
            "reveals answer {} of session {} with {} bytes, for {} bytes of prompt; {}{denom} are \
             held for its committee",
            leaf.number,
            leaf.session,
            answer.map_or(0, |answer| answer.bytes),
            task.prompt_bytes,
            task.escrow
        ),
    )
}

fn assigned(attempt: usize, assignment: &Assignment) -> Vec<Happening> {
    let mut all = vec![Happening::new(
        assignment.height,
        &assignment.operator,
        format!("is drawn to answer (inference draw {attempt})"),
    )];
    if assignment.missed {
        all.push(Happening::new(
            assignment.missed_height,
            &assignment.operator,
            "has not answered in its window",
        ));
    }
    all
}

fn judged(attempt: usize, committee: &Committee) -> Vec<Happening> {
    let mut all = Vec::new();
    for seat in &committee.seats {
        all.push(Happening::new(
            committee.height,
            &seat.operator,
            format!(
                "is drawn to judge with {} (evaluator draw {attempt})",
                seat.evaluator_model
            ),
        ));
        all.extend(scored(seat, committee.reveal_height));
    }
    if committee.reveal_height > 0 {
        all.push(Happening::new(
            committee.reveal_height,
            CHAIN,
            "opens the reveal phase",
        ));
    }
    if committee.failed_height > 0 {
        all.push(Happening::new(
            committee.failed_height,
            CHAIN,
            "finds fewer scores than a quorum",
        ));
    }
    all
}

fn scored(seat: &Seat, reveal_height: u64) -> Vec<Happening> {
    let mut all = Vec::new();
    if seat.commit_height > 0 {
        all.push(Happening::new(
            seat.commit_height,
            &seat.operator,
            "commits to its score",
        ));
    } else if reveal_height > 0 {
        all.push(Happening::new(
            reveal_height,
            &seat.operator,
            "has not committed in time",
        ));
    }
    if let Some(reveal) = seat.reveal {
        all.push(Happening::new(
            reveal.height,
            &seat.operator,
            format!(
                "reveals {} micro-logits, quality {}",
                reveal.raw_score,
                fraction(reveal.quality)
            ),
        ));
    }
    all
}

/// The draws of a task.
pub(super) fn draws(task: &Task) -> Vec<Draw> {
    let draw = |role, attempt: usize, height, beacon: &[u8], drawn| Draw {
        role,
        attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
        height,
        beacon: hex::encode(beacon),
        drawn,
        check: format!(
            "poqd query poq draw {} --role {role} --attempt {attempt} --verify",
            task.id
        ),
    };
    let nodes = task.assignments.iter().enumerate().map(|(attempt, one)| {
        let drawn = vec![one.operator.clone()];
        draw("inference", attempt, one.height, &one.beacon, drawn)
    });
    let committees = task.committees.iter().enumerate().map(|(attempt, one)| {
        let drawn = one.seats.iter().map(|seat| seat.operator.clone()).collect();
        draw("evaluator", attempt, one.height, &one.beacon, drawn)
    });
    nodes.chain(committees).collect()
}

/// A reason in words.
pub(super) fn refund_reason(reason: RefundReason) -> &'static str {
    match reason {
        RefundReason::NoInferenceNode => "there was no (other) node to answer it",
        RefundReason::NoAnswer => "no drawn node answered in time",
        RefundReason::NoCommittee => "there were too few evaluators for a committee",
        RefundReason::NoQuorum => "no committee had a quorum of scores",
        RefundReason::Cancelled => "the user cancelled it",
        RefundReason::Unspecified => "no reason is recorded",
    }
}
