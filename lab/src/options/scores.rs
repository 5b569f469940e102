//! The command line of `poq-lab scores`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use poq_evaluator::{EngineArgs, ModelArgs};

/// Measurements of models' scores.
#[derive(Debug, Subcommand)]
pub(crate) enum Scores {
    /// Measure how far scores agree with labelled answers, compared with simple baselines
    Validity(Validity),
    /// Fit the table from raw scores to qualities and write the registry entry
    Calibrate(Calibrate),
    /// Measure what answers that are made to please an evaluator get
    Attack(Attack),
    /// Print the evaluator card of a model, in Markdown
    Card(Card),
    /// Measure how far ONNX Runtime is from the reference evaluator, and the resulting audit
    /// tolerance
    Tolerance(Tolerance),
}

#[derive(Debug, Args)]
pub(crate) struct Validity {
    /// Labelled answers, one JSON object per line, repeatable; by default the project's own small
    /// sample
    #[arg(long, value_name = "FILE")]
    pub data: Vec<PathBuf>,
    #[command(flatten)]
    pub measuring: Measuring,
}

#[derive(Debug, Args)]
pub(crate) struct Calibrate {
    /// Labelled answers, one JSON object per line: preferences, or answers with a label
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Output path of the registry entry with the new table; printed by default
    #[arg(long, value_name = "FILE")]
    pub entry: Option<PathBuf>,
    #[command(flatten)]
    pub measuring: Measuring,
}

#[derive(Debug, Args)]
pub(crate) struct Attack {
    /// Answers with scores and labels to attack, one JSON object per line; by default the project's
    /// own small sample
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub measuring: Measuring,
}

#[derive(Debug, Args)]
pub(crate) struct Card {
    /// Preferences, one JSON object per line, for calibration and validity in addition to the
    /// project's own small sample
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    #[command(flatten)]
    pub measuring: Measuring,
}

/// Common options of the measurements.
#[derive(Debug, Args)]
pub(crate) struct Measuring {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Resamples of each confidence interval
    #[arg(long, default_value_t = 1000, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub resamples: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Tolerance {
    /// Prompts and answers, one JSON object per line, in one of the forms of `validity`; by default
    /// pairs of the project's own sample
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Most pairs to compare
    #[arg(long, default_value_t = 2000, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub pairs: u32,
    /// Compare ONNX Runtime's other settings on every Nth pair
    #[arg(long, default_value_t = 5, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub every: u32,
    #[command(flatten)]
    pub model: ModelArgs,
}
