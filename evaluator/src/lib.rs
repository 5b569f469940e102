//! `poq-evaluator`: scores answers with small models on ONNX Runtime and commits to the scores
//! on a Proof of Quality chain. Other programs use its models: [`scorer`] computes, [`registry`] has
//! their entries, and [`ModelArgs`] finds them by command-line options.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod cli;
mod command;
mod compute;
mod config;
mod duties;
#[cfg(test)]
#[path = "../../client/tests/fake_chain/mod.rs"]
mod fake_chain;
#[cfg(test)]
#[path = "../../client/src/fake_node.rs"]
mod fake_node;
mod fetch;
mod housekeeping;
mod http;
mod journal;
mod output;
mod queue;
pub mod registry;
pub mod scorer;
mod submit;
#[cfg(test)]
mod testing;
mod transcode;
mod worker;

use std::process::ExitCode;

use clap::Parser;
use poq_client::Failure;

use cli::{Cli, Command, OutputFormat};

pub use cli::{EngineArgs, ModelArgs};
pub use config::ScoringConfig;

/// Runs the program with the arguments of this process.
#[tokio::main(worker_threads = 2)]
pub async fn main() -> ExitCode {
    let cli = Cli::parse();
    poq_client::logging::init(cli.log_format);
    let format = cli.command.output();
    match run(cli.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = Failure::new(error.chain());
            match format {
                OutputFormat::Text => eprintln!("Error: {}", failure.message()),
                OutputFormat::Json => eprintln!("{}", failure.to_json()),
            }
            failure.exit_code().into()
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init(args) => command::init(args).await,
        Command::Register(args) => command::register(args).await,
        Command::Start(args) => command::start(args).await,
        Command::Status(args) => command::status(args).await,
        Command::Earnings(args) => command::earnings(args).await,
        Command::Score(args) => command::score(args).await,
        Command::Serve(args) => command::serve(args).await,
        Command::Tune(args) => command::tune(args).await,
        Command::Transcode(args) => command::transcode(&args),
        Command::Version(args) => command::version(&args),
    }
}
