use std::path::Path;

use poq_client::{Client, any, found};
use poq_proto::v1::MsgRegisterInferenceNode;
use poq_worker::commands;

use super::model::Located;
use super::settings;
use crate::cli::Register;

/// Registers the operator's account, if the model matches the chain's registry.
pub(super) async fn register(home: &Path, options: Register) -> anyhow::Result<()> {
    let (home, config) = settings(home)?;
    let client = Client::new(&config.chain.node)?;
    let registered = found(client.model(&config.model.id).await)?;
    let located = Located::find(&config.model).await?;
    located
        .expect_registered(registered, &config.model.id)
        .await?;
    let models = vec![config.model.id];
    let common = &options.common;
    let message = |operator| {
        any(&MsgRegisterInferenceNode {
            operator,
            payout: common.payout.clone(),
            endpoint: options.endpoint,
            models: models.clone(),
            stake: common.stake,
            capacity: common.capacity,
        })
    };
    commands::register(&home, &config.chain, models.clone(), common, message).await
}
