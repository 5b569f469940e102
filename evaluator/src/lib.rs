//! `poq-evaluator`: scores answers with small models on ONNX Runtime and commits to the scores on a
//! Proof of Quality chain. Other programs use its models: [`scorer`] computes scores, [`registry`]
//! has the models' entries, and [`ModelArgs`] selects them by command-line options.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod cli;
mod commands;
mod compute;
mod config;
mod entry;
#[cfg(test)]
#[path = "../../worker/tests/fake_chain/mod.rs"]
mod fake_chain;
#[cfg(test)]
#[path = "../../client/src/fake_node.rs"]
mod fake_node;
mod http;
pub mod registry;
pub mod scorer;
#[cfg(test)]
mod testing;
mod transcode;
mod worker;

use std::process::ExitCode;

use clap::Parser;
use poq_worker::program::{exit, logging};

use cli::Cli;

pub use cli::{EngineArgs, ModelArgs};
pub use config::ScoringConfig;

/// Runs the program with this process's arguments.
#[tokio::main(worker_threads = 2)]
pub async fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::init(cli.log_format);
    let output = cli.command.output();
    exit(commands::run(cli).await, output)
}
