use std::time::Duration;

use anyhow::{Context, Result};
use poq_client::worker::WorkerHome;
use poq_client::{Client, Fee, Sender, any};
use poq_proto::v1::MsgRegisterEvaluator;
use serde::Serialize;

use crate::cli::Register;
use crate::config::Config;
use crate::output;

/// How long the registration may wait for its block.
const INCLUSION_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct Registered {
    operator: String,
    evaluator_models: Vec<String>,
    stake: u64,
    height: u64,
    hash: String,
}

/// Registers the operator.
pub async fn register(args: Register) -> Result<()> {
    let home = WorkerHome::open(&args.home.home)?;
    let config: Config = home.config()?;
    let key = home.key(&config.chain)?;
    let client = Client::new(&config.chain.node)?;
    let sender = Sender::new(client, key, Some(&config.chain.id)).await?;
    let mut evaluator_models = args.evaluator_models;
    if evaluator_models.is_empty() {
        config.validate().context("config.toml")?;
        evaluator_models = config.model_ids();
    }
    evaluator_models.sort_unstable();
    let message = MsgRegisterEvaluator {
        operator: sender.address().to_owned(),
        payout: args.payout,
        evaluator_models,
        stake: args.stake,
        capacity: args.capacity,
    };
    let outcome = sender
        .send_and_wait(vec![any(&message)], Fee::Auto, INCLUSION_TIMEOUT)
        .await?;
    let registered = Registered {
        operator: message.operator,
        evaluator_models: message.evaluator_models,
        stake: message.stake,
        height: outcome.height,
        hash: outcome.hash.to_string(),
    };
    output::print(
        args.output.output,
        &registered,
        &[
            ("operator", registered.operator.clone()),
            ("evaluator models", registered.evaluator_models.join(" ")),
            ("stake", format!("{} {}", registered.stake, sender.denom())),
            ("height", registered.height.to_string()),
            ("transaction", registered.hash.clone()),
        ],
    )?;
    Ok(())
}
