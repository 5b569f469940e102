//! Tasks that score one answer of a session: they begin with the answer, and their escrow is only the
//! pot of the committee. `crate::modules::sessions` pays the node.

use poq_proto::event;
use poq_proto::v1::{Answer, LeafOfSession, Task, TaskStatus, Terms, WeightedEvaluatorModel};
use sha2::{Digest, Sha256};

use super::{await_draw, keys, new_id, put};
use crate::error::Result;
use crate::execution::Execution;

/// An answer of a session to be scored.
#[derive(Debug)]
pub struct LeafTask<'a> {
    /// The session's user, who gets what the pot leaves.
    pub user: &'a str,
    /// The session's model.
    pub model: &'a str,
    /// The text that evaluators judge the answer by.
    pub prompt: String,
    /// Bytes of the chat, which the price depends on.
    pub prompt_bytes: u32,
    /// The answer.
    pub answer: String,
    /// The inference node's operator.
    pub operator: &'a str,
    /// The account that is paid for the answer.
    pub payout: &'a str,
    /// Tokens of the prompt, as the node declared them.
    pub prompt_tokens: u32,
    /// Tokens of the answer, as the node declared them.
    pub answer_tokens: u32,
    /// The longest answer that was allowed, bytes.
    pub max_answer_bytes: u32,
    /// The user's `min_quality`, ppm.
    pub min_quality: u32,
    /// The pot of the committee, base units, which the session holds.
    pub pot: u64,
    /// The session's terms.
    pub terms: Terms,
    /// The session's evaluator models.
    pub evaluator_models: &'a [WeightedEvaluatorModel],
    /// Where the answer belongs.
    pub leaf: LeafOfSession,
}

/// Creates the task, which waits for the draw of a committee, and returns its id.
pub fn begin_leaf_task(ctx: &mut Execution<'_>, request: LeafTask<'_>) -> Result<u64> {
    let id = new_id(ctx)?;
    let height = ctx.block.height;
    ctx.state
        .put_payload(keys::prompt(id), request.prompt.as_bytes())?;
    ctx.state
        .put_payload(keys::answer(id), request.answer.as_bytes())?;
    let mut task = Task {
        id,
        user: request.user.to_owned(),
        model: request.model.to_owned(),
        prompt_sha256: Sha256::digest(&request.prompt).to_vec(),
        prompt_bytes: request.prompt_bytes,
        max_answer_bytes: request.max_answer_bytes,
        min_quality: request.min_quality,
        escrow: request.pot,
        submitted_height: height,
        answer: Some(Answer {
            operator: request.operator.to_owned(),
            sha256: Sha256::digest(&request.answer).to_vec(),
            bytes: u32::try_from(request.answer.len()).unwrap_or(u32::MAX),
            prompt_tokens: request.prompt_tokens,
            answer_tokens: request.answer_tokens,
            height,
            payout: request.payout.to_owned(),
        }),
        terms: Some(request.terms),
        evaluator_models: request.evaluator_models.to_vec(),
        leaf: Some(request.leaf),
        ..Task::default()
    };
    await_draw(ctx, &mut task, TaskStatus::Answered)?;
    put(ctx.state, &task)?;
    ctx.emit(
        event::TASK_ANSWERED,
        &[
            (event::TASK, &id),
            (event::USER, &task.user),
            (event::NODE, &request.operator),
        ],
    );
    Ok(id)
}

/// A leaf whose task is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedLeaf {
    /// Its session.
    pub session: u64,
    /// Its position in the session's log.
    pub number: u64,
    /// Its quality, ppm; none if nobody judged it.
    pub quality: Option<u32>,
}

impl EndedLeaf {
    /// The leaf of a task, if the task scores one and is over.
    pub(super) fn of(task: &Task) -> Option<Self> {
        let leaf = task.leaf?;
        let quality = match task.status() {
            TaskStatus::Final => task.settlement.as_ref().map(|one| one.quality),
            TaskStatus::Refunded => None,
            _ => return None,
        };
        Some(Self {
            session: leaf.session,
            number: leaf.number,
            quality,
        })
    }
}
