//! Shared parts of the commands that measure models.

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use poq_evaluator::scorer::{Engine, Model, ModelFiles, open_all};
use poq_evaluator::{EngineArgs, ModelArgs, ScoringConfig};
use poq_lab::scores::Settings;
use poq_lab::statistics::bootstrap::Interval;
use poq_proto::v1::EvaluatorModel;

use crate::options::scores::Measuring;

/// The setup of a measurement.
pub(super) struct Bench {
    /// Entries and files of at least one model.
    pub models: Vec<(EvaluatorModel, ModelFiles)>,
    pub engine: Engine,
    pub batch_tokens: usize,
    pub settings: Settings,
    /// The machine, for the report.
    pub machine: String,
}

impl Bench {
    pub(super) fn new(measuring: &Measuring, seed: u64) -> Result<Self> {
        let EngineArgs { sessions, threads } = measuring.engine;
        let scoring = ScoringConfig {
            sessions,
            threads,
            ..ScoringConfig::default()
        };
        scoring.validate()?;
        Ok(Self {
            models: wait(measuring.model.find())?,
            engine: scoring.engine(),
            batch_tokens: scoring.batch_tokens,
            settings: Settings {
                resamples: measuring.resamples,
                seed,
            },
            machine: poq_client::machine(),
        })
    }

    /// The models, loaded one at a time, so that memory for one is enough.
    pub(super) fn each(&self) -> impl Iterator<Item = Result<Model>> {
        self.models.iter().map(|model| self.open(model))
    }

    fn open(&self, model: &(EvaluatorModel, ModelFiles)) -> Result<Model> {
        let opened = open_all(std::slice::from_ref(model), self.engine)?;
        opened.into_iter().next().context("no model is loaded")
    }

    /// For reports: machine, resampling and engine.
    pub(super) fn method(&self) -> String {
        let Settings { resamples, seed } = self.settings;
        let Engine { sessions, threads } = self.engine;
        format!(
            "{resamples} resamples of prompts, seed {seed}, 95 % intervals; {sessions} x {threads} threads"
        )
    }
}

/// The only model of a command that accepts just one.
pub(super) fn find_one(models: &ModelArgs) -> Result<(EvaluatorModel, ModelFiles)> {
    wait(models.find_one())
}

/// Registry entries may have to be queried from a node.
fn wait<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(answer)
}

/// Progress over windows.
pub(super) fn progress(message: impl Into<String>) -> Result<ProgressBar> {
    let template = "{msg} {wide_bar} {pos}/{len} windows, {eta} left";
    let style = ProgressStyle::with_template(template)?;
    Ok(ProgressBar::no_length()
        .with_style(style)
        .with_message(message.into()))
}

/// An interval as text.
pub(super) fn shown(interval: Option<Interval>) -> String {
    match interval {
        Some(Interval { value, low, high }) => format!("{value:.3} [{low:.3}, {high:.3}]"),
        None => "not defined".to_owned(),
    }
}
