use anyhow::{Context, Result};
use poq_client::worker::{Health, Watch, Worker, WorkerHome, check_served, shutdown_on_signals};
use poq_client::{Client, Error, metrics};
use poq_proto::v1::{EvaluatorModel, Role};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::cli::Start;
use crate::compute::Compute;
use crate::config::{self, Config};
use crate::journal::Journal;
use crate::scorer::{ModelFiles, open_all};
use crate::worker::{Evaluator, Setup};

/// Does the operator's duties until SIGINT or SIGTERM.
pub async fn start(args: Start) -> Result<()> {
    let shutdown = shutdown_on_signals()?;
    match serve(args, &shutdown).await {
        // Asked to stop before it was ready: that is a clean end.
        Err(error) if matches!(error.downcast_ref(), Some(Error::Interrupted)) => Ok(()),
        result => result,
    }
}

async fn serve(args: Start, shutdown: &CancellationToken) -> Result<()> {
    let home = WorkerHome::open(&args.home.home)?;
    let config: Config = home.config()?;
    config.validate().context("config.toml")?;
    // Two evaluators on one home would spend the same sequences.
    let _lock = home.lock()?;
    let health = Health::default();
    if let Some(address) = args.metrics_address.or(config.metrics.listen) {
        metrics::serve_with(address, health.routes(), shutdown.clone()).await?;
    }
    let journal = Journal::open(home.data().join("journal"))?;
    let worker = Worker::connect(&home, &config.chain, Role::Evaluator, &health, shutdown).await?;
    let operator = worker.sender.address().to_owned();
    let node = worker
        .insist(shutdown, async |client| {
            client.node(Role::Evaluator, &operator).await
        })
        .await?;
    check_served(&node, &config.model_ids(), args.allow_unserved)?;
    let models = registered(&worker, &config, shutdown).await?;
    let params = worker.insist(shutdown, Client::params).await?;
    let engine = config.scoring.engine();
    let models = tokio::task::spawn_blocking(move || open_all(&models, engine))
        .await?
        .context("the evaluator does not start")?;
    let scoring = &config.scoring;
    let compute = Compute::start(models, scoring.queue, scoring.batch_tokens)?;
    info!(
        operator,
        chain = worker.sender.chain_id(),
        "evaluator started"
    );
    let watch = Watch {
        sender: worker.sender.clone(),
        role: Role::Evaluator,
        served: config.model_ids(),
        health: health.clone(),
        auto_unjail: config.chain.auto_unjail,
    };
    let watch = tokio::spawn(watch.run());
    let setup = Setup {
        worker,
        models: config.model_ids(),
        params,
        journal,
        compute,
        health,
    };
    let result = Evaluator::run(setup, shutdown.clone()).await;
    watch.abort();
    result
}

/// The registry entries of the configured models, with the places of their files.
async fn registered(
    worker: &Worker,
    config: &Config,
    shutdown: &CancellationToken,
) -> Result<Vec<(EvaluatorModel, ModelFiles)>> {
    let mut models = Vec::with_capacity(config.models.len());
    for model in &config.models {
        let files = config::model_files(model, &config.scoring);
        let entry = worker
            .insist(shutdown, async |client| {
                client.evaluator_model(&model.id).await
            })
            .await?;
        models.push((entry, files));
    }
    Ok(models)
}
