//! Messages of `models`.

use poq_proto::v1::{
    MsgSetEvaluatorModel, MsgSetEvaluatorModelResponse, MsgSetModel, MsgSetModelResponse,
};
use poq_proto::{code, event};

use super::{set_evaluator_model, set_model};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::modules::params;

/// `MsgSetModel`.
pub fn set(ctx: &mut Execution<'_>, message: MsgSetModel) -> Result<MsgSetModelResponse> {
    params::require_authority(ctx, &message.authority)?;
    let model = message.model.ok_or_else(missing)?;
    let delay = ctx.block.params.model_activation_delay;
    set_model(ctx.state, &model, ctx.block.height, delay)?;
    ctx.emit(event::MODEL_SET, &[(event::MODEL, &model.id)]);
    Ok(MsgSetModelResponse {})
}

/// `MsgSetEvaluatorModel`.
pub fn set_evaluator(
    ctx: &mut Execution<'_>,
    message: MsgSetEvaluatorModel,
) -> Result<MsgSetEvaluatorModelResponse> {
    params::require_authority(ctx, &message.authority)?;
    let model = message.evaluator_model.ok_or_else(missing)?;
    set_evaluator_model(ctx.state, &model, ctx.block.height)?;
    ctx.emit(event::EVALUATOR_MODEL_SET, &[(event::MODEL, &model.id)]);
    Ok(MsgSetEvaluatorModelResponse {})
}

fn missing() -> Error {
    Error::rejected(code::INVALID_REQUEST, "the message has no model")
}
