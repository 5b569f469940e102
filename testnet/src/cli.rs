//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use poq_worker::program::logging::Format;

/// Runs a local network of a Proof of Quality chain with real models.
#[derive(Debug, Parser)]
#[command(name = "poq-testnet", version)]
pub(crate) struct Cli {
    /// Format of the log on stderr; RUST_LOG filters it
    #[arg(long, global = true, default_value_t = Format::Text, value_name = "text|json")]
    pub log_format: Format,
    /// Command
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a new network, ask it a question, show the steps and the receipt, and stay up
    Run(Run),
    /// Show the status of every process of the running network
    Status(Status),
    /// Show a process's log
    Logs(Logs),
    /// Stop a process of the running network
    Stop(Named),
    /// Start a stopped or crashed process
    Start(Named),
    /// Create, fund, register and start another worker
    Add(Add),
    /// Ask the running network
    Prompt(Prompt),
}

/// Selects the network.
#[derive(Debug, Args)]
pub(crate) struct InFolder {
    /// Folder of the homes and logs
    #[arg(long, env = "POQ_TESTNET_ROOT", default_value = ".testnet")]
    pub root: PathBuf,
}

/// Options of `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub network: InFolder,
    /// Format of the result on stdout
    #[arg(long, env = "OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
}

/// Options of `logs`.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Name of the process, for example node1, inference-1 or evaluator-1
    pub name: String,
    #[command(flatten)]
    pub network: InFolder,
    /// Follow the log
    #[arg(long, short)]
    pub follow: bool,
    /// Number of last lines to show
    #[arg(long, short = 'n', default_value = "100")]
    pub lines: usize,
}

/// Options of `start` and `stop`.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Name of the process, for example node1, inference-1 or evaluator-1
    pub name: String,
    #[command(flatten)]
    pub network: InFolder,
}

/// Options of `add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Role of the worker
    #[arg(value_enum)]
    pub role: NewWorker,
    #[command(flatten)]
    pub network: InFolder,
}

/// The role of an added worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NewWorker {
    /// Answers.
    InferenceNode,
    /// Scores.
    Evaluator,
}

/// Options of `prompt`.
#[derive(Debug, Args)]
pub(crate) struct Prompt {
    /// The question
    #[arg(env = "PROMPT")]
    pub prompt: String,
    #[command(flatten)]
    pub network: InFolder,
    /// Longest answer, bytes
    #[arg(long, default_value = "2048")]
    pub max_answer_bytes: u32,
    /// Format of the receipt on stdout
    #[arg(long, env = "OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
}

/// Options of `run`. An empty environment variable counts as not set.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Stop after the receipt
    #[arg(long)]
    pub once: bool,
    /// Validators
    #[arg(long, env = "VALIDATORS", default_value = "4", value_parser = count(1))]
    pub validators: usize,
    /// Inference nodes
    #[arg(long, env = "INFERENCE", default_value = "2", value_parser = count(1))]
    pub inference: usize,
    /// Evaluators
    #[arg(long, env = "EVALUATORS", default_value = "5", value_parser = count(1))]
    pub evaluators: usize,
    /// The question
    #[arg(long, env = "PROMPT", default_value = "What is the capital of France?")]
    pub prompt: String,
    /// Format of the receipt on stdout
    #[arg(long, env = "OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
    /// First port of the network; the others come after it
    #[arg(long, env = "BASE_PORT", default_value = "26656")]
    pub base_port: u16,
    /// An earlier network in the folder is removed.
    #[command(flatten)]
    pub network: InFolder,
}

/// Format of a result on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Text for people.
    Text,
    /// A JSON value.
    Json,
}

/// Largest number of processes of one kind.
const MOST: usize = 64;

fn count(least: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if (least..=MOST).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from {least} to {MOST}")),
    }
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
    fn a_network_needs_every_role() {
        for option in [
            "--validators=0",
            "--inference=0",
            "--evaluators=65",
            "--output=xml",
        ] {
            assert!(
                Cli::try_parse_from(["poq-testnet", "run", option]).is_err(),
                "{option}"
            );
        }
    }
}
