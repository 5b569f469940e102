//! What the commands that measure models share.

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use poq_proto::v1::EvaluatorModel;

use crate::cli::Measuring;
use crate::config::ScoringConfig;
use crate::scorer::{Engine, Model, ModelFiles, open_all};
use crate::validity::{Estimate, Settings};
use crate::{cli, machine};

/// Everything that is needed to measure models.
pub struct Bench {
    /// Entries and files, at least one.
    pub models: Vec<(EvaluatorModel, ModelFiles)>,
    pub engine: Engine,
    pub batch_tokens: usize,
    pub settings: Settings,
    /// For the reader of the figures.
    pub machine: String,
}

impl Bench {
    pub async fn new(measuring: &Measuring) -> Result<Self> {
        let cli::EngineArgs { sessions, threads } = measuring.engine;
        let scoring = ScoringConfig {
            sessions,
            threads,
            ..ScoringConfig::default()
        };
        scoring.validate()?;
        let cores = std::thread::available_parallelism().context("cannot count the cores")?;
        Ok(Self {
            models: measuring.model.find().await?,
            engine: scoring.engine(),
            batch_tokens: scoring.batch_tokens,
            settings: Settings {
                resamples: measuring.resamples,
                seed: measuring.seed,
            },
            machine: machine::describe(cores.get()),
        })
    }

    /// The models, loaded one after the other as they are needed: memory for one is enough.
    pub fn each(&self) -> impl Iterator<Item = Result<Model>> {
        self.models.iter().map(|model| self.open(model))
    }

    fn open(&self, model: &(EvaluatorModel, ModelFiles)) -> Result<Model> {
        let opened = open_all(std::slice::from_ref(model), self.engine)?;
        opened.into_iter().next().context("no model is loaded")
    }

    /// For reports: machine, resampling and engine.
    pub fn method(&self) -> String {
        let Settings { resamples, seed } = self.settings;
        let Engine { sessions, threads } = self.engine;
        format!(
            "{resamples} resamples of prompts, seed {seed}, 95 % intervals; {sessions} x {threads} threads"
        )
    }
}

/// Of windows.
pub fn progress(message: impl Into<String>) -> Result<ProgressBar> {
    let template = "{msg} {wide_bar} {pos}/{len} windows, {eta} left";
    let style = ProgressStyle::with_template(template)?;
    Ok(ProgressBar::no_length()
        .with_style(style)
        .with_message(message.into()))
}

/// An estimate for people.
pub fn shown(estimate: Option<Estimate>) -> String {
    match estimate {
        Some(Estimate { value, low, high }) => format!("{value:.3} [{low:.3}, {high:.3}]"),
        None => "not defined".to_owned(),
    }
}
