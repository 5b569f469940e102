//! `MsgRevealScores`.

use poq_proto::v1::{
    MsgRevealScores, MsgRevealScoresResponse, Reveal, RevealItem, Role, Seat, TaskStatus,
};
use poq_proto::{calibrate, code, commitment, event};

use crate::address::Address;
use crate::error::{Result, ensure, reject};
use crate::execution::Execution;
use crate::modules::tasks::seats::{finish_duty, seat_of};
use crate::modules::tasks::{committee_attempt, current_committee, get, require_phase, run_batch};
use crate::modules::{models, nodes};

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
        "{operator} has already revealed its score of task {id}"
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
