//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use poq_worker::commands;
use poq_worker::commands::{Earnings, Start};
use poq_worker::default_home;
use poq_worker::program::logging::Format;
use poq_worker::program::{Output, OutputArg};

use crate::config;
use crate::generator::weights::WeightType;

/// Inference node of a Proof of Quality chain: answers the tasks it is assigned with a language
/// model on mistral.rs, and serves the model over an OpenAI-compatible HTTP interface.
#[derive(Debug, Parser)]
#[command(name = "poq-inference-node", version)]
pub(crate) struct Cli {
    /// Folder of config.toml, keys and data.
    #[arg(long, global = true, env = "POQ_INFERENCE_HOME", default_value_os_t = default_home(".poq-inference-node"))]
    pub home: PathBuf,
    /// Format of the log on stderr: text or json. RUST_LOG filters it.
    #[arg(long, global = true, default_value_t = Format::Text)]
    pub log_format: Format,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a home with config.toml and the operator's key.
    Init(Init),
    /// Register the operator's account as an inference node and lock its stake.
    Register(Register),
    /// Answer the tasks that the chain assigns, until SIGINT or SIGTERM.
    Start(Start),
    /// Show the node as the chain sees it, and its journal.
    Status(OutputArg),
    /// Print the key and the certificate's digest that offer sessions on the chain; makes a self-signed
    /// certificate unless there is one.
    Stream(OutputArg),
    /// Show the operator's earnings, its losses and its newest payments.
    Earnings(Earnings),
    /// Answer one prompt, without a chain.
    Generate(Generate),
    /// Models known by name: Llama 3, Mixtral and the default.
    #[command(subcommand)]
    Models(Models),
    /// Print the version.
    Version(OutputArg),
}

impl Command {
    /// How results and failures are printed.
    pub(crate) fn output(&self) -> Output {
        match self {
            Self::Init(options) => options.common.output.output,
            Self::Register(options) => options.common.output.output,
            Self::Status(options) | Self::Stream(options) | Self::Version(options) => {
                options.output
            }
            Self::Earnings(options) => options.output.output,
            Self::Generate(options) => options.output.output,
            Self::Models(Models::List(options)) => options.output,
            Self::Models(Models::Show(options)) => options.output.output,
            Self::Models(Models::Verify(options)) => options.output.output,
            Self::Models(Models::Margins(options)) => options.output.output,
            Self::Models(Models::Run(options)) => options.generate.output.output,
            Self::Start(_) => Output::Text,
        }
    }
}

/// Options of `init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The chain and the operator's key.
    #[command(flatten)]
    pub common: commands::Init,
    /// Id of the model in the chain's registry.
    #[arg(long, default_value = config::DEFAULT_MODEL)]
    pub model: String,
    /// The model: a GGUF file, the first part of a split one, or a folder of safetensors.
    #[arg(long, default_value_os_t = config::default_model_file())]
    pub model_file: PathBuf,
    /// Fetch the model from the Hugging Face hub instead of using a file.
    #[arg(long, value_name = "ORGANISATION/NAME", conflicts_with = "model_file")]
    pub hub: Option<String>,
    /// Type of the matrices in memory. Default: the catalog's, or f32 for a model that it does not
    /// have.
    #[arg(long, value_enum)]
    pub weights: Option<WeightType>,
    /// Compute threads; 0 means one per core.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Answers generated at the same time, each with its own copy of the weights. Default: 2 for a
    /// small model with two threads or more, else 1.
    #[arg(long, value_parser = positive)]
    pub concurrency: Option<usize>,
    /// Listen address of the HTTP server.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Open the HTTP server to everyone who can reach it, without an API key.
    #[arg(long)]
    pub open: bool,
    /// Serve sessions on this address, with a self-signed certificate in the home.
    #[arg(long, value_name = "HOST:PORT")]
    pub stream_listen: Option<SocketAddr>,
}

/// Options of `register`.
#[derive(Debug, Args)]
pub(crate) struct Register {
    /// Stake, payout and capacity.
    #[command(flatten)]
    pub common: commands::Register,
    /// Address where users can reach the node; informative only.
    #[arg(long, default_value = "")]
    pub endpoint: String,
}

/// Options of `generate`. Defaults are taken from config.toml if there is one.
#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// The prompt.
    #[arg(long, allow_hyphen_values = true)]
    pub prompt: String,
    /// System prompt instead of the model's default.
    #[arg(long, allow_hyphen_values = true)]
    pub system: Option<String>,
    /// Most tokens of the answer.
    #[arg(long, default_value_t = 256, value_parser = positive)]
    pub max_tokens: usize,
    /// Most bytes of the answer.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    pub max_bytes: usize,
    /// 0 selects the most likely token; at most 2. Default: recommended by the model's makers.
    #[arg(long, value_parser = temperature)]
    pub temperature: Option<f64>,
    /// Nucleus mass, above 0 and at most 1. Default: recommended by the model's makers.
    #[arg(long, value_parser = mass)]
    pub top_p: Option<f64>,
    /// Divides the odds of tokens that the answer already contains, 1 to 2; 1 means no penalty.
    /// Default: recommended by the model's makers.
    #[arg(long, value_parser = penalty)]
    pub repetition_penalty: Option<f64>,
    /// Seed of the random choices at temperatures above 0.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// The model: a GGUF file, the first part of a split one, or a folder of safetensors.
    #[arg(long)]
    pub model_file: Option<PathBuf>,
    /// Fetch the model from the Hugging Face hub instead of using a file.
    #[arg(long, value_name = "ORGANISATION/NAME", conflicts_with = "model_file")]
    pub hub: Option<String>,
    /// Type of the matrices in memory.
    #[arg(long, value_enum)]
    pub weights: Option<WeightType>,
    /// Compute threads; 0 means one per core.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Answers generated at the same time, each with its own copy of the weights.
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub concurrency: usize,
    /// Send this many requests at once, each with its number appended to the prompt, and report how
    /// long the answers take.
    #[arg(long, value_parser = positive, conflicts_with = "repeat")]
    pub at_once: Option<usize>,
    /// Answer the prompt this many times and report the last run, to measure a warm model.
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub repeat: usize,
    /// Form of the result.
    #[command(flatten)]
    pub output: OutputArg,
}

