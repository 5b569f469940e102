//! `MsgSetModel`.

use poq_proto::event;
use poq_proto::v1::{MsgSetModel, MsgSetModelResponse};

use super::missing;
use crate::error::Result;
use crate::execution::Execution;
use crate::modules::{models, params};

/// `MsgSetModel`.
pub fn set_model(ctx: &mut Execution<'_>, message: MsgSetModel) -> Result<MsgSetModelResponse> {
    params::require_authority(ctx, &message.authority)?;
    let model = message.model.ok_or_else(missing)?;
    let delay = ctx.block.params.model_activation_delay;
    models::set_model(ctx.state, &model, ctx.block.height, delay)?;
    ctx.emit(event::MODEL_SET, &[(event::MODEL, &model.id)]);
    Ok(MsgSetModelResponse {})
}
