//! `MsgCommitScores`.

use poq_proto::v1::{MsgCommitScores, MsgCommitScoresResponse, TaskStatus};
use poq_proto::{code, event};

use crate::error::{Result, ensure};
use crate::execution::Execution;
use crate::modules::tasks::seats::{finish_duty, seat_of};
use crate::modules::tasks::{current_committee, get, require_phase, run_batch};

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
        "{operator} has already committed to task {id}"
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
