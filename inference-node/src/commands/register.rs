use std::path::Path;
use std::time::Duration;

use poq_client::{Client, Fee, Sender, any, found};
use poq_proto::v1::MsgRegisterInferenceNode;
use serde::Serialize;

use super::model::Located;
use super::{print_typed, settings};
use crate::cli::Register;

/// How long `register` waits for its block.
const INCLUSION: Duration = Duration::from_secs(60);

/// Registers the operator's account, if the model is the one in the chain's registry.
pub async fn register(home: &Path, options: Register) -> anyhow::Result<()> {
    let (home, config) = settings(home)?;
    let client = Client::new(&config.chain.node)?;
    let registered = found(client.model(&config.model.id).await)?;
    let located = Located::find(&config.model).await?;
    located
        .expect_registered(registered, &config.model.id)
        .await?;
    let key = home.key(&config.chain)?;
    let sender = Sender::new(client, key, Some(&config.chain.id)).await?;
    let message = MsgRegisterInferenceNode {
        operator: sender.address().into(),
        payout: options.payout,
        endpoint: options.endpoint,
        models: vec![config.model.id],
        stake: options.stake,
        capacity: options.capacity,
    };
    let outcome = sender
        .send_and_wait(vec![any(&message)], Fee::Auto, INCLUSION)
        .await?;
    let registered = Registered {
        operator: message.operator,
        hash: outcome.hash.to_string(),
        height: outcome.height,
    };
    print_typed(options.output.output, &registered, || {
        format!(
            "{} is registered since block {}",
            registered.operator, registered.height
        )
    })
}

/// Where the registration is.
#[derive(Serialize)]
struct Registered {
    operator: String,
    hash: String,
    height: u64,
}
