//! `MsgSetEvaluatorModel`.

use poq_proto::event;
use poq_proto::v1::{MsgSetEvaluatorModel, MsgSetEvaluatorModelResponse};

use super::missing;
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::{models, params};

/// `MsgSetEvaluatorModel`.
pub fn set_evaluator_model(
    ctx: &mut Execution<'_>,
    message: MsgSetEvaluatorModel,
) -> Result<MsgSetEvaluatorModelResponse> {
    params::require_authority(ctx, &message.authority)?;
    let model = message.evaluator_model.ok_or_else(missing)?;
    models::set_evaluator_model(ctx.state, &model, ctx.block.height)?;
    ctx.emit(event::EVALUATOR_MODEL_SET, &[(event::MODEL, &model.id)]);
    Ok(MsgSetEvaluatorModelResponse {})
}
