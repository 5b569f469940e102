//! `MsgRegisterEvaluator`.

use poq_proto::v1::{GenesisNode, MsgRegisterEvaluator, MsgRegisterEvaluatorResponse, Role};

use crate::error::Result;
use crate::execution::Execution;
use crate::modules::nodes::registration::register_from_balance;

/// `MsgRegisterEvaluator`.
pub fn register_evaluator(
    ctx: &mut Execution<'_>,
    message: MsgRegisterEvaluator,
) -> Result<MsgRegisterEvaluatorResponse> {
    register_from_balance(
        ctx,
        GenesisNode {
            role: Role::Evaluator.into(),
            operator: message.operator,
            payout: message.payout,
            endpoint: String::new(),
            models: message.evaluator_models,
            stake: message.stake,
            capacity: message.capacity,
            stream: None,
        },
    )?;
    Ok(MsgRegisterEvaluatorResponse {})
}
