//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use poq_worker::commands::{self, Earnings, Start};
use poq_worker::default_home;
use poq_worker::program::logging::Format;
use poq_worker::program::{Output, OutputArg};

use crate::config::ScoringConfig;
use crate::registry;
use crate::scorer::ScorerBackend;

/// Evaluator of a Proof of Quality chain: scores answers of language models and commits to the
/// scores on the chain.
#[derive(Debug, Parser)]
#[command(name = "poq-evaluator", version)]
pub(crate) struct Cli {
    /// Folder of config.toml, keys and data
    #[arg(long, global = true, env = "POQ_EVALUATOR_HOME", default_value_os_t = default_home(".poq-evaluator"))]
    pub home: PathBuf,
    /// Format of the logs on stderr; RUST_LOG filters them
    #[arg(long, global = true, default_value_t, value_name = "text|json")]
    pub log_format: Format,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a home with a commented config.toml and the operator's key
    Init(Init),
    /// Register the operator as an evaluator and lock its stake
    Register(Register),
    /// Do the operator's duties, until SIGINT or SIGTERM
    Start(Start),
    /// Show the operator's registration and open duties
    Status(OutputArg),
    /// Show the operator's earnings, its losses and its newest payments
    Earnings(Earnings),
    /// Score one answer, without a chain
    Score(Score),
    /// Serve scores over text-embeddings-inference's HTTP interface, without a chain
    Serve(Serve),
    /// Measure which scoring settings are fastest on this machine
    Tune(Tune),
    /// Create the canonical f32 models from the published int8 ones
    Transcode(Transcode),
    /// Print the version of the program and of its default model
    Version(OutputArg),
}

impl Command {
    /// How results and failures are printed.
    pub(crate) fn output(&self) -> Output {
        match self {
            Self::Init(args) => args.common.output.output,
            Self::Register(args) => args.common.output.output,
            Self::Earnings(args) => args.output.output,
            Self::Score(args) => args.output.output,
            Self::Tune(args) => args.output.output,
            Self::Status(args) | Self::Version(args) => args.output,
            Self::Start(_) | Self::Serve(_) | Self::Transcode(_) => Output::Text,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub common: commands::Init,
    /// Id of an evaluator model to run; repeat for several
    #[arg(long = "model", default_value = registry::DEFAULT_MODEL, value_name = "ID")]
    pub models: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Register {
    #[command(flatten)]
    pub common: commands::Register,
    /// Ids of the evaluator models; those in config.toml unless given
    #[arg(long = "evaluator-model", value_name = "ID")]
    pub evaluator_models: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Score {
    /// The prompt
    #[arg(long, allow_hyphen_values = true)]
    pub prompt: String,
    /// The answer
    #[arg(long, allow_hyphen_values = true)]
    pub answer: String,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Compute threads, up to 256
    #[arg(long, default_value_t = ScoringConfig::default().threads)]
    pub threads: usize,
    /// Score the pair this many times, to measure the time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    #[command(flatten)]
    pub output: OutputArg,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Listen address; there is no authentication
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "HOST:PORT")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Most tokens of one batch after padding, up to 65536
    #[arg(long, default_value_t = ScoringConfig::default().batch_tokens, value_name = "TOKENS")]
    pub batch_tokens: usize,
    /// Most queued pairs, up to 10000; further requests get status 429
    #[arg(long, default_value_t = ScoringConfig::default().queue, value_name = "PAIRS")]
    pub queue: usize,
    /// Most texts or pairs in one request, at most --queue
    #[arg(long, default_value_t = 32, value_name = "PAIRS")]
    pub max_client_batch_size: usize,
    /// Largest request body in bytes
    #[arg(long, default_value_t = 2_000_000, value_name = "BYTES")]
    pub payload_limit: usize,
    /// Cut off texts that are too long if the request has no `truncate`
    #[arg(long)]
    pub auto_truncate: bool,
    /// Origins of web pages that may use the server, separated by commas, as `https://example.org`;
    /// "*" means every origin
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    pub cors_allow_origin: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Tune {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Longest time of one batch, in milliseconds
    #[arg(long, default_value_t = 1000, value_name = "MS")]
    pub max_batch_ms: u32,
    /// Measure every setting this many times, in rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    #[command(flatten)]
    pub output: OutputArg,
}

/// Models of commands without a home.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// Query the registry entries of the models from this node
    #[arg(long, value_name = "URL", conflicts_with = "registry")]
    pub node: Option<String>,
    /// Read a registry entry from this file, proto3 JSON of poq.v1.EvaluatorModel; without --node
    /// and --registry, that of the test networks is used
    #[arg(long, value_name = "FILE")]
    pub registry: Vec<PathBuf>,
    /// Id of the evaluator model, repeatable for `serve`; by default those of --registry, or
    /// ms-marco-minilm-l-12-v2
    #[arg(long = "model", value_name = "ID")]
    pub models: Vec<String>,
    /// Folder with model.onnx and tokenizer.json, once per model in the same order; by default in
    /// the cache
    #[arg(long = "model-folder", value_name = "FOLDER")]
    pub folders: Vec<PathBuf>,
    /// Backend: ONNX Runtime, or the reference evaluator of audits
    #[arg(long, value_enum, default_value_t)]
    pub backend: ScorerBackend,
    /// Shared library of ONNX Runtime; by default in the cache
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
}

/// Sessions and threads of the models.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// Batches scored at the same time, up to 64
    #[arg(long, default_value_t = ScoringConfig::default().sessions)]
    pub sessions: usize,
    /// Compute threads per session, up to 256
    #[arg(long, default_value_t = ScoringConfig::default().threads)]
    pub threads: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Transcode {
    /// The published int8 ONNX file of one model; by default all known models in the cache
    #[arg(long, value_name = "FILE", requires = "output")]
    pub input: Option<PathBuf>,
    /// Output path of the f32 ONNX file for --input
    #[arg(long, value_name = "FILE", requires = "input")]
    pub output: Option<PathBuf>,
    /// A trained adapter to merge into --input, which makes it a judge
    #[arg(long, value_name = "FILE", requires = "input")]
    pub adapter: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn texts_may_begin_with_a_hyphen() {
        let args = [
            "poq-evaluator",
            "score",
            "--prompt",
            "--what?",
            "--answer",
            "-5",
        ];
        let Command::Score(score) = Cli::parse_from(args).command else {
            panic!("it is `score`");
        };
        assert_eq!(
            (score.prompt.as_str(), score.answer.as_str()),
            ("--what?", "-5")
        );
    }
}
