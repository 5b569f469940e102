use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use poq_client::worker::{Worker, WorkerHome, shutdown_on_signals};
use poq_client::{Client, Error, metrics};
use poq_proto::v1::{Node, Role};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cli::Start;
use crate::compute::Compute;
use crate::config::{self, Config};
use crate::journal::Journal;
use crate::scorer::Model;
use crate::worker::Evaluator;

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
    config.scoring.validate().context("config.toml")?;
    let files = config::model_files(&config.model, &config.scoring)?;
    let _lock = lock(&home.data())?;
    if let Some(address) = args.metrics_address.or(config.metrics.listen) {
        metrics::serve(address, shutdown.clone()).await?;
    }
    let journal = Journal::open(home.data().join("journal"))?;
    let worker = Worker::connect(&home, &config.chain, Role::Evaluator, shutdown).await?;
    let operator = worker.sender.address();
    let node = worker
        .insist(shutdown, async |client| {
            client.node(Role::Evaluator, operator).await
        })
        .await?;
    check_models(&node, &config.model.id)?;
    let registered = worker
        .insist(shutdown, async |client| {
            client.evaluator_model(&config.model.id).await
        })
        .await?;
    let params = worker.insist(shutdown, Client::params).await?;
    let threads = config.scoring.threads;
    let model = tokio::task::spawn_blocking(move || Model::open(&registered, &files, threads))
        .await?
        .context("the evaluator does not start")?;
    let scoring = &config.scoring;
    let compute = Compute::start(model, scoring.queue, scoring.batch_tokens)?;
    info!(
        operator = worker.sender.address(),
        chain = worker.sender.chain_id(),
        "evaluator started"
    );
    let max_items = params.max_batch_items;
    Evaluator::run(
        worker,
        config.model.id,
        max_items,
        journal,
        compute,
        shutdown.clone(),
    )
    .await
}

/// An operator is drawn for every model of its registration, and slashed where it is silent.
fn check_models(node: &Node, loaded: &str) -> Result<()> {
    ensure!(
        node.models.iter().any(|model| model == loaded),
        "{} is registered for {}, not for {loaded}; set `id` in config.toml to one of them",
        node.operator,
        node.models.join(", ")
    );
    for model in node.models.iter().filter(|model| *model != loaded) {
        warn!(
            model,
            loaded,
            "registered for a model that is not loaded: its duties will be missed and slashed"
        );
    }
    Ok(())
}

/// Two evaluators on one home would commit to scores that the other one cannot open.
fn lock(data: &Path) -> Result<File> {
    let path = data.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another poq-evaluator runs with this home; stop it or choose another --home")
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_for_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        let error = lock(folder.path()).unwrap_err().to_string();
        assert!(error.contains("another poq-evaluator"), "{error}");
        drop(first);
        lock(folder.path()).unwrap();
    }
}
