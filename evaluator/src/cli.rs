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

/// Scores answers of language models and commits to the scores on a Proof of Quality chain.
#[derive(Debug, Parser)]
#[command(name = "poq-evaluator", version)]
pub struct Cli {
    /// Folder with config.toml, the keyring and the journal
    #[arg(long, global = true, env = "POQ_EVALUATOR_HOME", default_value_os_t = default_home(".poq-evaluator"))]
    pub home: PathBuf,
    /// Form of the logs on stderr; RUST_LOG selects what is logged
    #[arg(long, global = true, default_value_t, value_name = "text|json")]
    pub log_format: Format,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a home: a documented config.toml and the operator's key
    Init(Init),
    /// Registers the operator as an evaluator and stakes
    Register(Register),
    /// Does the operator's duties until it is stopped
    Start(Start),
    /// Shows the operator's registration and open duties
    Status(OutputArg),
    /// Shows what the operator earned and lost, and its newest payments
    Earnings(Earnings),
    /// Scores one answer, without a chain
    Score(Score),
    /// Serves scores over HTTP as text-embeddings-inference does, without a chain
    Serve(Serve),
    /// Measures which scoring settings are fastest on this machine
    Tune(Tune),
    /// Makes the canonical f32 models of the published int8 ones
    Transcode(Transcode),
    /// Prints the version of the program and of its default model
    Version(OutputArg),
}

impl Command {
    /// How results and failures are printed.
    pub fn output(&self) -> Output {
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
pub struct Init {
    #[command(flatten)]
    pub common: commands::Init,
    /// Id of an evaluator model to run; once for each
    #[arg(long = "model", default_value = registry::DEFAULT_MODEL, value_name = "ID")]
    pub models: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Register {
    #[command(flatten)]
    pub common: commands::Register,
    /// Evaluator models, by id; those of config.toml unless given
    #[arg(long = "evaluator-model", value_name = "ID")]
    pub evaluator_models: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Score {
    /// What was asked
    #[arg(long, allow_hyphen_values = true)]
    pub prompt: String,
    /// What was answered
    #[arg(long, allow_hyphen_values = true)]
    pub answer: String,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Compute threads, up to 256
    #[arg(long, default_value_t = ScoringConfig::default().threads)]
    pub threads: usize,
    /// Score the pair this many times, for the time that it takes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    #[command(flatten)]
    pub output: OutputArg,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Where to serve; whoever reaches it may use the model
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "HOST:PORT")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Tokens of one batch after padding, up to 65536
    #[arg(long, default_value_t = ScoringConfig::default().batch_tokens, value_name = "TOKENS")]
    pub batch_tokens: usize,
    /// Pairs that wait for the model, up to 10000; further requests are answered with 429
    #[arg(long, default_value_t = ScoringConfig::default().queue, value_name = "PAIRS")]
    pub queue: usize,
    /// Texts or pairs of one request, at most as many as wait
    #[arg(long, default_value_t = 32, value_name = "PAIRS")]
    pub max_client_batch_size: usize,
    /// Largest body of a request
    #[arg(long, default_value_t = 2_000_000, value_name = "BYTES")]
    pub payload_limit: usize,
    /// Cut off texts that are too long where the request has no `truncate`
    #[arg(long)]
    pub auto_truncate: bool,
    /// Origins of web pages that may ask, separated by commas, as `https://example.org`; "*" is every one
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    pub cors_allow_origin: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Tune {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Longest time that one batch may take, in milliseconds
    #[arg(long, default_value_t = 1000, value_name = "MS")]
    pub max_batch_ms: u32,
    /// Measure every setting this many times, in turns
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    #[command(flatten)]
    pub output: OutputArg,
}

/// Models without a home.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// Take the registry entries of the models from this node
    #[arg(long, value_name = "URL", conflicts_with = "registry")]
    pub node: Option<String>,
    /// Take a registry entry from this file, proto3 JSON of poq.v1.EvaluatorModel; without
    /// --node and --registry it is the one of the test networks
    #[arg(long, value_name = "FILE")]
    pub registry: Vec<PathBuf>,
    /// Id of the evaluator model, for `serve` once for each; unless given, those of --registry
    /// or ms-marco-minilm-l-12-v2
    #[arg(long = "model", value_name = "ID")]
    pub models: Vec<String>,
    /// Folder with model.onnx and tokenizer.json, once for each model in their order; in the
    /// cache unless given
    #[arg(long = "model-folder", value_name = "FOLDER")]
    pub folders: Vec<PathBuf>,
    /// What computes: ONNX Runtime, or the reference evaluator of audits
    #[arg(long, value_enum, default_value_t)]
    pub backend: ScorerBackend,
    /// Shared library of ONNX Runtime; in the cache unless given
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
}

/// How the models are run.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// Batches that are scored at the same time, up to 64
    #[arg(long, default_value_t = ScoringConfig::default().sessions)]
    pub sessions: usize,
    /// Compute threads of one session, up to 256
    #[arg(long, default_value_t = ScoringConfig::default().threads)]
    pub threads: usize,
}

#[derive(Debug, Args)]
pub struct Transcode {
    /// The published int8 ONNX file of one model; without it, all known models in the cache
    #[arg(long, value_name = "FILE", requires = "output")]
    pub input: Option<PathBuf>,
    /// Where to write the f32 ONNX file of --input
    #[arg(long, value_name = "FILE", requires = "input")]
    pub output: Option<PathBuf>,
    /// A trained adapter that is merged into --input, which makes a judge of it
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
