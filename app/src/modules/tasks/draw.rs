//! The draws of a task: one inference node, then a committee of evaluators.

use std::collections::BTreeSet;

use poq_proto::code;
use poq_proto::v1::{Assignment, Committee, Model, Node, Role, Seat, Task, WeightedEvaluatorModel};

use super::audit_risk::expected_audits;
use super::settlement::at_stake;
use crate::error::{Error, Result, ensure};
use crate::execution::Execution;
use crate::modules::nodes::{self, Work};
use crate::modules::params::quorum;
use crate::selection::RandomStream;

/// Draws an inference node that has not missed the task before. None if no other node serves the
/// model, or if earlier draws of this block have filled the drawn node.
pub(super) fn inference_node(ctx: &Execution<'_>, task: &Task) -> Result<Option<Assignment>> {
    let excluded = excluded_nodes(ctx, task)?;
    let mut stream = stream(ctx, task, Role::Inference, task.assignments.len());
    let node = nodes::draw(
        ctx.state,
        &mut stream,
        Work::Duties(Role::Inference),
        &task.model,
        &excluded,
    )?;
    let node = node.filter(|node| nodes::has_room(&ctx.block.params, node));
    Ok(node.map(|node| Assignment {
        operator: node.operator,
        height: ctx.block.height,
        beacon: ctx.block.beacon.to_vec(),
        ..Assignment::default()
    }))
}

/// Draws up to `committee_size` evaluators. The user, the operator that answered, the account that
/// is paid for the answer, and evaluators that were silent in an earlier committee of the task get
/// no seat. None if there are fewer than a quorum, or if earlier draws of this block have filled
/// one of them: a replacement could not be verified from the weights of the height before.
pub(super) fn committee(ctx: &Execution<'_>, task: &Task) -> Result<Option<Committee>> {
    let mut excluded = excluded_evaluators(ctx, task)?;
    let mut stream = stream(ctx, task, Role::Evaluator, task.committees.len());
    let mut choices = task.evaluator_models.clone();
    let mut seats = Vec::new();
    while seats.len() < ctx.block.params.committee_size as usize && !choices.is_empty() {
        let model = evaluator_model(&choices, &mut stream)?.to_owned();
        match draw_evaluator(ctx, &model, &mut stream, &mut excluded)? {
            Some(node) if !nodes::has_room(&ctx.block.params, &node) => return Ok(None),
            Some(node) => seats.push(Seat {
                weight: nodes::capped_stake(ctx, &node),
                operator: node.operator,
                evaluator_model: model,
                ..Seat::default()
            }),
            // No evaluator of this model is left.
            None => choices.retain(|choice| choice.id != model),
        }
    }
    if seats.len() < quorum(ctx.block.params.committee_size as usize) {
        return Ok(None);
    }
    let expected_audits = expected_audits(&ctx.block.params, at_stake(task), &seats);
    Ok(Some(Committee {
        height: ctx.block.height,
        beacon: ctx.block.beacon.to_vec(),
        seats,
        expected_audits,
        ..Committee::default()
    }))
}

/// Refuses what no committee could judge, before a node works on it.
pub fn require_committee(ctx: &Execution<'_>, user: &str, model: &Model) -> Result<()> {
    let needed = quorum(ctx.block.params.committee_size as usize);
    let excluded = nodes::slots_of(ctx.state, Role::Evaluator, &[user])?;
    let mut eligible = BTreeSet::new();
    for evaluator in &model.evaluator_models {
        let most = needed.saturating_add(excluded.len());
        let slots = nodes::slots(
            ctx.state,
            Work::Duties(Role::Evaluator),
            &evaluator.id,
            most,
        )?;
        eligible.extend(slots.into_iter().filter(|slot| !excluded.contains(slot)));
    }
    ensure!(
        eligible.len() >= needed,
        code::NO_NODES,
        "{} evaluators that may judge an answer of model {} have room, {needed} are needed; try again later",
        eligible.len(),
        model.id
    );
    Ok(())
}

/// The slots of the inference nodes that missed the task.
pub(super) fn excluded_nodes(ctx: &Execution<'_>, task: &Task) -> Result<BTreeSet<u64>> {
    let tried: Vec<&str> = task
        .assignments
        .iter()
        .map(|assignment| assignment.operator.as_str())
        .collect();
    nodes::slots_of(ctx.state, Role::Inference, &tried)
}

fn draw_evaluator(
    ctx: &Execution<'_>,
    evaluator_model: &str,
    stream: &mut RandomStream,
    excluded: &mut BTreeSet<u64>,
) -> Result<Option<Node>> {
    let drawn = nodes::draw(
        ctx.state,
        stream,
        Work::Duties(Role::Evaluator),
        evaluator_model,
        excluded,
    )?;
    excluded.extend(drawn.as_ref().map(|node| node.slot));
    Ok(drawn)
}

fn evaluator_model<'m>(
    choices: &'m [WeightedEvaluatorModel],
    stream: &mut RandomStream,
) -> Result<&'m str> {
    let total: u128 = choices.iter().map(|choice| u128::from(choice.weight)).sum();
    let mut point = stream.below(total);
    for choice in choices {
        match point.checked_sub(choice.weight.into()) {
            Some(rest) => point = rest,
            None => return Ok(&choice.id),
        }
    }
    Err(Error::broken("a task without evaluator models"))
}

/// The slots of the evaluators that must not judge the task.
pub(super) fn excluded_evaluators(ctx: &Execution<'_>, task: &Task) -> Result<BTreeSet<u64>> {
    let mut accounts = vec![task.user.clone()];
    if let Some(answer) = &task.answer {
        accounts.extend([answer.operator.clone(), answer.payout.clone()]);
    }
    for committee in &task.committees {
        let silent = committee
            .seats
            .iter()
            .filter(|seat| is_silent(committee, seat));
        accounts.extend(silent.map(|seat| seat.operator.clone()));
    }
    let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
    nodes::slots_of(ctx.state, Role::Evaluator, &accounts)
}

/// Whether a seat of a failed committee was silent in the phase in which the committee failed.
fn is_silent(committee: &Committee, seat: &Seat) -> bool {
    if committee.reveal_height == 0 {
        seat.commitment.is_empty()
    } else {
        seat.reveal.is_none()
    }
}

fn stream(ctx: &Execution<'_>, task: &Task, role: Role, attempt: usize) -> RandomStream {
    let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
    RandomStream::new(&ctx.block.beacon, task.id, role, attempt)
}
