use std::path::Path;

use anyhow::{Context, Result};
use poq_worker::commands::{self, Setup, Start};
use poq_worker::program::shutdown_on_signals;
use poq_worker::{Chain, Health, Settings};
use tokio_util::sync::CancellationToken;

use super::{ROLE, settings};
use crate::compute::{self, Line};
use crate::config::{self, Config};
use crate::scorer::open_all;
use crate::worker::Evaluator;

/// Does the operator's duties until SIGINT or SIGTERM.
pub(super) async fn start(home: &Path, args: &Start) -> Result<()> {
    let shutdown = shutdown_on_signals()?;
    let (home, config) = settings(home)?;
    let setup = Setup {
        home: &home,
        chain: &config.chain,
        metrics: args.metrics_address.or(config.metrics.listen),
        allow_unserved: args.allow_unserved,
        settings: Settings {
            role: ROLE,
            models: config.model_ids(),
            capacity: config.scoring.queue,
            margin: 0,
        },
        health: Health::default(),
        shutdown: shutdown.clone(),
    };
    let load = async |chain: &Chain| load(chain, &config, &shutdown).await;
    commands::start(setup, load).await
}

/// The configured models, loaded; they must match the chain's registry.
async fn load(chain: &Chain, config: &Config, shutdown: &CancellationToken) -> Result<Evaluator> {
    let scoring = &config.scoring;
    let mut models = Vec::with_capacity(config.models.len());
    for model in &config.models {
        let files = config::model_files(model, scoring);
        let entry = chain
            .insist(shutdown, async |client| {
                client.evaluator_model(&model.id).await
            })
            .await?;
        models.push((entry, files));
    }
    let engine = scoring.engine();
    let models = tokio::task::spawn_blocking(move || open_all(&models, engine))
        .await?
        .context("cannot start the evaluator")?;
    let jobs = compute::start(models, scoring.queue, scoring.batch_tokens)?;
    let sender = chain.sender.clone();
    Ok(Evaluator::new(sender, config.model_ids(), Line::new(jobs)))
}
