use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use poq_client::worker::{Worker, WorkerHome, shutdown_on_signals};
use poq_client::{Client, Error, metrics};
use poq_proto::v1::{EvaluatorModel, Node, Role};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cli::Start;
use crate::compute::Compute;
use crate::config::{self, Config};
use crate::journal::Journal;
use crate::scorer::{ModelFiles, open_all};
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
    config.validate().context("config.toml")?;
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
    check_models(&node, &config.model_ids())?;
    let models = registered(&worker, &config, shutdown).await?;
    let params = worker.insist(shutdown, Client::params).await?;
    let engine = config.scoring.engine();
    let models = tokio::task::spawn_blocking(move || open_all(&models, engine))
        .await?
        .context("the evaluator does not start")?;
    let scoring = &config.scoring;
    let compute = Compute::start(models, scoring.queue, scoring.batch_tokens)?;
    info!(
        operator = worker.sender.address(),
        chain = worker.sender.chain_id(),
        "evaluator started"
    );
    let max_items = params.max_batch_items;
    Evaluator::run(
        worker,
        config.model_ids(),
        max_items,
        journal,
        compute,
        shutdown.clone(),
    )
    .await
}

/// The registry entries of the configured models, with the places of their files.
async fn registered(
    worker: &Worker,
    config: &Config,
    shutdown: &CancellationToken,
) -> Result<Vec<(EvaluatorModel, ModelFiles)>> {
    let mut models = Vec::with_capacity(config.models.len());
    for model in &config.models {
        let files = config::model_files(model, &config.scoring)?;
        let entry = worker
            .insist(shutdown, async |client| {
                client.evaluator_model(&model.id).await
            })
            .await?;
        models.push((entry, files));
    }
    Ok(models)
}

/// An operator is drawn for every model of its registration, and slashed where it is silent.
fn check_models(node: &Node, loaded: &[String]) -> Result<()> {
    let (operator, registered) = (&node.operator, node.models.join(", "));
    ensure!(
        node.models.iter().any(|model| loaded.contains(model)),
        "{operator} is registered for {registered}, not for {}; list the registered ones as `[[models]]` in config.toml",
        loaded.join(", "),
    );
    for model in node.models.iter().filter(|model| !loaded.contains(model)) {
        warn!(
            model,
            "registered for a model that is not in config.toml: its duties will be missed and slashed"
        );
    }
    for model in loaded.iter().filter(|model| !node.models.contains(model)) {
        warn!(model, "not registered for this model: no duties will come");
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
    fn one_of_the_registered_models_must_be_loaded() {
        let node = Node {
            models: vec!["a".into(), "b".into()],
            ..Node::default()
        };
        check_models(&node, &["b".into(), "c".into()]).unwrap();
        let error = check_models(&node, &["c".into()]).unwrap_err().to_string();
        assert!(error.contains("registered for a, b, not for c"), "{error}");
    }

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
