//! The model of the commands that need no home.

use anyhow::{Result, ensure};
use poq_client::Client;
use poq_proto::v1::EvaluatorModel;

use crate::cli::ModelArgs;
use crate::config::{self, ModelConfig, ScoringConfig};
use crate::registry;
use crate::scorer::Model;

impl ModelArgs {
    /// How scores are computed, as far as these options say.
    pub fn scoring(&self) -> ScoringConfig {
        ScoringConfig {
            library: self.library.clone(),
            threads: self.threads,
            ..ScoringConfig::default()
        }
    }
}

/// The model's registry entry.
pub async fn entry(args: &ModelArgs) -> Result<EvaluatorModel> {
    let entry = match (&args.node, &args.registry) {
        (Some(node), _) => Client::new(node)?.evaluator_model(&args.model).await?,
        (None, Some(path)) => registry::read(path)?,
        (None, None) => registry::default_entry()?,
    };
    ensure!(
        entry.id == args.model,
        "the registry entry is of {}, not of {}; give --model or another --registry",
        entry.id,
        args.model
    );
    Ok(entry)
}

/// Loads the model of `entry`.
pub fn open(entry: &EvaluatorModel, args: ModelArgs, scoring: &ScoringConfig) -> Result<Model> {
    let model = ModelConfig {
        id: args.model,
        folder: args.model_folder,
    };
    let files = config::model_files(&model, scoring)?;
    Ok(Model::open(entry, &files, scoring.threads)?)
}