/// Commands of `models`.
#[derive(Debug, Subcommand)]
pub(crate) enum Models {
    /// List the catalog.
    List(OutputArg),
    /// Show a model, and the entry that the authority can register for it.
    Show(ShowModel),
    /// Check a model's files against the catalog, a chain's registry and this machine.
    Verify(VerifyModel),
    /// Ask thirty questions with known answers. For each type of weights, show how many answers are
    /// right, and the margin of their tokens over the next most likely ones. If other rounding can
    /// bridge a margin, the answer depends on the processor.
    Margins(Margins),
    /// Answer one prompt with a model of the catalog, without a chain.
    Run(RunModel),
}

/// Options of `models margins`.
#[derive(Debug, Args)]
pub(crate) struct Margins {
    /// Id of the model.
    pub id: String,
    /// Types of weights.
    #[arg(long, value_enum, num_args = 1.., default_values_t = WeightType::value_variants().to_vec())]
    pub weights: Vec<WeightType>,
    /// Ask only the first N questions.
    #[arg(long, value_parser = positive)]
    pub questions: Option<usize>,
    /// Its GGUF file or folder. Default: its location in the cache.
    #[arg(long)]
    pub model_file: Option<PathBuf>,
    /// Compute threads; 0 means one per core.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Form of the result.
    #[command(flatten)]
    pub output: OutputArg,
}

/// Options of `models show`.
#[derive(Debug, Args)]
pub(crate) struct ShowModel {
    /// Id of the model.
    pub id: String,
    /// The model's GGUF file or folder, whose digest goes into the entry.
    #[arg(long)]
    pub model_file: Option<PathBuf>,
    /// Print only the entry for the registry, for `poqd tx poq set-model -`.
    #[arg(long)]
    pub registry: bool,
    /// Form of the result.
    #[command(flatten)]
    pub output: OutputArg,
}

/// Options of `models verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyModel {
    /// Id of the model.
    pub id: String,
    /// Its GGUF file or folder. Default: its location in the cache.
    #[arg(long)]
    pub model_file: Option<PathBuf>,
    /// Fetch the model from the Hugging Face hub instead of using a file.
    #[arg(long, value_name = "ORGANISATION/NAME", conflicts_with = "model_file")]
    pub hub: Option<String>,
    /// RPC address of a node; the digest of the files must then be in its chain's registry.
    #[arg(long)]
    pub node: Option<String>,
    /// Type of the matrices in memory. Default: the catalog's.
    #[arg(long, value_enum)]
    pub weights: Option<WeightType>,
    /// Form of the result.
    #[command(flatten)]
    pub output: OutputArg,
}

/// Options of `models run`.
#[derive(Debug, Args)]
pub(crate) struct RunModel {
    /// Id of the model.
    pub id: String,
    /// The prompt and the other options of `generate`.
    #[command(flatten)]
    pub generate: Generate,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

fn temperature(text: &str) -> Result<f64, String> {
    number(
        text,
        |value| (0.0..=2.0).contains(&value),
        "must be between 0 and 2",
    )
}

fn mass(text: &str) -> Result<f64, String> {
    number(
        text,
        |value| value > 0.0 && value <= 1.0,
        "must be above 0 and at most 1",
    )
}

fn penalty(text: &str) -> Result<f64, String> {
    number(
        text,
        |value| (1.0..=2.0).contains(&value),
        "must be between 1 and 2",
    )
}

fn number(text: &str, fits: impl Fn(f64) -> bool, range: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if fits(value) {
        Ok(value)
    } else {
        Err(range.into())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn texts_may_begin_with_a_hyphen() {
        let args = [
            "poq-inference-node",
            "generate",
            "--prompt",
            "-5 + 3",
            "--system",
            "- brief",
        ];
        let Command::Generate(options) = Cli::parse_from(args).command else {
            panic!("it is `generate`");
        };
        assert_eq!(options.prompt, "-5 + 3");
        assert_eq!(options.system.as_deref(), Some("- brief"));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for option in [
            "--temperature=2.1",
            "--temperature=NaN",
            "--top-p=0",
            "--repetition-penalty=0.9",
            "--max-tokens=0",
        ] {
            let args = ["poq-inference-node", "generate", "--prompt", "x", option];
            assert!(Cli::try_parse_from(args).is_err(), "{option}");
        }
    }
}
