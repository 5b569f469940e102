use poq_proto::v1::{
    MsgCommitScores, MsgCommitScoresResponse, MsgRevealScores, MsgRevealScoresResponse, Reveal,
    RevealItem, Role, Seat, Task, TaskStatus,
};
use poq_proto::{calibrate, code, commitment, event};

use super::{
    committee_attempt, current_committee, get, keys, put, require_phase, reschedule, run_batch,
};
use crate::address::Address;
use crate::error::{Result, ensure, reject};
use crate::execution::Execution;
use crate::modules::{models, nodes};

/// `MsgCommitScores`: seated evaluators commit to their scores.
pub fn commit_scores(
    ctx: &mut Execution<'_>,
    message: MsgCommitScores,
) -> Result<MsgCommitScoresResponse> {
    let operator = message.operator;
    let items = message.items.into_iter().map(|item| (item.task_id, item));
    let results = run_batch(ctx, items.collect(), |ctx, id, item| {
        commit_score(ctx, &operator, id, item.commitment)
    })?;
    Ok(MsgCommitScoresResponse { results })
}

fn commit_score(
    ctx: &mut Execution<'_>,
    operator: &str,
    id: u64,
    commitment: Vec<u8>,
) -> Result<()> {
    let mut task = get(ctx.state, id)?;
    let (phase, now) = (
        require_phase(&task, TaskStatus::Committing),
        ctx.block.height,
    );
    let seat = seat_of(&mut task, operator)?;
    ensure!(
        seat.commitment.is_empty(),
        code::DUPLICATE,
        "{operator} has committed to task {id} already"
    );
    phase?;
    ensure!(
        commitment.len() == 32,
        code::INVALID_REQUEST,
        "a commitment has 32 bytes, got {}",
        commitment.len()
    );
    seat.commitment = commitment;
    seat.commit_height = now;
    let complete = current_committee(&mut task)?
        .seats
        .iter()
        .all(|seat| !seat.commitment.is_empty());
    finish_duty(ctx, operator, &mut task, complete)?;
    ctx.emit(
        event::TASK_COMMITTED,
        &[
            (event::TASK, &id),
            (event::USER, &task.user),
            (event::NODE, &operator),
        ],
    );
    Ok(())
}

/// `MsgRevealScores`: evaluators open their commitments.
pub fn reveal_scores(
    ctx: &mut Execution<'_>,
    message: MsgRevealScores,
) -> Result<MsgRevealScoresResponse> {
    let operator = message.operator;
    let items = message.items.into_iter().map(|item| (item.task_id, item));
    let results = run_batch(ctx, items.collect(), |ctx, id, item| {
        reveal_score(ctx, &operator, id, &item)
    })?;
    Ok(MsgRevealScoresResponse { results })
}

fn reveal_score(ctx: &mut Execution<'_>, operator: &str, id: u64, item: &RevealItem) -> Result<()> {
    let mut task = get(ctx.state, id)?;
    let (phase, attempt) = (
        require_phase(&task, TaskStatus::Revealing),
        committee_attempt(&task),
    );
    let seat = seat_of(&mut task, operator)?;
    ensure!(
        seat.reveal.is_none(),
        code::DUPLICATE,
        "{operator} has revealed its score of task {id} already"
    );
    phase?;
    ensure!(
        !seat.commitment.is_empty(),
        code::NO_COMMITMENT,
        "{operator} did not commit to a score of task {id}"
    );
    check_opening(ctx, operator, id, attempt, seat, item)?;
    let model = models::evaluator_model(ctx.state, &seat.evaluator_model)?;
    let quality = calibrate(&model.calibration, item.raw_score);
    seat.reveal = Some(Reveal {
        raw_score: item.raw_score,
        quality,
        height: ctx.block.height,
    });
    let complete = current_committee(&mut task)?
        .seats
        .iter()
        .all(|seat| seat.commitment.is_empty() || seat.reveal.is_some());
    nodes::finish_work(ctx, Role::Evaluator, operator)?;
    finish_duty(ctx, operator, &mut task, complete)?;
    ctx.emit(
        event::TASK_REVEALED,
        &[
            (event::TASK, &id),
            (event::USER, &task.user),
            (event::NODE, &operator),
            (event::RAW_SCORE, &item.raw_score),
            (event::QUALITY, &quality),
        ],
    );
    Ok(())
}

fn check_opening(
    ctx: &Execution<'_>,
    operator: &str,
    id: u64,
    attempt: u32,
    seat: &Seat,
    item: &RevealItem,
) -> Result<()> {
    let Ok(salt) = <[u8; 32]>::try_from(item.salt.as_slice()) else {
        reject!(
            code::INVALID_REQUEST,
            "a salt has 32 bytes, got {}",
            item.salt.len()
        );
    };
    let address = Address::parse(operator, &ctx.block.params.bech32_prefix)?;
    let opened = commitment(
        &ctx.block.chain_id,
        id,
        attempt,
        address.bytes(),
        item.raw_score,
        &salt,
    );
    ensure!(
        seat.commitment == opened,
        code::REVEAL_MISMATCH,
        "score and salt do not open the commitment of {operator} to task {id}"
    );
    Ok(())
}

fn seat_of<'t>(task: &'t mut Task, operator: &str) -> Result<&'t mut Seat> {
    let id = task.id;
    let seat = task.committees.last_mut().and_then(|committee| {
        committee
            .seats
            .iter_mut()
            .find(|seat| seat.operator == operator)
    });
    match seat {
        Some(seat) => Ok(seat),
        None => reject!(
            code::NOT_ASSIGNED,
            "{operator} has no seat in the committee of task {id}"
        ),
    }
}

/// Takes the duty off the evaluator's list and closes the phase at the end of this block if
/// everybody is done.
fn finish_duty(
    ctx: &mut Execution<'_>,
    operator: &str,
    task: &mut Task,
    complete: bool,
) -> Result<()> {
    ctx.state
        .delete(keys::duty(Role::Evaluator, operator, task.id))?;
    if complete {
        let now = ctx.block.height;
        reschedule(ctx, task, now)?;
    }
    put(ctx.state, task)
}
