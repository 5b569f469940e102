//! `MsgRegisterInferenceNode`.

use poq_proto::v1::{
    GenesisNode, MsgRegisterInferenceNode, MsgRegisterInferenceNodeResponse, Role,
};

use crate::error::Result;
use crate::execution::Execution;
use crate::modules::nodes::registration::register_from_balance;

/// `MsgRegisterInferenceNode`.
pub fn register_inference_node(
    ctx: &mut Execution<'_>,
    message: MsgRegisterInferenceNode,
) -> Result<MsgRegisterInferenceNodeResponse> {
    register_from_balance(
        ctx,
        GenesisNode {
            role: Role::Inference.into(),
            operator: message.operator,
            payout: message.payout,
            endpoint: message.endpoint,
            models: message.models,
            stake: message.stake,
            capacity: message.capacity,
            stream: None,
        },
    )?;
    Ok(MsgRegisterInferenceNodeResponse {})
}
