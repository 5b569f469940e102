//! Checks that this node has the files of the chain's evaluator models. Without a file it stops at the
//! first audit that needs it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use metrics::gauge;
use poq_app::App;
use poq_judge::Judge;
use poq_proto::v1::EvaluatorModel;

use crate::home::Home;
use crate::home::genesis::Genesis;

/// Pause between two checks for missing files.
const INTERVAL: Duration = Duration::from_secs(60);

/// Loads all registered evaluator models that are not deprecated: a node that cannot audit would stop in
/// the middle of a block. Models that no language model may name yet, and models that no node can
/// compute, may fail.
///
/// # Errors
/// The first model whose files are missing.
pub(super) fn load(home: &Home, app: &App, judge: &Judge) -> anyhow::Result<()> {
    for model in registered(home, app)?
        .iter()
        .filter(|model| !model.deprecated)
    {
        match judge.load(model) {
            Ok(_) => {}
            Err(error) if error.is_of_the_model() || is_pending(app, model) => {
                tracing::warn!(model = model.id, %error, "an evaluator model is not ready");
            }
            Err(error) => Err(error).context("this node cannot compute audits")?,
        }
    }
    Ok(())
}

/// Reports missing models in the log and in the metric `poqd_evaluator_models_missing` until their files
/// are found.
pub(super) async fn watch(app: App, judge: Arc<Judge>) {
    loop {
        let (app, judge) = (app.clone(), Arc::clone(&judge));
        let missing = tokio::task::spawn_blocking(move || missing(&app, &judge)).await;
        match missing {
            Ok(Ok(missing)) => gauge!("poqd_evaluator_models_missing").set(missing as f64),
            Ok(Err(error)) => tracing::warn!(%error, "the evaluator models cannot be read"),
            Err(error) => tracing::warn!(%error, "the check of the evaluator models failed"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn missing(app: &App, judge: &Judge) -> poq_app::Result<usize> {
    if app.head().height == 0 {
        return Ok(0);
    }
    let models = app.evaluator_models()?;
    let mut missing = 0;
    for model in models.iter().filter(|model| !model.deprecated) {
        match judge.load(model) {
            Ok(_) => {}
            // Its audits end without a score on every node.
            Err(error) if error.is_of_the_model() => {}
            Err(error) => {
                missing += 1;
                tracing::warn!(
                    model = model.id,
                    %error,
                    "this node stops at the first audit that needs this evaluator model"
                );
            }
        }
    }
    Ok(missing)
}

/// Whether a model was registered so recently that no language model may name it yet.
fn is_pending(app: &App, model: &EvaluatorModel) -> bool {
    let delay = app
        .params()
        .map_or(0, |params| params.model_activation_delay);
    model.registered_height > 0 && app.head().height < model.registered_height.saturating_add(delay)
}

/// The evaluator models of the state, or of the genesis before the first block; none if CometBFT has yet
/// to send the genesis.
fn registered(home: &Home, app: &App) -> anyhow::Result<Vec<EvaluatorModel>> {
    if app.head().height == 0 {
        let path = home.genesis();
        if !path.is_file() {
            return Ok(Vec::new());
        }
        let state = Genesis::read(&path)?.app_state;
        return Ok(state.map_or_else(Vec::new, |state| state.evaluator_models));
    }
    Ok(app.evaluator_models()?)
}
