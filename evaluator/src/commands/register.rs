use std::path::Path;

use anyhow::Result;
use poq_client::any;
use poq_proto::v1::MsgRegisterEvaluator;
use poq_worker::commands;

use super::settings;
use crate::cli::Register;

/// Registers the operator.
pub(super) async fn register(home: &Path, args: Register) -> Result<()> {
    let (home, config) = settings(home)?;
    let Register {
        common,
        evaluator_models: mut models,
    } = args;
    if models.is_empty() {
        models = config.model_ids();
    }
    models.sort_unstable();
    let message = |operator| {
        any(&MsgRegisterEvaluator {
            operator,
            payout: common.payout.clone(),
            evaluator_models: models.clone(),
            stake: common.stake,
            capacity: common.capacity,
        })
    };
    commands::register(&home, &config.chain, models.clone(), &common, message).await
}
