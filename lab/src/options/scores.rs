//! The command line of `poq-lab scores`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use poq_evaluator::{EngineArgs, ModelArgs};

/// What is measured of models' scores.
#[derive(Debug, Subcommand)]
pub enum Scores {
    /// How far scores agree with labelled answers, beside simple baselines
    Validity(Validity),
    /// Fits the table from raw scores to qualities and makes the registry entry
    Calibrate(Calibrate),
    /// What answers that are made to please an evaluator get
    Attack(Attack),
    /// Prints the evaluator card of a model, in Markdown
    Card(Card),
    /// How far ONNX Runtime is from the reference evaluator, and the audit tolerance that follows
    Tolerance(Tolerance),
}

#[derive(Debug, Args)]
pub struct Validity {
    /// Labelled answers, one JSON object a line; once for each file. The project's own small sample
    /// unless given
    #[arg(long, value_name = "FILE")]
    pub data: Vec<PathBuf>,
    #[command(flatten)]
    pub measuring: Measuring,
}

#[derive(Debug, Args)]
pub struct Calibrate {
    /// Labelled answers, one JSON object a line: preferences, or answers with a label
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Where to write the registry entry with the new table; it is printed unless given
    #[arg(long, value_name = "FILE")]
    pub entry: Option<PathBuf>,
    #[command(flatten)]
    pub measuring: Measuring,
}

#[derive(Debug, Args)]
pub struct Attack {
    /// Answers with scores and labels, one JSON object a line, which are attacked; the project's
    /// own small sample unless given
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub measuring: Measuring,
}

#[derive(Debug, Args)]
pub struct Card {
    /// Preferences, one JSON object a line, for calibration and validity beside the project's own
    /// small sample
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    #[command(flatten)]
    pub measuring: Measuring,
}

/// How models are measured.
#[derive(Debug, Args)]
pub struct Measuring {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Resamples of each confidence interval
    #[arg(long, default_value_t = 1000, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub resamples: u32,
}

#[derive(Debug, Args)]
pub struct Tolerance {
    /// Prompts and answers, one JSON object a line, in one of the forms of `validity`; pairs of the
    /// project's own sample unless given
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// How many pairs are compared, at most
    #[arg(long, default_value_t = 2000, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub pairs: u32,
    /// ONNX Runtime's other settings are compared on every so manieth pair
    #[arg(long, default_value_t = 5, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub every: u32,
    #[command(flatten)]
    pub model: ModelArgs,
}
