//! Loads the configured model from disk or hub into memory.

use std::path::{Path, PathBuf};

use anyhow::Context;
use poq_proto::v1::Model;
use tokio::task::spawn_blocking;
use tracing::info;

use crate::cli::Generate;
use crate::config::ModelConfig;
use crate::generator::weights::{self, Files, Source, hub};
use crate::generator::{Generator, MistralGenerator, Recommended};
use crate::{catalog, commands};

/// The model for `generate`: options take precedence over config.toml, then defaults.
///
/// # Errors
/// If there is a config.toml that is not valid.
pub(crate) fn settings(home: &Path, options: &Generate) -> anyhow::Result<ModelConfig> {
    let model = match home.join("config.toml").exists() {
        true => commands::settings(home)?.1.model,
        false => ModelConfig::default(),
    };
    Ok(changed(model, options))
}

/// A model with the catalog's settings.
///
/// # Errors
/// If it is not in the catalog.
pub(crate) fn of_catalog(id: &str) -> anyhow::Result<ModelConfig> {
    let entry = catalog::find(id)?;
    Ok(ModelConfig {
        file: entry.default_file(),
        weights: entry.weights,
        id: entry.id,
        ..ModelConfig::default()
    })
}

/// Applies a command's options to a model.
pub(crate) fn changed(mut model: ModelConfig, options: &Generate) -> ModelConfig {
    if let Some(file) = &options.model_file {
        model.file.clone_from(file);
        model.hub = None;
    }
    if options.hub.is_some() {
        model.hub.clone_from(&options.hub);
    }
    model.weights = options.weights.unwrap_or(model.weights);
    model.threads = options.threads.unwrap_or(model.threads);
    model.concurrency = options.concurrency;
    model
}

/// The sampling settings recommended by a model's makers: from the catalog, else from its files.
fn recommended(id: &str, files: &Files) -> anyhow::Result<Recommended> {
    if let Ok(entry) = catalog::find(id) {
        return Ok(entry.sampling);
    }
    match files {
        Files::Folder {
            generation_config: Some(file),
            ..
        } => Ok(Recommended::read(file)?),
        _ => Ok(Recommended::default()),
    }
}

/// A model whose files are on this machine.
pub(crate) struct Located {
    /// A GGUF file or a folder.
    pub path: PathBuf,
}

impl Located {
    /// Locates the files; fetches them if they come from a hub.
    ///
    /// # Errors
    /// If they do not exist.
    pub(crate) async fn find(model: &ModelConfig) -> anyhow::Result<Self> {
        let path = match model.hub.clone() {
            None => model.file.clone(),
            Some(name) => spawn_blocking(move || hub::fetch(&name, &hub::endpoint())).await??,
        };
        Source::open(&path)?;
        Ok(Self { path })
    }

    /// Computes its digest; takes a moment.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) async fn digest(&self) -> anyhow::Result<String> {
        let path = self.path.clone();
        Ok(spawn_blocking(move || weights::digest(&path)).await??)
    }

    /// Its digest, if it matches the chain's registry.
    ///
    /// # Errors
    /// If it does not match, or the chain has no such model.
    pub(crate) async fn expect_registered(
        &self,
        registered: Option<Model>,
        id: &str,
    ) -> anyhow::Result<String> {
        let digest = self.digest().await?;
        let registered = registered.with_context(|| {
            format!("the chain has no model `{id}`: check model.id in config.toml")
        })?;
        weights::expect(&self.path, &digest, &registered.weights_sha256)?;
        Ok(digest)
    }

    /// Loads the model; takes seconds.
    ///
    /// # Errors
    /// If its files are not usable.
    pub(crate) async fn load(
        &self,
        model: &ModelConfig,
        digest: String,
    ) -> anyhow::Result<MistralGenerator> {
        let (path, settings) = (self.path.clone(), model.clone());
        let prepared = spawn_blocking(move || {
            weights::prepare(&path, &digest, &settings.converted, settings.weights)
        })
        .await??;
        let recommended = recommended(&model.id, &prepared.files)?;
        let generator = MistralGenerator::load(&prepared, model.concurrency, model.threads)
            .await?
            .recommending(recommended);
        info!(
            file = %prepared.path().display(),
            context_tokens = generator.context_tokens(),
            "model loaded"
        );
        Ok(generator)
    }
}
