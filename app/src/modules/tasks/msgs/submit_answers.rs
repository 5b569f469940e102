use poq_proto::v1::{
    Answer, AnswerItem, MsgSubmitAnswers, MsgSubmitAnswersResponse, Role, TaskStatus,
};
use poq_proto::{code, event};
use sha2::{Digest, Sha256};

use crate::error::{Result, ensure};
use crate::execution::Execution;
use crate::modules::nodes;
use crate::modules::tasks::{await_draw, get, keys, put, require_phase, run_batch};

/// `MsgSubmitAnswers`: the assigned node submits its answers.
pub fn submit_answers(
    ctx: &mut Execution<'_>,
    message: MsgSubmitAnswers,
) -> Result<MsgSubmitAnswersResponse> {
    let operator = message.operator;
    let items = message.items.into_iter().map(|item| (item.task_id, item));
    let results = run_batch(ctx, items.collect(), |ctx, id, item| {
        submit_answer(ctx, &operator, id, item)
    })?;
    Ok(MsgSubmitAnswersResponse { results })
}

fn submit_answer(ctx: &mut Execution<'_>, operator: &str, id: u64, item: AnswerItem) -> Result<()> {
    let mut task = get(ctx.state, id)?;
    let assigned = task.assignments.last();
    ensure!(
        assigned.is_some_and(|assignment| assignment.operator == operator),
        code::NOT_ASSIGNED,
        "task {id} is not assigned to {operator}"
    );
    ensure!(
        task.answer.is_none(),
        code::DUPLICATE,
        "{operator} has already answered task {id}"
    );
    require_phase(&task, TaskStatus::Assigned)?;
    ensure!(
        item.answer.len() <= task.max_answer_bytes as usize,
        code::ANSWER_TOO_LONG,
        "an answer to task {id} has at most {} bytes, got {}",
        task.max_answer_bytes,
        item.answer.len()
    );
    ctx.state
        .put_payload(keys::answer(id), item.answer.as_bytes())?;
    ctx.state
        .delete(keys::duty(Role::Inference, operator, id))?;
    nodes::finish_work(ctx, Role::Inference, operator)?;
    task.answer = Some(Answer {
        operator: operator.to_owned(),
        sha256: Sha256::digest(&item.answer).to_vec(),
        bytes: u32::try_from(item.answer.len()).unwrap_or(u32::MAX),
        prompt_tokens: item.prompt_tokens,
        answer_tokens: item.answer_tokens,
        height: ctx.block.height,
        payout: nodes::payout_account(ctx.state, Role::Inference, operator)?,
    });
    await_draw(ctx, &mut task, TaskStatus::Answered)?;
    put(ctx.state, &task)?;
    ctx.emit(
        event::TASK_ANSWERED,
        &[
            (event::TASK, &id),
            (event::USER, &task.user),
            (event::NODE, &operator),
        ],
    );
    Ok(())
}
