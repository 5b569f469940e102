//! `poq-inference-node`: answers tasks of a Proof of Quality chain with a language model.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod answer;
mod catalog;
mod cli;
mod commands;
mod compute;
mod config;
mod generator;
mod http;
mod margins;
mod stream;
mod worker;

#[cfg(test)]
#[path = "../tests/checkpoint/mod.rs"]
mod checkpoint;
#[cfg(test)]
#[path = "../../worker/tests/fake_chain/mod.rs"]
mod fake_chain;
#[cfg(test)]
#[path = "../../client/src/fake_node.rs"]
mod fake_node;

use std::process::ExitCode;

use clap::Parser;
use poq_worker::program::{exit, logging};

use crate::cli::{Cli, Command, Models};

/// Default log filter; mistral.rs logs the stages of loading.
const LOG_FILTER: &str = "info,mistralrs_core=error,mistralrs_quant=error";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = cli.command.output();
    exit(run(cli), format)
}

#[allow(unsafe_code, reason = "SAFETY says why it is sound")]
fn run(cli: Cli) -> anyhow::Result<()> {
    let threads = match &cli.command {
        Command::Start(_) => commands::settings(&cli.home)?.1.model.threads,
        Command::Generate(options) => commands::model::settings(&cli.home, options)?.threads,
        Command::Models(Models::Run(options)) => options.generate.threads.unwrap_or(0),
        _ => 0,
    };
    // SAFETY: no other thread exists yet that could read the environment.
    unsafe {
        if std::env::var_os("RUST_LOG").is_none() {
            std::env::set_var("RUST_LOG", LOG_FILTER);
        }
        if threads > 0 {
            // The only setting that all three thread pools of mistral.rs respect.
            std::env::set_var("RAYON_NUM_THREADS", threads.to_string());
        }
    }
    logging::init(cli.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(commands::run(cli));
    // A hanging engine must not keep the process from exiting.
    runtime.shutdown_background();
    result
}
