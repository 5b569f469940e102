use poq_proto::v1::{Model, MsgSubmitTask, MsgSubmitTaskResponse, Role, Task, TaskStatus};
use poq_proto::{code, event};
use sha2::{Digest, Sha256};

use crate::address::Address;
use crate::error::{Error, Result, ensure};
use crate::execution::Execution;
use crate::modules::nodes::Work;
use crate::modules::params::limits::MIN_ANSWER_BYTES;
use crate::modules::tasks::{await_draw, keys, new_id, put, require_committee};
use crate::modules::{bank, models, nodes, params};

/// `MsgSubmitTask`: checks the request, escrows its fee and queues the task for the draw at the
/// beginning of the next block, whose beacon neither its sender nor the proposer of this block can
/// know.
pub fn submit_task(
    ctx: &mut Execution<'_>,
    message: MsgSubmitTask,
) -> Result<MsgSubmitTaskResponse> {
    let params = &ctx.block.params;
    let user = Address::parse(&message.user, &params.bech32_prefix)?;
    let model = models::model(ctx.state, &message.model)?;
    ensure!(
        !model.deprecated,
        code::MODEL_DEPRECATED,
        "model {} is deprecated: it takes no new tasks",
        model.id
    );
    validate(ctx, &message, &model)?;
    let terms = model.terms();
    let prompt_bytes = message.prompt.len() as u64;
    let highest = terms.price(prompt_bytes, message.max_answer_bytes.into());
    let secured = params::max_price(params);
    ensure!(
        highest <= secured,
        code::PRICE_TOO_HIGH,
        "this task could cost {highest}{0}, more than the {secured}{0} that the evaluators' stakes secure; shorten the prompt or lower max_answer_bytes",
        params.denom
    );
    ensure!(
        message.max_fee >= highest,
        code::FEE_BELOW_PRICE,
        "max_fee {} is below {highest}{}, the price of the longest allowed answer; raise it or lower max_answer_bytes",
        message.max_fee,
        params.denom
    );
    ensure!(
        nodes::serves(ctx.state, Work::Duties(Role::Inference), &model.id)?,
        code::NO_NODES,
        "no active inference node that serves model {} has room; try again later",
        model.id
    );
    require_committee(ctx, &message.user, &model)?;
    bank::debit(ctx.state, &user, &params.denom, message.max_fee.into())?;
    count_open(ctx, &message.user)?;

    let id = new_id(ctx)?;
    ctx.state.mark(keys::task_of(&message.user, id))?;
    ctx.state
        .put_payload(keys::prompt(id), message.prompt.as_bytes())?;
    let mut task = Task {
        id,
        user: message.user,
        model: message.model,
        prompt_sha256: Sha256::digest(&message.prompt).to_vec(),
        prompt_bytes: u32::try_from(prompt_bytes).unwrap_or(u32::MAX),
        max_answer_bytes: message.max_answer_bytes,
        min_quality: message.min_quality,
        escrow: message.max_fee,
        seed: message.seed,
        sampling: message.sampling,
        submitted_height: ctx.block.height,
        terms: Some(terms),
        evaluator_models: model.evaluator_models,
        ..Task::default()
    };
    await_draw(ctx, &mut task, TaskStatus::Submitted)?;
    put(ctx.state, &task)?;
    ctx.emit(
        event::TASK_SUBMITTED,
        &[
            (event::TASK, &id),
            (event::USER, &task.user),
            (event::MODEL, &task.model),
        ],
    );
    Ok(MsgSubmitTaskResponse { task_id: id })
}

fn validate(ctx: &Execution<'_>, message: &MsgSubmitTask, model: &Model) -> Result<()> {
    let params = &ctx.block.params;
    let longest = model.longest_prompt(params);
    ensure!(
        (1..=longest as usize).contains(&message.prompt.len()),
        code::INVALID_PROMPT,
        "a prompt for {} has 1 to {longest} bytes, got {}",
        model.id,
        message.prompt.len()
    );
    ensure!(
        !message.prompt.trim().is_empty(),
        code::INVALID_PROMPT,
        "a prompt cannot be only white space"
    );
    ensure!(
        (MIN_ANSWER_BYTES..=params.max_answer_bytes).contains(&message.max_answer_bytes),
        code::INVALID_REQUEST,
        "max_answer_bytes must be in {MIN_ANSWER_BYTES}..={}, got {}",
        params.max_answer_bytes,
        message.max_answer_bytes
    );
    ensure!(
        message.min_quality <= model.quality_target,
        code::INVALID_REQUEST,
        "min_quality must be at most {} ppm, from which {} is paid in full, got {}",
        model.quality_target,
        model.id,
        message.min_quality
    );
    let sampling = message.sampling.unwrap_or_default();
    let checked = sampling.validate();
    checked.map_err(|reason| Error::rejected(code::INVALID_REQUEST, reason))
}

fn count_open(ctx: &mut Execution<'_>, user: &str) -> Result<()> {
    let limit = ctx.block.params.max_open_tasks;
    let open = ctx.state.get_u64(keys::open(user))?.unwrap_or(0);
    ensure!(
        open < u64::from(limit),
        code::TOO_MANY_OPEN_TASKS,
        "{user} has {open} open tasks, the most that are allowed; wait for one to end"
    );
    Ok(ctx
        .state
        .put_u64(keys::open(user), open.saturating_add(1))?)
}
